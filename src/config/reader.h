/* What the readers of YAML and JSON share. Private to the room. */
#ifndef MU_CONFIG_READER_H
#define MU_CONFIG_READER_H

#include "config/variables.h"
#include "core/text.h"

/* The values and bytes of text that the whole of a config may still come to: aliases and base variables multiply. */
struct mu_budget {
    size_t values, bytes;
};

#define MU_BUDGET ((mu_budget){.values = MU_CONFIG_MAX_VALUES, .bytes = MU_CONFIG_MAX_BYTES})

/* MU_ERR_CONFIG at `pos` when the extent, put `depth` levels deep, is beyond the budget or MU_CONFIG_MAX_DEPTH. */
MU_CHECKED mu_err mu_budget_check(const mu_budget *budget, mu_cfg_extent extent, size_t depth, mu_pos pos);
MU_CHECKED mu_err mu_budget_spend(mu_budget *budget, mu_cfg_extent extent, size_t depth, mu_pos pos);

/* Builds a tree from its beginnings, keys, scalars and ends in the order of the text. Zero-initialised but for the first part. */
typedef struct {
    const char *file;
    mu_budget *budget;
    mu_variables *variables; /* may be NULL */

    mu_cfg *root; /* owned */
    mu_cfg *open[MU_CONFIG_MAX_DEPTH];
    size_t depth;
    mu_text key; /* of the value to come */
    mu_pos key_pos;
} mu_builder;

/* The innermost open list or dict; NULL at the top. */
mu_cfg *mu_builder_inside(const mu_builder *builder);
MU_CHECKED mu_err mu_builder_key(mu_builder *builder, const char *text, size_t length, mu_pos pos);
/* Takes `value` over, also on failure. */
MU_CHECKED mu_err mu_builder_add(mu_builder *builder, mu_cfg *value);
/* A string, its variables replaced; `plain`: not in quotes. Not added yet. */
MU_CHECKED mu_err mu_builder_string(mu_builder *builder, const char *text, size_t length, bool plain, mu_pos pos, mu_cfg **out);
/* Makes `container` the innermost one; it is added already. */
MU_CHECKED mu_err mu_builder_enter(mu_builder *builder, mu_cfg *container);
void mu_builder_leave(mu_builder *builder);
void mu_builder_release(mu_builder *builder);

/* Valid UTF-8 without a byte order mark: moves *text on. */
MU_CHECKED mu_err mu_reader_begin(const char **text, size_t *length, const char *file);
/* Line and column of a byte. */
mu_pos mu_reader_pos(const char *text, size_t length, const char *file, size_t offset);

/* The text ends with a NUL byte at text[length]. *out is null for an empty YAML document. */
MU_CHECKED mu_err mu_yaml_read(const char *text, size_t length, const char *file, mu_budget *budget, mu_variables *variables,
                               mu_cfg **out);
MU_CHECKED mu_err mu_json_read(const char *text, size_t length, const char *file, mu_budget *budget, mu_variables *variables,
                               mu_cfg **out);

#endif

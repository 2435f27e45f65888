/* The value tree of a config: null, bool, int, float, string, list, dict, each with the place it was read from. */
#ifndef MU_CONFIG_VALUE_H
#define MU_CONFIG_VALUE_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { MU_CFG_NULL, MU_CFG_BOOL, MU_CFG_INT, MU_CFG_FLOAT, MU_CFG_STRING, MU_CFG_LIST, MU_CFG_DICT } mu_cfg_kind;

/* Where something was read: a file or "<command line>", "<string>"; line and column (in characters) from 1.
 * Whoever keeps a mu_pos copies the file's name; one that a function returns is borrowed from the value asked. */
typedef struct {
    const char *file;
    int line, column;
} mu_pos;

/* A dict keeps insertion order. A tree is owned by its root; children belong to their parents. */
typedef struct mu_cfg mu_cfg;

/* pos.file NULL: the one of the parent, once attached. Text is UTF-8 without NUL bytes; MU_ERR_FORMAT otherwise. */
MU_CHECKED mu_err mu_cfg_new_null(mu_pos pos, mu_cfg **out);
MU_CHECKED mu_err mu_cfg_new_bool(bool x, mu_pos pos, mu_cfg **out);
MU_CHECKED mu_err mu_cfg_new_int(int64_t x, mu_pos pos, mu_cfg **out);
MU_CHECKED mu_err mu_cfg_new_float(double x, mu_pos pos, mu_cfg **out);
MU_CHECKED mu_err mu_cfg_new_string(const char *text, size_t length, mu_pos pos, mu_cfg **out);
MU_CHECKED mu_err mu_cfg_new_list(mu_pos pos, mu_cfg **out);
MU_CHECKED mu_err mu_cfg_new_dict(mu_pos pos, mu_cfg **out);
/* Deep; places are kept. */
MU_CHECKED mu_err mu_cfg_copy(const mu_cfg *cfg, mu_cfg **out);
/* Does not recurse on the C stack. NULL is allowed. */
void mu_cfg_release(mu_cfg *cfg);

mu_cfg_kind mu_cfg_kind_of(const mu_cfg *cfg);
const char *mu_cfg_kind_name(mu_cfg_kind kind); /* "dictionary", "integer", ... */
mu_pos mu_cfg_pos(const mu_cfg *cfg);
mu_pos mu_cfg_key_pos(const mu_cfg *cfg); /* of the key that it stands under, else its own */

/* Readers of one kind; undefined on another (asserted in debug builds). */
bool mu_cfg_bool(const mu_cfg *cfg);
int64_t mu_cfg_int(const mu_cfg *cfg);
double mu_cfg_float(const mu_cfg *cfg); /* of INT too */
const char *mu_cfg_string(const mu_cfg *cfg);
size_t mu_cfg_string_length(const mu_cfg *cfg);

/* Lists and dicts: number of children; child i; key of child i (dict only). */
size_t mu_cfg_size(const mu_cfg *cfg);
mu_cfg *mu_cfg_at(const mu_cfg *cfg, size_t i);
const char *mu_cfg_key_at(const mu_cfg *cfg, size_t i);
/* NULL when absent or not a dict. O(1). */
mu_cfg *mu_cfg_get(const mu_cfg *cfg, const char *key);
/* By dotted path "model.backbone.0.depth"; NULL when absent. */
mu_cfg *mu_cfg_find(const mu_cfg *cfg, const char *path);

/* Another number for an INT, for a FLOAT, in its place. */
void mu_cfg_put_int(mu_cfg *cfg, int64_t x);
void mu_cfg_put_float(mu_cfg *cfg, double x);

/* Takes `child` (which has no parent) over, also on failure. set replaces the value of a known key in its place among the
 * keys; key_pos.file NULL is that of the dict. */
MU_CHECKED mu_err mu_cfg_append(mu_cfg *list, mu_cfg *child);
MU_CHECKED mu_err mu_cfg_set(mu_cfg *dict, const char *key, mu_pos key_pos, mu_cfg *child);
MU_CHECKED mu_err mu_cfg_set_at(mu_cfg *list, size_t i, mu_cfg *child);
/* Removes and frees; false when absent. */
bool mu_cfg_remove(mu_cfg *dict, const char *key);

/* What a tree comes to, the value itself included: a scalar has depth 0. */
typedef struct {
    size_t values, bytes; /* bytes of strings and keys */
    size_t depth;
} mu_cfg_extent;
mu_cfg_extent mu_cfg_measure(const mu_cfg *cfg);

/* Same kinds and values, keys in any order; places do not count. NaN equals NaN; 1 and 1.0 differ. */
bool mu_cfg_equal(const mu_cfg *a, const mu_cfg *b);

#endif

/* Options: rows that say what keys a component takes. They drive parsing, checking and `muster describe`. */
#ifndef MU_REGISTRY_OPTION_H
#define MU_REGISTRY_OPTION_H

#include "config/diagnostic.h"

typedef enum {
    MU_OPT_BOOL,       /* bool */
    MU_OPT_INT,        /* int64_t */
    MU_OPT_FLOAT,      /* double; an integer is accepted */
    MU_OPT_STRING,     /* char *, NULL when unset */
    MU_OPT_CHOICE,     /* int: index into choices */
    MU_OPT_INTS,       /* mu_ints */
    MU_OPT_FLOATS,     /* mu_floats */
    MU_OPT_STRINGS,    /* mu_strings */
    MU_OPT_COMPONENT,  /* const mu_cfg *: a dict with `type`, of kind component_kind; borrowed from the config */
    MU_OPT_COMPONENTS, /* const mu_cfg *: a list of them, or a single one; without `type`: a dict of `fields`, if set */
    MU_OPT_COMPONENT_MAP, /* const mu_cfg *: a dict of them by name; null switches one off */
    MU_OPT_DICT, /* const mu_cfg *: a dict with the keys of `fields`; one with `type` is a component instead, where
                    component_kind is set */
    MU_OPT_ANY,  /* const mu_cfg *: any value */
} mu_option_type;

typedef struct {
    size_t n;
    int64_t *v;
} mu_ints;
typedef struct {
    size_t n;
    double *v;
} mu_floats;
typedef struct {
    size_t n;
    char **v;
} mu_strings;

typedef struct mu_option {
    const char *key; /* NULL ends the table */
    mu_option_type type;
    size_t offset;
    const char *help; /* a phrase */
    const char *unit; /* "samples", "s"; may be NULL */
    bool required;
    bool nullable; /* null is allowed and leaves the default */
    bool boolean_default;
    int64_t int_default; /* of CHOICE: the index */
    double float_default;
    const char *text_default;          /* STRING; of others: what `describe` shows */
    bool bounded_below, bounded_above; /* numbers, and each element of a list */
    double min, max;                   /* inclusive */
    bool above_min;                    /* min itself is excluded */
    const char *const *choices;        /* CHOICE, STRING and STRINGS: NULL-terminated */
    size_t min_items, max_items;       /* lists; max 0: no bound */
    bool bare_item;                    /* lists: an element alone stands for a list of one */
    const char *component_kind;        /* COMPONENT, COMPONENTS, COMPONENT_MAP, DICT: "model" */
    const struct mu_option *fields;    /* DICT, COMPONENTS; their offsets do not count */
} mu_option;

/* MU_OPTION(mlp, hidden, MU_OPT_INT, .int_default = 128, .bounded_below = true, .min = 1, .help = "...") */
/* clang-format off */
#define MU_OPTION(struct_, field_, type_, ...) \
    {.key = #field_, .type = (type_), .offset = offsetof(struct_, field_), __VA_ARGS__}
#define MU_OPTION_END {.key = NULL}
/* clang-format on */

/* Sets the defaults, then what `dict` says (all keys but `type` and those starting with '_'), in `object`, which is
 * zeroed before. Everything wrong is added to `list` under `path` and leaves its default; the function itself fails
 * only on lack of memory and then leaves nothing in the object. Strings and lists are copied into it:
 * mu_options_release. dict may be NULL. object may be NULL: only checks. Components below are not looked into
 * (mu_check). */
MU_CHECKED mu_err mu_options_parse(const mu_option *options, const mu_cfg *dict, const char *path, void *object,
                                   mu_diagnostics *list);
void mu_options_release(const mu_option *options, void *object);
/* "integer >= 1", "one of relu, gelu", "list of numbers", and the default as a config would write it. Cut to fit.
 * Return buf. */
const char *mu_option_expects(const mu_option *option, char *buf, size_t size);
const char *mu_option_default(const mu_option *option, char *buf, size_t size);

#endif

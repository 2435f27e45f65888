/* All that is wrong with a config at once: checks add to a list instead of stopping at the first mistake. */
#ifndef MU_CONFIG_DIAGNOSTIC_H
#define MU_CONFIG_DIAGNOSTIC_H

#include "config/value.h"

/* MU_ERR_CONFIG with "file:line:column: " before the message; the format is a literal. */
#define MU_FAIL_AT(pos, format, ...) \
    MU_FAIL(MU_ERR_CONFIG, "%s:%d:%d: " format, (pos).file, (pos).line, (pos).column, ##__VA_ARGS__)

typedef struct {
    mu_pos pos;     /* file owned too */
    char *path;     /* "model.backbone.depth" */
    char *expected; /* "one of 18, 34, 50, 101"; NULL: `found` tells it all */
    char *found;    /* "integer 42" */
    char *nearest;  /* nearest valid name, or NULL */
} mu_diagnostic;

typedef struct {
    size_t n, capacity;
    mu_diagnostic *item; /* owned */
} mu_diagnostics;

/* Copies its texts. `expected` and `nearest` may be NULL. */
MU_CHECKED mu_err mu_diagnostics_add(mu_diagnostics *list, mu_pos pos, const char *path, const char *expected,
                                     const char *found, const char *nearest);
void mu_diagnostics_release(mu_diagnostics *list);
/* By file, line, column. */
void mu_diagnostics_sort(mu_diagnostics *list);
/* "lenet.yaml:3:9: model.backbon: expected ..., found ...; did you mean 'backbone'?" Returns the length needed. */
size_t mu_diagnostic_format(const mu_diagnostic *diagnostic, char *buf, size_t size);
/* MU_OK when empty; else MU_ERR_CONFIG with the first ones as the message and their number. */
MU_CHECKED mu_err mu_diagnostics_status(const mu_diagnostics *list);
/* "string 'abc'", "integer 42", "dictionary with 3 keys": for `found`. */
void mu_cfg_describe(const mu_cfg *cfg, char *buf, size_t size);

#endif

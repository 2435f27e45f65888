/* The expressions {{ fileDirname }}, {{$VAR:default}} and {{_base_.a.b}} of one file. Private to the room.
 *
 * They are taken out of the raw text before it is parsed and put into the parsed strings: what they stand for cannot break the
 * syntax, and one in a comment does nothing. In between, a mark of as many characters keeps the columns right. */
#ifndef MU_CONFIG_VARIABLES_H
#define MU_CONFIG_VARIABLES_H

#include "config/config.h"
#include "config/diagnostic.h"

typedef struct mu_variables mu_variables;

/* Replaces the expressions of `text` by marks: *marked is owned by the variables. `path` NULL: the text has no file.
 * Borrows text, path, file, and env (a dict), where the environment variables that are used get recorded. */
MU_CHECKED mu_err mu_variables_new(const char *text, size_t length, const char *path, const char *file, mu_cfg *env,
                                   mu_variables **out);
void mu_variables_release(mu_variables *variables);
const char *mu_variables_text(const mu_variables *variables, size_t *length);

/* Whether the text holds or begins with a mark; the latter gives its length, else 0. */
bool mu_variables_in(const char *text, size_t length);
size_t mu_variables_mark(const char *text, size_t length);

/* The value of a string that holds marks; those of base variables stay. A plain (not quoted) {{'$VAR'}} gives any kind. */
MU_CHECKED mu_err mu_variables_expand(mu_variables *variables, const char *text, size_t length, bool plain, mu_pos pos,
                                      mu_cfg **out);

typedef struct mu_budget mu_budget;

/* Replaces the base variables left in the strings below `tree` (a dict) by what `base` holds; NULL: there are no bases. */
MU_CHECKED mu_err mu_variables_expand_base(const mu_variables *variables, mu_cfg *tree, const mu_cfg *base, mu_budget *budget);

#endif

/* Errors of building, as mistakes of a config. */
#ifndef MU_RUNNER_MISTAKE_H
#define MU_RUNNER_MISTAKE_H

#include "config/diagnostic.h"

/* Is it something that another config, or another file, would mend? */
bool mu_mistake_is_one(mu_err err);
/* The error of this thread without the places before it: "the dataset 'x.h5' cannot be opened; HINT". Freed by mu_free. */
MU_CHECKED mu_err mu_mistake_text(char **out);
/* Adds the error of this thread. Its place is what the message tells (the innermost), else that of `at`; so is its path. */
MU_CHECKED mu_err mu_mistake_add(mu_diagnostics *list, const mu_cfg *at, const char *path);

#endif

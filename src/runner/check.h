/* What a config of a run may say at its top level. */
#ifndef MU_RUNNER_CHECK_H
#define MU_RUNNER_CHECK_H

#include "registry/registry.h"

/* The table of the top-level keys, for checks and the manual. */
const mu_option *mu_runner_keys(void);

/* Checks a merged config without creating anything: sets default_scope, loads custom_imports, then looks at every key,
 * every component below, and at what must stand together. Mistakes are added to `list`; keys that start with '_' are
 * the user's own. */
MU_CHECKED mu_err mu_runner_check(const mu_cfg *root, mu_diagnostics *list);

#endif

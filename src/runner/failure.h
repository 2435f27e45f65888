/* What a config says about ranks that hang. */
#ifndef MU_RUNNER_FAILURE_H
#define MU_RUNNER_FAILURE_H

#include "dist/watch.h"
#include "registry/registry.h"

/* The keys of watch_cfg. */
extern const mu_option mu_watch_keys[];

/* Of a checked config: the limits of watch_cfg, or the defaults. */
MU_CHECKED mu_err mu_failure_read_limits(const mu_cfg *root, double limit[MU_WATCH_PHASE_COUNT]);

#endif

/* What hooks that watch a metric share. */
#ifndef MU_RUNNER_HOOKS_MONITOR_H
#define MU_RUNNER_HOOKS_MONITOR_H

#include "runner/runner.h"

/* Is more better ("greater") or less? rule may be NULL: then by the name, folded to lower case: is it one of `greater`, of `less`, does it contain
 * one of `greater`, of `less`. Lists that are NULL or empty are the reference's. MU_ERR_CONFIG when none of it fits. */
MU_CHECKED mu_err mu_monitor_rule(const char *metric, const char *rule, const mu_strings *greater, const mu_strings *less, bool *more);

/* Before the first epoch: is there a metric of this name among those of the evaluator? MU_ERR_CONFIG lists what there is. Metrics that do not
 * tell their names beforehand are not looked at: with none that does, any name is accepted. */
MU_CHECKED mu_err mu_monitor_check(const mu_evaluator *evaluator, const char *option, const char *metric);

/* A number; NULL when there is none of this name. */
const double *mu_monitor_find(const mu_results *metrics, const char *metric);

#endif

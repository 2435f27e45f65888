/* What training iterations find: losses, the norm of the gradients. On host memory the hooks are told at once. A device is asked, and they are told when
 * it has answered: between two looks it runs several iterations, and never waits for the host. */
#ifndef MU_RUNNER_VALUES_H
#define MU_RUNNER_VALUES_H

#include "runner/runner.h"

typedef struct mu_values mu_values;

enum { MU_VALUES_DEPTH = 16 }; /* iterations that a device may be ahead of the looks */

/* Does this run look late? On devices; MU_LATE=0 in the environment waits for each iteration there, too, as one does to find out what went wrong. */
bool mu_values_are_late(const mu_runner *runner);

/* Tells the hooks of iteration `iter`. */
MU_CHECKED mu_err mu_values_tell(mu_runner *runner, int64_t iter, const mu_log_vars *vars, double grad_norm);

/* Asks for those of the iteration that was begun last, of all parts; `updated`: it had an update. Not collective, like the next one. */
MU_CHECKED mu_err mu_values_post(mu_runner *runner, bool updated);
/* Tells of all that have come; wait: of all that were asked for. MU_ERR_NUMERIC names the iteration whose loss or gradients were not finite, and fills
 * own->trouble; after such gradients nothing has been updated. */
MU_CHECKED mu_err mu_values_look(mu_runner *runner, bool wait);
void mu_values_release(mu_values *values); /* NULL is allowed */

/* One iteration's words: what a part's losses and gradients say about another part's stand beside each other in the log. vars->item[0] is the total. */
MU_CHECKED mu_err mu_values_merge(const mu_runner *runner, const mu_log_vars *part, double part_norm, mu_log_vars *all, double *grad_norm);

#endif

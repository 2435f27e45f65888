/* What schedulers make of a learning rate, without a model. */
#ifndef MU_OPTIM_SCHEDULE_TRACE_H
#define MU_OPTIM_SCHEDULE_TRACE_H

#include "optim/scheduler.h"

/* lr[n_iters] and momentum[n_iters] (beta1 of Adam; may be NULL) of group 0 in iteration 0, 1, ..., in epochs of epoch_length
 * iterations. The schedulers and the optimizer are bound here to a parameter of its own; the optimizer is not bound any more
 * afterwards, and the schedulers are to be bound again before they are used. lr_scale as in mu_optim_wrapper_bind. */
MU_CHECKED mu_err mu_schedule_trace(mu_optim *optim, mu_scheduler *const *scheduler, int n_schedulers, double lr_scale,
                                    int64_t epoch_length, int64_t n_iters, double *lr, double *momentum);

#endif

/* Parameter schedulers: components (kind "param_scheduler").
 *
 * Each transforms the current value of a group's field while begin <= step < end, so that they chain. */
#ifndef MU_OPTIM_SCHEDULER_H
#define MU_OPTIM_SCHEDULER_H

#include "optim/optim.h"

/* The first member of every scheduler's struct. The options come first, the rest belongs to this room. */
typedef struct {
    int64_t begin, end; /* steps; end -1: never */
    bool by_epoch, convert_to_iter_based;

    mu_optim *optim;
    int64_t step; /* steps taken: 0 after binding */
    double *base; /* [n_groups] the field when the optimizer was bound, before any scheduler */
} mu_scheduler;
#define MU_SCHEDULER_OPTIONS(struct_)                                                                                   \
    {.key = "begin", .type = MU_OPT_INT, .offset = offsetof(struct_, base.begin), .bounded_below = true, .min = 0,       \
     .help = "first step at which it acts"},                                                                            \
    {.key = "end", .type = MU_OPT_INT, .offset = offsetof(struct_, base.end), .int_default = -1, .bounded_below = true,  \
     .min = -1, .text_default = "never", .help = "step at which it acts no more"},                                      \
    {.key = "by_epoch", .type = MU_OPT_BOOL, .offset = offsetof(struct_, base.by_epoch), .boolean_default = true,        \
     .help = "a step is an epoch; else an iteration"},                                                                  \
    {.key = "convert_to_iter_based", .type = MU_OPT_BOOL, .offset = offsetof(struct_, base.convert_to_iter_based),       \
     .help = "epochs are turned into iterations by the length of the loader"}

typedef struct {
    size_t field;     /* offsetof(mu_optim_group, lr) */
    const char *name; /* "lr" */
    /* The value at step t = 0, 1, ... of those at which it acts, from the value at the step before. n: how many there are (end - begin), or -1. */
    double (*value)(const mu_scheduler *scheduler, int64_t t, int64_t n, double previous, double base);
    /* Multiplies what is counted in epochs by the loader's length; may be NULL. begin and end are done for all. All or nothing. */
    mu_err (*convert)(mu_scheduler *scheduler, int64_t epoch_length);
} mu_scheduler_ops;

/* For a component's create: MU_ERR_CONFIG when options contradict each other (begin >= end, convert_to_iter_based without by_epoch),
 * and when there is no end though it needs one. */
MU_CHECKED mu_err mu_scheduler_check(const mu_scheduler *scheduler, bool needs_end);
/* destroy of every component here. */
void mu_scheduler_destroy(void *scheduler);

/* Takes the groups' values as they are and does step 0, in the order of the config. epoch_length: batches; needed where epochs are
 * converted, which is done once. The optimizer is bound, and outlives the scheduler's steps. */
MU_CHECKED mu_err mu_scheduler_bind(mu_scheduler *scheduler, mu_optim *optim, int64_t epoch_length);
/* One step on. by_epoch says who calls: schedulers of the other kind do nothing. */
void mu_scheduler_step(mu_scheduler *scheduler, bool by_epoch);
bool mu_scheduler_by_epoch(const mu_scheduler *scheduler); /* after conversion */
/* For resuming: the groups' values come with the optimizer; the step and the bases [n_groups] with this. */
void mu_scheduler_restore(mu_scheduler *scheduler, int64_t step, const double *base);

extern const mu_component mu_component_constant_lr, mu_component_cosine_annealing_lr, mu_component_exponential_lr,
    mu_component_linear_lr, mu_component_multi_step_lr, mu_component_poly_lr, mu_component_step_lr;

#endif

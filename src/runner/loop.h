/* Loops: components (kind "loop"): EpochBasedTrainLoop, IterBasedTrainLoop, ValLoop, TestLoop. */
#ifndef MU_RUNNER_LOOP_H
#define MU_RUNNER_LOOP_H

#include "runner/runner.h"

/* The first member of every loop's struct. */
struct mu_loop {
    mu_phase phase;
};

typedef struct {
    mu_phase phase;
    /* Sets max_epochs, max_iters, by_epoch of the runner; loaders stand. May be NULL. */
    mu_err (*prepare)(mu_loop *loop, mu_runner *runner);
    /* Collective. metrics: of validation and test; may be NULL. */
    mu_err (*run)(mu_loop *loop, mu_runner *runner, mu_results *metrics);
} mu_loop_ops;

/* Collective. For hooks in AFTER_VAL_EPOCH and AFTER_TEST_EPOCH: the pass that is just over once more, with the parameters as they are now, and no
 * points of hooks but those of its iterations. *out is empty when the ranks agreed to stop meanwhile: then the validation is left, as if they had in
 * its first pass, and no further hook is told of AFTER_VAL_EPOCH. *out is owned by the caller. */
MU_CHECKED mu_err mu_loop_evaluate_again(mu_runner *runner, mu_results *out);

/* The interval between validations that holds after `done` epochs or iterations: dynamic_intervals as the reference has them, by
 * bisect_right(milestones, done + 1). */
int64_t mu_loop_interval(int64_t interval, const int64_t (*dynamic)[2], size_t n, int64_t done);

#endif

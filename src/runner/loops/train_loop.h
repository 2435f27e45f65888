/* What the two training loops share: options, one iteration, validation in between. */
#ifndef MU_RUNNER_LOOPS_TRAIN_LOOP_H
#define MU_RUNNER_LOOPS_TRAIN_LOOP_H

#include "runner/loop.h"

typedef struct {
    mu_loop base;
    bool by_epoch;
    int64_t max_epochs, max_iters, val_begin, val_interval;
    const mu_cfg *dynamic_intervals;

    int64_t (*dynamic)[2]; /* {milestone, interval} */
    size_t n_dynamic;
} mu_train_loop;

extern const mu_option mu_train_loop_options[];

/* create and destroy of both. */
MU_CHECKED mu_err mu_train_loop_create(void *object, const mu_cfg *cfg);
void mu_train_loop_destroy(void *object);

/* Collective. The next batch: forward, backward, averaging, update, with their hooks. Counts iter and epoch_iter. */
MU_CHECKED mu_err mu_train_loop_iter(mu_runner *runner);

/* Whether training ends here though it is not done. */
static inline bool mu_train_loop_ends(const mu_runner *runner)
{
    return runner->stop_reason || runner->stopping || (runner->stop_requested && runner->comm->size == 1);
}

/* Collective. Validates when it is due after `done` of `total` epochs or iterations, and was not done there before. */
MU_CHECKED mu_err mu_train_loop_validate(const mu_train_loop *loop, mu_runner *runner, int64_t done, int64_t total);

#endif

#include "runner/loops/train_loop.h"

static mu_err prepare(mu_loop *base, mu_runner *runner)
{
    runner->by_epoch = false;
    runner->max_epochs = 1;
    runner->max_iters = ((const mu_train_loop *)base)->max_iters;
    return MU_OK;
}

/* The stream of batches has no end: a new pass over the data follows the last. */
static mu_err next_pass(mu_runner *runner)
{
    if (runner->iter > 0 && mu_loader_remaining(runner->train_loader) > 0)
        return MU_OK;
    int64_t epoch = runner->iter > 0 ? mu_loader_cursor(runner->train_loader).epoch + 1 : 0;
    return mu_loader_start(runner->train_loader, epoch);
}

static mu_err run(mu_loop *base, mu_runner *runner, mu_results *metrics)
{
    const mu_train_loop *loop = (const mu_train_loop *)base;
    (void)metrics;
    MU_TRY(mu_runner_call(runner, MU_BEFORE_TRAIN, NULL));
    MU_TRY(mu_runner_call(runner, MU_BEFORE_TRAIN_EPOCH, NULL));
    if (runner->iter > 0)
        MU_TRY(mu_train_loop_validate(loop, runner, runner->iter, loop->max_iters));
    while (runner->iter < loop->max_iters && !mu_train_loop_ends(runner)) {
        MU_TRY(mu_runner_agree(runner, next_pass(runner)));
        MU_TRY(mu_train_loop_iter(runner));
        mu_runner_progress(runner, "train", runner->iter, loop->max_iters);
        if (!runner->stop_reason)
            MU_TRY(mu_train_loop_validate(loop, runner, runner->iter, loop->max_iters));
    }
    if (runner->stop_reason)
        return MU_OK;
    MU_TRY(mu_runner_values(runner));
    MU_TRY(mu_runner_call(runner, MU_AFTER_TRAIN_EPOCH, NULL));
    runner->epoch++;
    return mu_runner_call(runner, MU_AFTER_TRAIN, NULL);
}

const mu_component mu_component_iter_based_train_loop = {
    .kind = "loop",
    .name = "IterBasedTrainLoop",
    .doc = "Trains for max_iters batches, pass after pass, and validates every val_interval iterations, and after the last.",
    .size = sizeof(mu_train_loop),
    .options = mu_train_loop_options,
    .create = mu_train_loop_create,
    .destroy = mu_train_loop_destroy,
    .ops = &(const mu_loop_ops){.phase = MU_PHASE_TRAIN, .prepare = prepare, .run = run},
};

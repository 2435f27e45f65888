#include "runner/loops/train_loop.h"

#include "core/mem.h"

static mu_err prepare(mu_loop *base, mu_runner *runner)
{
    const mu_train_loop *loop = (const mu_train_loop *)base;
    runner->by_epoch = true;
    runner->max_epochs = loop->max_epochs;
    return mu_mul_i64(loop->max_epochs, runner->epoch_length, &runner->max_iters);
}

/* An epoch that was taken up with other ranks may have samples behind it and no batch of these ranks. */
static bool is_taken_up(const mu_runner *runner)
{
    mu_cursor at = mu_loader_cursor(runner->train_loader);
    return runner->epoch_iter > 0 || (at.epoch == runner->epoch && at.position > 0);
}

static mu_err run_epoch(mu_runner *runner)
{
    MU_TRY(mu_runner_call(runner, MU_BEFORE_TRAIN_EPOCH, NULL));
    if (!is_taken_up(runner))
        MU_TRY(mu_loader_start(runner->train_loader, runner->sampler_epoch));
    while (runner->epoch_iter < runner->epoch_length) {
        MU_TRY(mu_train_loop_iter(runner));
        mu_runner_progress(runner, "train", runner->epoch_iter, runner->epoch_length);
        if (mu_train_loop_ends(runner) && runner->epoch_iter < runner->epoch_length)
            return MU_OK;
    }
    MU_TRY(mu_runner_values(runner));
    return mu_runner_call(runner, MU_AFTER_TRAIN_EPOCH, NULL);
}

static mu_err run(mu_loop *base, mu_runner *runner, mu_results *metrics)
{
    const mu_train_loop *loop = (const mu_train_loop *)base;
    (void)metrics;
    MU_TRY(mu_runner_call(runner, MU_BEFORE_TRAIN, NULL));
    if (runner->epoch_iter == 0 && runner->epoch > 0)
        MU_TRY(mu_train_loop_validate(loop, runner, runner->epoch, loop->max_epochs));
    while (runner->epoch < loop->max_epochs && !mu_train_loop_ends(runner)) {
        MU_TRY(run_epoch(runner));
        if (runner->epoch_iter < runner->epoch_length)
            break;
        runner->epoch++;
        runner->epoch_iter = 0;
        if (!runner->stop_reason)
            MU_TRY(mu_train_loop_validate(loop, runner, runner->epoch, loop->max_epochs));
        MU_TRY(mu_runner_agree(runner, MU_OK));
    }
    return runner->stop_reason ? MU_OK : mu_runner_call(runner, MU_AFTER_TRAIN, NULL);
}

const mu_component mu_component_epoch_based_train_loop = {
    .kind = "loop",
    .name = "EpochBasedTrainLoop",
    .doc = "Trains for max_epochs passes over the data and validates every val_interval epochs, and after the last.",
    .size = sizeof(mu_train_loop),
    .options = mu_train_loop_options,
    .create = mu_train_loop_create,
    .destroy = mu_train_loop_destroy,
    .ops = &(const mu_loop_ops){.phase = MU_PHASE_TRAIN, .prepare = prepare, .run = run},
};

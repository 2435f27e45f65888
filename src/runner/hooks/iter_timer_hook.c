#include "runner/hook.h"

#include "core/clock.h"
#include "runner/runner.h"

typedef struct {
    mu_hook base;

    double since;              /* when the last iteration ended, or the epoch began */
    double trained, evaluated; /* seconds in iterations since training, this validation or test, began */
    int64_t start_iter;
} iter_timer_hook;

static mu_err before_train(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    iter_timer_hook *self = (iter_timer_hook *)hook;
    (void)event;
    self->start_iter = runner->iter;
    self->trained = 0;
    return MU_OK;
}

static mu_err before_epoch(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    iter_timer_hook *self = (iter_timer_hook *)hook;
    (void)runner, (void)event;
    self->since = mu_clock();
    self->evaluated = 0;
    return MU_OK;
}

static mu_err before_iter(mu_hook *hook, mu_runner *runner, const char *name)
{
    iter_timer_hook *self = (iter_timer_hook *)hook;
    MU_TRY(mu_message_hub_scalar(runner->hub, name, mu_clock() - self->since, 1, false));
    return MU_OK;
}

static mu_err after_iter(mu_hook *hook, mu_runner *runner, const char *name, double *total, int64_t done, int64_t left)
{
    iter_timer_hook *self = (iter_timer_hook *)hook;
    double now = mu_clock(), took = now - self->since;
    MU_TRY(mu_message_hub_scalar(runner->hub, name, took, 1, false));
    self->since = now;
    *total += took;
    MU_TRY(mu_message_hub_set_f64(runner->hub, "eta", *total / (double)done * (double)left, false));
    return MU_OK;
}

static mu_err before_train_iter(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)event;
    return before_iter(hook, runner, "train/data_time");
}

static mu_err after_train_iter(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    iter_timer_hook *self = (iter_timer_hook *)hook;
    (void)event;
    return after_iter(hook, runner, "train/time", &self->trained, runner->iter - self->start_iter + 1,
                      runner->max_iters - runner->iter - 1);
}

static mu_err before_val_iter(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)event;
    return before_iter(hook, runner, "val/data_time");
}

static mu_err after_val_iter(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    iter_timer_hook *self = (iter_timer_hook *)hook;
    return after_iter(hook, runner, "val/time", &self->evaluated, event->batch_index + 1,
                      runner->epoch_length - event->batch_index - 1);
}

static mu_err before_test_iter(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)event;
    return before_iter(hook, runner, "test/data_time");
}

static mu_err after_test_iter(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    iter_timer_hook *self = (iter_timer_hook *)hook;
    return after_iter(hook, runner, "test/time", &self->evaluated, event->batch_index + 1,
                      runner->epoch_length - event->batch_index - 1);
}

static const mu_option options[] = {MU_HOOK_OPTIONS(iter_timer_hook), MU_OPTION_END};

const mu_component mu_component_iter_timer_hook = {
    .kind = "hook",
    .name = "IterTimerHook",
    .doc = "Measures iterations and the waiting for data, and foretells the end (eta).",
    .size = sizeof(iter_timer_hook),
    .options = options,
    .ops = &(const mu_hook_ops){.priority = MU_PRIORITY_NORMAL,
                                .at = {[MU_BEFORE_TRAIN] = before_train,
                                       [MU_BEFORE_TRAIN_EPOCH] = before_epoch,
                                       [MU_BEFORE_VAL_EPOCH] = before_epoch,
                                       [MU_BEFORE_TEST_EPOCH] = before_epoch,
                                       [MU_BEFORE_TRAIN_ITER] = before_train_iter,
                                       [MU_AFTER_TRAIN_ITER] = after_train_iter,
                                       [MU_BEFORE_VAL_ITER] = before_val_iter,
                                       [MU_AFTER_VAL_ITER] = after_val_iter,
                                       [MU_BEFORE_TEST_ITER] = before_test_iter,
                                       [MU_AFTER_TEST_ITER] = after_test_iter}},
};

#include "runner/hook.h"

#include "runner/runner.h"

typedef struct {
    mu_hook base;
} param_scheduler_hook;

static mu_err after_train_iter(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)hook, (void)event;
    for (int i = 0; i < runner->n_schedulers; i++)
        mu_scheduler_step(runner->scheduler[i], false);
    return MU_OK;
}

static mu_err after_train_epoch(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)hook, (void)event;
    for (int i = 0; i < runner->n_schedulers; i++)
        mu_scheduler_step(runner->scheduler[i], true);
    return MU_OK;
}

static const mu_option options[] = {MU_HOOK_OPTIONS(param_scheduler_hook), MU_OPTION_END};

const mu_component mu_component_param_scheduler_hook = {
    .kind = "hook",
    .name = "ParamSchedulerHook",
    .doc = "Steps the parameter schedulers, after iterations or epochs as each of them counts.",
    .size = sizeof(param_scheduler_hook),
    .options = options,
    .ops = &(const mu_hook_ops){.priority = MU_PRIORITY_LOW,
                                .at = {[MU_AFTER_TRAIN_ITER] = after_train_iter,
                                       [MU_AFTER_TRAIN_EPOCH] = after_train_epoch}},
};

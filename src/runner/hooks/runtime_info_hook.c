#include "runner/hook.h"

#include "runner/runner.h"

#include <math.h>
#include <stdio.h>

typedef struct {
    mu_hook base;
} runtime_info_hook;

static mu_err before_run(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)hook, (void)event;
    MU_TRY(mu_message_hub_set_text(runner->hub, "experiment_name", runner->experiment_name, false));
    MU_TRY(mu_message_hub_set_i64(runner->hub, "seed", (int64_t)runner->seed, false));
    return MU_OK;
}

static mu_err before_train(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)hook, (void)event;
    MU_TRY(mu_message_hub_set_i64(runner->hub, "epoch", runner->epoch, false));
    MU_TRY(mu_message_hub_set_i64(runner->hub, "iter", runner->iter, false));
    MU_TRY(mu_message_hub_set_i64(runner->hub, "max_epochs", runner->max_epochs, false));
    MU_TRY(mu_message_hub_set_i64(runner->hub, "max_iters", runner->max_iters, false));
    if (runner->train_loader)
        MU_TRY(mu_message_hub_set_text(runner->hub, "dataset_meta",
                                       mu_dataset_meta(mu_loader_dataset(runner->train_loader)), false));
    return MU_OK;
}

static mu_err before_train_epoch(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)hook, (void)event;
    MU_TRY(mu_message_hub_set_i64(runner->hub, "epoch", runner->epoch, false));
    return MU_OK;
}

/* lr: of the first parameter's group; base_lr: of the optimizer's own, where there are others. Of a part: generator.lr. */
static mu_err tell_rates(mu_runner *runner, const mu_optim_wrapper *wrapper, const char *part, const char *dot)
{
    char name[256];
    mu_optim *optim = mu_optim_wrapper_optim(wrapper);
    int first = mu_optim_wrapper_group_of(wrapper, 0);
    snprintf(name, sizeof name, "train/%s%sbase_lr", part, dot);
    if (mu_optim_n_groups(optim) > 1)
        MU_TRY(mu_message_hub_scalar(runner->hub, name, mu_optim_group_at(optim, 0)->lr, 1, true));
    snprintf(name, sizeof name, "train/%s%slr", part, dot);
    return mu_message_hub_scalar(runner->hub, name, mu_optim_group_at(optim, first < 0 ? 0 : first)->lr, 1, true);
}

static mu_err before_train_iter(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)hook, (void)event;
    MU_TRY(mu_message_hub_set_i64(runner->hub, "iter", runner->iter, false));
    for (int i = 0; i < runner->n_parts; i++)
        MU_TRY(tell_rates(runner, runner->part[i].optim, runner->part[i].name, "."));
    if (!runner->n_parts)
        MU_TRY(tell_rates(runner, runner->optim, "", ""));
    return MU_OK;
}

static mu_err tell(mu_runner *runner, const char *phase, const char *tag, double value)
{
    char name[256];
    if ((size_t)snprintf(name, sizeof name, "%s/%s", phase, tag) >= sizeof name)
        return MU_FAIL(MU_ERR_CONFIG, "'%.60s...' is too long for the name of a loss or metric", tag);
    MU_TRY(mu_message_hub_scalar(runner->hub, name, value, 1, true));
    return MU_OK;
}

static mu_err values(mu_hook *hook, mu_runner *runner, int64_t iter, const mu_log_vars *vars, double grad_norm)
{
    (void)hook, (void)iter;
    if (!isnan(grad_norm))
        MU_TRY(tell(runner, "train", "grad_norm", grad_norm));
    for (int i = 0; i < vars->n; i++)
        MU_TRY(tell(runner, "train", vars->item[i].name, vars->item[i].value));
    return MU_OK;
}

static mu_err tell_metrics(mu_runner *runner, const char *phase, const mu_results *metrics)
{
    for (size_t i = 0; metrics && i < metrics->n; i++)
        if (metrics->item[i].ndim == 0)
            MU_TRY(tell(runner, phase, metrics->item[i].name, metrics->item[i].value[0]));
    return MU_OK;
}

static mu_err after_val_epoch(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)hook;
    MU_TRY(tell_metrics(runner, "val", event->metrics));
    return MU_OK;
}

static mu_err after_test_epoch(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)hook;
    MU_TRY(tell_metrics(runner, "test", event->metrics));
    return MU_OK;
}

static const mu_option options[] = {MU_HOOK_OPTIONS(runtime_info_hook), MU_OPTION_END};

const mu_component mu_component_runtime_info_hook = {
    .kind = "hook",
    .name = "RuntimeInfoHook",
    .doc = "Tells the message hub epoch, iteration, learning rate, losses and metrics.",
    .size = sizeof(runtime_info_hook),
    .options = options,
    .ops = &(const mu_hook_ops){.priority = MU_PRIORITY_VERY_HIGH,
                                .values = values,
                                .at = {[MU_BEFORE_RUN] = before_run,
                                       [MU_BEFORE_TRAIN] = before_train,
                                       [MU_BEFORE_TRAIN_EPOCH] = before_train_epoch,
                                       [MU_BEFORE_TRAIN_ITER] = before_train_iter,
                                       [MU_AFTER_VAL_EPOCH] = after_val_epoch,
                                       [MU_AFTER_TEST_EPOCH] = after_test_epoch}},
};

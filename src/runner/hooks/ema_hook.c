#include "core/log.h"
#include "core/mem.h"
#include "runner/hook.h"
#include "runner/loop.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    mu_hook base;
    char *ema_type;
    const mu_cfg *momentum, *gamma, *interval, *update_buffers; /* handed on, if they are set */
    bool strict_load, evaluate_on_ema, evaluate_on_origin;
    int64_t begin_iter, begin_epoch;

    mu_cfg *ema_cfg;
    mu_averaged_model *average;
} ema_hook;

/* ---- building ---- */

static mu_err hand_on(ema_hook *self, const char *key, const mu_cfg *value)
{
    mu_cfg *copy;
    if (!value || mu_cfg_kind_of(value) == MU_CFG_NULL)
        return MU_OK;
    MU_TRY(mu_cfg_copy(value, &copy));
    MU_TRY(mu_cfg_set(self->ema_cfg, key, mu_cfg_key_pos(value), copy));
    return MU_OK;
}

static mu_err build_average(ema_hook *self, mu_pos pos)
{
    mu_cfg *type;
    MU_TRY(mu_cfg_new_dict(pos, &self->ema_cfg));
    MU_TRY(mu_cfg_new_string(self->ema_type, strlen(self->ema_type), pos, &type));
    MU_TRY(mu_cfg_set(self->ema_cfg, "type", pos, type));
    MU_TRY(hand_on(self, "momentum", self->momentum));
    MU_TRY(hand_on(self, "gamma", self->gamma));
    MU_TRY(hand_on(self, "interval", self->interval));
    MU_TRY(hand_on(self, "update_buffers", self->update_buffers));
    MU_TRY(mu_build("averaged_model", self->ema_cfg, NULL, "EMAHook", (void **)&self->average));
    return MU_OK;
}

static void destroy(void *object)
{
    ema_hook *self = object;
    mu_destroy(self->average);
    mu_cfg_release(self->ema_cfg);
}

static mu_err create(void *object, const mu_cfg *cfg)
{
    ema_hook *self = object;
    if (self->begin_iter && self->begin_epoch)
        return MU_FAIL_AT(mu_cfg_pos(cfg), "EMAHook: begin_iter and begin_epoch cannot both be set");
    if (!self->evaluate_on_ema && !self->evaluate_on_origin) {
        MU_WARN("run", "EMAHook: evaluate_on_ema is off, so evaluate_on_origin is switched on; train_cfg.val_interval says how often to validate");
        self->evaluate_on_origin = true;
    }
    mu_err err = build_average(self, mu_cfg_pos(cfg));
    if (err)
        destroy(self);
    MU_TRY(err);
    return MU_OK;
}

/* ---- when ---- */

static mu_err check_begin(const char *key, int64_t begin, const char *limit, int64_t most)
{
    if (most >= 0 && begin > most)
        return MU_FAIL(MU_ERR_CONFIG, "EMAHook: %s is %lld, but training ends with %s %lld", key, (long long)begin, limit, (long long)most);
    return MU_OK;
}

static mu_err check_limits(const ema_hook *self, int64_t max_epochs, int64_t max_iters)
{
    MU_TRY(check_begin("begin_epoch", self->begin_epoch, "epoch", max_epochs));
    MU_TRY(check_begin("begin_iter", self->begin_iter, "iteration", max_iters));
    return MU_OK;
}

static int64_t limit_of(const mu_runner *runner, const char *path)
{
    const mu_cfg *limit = mu_cfg_find(runner->cfg, path);
    return limit && mu_cfg_kind_of(limit) == MU_CFG_INT ? mu_cfg_int(limit) : -1;
}

static mu_err check(const mu_hook *hook, const mu_runner *runner)
{
    return check_limits((const ema_hook *)hook, limit_of(runner, "train_cfg.max_epochs"), limit_of(runner, "train_cfg.max_iters"));
}

static mu_err before_train(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)event;
    return check_limits((const ema_hook *)hook, runner->max_epochs, runner->max_iters);
}

static bool has_begun(const ema_hook *self, const mu_runner *runner)
{
    return runner->epoch + 1 >= self->begin_epoch && runner->iter + 1 >= self->begin_iter;
}

static mu_err before_run(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    ema_hook *self = (ema_hook *)hook;
    (void)event;
    mu_err err = runner->average ? MU_FAIL(MU_ERR_CONFIG, "another hook keeps an average of the model already")
                                 : mu_averaged_model_bind(self->average, runner->backend, mu_model_params(runner->model));
    MU_TRY(mu_runner_agree(runner, err));
    runner->average = self->average;
    runner->strict_average = self->strict_load;
    return MU_OK;
}

static mu_err after_train_iter(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    ema_hook *self = (ema_hook *)hook;
    (void)event;
    if (has_begun(self, runner))
        MU_TRY(mu_averaged_model_update(self->average));
    return MU_OK;
}

/* ---- evaluation ---- */

/* Collective. */
static mu_err swap(ema_hook *self, mu_runner *runner)
{
    MU_TRY(mu_runner_agree(runner, mu_averaged_model_swap(self->average)));
    if (runner->parallel)
        MU_TRY(mu_parallel_publish(runner->parallel));
    mu_model_changed(runner->model);
    return MU_OK;
}

/* Collective. Averaged states are those of rank 0, too. */
static mu_err before_epoch(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    ema_hook *self = (ema_hook *)hook;
    (void)event;
    if (!self->evaluate_on_ema)
        return MU_OK;
    MU_TRY(swap(self, runner));
    return self->average->update_buffers ? mu_runner_sync_states(runner) : MU_OK;
}

static mu_err tell_origin(mu_runner *runner, const mu_results *results)
{
    char name[256];
    for (size_t i = 0; i < results->n; i++) {
        if (results->item[i].ndim != 0)
            continue;
        if ((size_t)snprintf(name, sizeof name, "%s/%s_origin", mu_phase_names[runner->phase], results->item[i].name) >= sizeof name)
            return MU_FAIL(MU_ERR_CONFIG, "'%.60s...' is too long for the name of a metric", results->item[i].name);
        MU_TRY(mu_message_hub_scalar(runner->hub, name, results->item[i].value[0], 1, true));
    }
    return MU_OK;
}

/* Collective. */
static mu_err after_epoch(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    ema_hook *self = (ema_hook *)hook;
    mu_results results;
    (void)event;
    if (!self->evaluate_on_ema)
        return MU_OK;
    MU_TRY(swap(self, runner));
    if (!self->evaluate_on_origin)
        return MU_OK;
    MU_TRY(mu_loop_evaluate_again(runner, &results));
    mu_err err = tell_origin(runner, &results);
    mu_results_release(&results);
    MU_TRY(err);
    return MU_OK;
}

/* Collective. Of an evaluation that was left before its end. */
static mu_err after(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    ema_hook *self = (ema_hook *)hook;
    (void)event;
    return mu_averaged_model_is_swapped(self->average) ? swap(self, runner) : MU_OK;
}

/* ---- the component ---- */

static const mu_option options[] = {
    MU_HOOK_OPTIONS(ema_hook),
    MU_OPTION(ema_hook, ema_type, MU_OPT_STRING, .text_default = "ExponentialMovingAverage", .help = "how to average: muster list averaged_model"),
    MU_OPTION(ema_hook, momentum, MU_OPT_ANY, .nullable = true, .help = "of ema_type"),
    MU_OPTION(ema_hook, gamma, MU_OPT_ANY, .nullable = true, .help = "of ema_type"),
    MU_OPTION(ema_hook, interval, MU_OPT_ANY, .nullable = true, .help = "of ema_type"),
    MU_OPTION(ema_hook, update_buffers, MU_OPT_ANY, .nullable = true, .help = "of ema_type"),
    MU_OPTION(ema_hook, strict_load, MU_OPT_BOOL, .boolean_default = true,
              .help = "a checkpoint whose ema_state_dict does not fit is an error, not a warning"),
    MU_OPTION(ema_hook, begin_iter, MU_OPT_INT, .bounded_below = true, .help = "first iteration that is averaged; before it the average is the model"),
    MU_OPTION(ema_hook, begin_epoch, MU_OPT_INT, .bounded_below = true, .help = "the same in epochs; not both"),
    MU_OPTION(ema_hook, evaluate_on_ema, MU_OPT_BOOL, .boolean_default = true, .help = "validate and test the average"),
    MU_OPTION(ema_hook, evaluate_on_origin, MU_OPT_BOOL,
              .help = "validate and test the model itself; after the average its metrics are called <name>_origin"),
    MU_OPTION_END,
};

const mu_component mu_component_ema_hook = {
    .kind = "hook",
    .name = "EMAHook",
    .doc = "Keeps an average of the model while it is trained, and validates, tests and saves that.",
    .size = sizeof(ema_hook),
    .options = options,
    .create = create,
    .destroy = destroy,
    .ops = &(const mu_hook_ops){.priority = MU_PRIORITY_NORMAL,
                                .check = check,
                                .at = {[MU_BEFORE_RUN] = before_run,
                                       [MU_BEFORE_TRAIN] = before_train,
                                       [MU_AFTER_TRAIN_ITER] = after_train_iter,
                                       [MU_BEFORE_VAL_EPOCH] = before_epoch,
                                       [MU_AFTER_VAL_EPOCH] = after_epoch,
                                       [MU_AFTER_VAL] = after,
                                       [MU_BEFORE_TEST_EPOCH] = before_epoch,
                                       [MU_AFTER_TEST_EPOCH] = after_epoch,
                                       [MU_AFTER_TEST] = after}},
};

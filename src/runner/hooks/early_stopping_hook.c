#include "runner/hook.h"

#include "core/log.h"
#include "core/mem.h"
#include "runner/hooks/monitor.h"

#include <math.h>

typedef struct {
    mu_hook base;
    char *monitor, *rule;
    double min_delta, stopping_threshold;
    int64_t patience;
    bool check_finite, strict;

    bool more;
    char *best_fact, *waited_fact; /* in the message hub, for runs that go on */
} early_stopping_hook;

static mu_err create(void *object, const mu_cfg *cfg)
{
    early_stopping_hook *self = object;
    (void)cfg;
    MU_TRY(mu_monitor_rule(self->monitor, self->rule, NULL, NULL, &self->more));
    MU_TRY(mu_asprintf(&self->best_fact, "early_stopping/%s/best", self->monitor));
    mu_err err = mu_asprintf(&self->waited_fact, "early_stopping/%s/waited", self->monitor);
    if (err)
        mu_free(self->best_fact);
    MU_TRY(err);
    return MU_OK;
}

static void destroy(void *object)
{
    early_stopping_hook *self = object;
    mu_free(self->best_fact);
    mu_free(self->waited_fact);
}

static mu_err check(const mu_hook *hook, const mu_runner *runner)
{
    const early_stopping_hook *self = (const early_stopping_hook *)hook;
    if (self->strict)
        MU_TRY(mu_monitor_check(runner->val_evaluator, "monitor", self->monitor));
    return MU_OK;
}

static mu_err before_train(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)event;
    return check(hook, runner);
}

static bool better(const early_stopping_hook *self, double a, double b)
{
    return self->more ? a > b : a < b;
}

static mu_err keep(const early_stopping_hook *self, mu_runner *runner, double best, int64_t waited)
{
    MU_TRY(mu_message_hub_set_f64(runner->hub, self->best_fact, best, true));
    MU_TRY(mu_message_hub_set_i64(runner->hub, self->waited_fact, waited, true));
    return MU_OK;
}

static mu_err judge(const early_stopping_hook *self, mu_runner *runner, double score)
{
    const mu_cfg *fact = mu_message_hub_get(runner->hub, self->best_fact);
    const mu_cfg *count = mu_message_hub_get(runner->hub, self->waited_fact);
    double best = fact ? mu_cfg_float(fact) : self->more ? -(double)INFINITY : (double)INFINITY;
    int64_t waited = count ? mu_cfg_int(count) : 0;
    if (self->check_finite && !isfinite(score)) {
        runner->stop_requested = true;
        MU_INFO("run", "early stopping: %s is %g; the best was %.3f", self->monitor, score, best);
    } else if (!isnan(self->stopping_threshold) && better(self, score, self->stopping_threshold)) {
        runner->stop_requested = true;
        MU_INFO("run", "early stopping: %s = %g is %s than %g", self->monitor, score, self->more ? "greater" : "less",
                self->stopping_threshold);
        MU_TRY(keep(self, runner, score, 0));
    } else if (better(self, best + (self->more ? self->min_delta : -self->min_delta), score)) {
        MU_TRY(keep(self, runner, best, ++waited));
        runner->stop_requested = runner->stop_requested || waited >= self->patience;
        if (waited >= self->patience)
            MU_INFO("run", "early stopping: %s did not improve in the last %lld validations; the best was %.3f", self->monitor,
                    (long long)waited, best);
    } else {
        MU_TRY(keep(self, runner, score, 0));
    }
    return MU_OK;
}

static mu_err after_val_epoch(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    const early_stopping_hook *self = (const early_stopping_hook *)hook;
    const double *score = mu_monitor_find(event->metrics, self->monitor);
    if (runner->phase != MU_PHASE_VAL || !runner->train_loop)
        return MU_OK;
    if (score)
        MU_TRY(judge(self, runner, *score));
    else if (self->strict)
        return MU_FAIL(MU_ERR_CONFIG, "the validation gave no metric '%s' to decide on", self->monitor);
    else if (mu_runner_is_main(runner))
        MU_WARN("run", "early stopping: the validation gave no metric '%s'", self->monitor);
    return MU_OK;
}

static const char *const rules[] = {"greater", "less", NULL};

static const mu_option options[] = {
    MU_HOOK_OPTIONS(early_stopping_hook),
    MU_OPTION(early_stopping_hook, monitor, MU_OPT_STRING, .required = true, .help = "metric that is watched"),
    MU_OPTION(early_stopping_hook, rule, MU_OPT_STRING, .nullable = true, .choices = rules, .text_default = NULL,
              .help = "which is better; null: by the metric's name"),
    MU_OPTION(early_stopping_hook, min_delta, MU_OPT_FLOAT, .float_default = 0.1, .bounded_below = true, .min = 0,
              .help = "less than this is no improvement"),
    MU_OPTION(early_stopping_hook, strict, MU_OPT_BOOL, .help = "fail when the metric is missing; else warn"),
    MU_OPTION(early_stopping_hook, check_finite, MU_OPT_BOOL, .boolean_default = true, .help = "stop at NaN and infinity"),
    MU_OPTION(early_stopping_hook, patience, MU_OPT_INT, .int_default = 5, .bounded_below = true, .min = 1,
              .unit = "validations", .help = "without improvement, after which training ends"),
    MU_OPTION(early_stopping_hook, stopping_threshold, MU_OPT_FLOAT, .nullable = true, .float_default = NAN,
              .text_default = "null", .help = "what is better than this ends training at once"),
    MU_OPTION_END,
};

const mu_component mu_component_early_stopping_hook = {
    .kind = "hook",
    .name = "EarlyStoppingHook",
    .doc = "Ends training when a metric of the validation does not improve any more.",
    .size = sizeof(early_stopping_hook),
    .options = options,
    .create = create,
    .destroy = destroy,
    .ops = &(const mu_hook_ops){.priority = MU_PRIORITY_LOWEST,
                                .check = check,
                                .at = {[MU_BEFORE_TRAIN] = before_train, [MU_AFTER_VAL_EPOCH] = after_val_epoch}},
};

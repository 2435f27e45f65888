#include "runner/hook.h"

#include "core/log.h"
#include "core/mem.h"
#include "runner/log_processor.h"
#include "runner/work_dir.h"
#include "vis/scalars.h"

enum { FLUSH_SECONDS = 30 };

typedef struct {
    mu_hook base;
    int64_t interval, interval_exp_name;
    bool ignore_last, log_metric_by_epoch;

    mu_scalars_writer *writer; /* rank 0, once there is something to write */
    bool failed;
} logger_hook;

/* Records are worth a warning, not the run: a full disk may have room again. */
static void warn(logger_hook *self)
{
    if (!self->failed)
        MU_WARN("run", "scalars are not recorded: %s", mu_error_last()->message);
    self->failed = true;
    mu_error_clear();
}

static mu_err open_writer(logger_hook *self, const mu_runner *runner)
{
    char *dir;
    if (self->writer)
        return MU_OK;
    MU_TRY(mu_asprintf(&dir, "%s/vis_data", runner->log_dir));
    mu_err err = mu_make_dirs(dir);
    if (!err)
        err = mu_scalars_writer_new(dir, &self->writer);
    mu_free(dir);
    MU_TRY(err);
    return MU_OK;
}

static void record(logger_hook *self, const mu_runner *runner, int64_t step, const mu_log_record *what)
{
    mu_err err = open_writer(self, runner);
    if (!err)
        err = mu_scalars_writer_add(self->writer, step, what->scalar, what->n);
    if (!err)
        err = mu_scalars_writer_flush(self->writer, FLUSH_SECONDS);
    if (err)
        warn(self);
    else
        self->failed = false;
}

/* Is this batch one to tell of? */
static bool due(const logger_hook *self, const mu_runner *runner, int64_t batch_index)
{
    if ((batch_index + 1) % self->interval == 0)
        return true;
    bool last = batch_index + 1 == runner->epoch_length;
    return last && runner->phase == MU_PHASE_TRAIN && (!self->ignore_last || runner->epoch_length <= self->interval);
}

static mu_err after_train_iter(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    logger_hook *self = (logger_hook *)hook;
    mu_log_record what = {0};
    if (!mu_runner_is_main(runner))
        return MU_OK;
    if ((runner->iter + 1) % self->interval_exp_name == 0 || event->batch_index + 1 == runner->epoch_length)
        MU_INFO("run", "Exp name: %s", runner->experiment_name);
    if (!due(self, runner, event->batch_index))
        return MU_OK;
    MU_TRY(mu_runner_values(runner));
    MU_TRY(mu_log_processor_iter(runner->log_processor, runner, event->batch_index, MU_PHASE_TRAIN, &what));
    MU_INFO("run", "%s", what.line);
    record(self, runner, runner->iter + 1, &what);
    mu_log_record_release(&what);
    return MU_OK;
}

static mu_err after_eval_iter(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    logger_hook *self = (logger_hook *)hook;
    mu_log_record what = {0};
    if (!mu_runner_is_main(runner) || !due(self, runner, event->batch_index))
        return MU_OK;
    MU_TRY(mu_log_processor_iter(runner->log_processor, runner, event->batch_index, runner->phase, &what));
    MU_INFO("run", "%s", what.line);
    mu_log_record_release(&what);
    return MU_OK;
}

static mu_err after_eval_epoch(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    logger_hook *self = (logger_hook *)hook;
    mu_log_record what = {0};
    if (!mu_runner_is_main(runner))
        return MU_OK;
    MU_TRY(mu_log_processor_epoch(runner->log_processor, runner, runner->epoch_length, runner->phase, event->metrics, &what));
    MU_INFO("run", "%s", what.line);
    if (runner->phase == MU_PHASE_VAL)
        record(self, runner, self->log_metric_by_epoch ? runner->epoch : runner->iter, &what);
    mu_log_record_release(&what);
    return MU_OK;
}

static mu_err after_run(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    logger_hook *self = (logger_hook *)hook;
    (void)runner, (void)event;
    if (self->writer && mu_scalars_writer_flush(self->writer, 0) != MU_OK)
        warn(self);
    return MU_OK;
}

static void destroy(void *object)
{
    mu_scalars_writer_release(((logger_hook *)object)->writer);
}

static const mu_option options[] = {
    MU_HOOK_OPTIONS(logger_hook),
    MU_OPTION(logger_hook, interval, MU_OPT_INT, .int_default = 10, .bounded_below = true, .min = 1, .unit = "iterations",
              .help = "between lines"),
    MU_OPTION(logger_hook, ignore_last, MU_OPT_BOOL, .boolean_default = true,
              .help = "no line for the last iterations of an epoch, when they are fewer than interval"),
    MU_OPTION(logger_hook, interval_exp_name, MU_OPT_INT, .int_default = 1000, .bounded_below = true, .min = 1,
              .unit = "iterations", .help = "between lines with the experiment's name"),
    MU_OPTION(logger_hook, log_metric_by_epoch, MU_OPT_BOOL, .boolean_default = true,
              .help = "record metrics of validation by epoch; else by iteration"),
    MU_OPTION_END,
};

const mu_component mu_component_logger_hook = {
    .kind = "hook",
    .name = "LoggerHook",
    .doc = "Writes the log processor's lines to the log, and its scalars to vis_data in the log folder.",
    .size = sizeof(logger_hook),
    .options = options,
    .destroy = destroy,
    .ops = &(const mu_hook_ops){.priority = MU_PRIORITY_BELOW_NORMAL,
                                .at = {[MU_AFTER_TRAIN_ITER] = after_train_iter,
                                       [MU_AFTER_VAL_ITER] = after_eval_iter,
                                       [MU_AFTER_TEST_ITER] = after_eval_iter,
                                       [MU_AFTER_VAL_EPOCH] = after_eval_epoch,
                                       [MU_AFTER_TEST_EPOCH] = after_eval_epoch,
                                       [MU_AFTER_RUN] = after_run}},
};

#include "runner/loops/train_loop.h"

#include "backend/repeat.h"
#include "config/diagnostic.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "runner/own.h"
#include "runner/values.h"

#include <math.h>
#include <string.h>

#define AT_LEAST(x) .bounded_below = true, .min = (x)

const mu_option mu_train_loop_options[] = {
    MU_OPTION(mu_train_loop, by_epoch, MU_OPT_BOOL, .boolean_default = true, .help = "count epochs; else iterations"),
    MU_OPTION(mu_train_loop, max_epochs, MU_OPT_INT, AT_LEAST(1), .text_default = "null", .help = "by_epoch: when to end"),
    MU_OPTION(mu_train_loop, max_iters, MU_OPT_INT, AT_LEAST(1), .text_default = "null", .help = "not by_epoch: when to end"),
    MU_OPTION(mu_train_loop, val_begin, MU_OPT_INT, .int_default = 1, AT_LEAST(1),
              .help = "first epoch or iteration after which to validate"),
    MU_OPTION(mu_train_loop, val_interval, MU_OPT_INT, .int_default = 1, AT_LEAST(1),
              .help = "epochs or iterations between validations"),
    MU_OPTION(mu_train_loop, dynamic_intervals, MU_OPT_ANY, .help = "[[milestone, val_interval], ...]"),
    MU_OPTION_END,
};

static bool is_count(const mu_cfg *cfg, int64_t least)
{
    return mu_cfg_kind_of(cfg) == MU_CFG_INT && mu_cfg_int(cfg) >= least;
}

static mu_err read_intervals(mu_train_loop *loop)
{
    const mu_cfg *list = loop->dynamic_intervals;
    if (!list || mu_cfg_kind_of(list) == MU_CFG_NULL)
        return MU_OK;
    if (mu_cfg_kind_of(list) != MU_CFG_LIST)
        return MU_FAIL_AT(mu_cfg_pos(list), "train_cfg.dynamic_intervals: expected a list of [milestone, interval]");
    MU_TRY(mu_calloc(&loop->dynamic, mu_cfg_size(list), sizeof *loop->dynamic));
    for (size_t i = 0; i < mu_cfg_size(list); i++) {
        const mu_cfg *pair = mu_cfg_at(list, i);
        bool good = mu_cfg_kind_of(pair) == MU_CFG_LIST && mu_cfg_size(pair) == 2 && is_count(mu_cfg_at(pair, 0), 0) &&
                    is_count(mu_cfg_at(pair, 1), 1);
        if (good && i > 0)
            good = mu_cfg_int(mu_cfg_at(pair, 0)) > loop->dynamic[i - 1][0];
        if (!good)
            return MU_FAIL_AT(mu_cfg_pos(pair), "train_cfg.dynamic_intervals.%zu: expected [milestone, interval], "
                              "milestones rising", i);
        loop->dynamic[i][0] = mu_cfg_int(mu_cfg_at(pair, 0));
        loop->dynamic[i][1] = mu_cfg_int(mu_cfg_at(pair, 1));
        loop->n_dynamic = i + 1;
    }
    return MU_OK;
}

mu_err mu_train_loop_create(void *object, const mu_cfg *cfg)
{
    mu_train_loop *loop = object;
    (void)cfg;
    mu_err err = read_intervals(loop);
    if (err)
        mu_free(loop->dynamic);
    MU_TRY(err);
    return MU_OK;
}

void mu_train_loop_destroy(void *object)
{
    mu_free(((mu_train_loop *)object)->dynamic);
}

int64_t mu_loop_interval(int64_t interval, const int64_t (*dynamic)[2], size_t n, int64_t done)
{
    for (size_t i = 0; i < n && dynamic[i][0] <= done + 1; i++)
        interval = dynamic[i][1];
    return interval;
}

/* What this rank does alone. */
static mu_err load(mu_runner *runner, mu_hook_event *event)
{
    mu_watch_note(runner->watch, "load batch", NULL, runner->iter + 1);
    double began = mu_clock();
    MU_TRY(mu_explain_note_batch(runner));
    MU_TRY(mu_loader_next(runner->train_loader, &event->batch));
    runner->data_seconds = mu_clock() - began;
    if (!event->batch)
        return MU_FAIL(MU_ERR_INTERNAL, "the loader gave %lld of %lld batches", (long long)runner->epoch_iter,
                       (long long)runner->epoch_length);
    MU_TRY(mu_runner_call(runner, MU_BEFORE_TRAIN_ITER, event));
    return mu_model_load_train(runner->model, event->batch);
}

/* Forward and backward; gradients travel meanwhile. The error is this rank's. */
static mu_err compute(mu_runner *runner, mu_log_vars *vars)
{
    bool updates = mu_optim_wrapper_updates(runner->optim);
    mu_watch_note(runner->watch, "forward and backward", NULL, runner->iter + 1);
    mu_parallel_begin(runner->parallel, updates);
    mu_err err = mu_model_run_train(runner->model, runner->seed, runner->iter, vars);
    if (!err && !updates)
        err = mu_model_check_gradients(runner->model);
    return mu_parallel_end_run(runner->parallel, err);
}

/* Collective, in one message: has any rank failed, and the losses of the global batch instead of this rank's: all ranks have as many samples. */
static mu_err average(mu_runner *runner, mu_err err, mu_log_vars *vars)
{
    double word[1 + MU_MAX_LOSSES] = {err != MU_OK};
    for (int i = 0; !err && i < vars->n; i++)
        word[1 + i] = vars->item[i].value;
    MU_TRY(mu_runner_agreed(runner, mu_comm_all_reduce(runner->comm, word, 1 + MU_MAX_LOSSES, MU_F64, MU_COMM_MEAN)));
    if (word[0] > 0)
        return mu_explain_loaded(runner, err);
    for (int i = 0; i < vars->n; i++)
        vars->item[i].value = word[1 + i];
    return MU_OK;
}

/* Collective. Has any rank an error? Nobody needs to ask where all have the same. */
static mu_err anywhere(const mu_runner *runner, mu_err err, bool *out)
{
    uint8_t failed = err != MU_OK;
    mu_comm *comm = mu_parallel_pieces(runner->parallel);
    if (comm)
        MU_TRY(mu_comm_all_reduce(comm, &failed, 1, MU_U8, MU_COMM_MAX));
    *out = failed;
    return MU_OK;
}

/* Collective. Once the gradients have arrived they are the same everywhere, and so is what they lead to; unless each rank has a piece of them. */
static mu_err update(mu_runner *runner, mu_update_info *info)
{
    int64_t batches;
    bool failed;
    mu_watch_note(runner->watch, "update", NULL, runner->iter + 1);
    MU_TRY(mu_parallel_finish(runner->parallel, &batches));
    mu_err err = mu_optim_wrapper_updates(runner->optim) ? mu_model_check_gradients(runner->model) : MU_OK;
    MU_TRY(mu_runner_agreed(runner, anywhere(runner, err, &failed)));
    if (failed)
        return mu_explain_loaded(runner, err);
    err = mu_optim_wrapper_update(runner->optim, batches, info);
    if (err == MU_ERR_NUMERIC)
        mu_explain_note_update(runner);
    if (mu_parallel_pieces(runner->parallel))
        err = mu_runner_agree(runner, err);
    MU_TRY(err);
    if (info->updated)
        MU_TRY(mu_parallel_publish(runner->parallel));
    mu_model_changed(runner->model);
    return MU_OK;
}

/* Collective. Forward, backward and update of the model, or of the part that is selected. */
static mu_err step(mu_runner *runner, mu_log_vars *vars, mu_update_info *info)
{
    mu_optim_wrapper_set_progress(runner->optim, runner->iter, runner->max_iters);
    mu_err err = compute(runner, vars);
    MU_TRY(average(runner, err, vars));
    return update(runner, info);
}

/* Collective. One part after the other; each sees what the ones before it have become. */
static mu_err step_parts(mu_runner *runner, mu_log_vars *vars, mu_update_info *info)
{
    mu_log_vars all = {0};
    double grad_norm = NAN;
    for (int i = 0; i < runner->n_parts; i++) {
        runner->optim = runner->part[i].optim;
        mu_model_select_part(runner->model, i);
        mu_parallel_select(runner->parallel, runner->part[i].first_unit, runner->part[i].n_units);
        mu_err err = step(runner, vars, info);
        if (err && !runner->agreed)
            mu_error_context("part \"%s\"", runner->part[i].name);
        MU_TRY(err);
        MU_TRY(mu_values_merge(runner, vars, info->grad_norm, &all, &grad_norm));
    }
    *vars = all;
    info->grad_norm = grad_norm;
    return MU_OK;
}

void mu_runner_time_waits(mu_runner *runner)
{
    runner->comm->timed = true;
    if (runner->own->norm_comm)
        runner->own->norm_comm->timed = true;
}

/* Seconds that this thread has waited for other ranks, where they are counted. */
static double waited(const mu_runner *runner)
{
    const mu_comm *norm = runner->own->norm_comm;
    return runner->comm->waited + (norm ? norm->waited : 0);
}

/* Collective. The iteration, on host memory: what it found is known at its end. */
static mu_err run_now(mu_runner *runner, mu_hook_event *event, mu_log_vars *vars)
{
    mu_update_info info;
    MU_TRY(runner->n_parts ? step_parts(runner, vars, &info) : step(runner, vars, &info));
    event->log_vars = vars;
    event->grad_norm = info.grad_norm;
    return MU_OK;
}

/* ---- on devices ---- */

/* Collective. Gives the device a step of the model, or of the part that is selected (else 0), and waits for nothing. */
static mu_err launch(mu_runner *runner, int part, bool *updated)
{
    mu_type type;
    int64_t batches;
    mu_optim_wrapper_set_progress(runner->optim, runner->iter, runner->max_iters);
    mu_watch_note(runner->watch, "forward, backward and update", NULL, runner->iter + 1);
    mu_parallel_begin(runner->parallel, mu_optim_wrapper_updates(runner->optim));
    mu_err err = mu_model_run_train(runner->model, runner->seed, runner->iter, NULL);
    MU_TRY(mu_parallel_end_run(runner->parallel, err));
    void *losses = mu_model_losses(runner->model, part, &type);
    MU_TRY(mu_parallel_mean(runner->parallel, losses, mu_type_count(&type), type.dtype));
    MU_TRY(mu_parallel_finish(runner->parallel, &batches));
    MU_TRY(mu_optim_wrapper_update_late(runner->optim, batches, updated));
    if (*updated)
        MU_TRY(mu_parallel_publish(runner->parallel));
    mu_model_changed(runner->model);
    return MU_OK;
}

static mu_err launch_parts(mu_runner *runner, bool *updated)
{
    if (!runner->n_parts)
        return launch(runner, 0, updated);
    for (int i = 0; i < runner->n_parts; i++) {
        runner->optim = runner->part[i].optim;
        mu_model_select_part(runner->model, i);
        mu_parallel_select(runner->parallel, runner->part[i].first_unit, runner->part[i].n_units);
        mu_err err = launch(runner, i, updated);
        if (err)
            mu_error_context("part \"%s\"", runner->part[i].name);
        MU_TRY(err);
    }
    return MU_OK;
}

/* All that the device does in an iteration is one span: it is repeated at one call. */
static mu_err launch_all(mu_runner *runner, bool *updated)
{
    if (!runner->own->repeat)
        MU_TRY(mu_repeat_new(runner->backend, &runner->own->repeat));
    mu_repeat_begin(runner->own->repeat);
    return mu_repeat_end(runner->own->repeat, launch_parts(runner, updated));
}

/* Collective. The iteration, on a device: what earlier ones have found is told, if it is known. */
static mu_err run_late(mu_runner *runner)
{
    bool updated;
    mu_err err = launch_all(runner, &updated);
    if (!err)
        err = mu_values_post(runner, updated);
    if (!err)
        err = mu_values_look(runner, false);
    if (err && err != MU_ERR_NUMERIC)
        mu_parallel_give_up(runner->parallel); /* this rank has left out what the others' devices wait for */
    MU_TRY(mu_runner_agree(runner, err));
    return MU_OK;
}

mu_err mu_train_loop_iter(mu_runner *runner)
{
    double began = mu_clock() - waited(runner);
    mu_log_vars vars;
    mu_hook_event event = {.batch_index = runner->by_epoch ? runner->epoch_iter : runner->iter, .grad_norm = NAN};
    mu_err err = load(runner, &event);
    if (err && !runner->agreed)
        mu_explain_where(runner->epoch, runner->iter);
    if (err == MU_ERR_BACKEND)
        mu_parallel_give_up(runner->parallel); /* the device is lost: the others' wait for it */
    MU_TRY(mu_runner_agree(runner, err));
    MU_TRY(mu_parallel_share_states(runner->parallel));
    MU_TRY(runner->late ? run_late(runner) : run_now(runner, &event, &vars));
    runner->own_seconds = mu_clock() - waited(runner) - began;
    runner->epoch_iter++;
    runner->iters_done++;
    if (event.log_vars)
        MU_TRY(mu_values_tell(runner, runner->iter, event.log_vars, event.grad_norm));
    MU_TRY(mu_runner_call(runner, MU_AFTER_TRAIN_ITER, &event));
    runner->iter++;
    mu_watch_enter(runner->watch, MU_WATCH_STEP);
    return MU_OK;
}

mu_err mu_train_loop_validate(const mu_train_loop *loop, mu_runner *runner, int64_t done, int64_t total)
{
    if (!runner->val_loop || done < loop->val_begin)
        return MU_OK;
    int64_t interval = mu_loop_interval(loop->val_interval, (const int64_t (*)[2])loop->dynamic, loop->n_dynamic, done - 1);
    const mu_cfg *last = mu_message_hub_get(runner->hub, "last_val");
    if ((done % interval && done != total) || (last && mu_cfg_int(last) == done))
        return MU_OK;
    const mu_loop_ops *ops = mu_component_of(runner->val_loop)->ops;
    MU_TRY(mu_runner_values(runner));
    MU_TRY(ops->run(runner->val_loop, runner, NULL));
    if (runner->val_left) { /* a resumed run does it again */
        if (mu_runner_is_main(runner))
            MU_INFO("run", "the validation is left for the stop, without a result");
        return MU_OK;
    }
    return mu_runner_agree(runner, mu_message_hub_set_i64(runner->hub, "last_val", done, true));
}

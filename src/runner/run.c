/* Training, validation and test from beginning to end. */
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "runner/checkpoint.h"
#include "runner/hooks/hooks.h"
#include "runner/loop.h"
#include "runner/own.h"
#include "runner/stop.h"
#include "runner/values.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STATUS_REQUEUE = 75 };

/* ---- weights ---- */

static mu_err load_pretrained(void *user, const char *path, const char *prefix, const char *into, int *n_loaded)
{
    mu_runner *runner = user;
    mu_tensor_file *file;
    mu_load_report report = {0};
    MU_TRY(mu_tensor_file_open(path, MU_CHECKPOINT_FORMAT, MU_CHECKPOINT_VERSION, &file));
    mu_err err = mu_checkpoint_load_weights(file, runner->model, false, prefix, into, NULL, 0, &report);
    *n_loaded = report.n_loaded;
    mu_free(report.text);
    mu_tensor_file_release(file);
    MU_TRY(err);
    return MU_OK;
}

/* The record of who filled what goes into the log file's folder. */
static mu_err write_init_record(mu_runner *runner, const mu_init_record *record)
{
    char *text, path[4096];
    MU_TRY(mu_init_record_text(record, mu_model_modules(runner->model), &text));
    snprintf(path, sizeof path, "%s/init.txt", runner->log_dir);
    FILE *file = fopen(path, "w");
    bool written = file && fputs(text, file) >= 0;
    if ((file && fclose(file) != 0) || !written)
        MU_WARN("run", "%s could not be written", path);
    mu_free(text);
    return MU_OK;
}

/* For a run that loads a checkpoint anyway. */
static mu_err skip_pretrained(void *user, const char *path, const char *prefix, const char *into, int *n_loaded)
{
    (void)user, (void)path, (void)prefix, (void)into;
    *n_loaded = 1;
    return MU_OK;
}

static mu_err init_weights(mu_runner *runner, mu_init_load_fn *load)
{
    mu_init_record record = {0};
    MU_TRY(mu_model_init_weights(runner->model, runner->seed, load, runner, &record));
    mu_err err = mu_runner_is_main(runner) ? write_init_record(runner, &record) : MU_OK;
    mu_init_record_release(&record);
    MU_TRY(err);
    return MU_OK;
}

/* Collective. Rank 0's parameters and states to all. Of parameters in pieces every rank keeps what it has read or drawn itself. */
static mu_err broadcast_weights(mu_runner *runner)
{
    size_t bytes;
    const mu_params *params = mu_model_params(runner->model);
    void *data = mu_params_data(params, &bytes);
    if (mu_params_sharing_of(params)->stage < MU_SHARD_PARAMETERS)
        MU_TRY(mu_runner_broadcast(runner, data, bytes));
    MU_TRY(mu_runner_sync_states(runner));
    mu_model_changed(runner->model);
    return MU_OK;
}

/* ---- training ---- */

static mu_err build_train(mu_runner *runner)
{
    MU_TRY(mu_runner_build_loop(runner, MU_PHASE_TRAIN));
    MU_TRY(mu_runner_build_loader(runner, MU_PHASE_TRAIN));
    MU_TRY(mu_runner_build_optim_wrappers(runner));
    if (!mu_runner_get(runner, "val_cfg"))
        return MU_OK;
    MU_TRY(mu_runner_build_loop(runner, MU_PHASE_VAL));
    return mu_runner_build_loader(runner, MU_PHASE_VAL);
}

/* Collective. Ranks that end an epoch after different numbers of batches would wait for each other for ever. */
static mu_err check_lengths(mu_runner *runner)
{
    int64_t length = mu_loader_length(runner->train_loader), range[2] = {length, -length};
    MU_TRY(mu_comm_all_reduce(runner->comm, range, 2, MU_I64, MU_COMM_MAX));
    runner->epoch_length = length;
    if (range[0] == -range[1])
        return MU_OK;
    MU_FAIL(MU_ERR_CONFIG, "train_dataloader: the ranks have %lld to %lld batches in an epoch", (long long)-range[1],
            (long long)range[0]);
    mu_error_hint("set train_dataloader.sampler.round_up: true, or drop_last: true");
    return mu_runner_agree(runner, MU_ERR_CONFIG);
}

/* The checkpoint to go on with, the same on all ranks; *out NULL when there is none. Freed by mu_free. */
static mu_err choose_resume(mu_runner *runner, char **out)
{
    const mu_runner_options *options = &runner->own->options;
    const mu_cfg *resume = mu_runner_get(runner, "resume"), *from = mu_runner_get(runner, "load_from");
    const char *named = options->resume ? options->resume
                        : !resume || !mu_cfg_bool(resume) ? NULL
                        : options->load_from ? options->load_from
                        : from ? mu_cfg_string(from) : "auto";
    *out = NULL;
    if (!named)
        return MU_OK;
    if (strcmp(named, "auto") != 0)
        return mu_strdup(out, named);
    mu_err err = mu_runner_is_main(runner) ? mu_checkpoint_find(runner->work_dir, out) : MU_OK;
    MU_TRY(mu_runner_agree(runner, err));
    size_t size = *out ? strlen(*out) + 1 : 0;
    MU_TRY(mu_comm_broadcast_blob(runner->comm, (void **)out, &size, 0));
    if (size)
        return MU_OK;
    if (!mu_runner_is_main(runner))
        mu_free(*out);
    *out = NULL;
    if (mu_runner_is_main(runner))
        MU_WARN("run", "there is no checkpoint in %s to resume from: training starts at the beginning", runner->work_dir);
    return MU_OK;
}

static mu_err load_weights(mu_runner *runner)
{
    const mu_cfg *configured = mu_runner_get(runner, "load_from");
    const char *from = runner->own->options.load_from ? runner->own->options.load_from
                       : configured                   ? mu_cfg_string(configured)
                                                      : NULL;
    char *resume;
    MU_TRY(mu_runner_agree(runner, init_weights(runner, load_pretrained)));
    double begun = mu_clock();
    mu_err err = mu_runner_agree(runner, choose_resume(runner, &resume));
    if (err) {
        mu_free(resume);
        MU_TRY(err);
    }
    if (resume) {
        MU_INFO("run", "resuming from %s", resume);
        err = mu_checkpoint_resume(runner, resume, runner->own->options.allow_changed_schedule);
        runner->resumed = true;
    } else if (from) {
        MU_INFO("run", "loading weights from %s", from);
        err = mu_checkpoint_load_from(runner, from, false);
    }
    bool loaded = resume || from;
    mu_free(resume);
    MU_TRY(err);
    if (!runner->resumed) /* else every rank has read all of it */
        MU_TRY(broadcast_weights(runner));
    else
        MU_INFO("run", "resumed after iteration %lld, in %.2f s", (long long)runner->iter, mu_clock() - begun);
    return loaded ? mu_runner_call(runner, MU_AFTER_LOAD_CHECKPOINT, NULL) : MU_OK;
}

/* Of this rank. */
static void tell_traffic(const mu_runner *runner)
{
    mu_courier_times times = mu_parallel_take_times(runner->parallel);
    if (runner->comm->size > 1 && times.busy > 0 && mu_runner_is_main(runner))
        MU_INFO("run", "gradients: %lld messages of %.2f MiB were on their way for %.2f s, of which %.0f %% passed while the rank computed",
                (long long)times.parcels, (double)times.bytes / (double)times.parcels / (1 << 20), times.busy,
                100 * (1 - fmin(times.waited / times.busy, 1)));
}

static mu_err train(mu_runner *runner, int *status)
{
    MU_TRY(mu_runner_agree(runner, build_train(runner)));
    const mu_loop_ops *loop = mu_component_of(runner->train_loop)->ops;
    MU_TRY(check_lengths(runner));
    MU_TRY(loop->prepare(runner->train_loop, runner));
    MU_TRY(mu_runner_build_model(runner, runner->train_loader, true));
    MU_TRY(mu_runner_build_optim(runner));
    MU_TRY(mu_runner_call(runner, MU_BEFORE_RUN, NULL));
    MU_TRY(load_weights(runner));
    runner->phase = MU_PHASE_TRAIN;
    runner->late = mu_values_are_late(runner);
    MU_TRY(loop->run(runner->train_loop, runner, NULL));
    MU_TRY(mu_runner_values(runner));
    tell_traffic(runner);
    if (runner->stop_reason)
        MU_TRY(mu_checkpoint_hook_save_now(runner));
    MU_TRY(mu_checkpoint_wait(runner));
    if (runner->stop_reason) {
        mu_stop_tell(runner);
        *status = STATUS_REQUEUE;
    }
    return mu_runner_call(runner, MU_AFTER_RUN, NULL);
}

/* Of this rank. */
static void tell_corrupt(const char *name, const mu_loader *loader)
{
    int64_t n = loader ? mu_loader_dataset(loader)->n_corrupt : 0;
    if (n > 0)
        MU_WARN("run", "%s left out %lld corrupt %s on this rank", name, (long long)n, n == 1 ? "sample" : "samples");
}

static void tell_all_corrupt(const mu_runner *runner)
{
    tell_corrupt("train_dataloader", runner->train_loader);
    tell_corrupt("val_dataloader", runner->val_loader);
    tell_corrupt("test_dataloader", runner->test_loader);
}

mu_err mu_runner_train(mu_runner *runner, int *status)
{
    *status = 0;
    mu_err err = mu_runner_agree(runner, train(runner, status));
    tell_all_corrupt(runner);
    mu_runner_progress(runner, "", 0, 0);
    MU_TRY(err);
    return MU_OK;
}

/* ---- validation and test ---- */

static mu_err evaluate(mu_runner *runner, mu_phase phase, const char *checkpoint, mu_results *results)
{
    const mu_cfg *from = mu_runner_get(runner, "load_from");
    const char *path = checkpoint ? checkpoint : from ? mu_cfg_string(from) : NULL;
    if (!path) {
        MU_FAIL(MU_ERR_USAGE, "there are no weights to look at");
        return mu_error_hint("name a checkpoint: muster %s CONFIG CKPT", mu_phase_names[phase]);
    }
    mu_err err = mu_runner_build_loop(runner, phase);
    MU_TRY(mu_runner_agree(runner, err ? err : mu_runner_build_loader(runner, phase)));
    MU_TRY(mu_runner_build_model(runner, phase == MU_PHASE_VAL ? runner->val_loader : runner->test_loader, false));
    MU_TRY(mu_runner_call(runner, MU_BEFORE_RUN, NULL));
    MU_TRY(mu_runner_agree(runner, init_weights(runner, skip_pretrained)));
    MU_INFO("run", "loading weights from %s", path);
    MU_TRY(mu_checkpoint_load_from(runner, path, true));
    MU_TRY(broadcast_weights(runner));
    MU_TRY(mu_runner_call(runner, MU_AFTER_LOAD_CHECKPOINT, NULL));
    mu_loop *loop = phase == MU_PHASE_VAL ? runner->val_loop : runner->test_loop;
    MU_TRY(((const mu_loop_ops *)mu_component_of(loop)->ops)->run(loop, runner, results));
    return mu_runner_call(runner, MU_AFTER_RUN, NULL);
}

static mu_err evaluate_all(mu_runner *runner, mu_phase phase, const char *checkpoint, mu_results *results)
{
    mu_results found = {0};
    mu_err err = mu_runner_agree(runner, evaluate(runner, phase, checkpoint, &found));
    tell_all_corrupt(runner);
    mu_runner_progress(runner, "", 0, 0);
    if (!err && results)
        *results = found;
    else
        mu_results_release(&found);
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_runner_val(mu_runner *runner, const char *checkpoint, mu_results *results)
{
    return evaluate_all(runner, MU_PHASE_VAL, checkpoint, results);
}

mu_err mu_runner_test(mu_runner *runner, const char *checkpoint, mu_results *results)
{
    return evaluate_all(runner, MU_PHASE_TEST, checkpoint, results);
}

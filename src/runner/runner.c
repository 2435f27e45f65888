#include "runner/runner.h"

#include "backend/repeat.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "runner/checkpoint.h"
#include "runner/log_processor.h"
#include "runner/own.h"
#include "runner/values.h"
#include "runner/stop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

const char *const mu_phase_names[] = {"", "train", "val", "test"};

const mu_cfg *mu_runner_get(const mu_runner *runner, const char *path)
{
    const mu_cfg *value = mu_cfg_find(runner->cfg, path);
    return value && mu_cfg_kind_of(value) != MU_CFG_NULL ? value : NULL;
}

mu_err mu_runner_broadcast(mu_runner *runner, void *data, size_t bytes)
{
    if (runner->comm->size == 1 || !bytes)
        return MU_OK;
    if (runner->parallel)
        return mu_parallel_broadcast(runner->parallel, data, bytes);
    if (runner->backend->host_memory)
        return mu_comm_broadcast_bytes(runner->comm, data, bytes, 0);
    return MU_OK;
}

mu_err mu_runner_sync_states(mu_runner *runner)
{
    size_t bytes;
    void *states = mu_params_states(mu_model_params(runner->model), &bytes);
    if (runner->comm->size == 1 || !bytes)
        return MU_OK;
    MU_TRY(mu_runner_agree(runner, MU_OK));
    MU_TRY(mu_runner_broadcast(runner, states, bytes));
    mu_model_changed(runner->model);
    return MU_OK;
}

void mu_runner_progress(const mu_runner *runner, const char *label, int64_t done, int64_t total)
{
    const mu_runner_options *options = &runner->own->options;
    if (options->progress && mu_runner_is_main(runner))
        options->progress(options->user, label, done, total);
}

/* "configs/digits/lenet.yaml" gives "lenet". */
static mu_err config_name(const mu_runner *runner, char **out)
{
    const char *file = mu_config_filename(runner->config);
    const char *slash = file ? strrchr(file, '/') : NULL, *base = slash ? slash + 1 : file;
    const char *dot = base ? strrchr(base, '.') : NULL;
    return mu_strndup(out, base ? base : "run", base ? (dot && dot != base ? (size_t)(dot - base) : strlen(base)) : 3);
}

static mu_err choose_work_dir(mu_runner *runner, const char *name)
{
    const mu_cfg *configured = mu_runner_get(runner, "work_dir");
    if (runner->own->options.work_dir)
        return mu_strdup(&runner->work_dir, runner->own->options.work_dir);
    if (configured)
        return mu_strdup(&runner->work_dir, mu_cfg_string(configured));
    return mu_asprintf(&runner->work_dir, "work_dirs/%s", name);
}

/* Rank 0: the folder, and a copy of the config in it. */
static mu_err open_work_dir(mu_runner *runner, const char *name)
{
    char stamp[32], *path;
    mu_wall_format(mu_wall_time(), "%Y%m%d_%H%M%S", stamp, sizeof stamp);
    MU_TRY(mu_work_dir_open(runner->work_dir, stamp, runner->own->options.training, &runner->own->dir));
    MU_TRY(mu_strdup(&runner->timestamp, mu_work_dir_timestamp(runner->own->dir)));
    MU_TRY(mu_asprintf(&path, "%s/%s.yaml", mu_work_dir_log_dir(runner->own->dir), name));
    mu_err err = mu_config_write(runner->config, path);
    mu_free(path);
    MU_TRY(err);
    return MU_OK;
}

static mu_err name_run(mu_runner *runner, const char *name)
{
    const mu_cfg *experiment = mu_runner_get(runner, "experiment_name");
    MU_TRY(mu_asprintf(&runner->log_dir, "%s/%s", runner->work_dir, runner->timestamp));
    return mu_asprintf(&runner->experiment_name, "%s_%s", experiment ? mu_cfg_string(experiment) : name,
                       runner->timestamp);
}

static mu_err open_folders(mu_runner *runner, const char *name)
{
    mu_err err = choose_work_dir(runner, name);
    if (!err && mu_runner_is_main(runner))
        err = open_work_dir(runner, name);
    MU_TRY(mu_runner_agree(runner, err));
    size_t size = runner->timestamp ? strlen(runner->timestamp) + 1 : 0;
    MU_TRY(mu_comm_broadcast_blob(runner->comm, (void **)&runner->timestamp, &size, 0));
    return name_run(runner, name);
}

static mu_err draw_seed(mu_runner *runner)
{
    const mu_cfg *seed = mu_runner_get(runner, "randomness.seed");
    uint32_t drawn = 0;
    if (!seed)
        MU_TRY(mu_comm_sync_random_seed(runner->comm, &drawn));
    runner->seed = seed ? (uint64_t)mu_cfg_int(seed) : drawn;
    return MU_OK;
}

/* env_cfg.resource_limit and log_level. */
static void configure_process(const mu_runner *runner)
{
    const mu_cfg *files = mu_runner_get(runner, "env_cfg.resource_limit"), *level = mu_runner_get(runner, "log_level");
    struct rlimit limit;
    if (files && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        rlim_t wanted = (rlim_t)mu_cfg_int(files);
        limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            MU_WARN("run", "env_cfg.resource_limit: %s", strerror(errno));
    }
    if (!level)
        return;
    const char *name = mu_cfg_string(level);
    mu_log_set_level(strcmp(name, "DEBUG") == 0     ? MU_LOG_DEBUG
                     : strcmp(name, "INFO") == 0    ? MU_LOG_INFO
                     : strcmp(name, "WARNING") == 0 ? MU_LOG_WARNING
                                                    : MU_LOG_ERROR);
}

/* What needs no other rank. */
static mu_err build_parts(mu_runner *runner)
{
    configure_process(runner);
    MU_TRY(mu_message_hub_new(&runner->hub));
    MU_TRY(mu_log_processor_new(mu_runner_get(runner, "log_processor"), "log_processor", &runner->log_processor));
    return mu_runner_build_hooks(runner);
}

static mu_err open_log(mu_runner *runner)
{
    char *path = NULL;
    if (mu_runner_is_main(runner))
        MU_TRY(mu_asprintf(&path, "%s/%s.log", runner->log_dir, runner->timestamp));
    mu_err err = mu_run_log_open(path, runner->comm->rank, runner->comm->size, &runner->own->log);
    mu_free(path);
    MU_TRY(err);
    return MU_OK;
}

static mu_err open_runner(mu_runner *runner)
{
    const mu_cfg *deterministic = mu_runner_get(runner, "randomness.deterministic");
    char *name;
    runner->deterministic = deterministic && mu_cfg_bool(deterministic);
    MU_TRY(mu_comm_set_fixed_order(runner->comm, runner->deterministic));
    MU_TRY(mu_runner_agree(runner, config_name(runner, &name)));
    mu_err err = open_folders(runner, name);
    mu_free(name);
    MU_TRY(mu_runner_agree(runner, err));
    MU_TRY(draw_seed(runner));
    err = open_log(runner);
    MU_TRY(mu_runner_agree(runner, err ? err : build_parts(runner)));
    MU_TRY(mu_runner_agreed(runner, mu_runner_open_device(runner)));
    MU_INFO("run", "%s: %d %s, %s, %d %s each, seed %llu, work_dir %s", runner->experiment_name, runner->comm->size,
            runner->comm->size == 1 ? "rank" : "ranks", runner->device, runner->backend->n_threads,
            runner->backend->n_threads == 1 ? "thread" : "threads", (unsigned long long)runner->seed, runner->work_dir);
    mu_stop_set(runner, &runner->own->options);
    return MU_OK;
}

mu_err mu_runner_new(mu_comm *comm, const mu_config *config, const mu_runner_options *options, mu_runner **out)
{
    mu_runner *runner = NULL;
    mu_err err = mu_calloc(&runner, 1, sizeof *runner);
    if (!err)
        err = mu_calloc(&runner->own, 1, sizeof *runner->own);
    err = mu_comm_agree(comm, err);
    if (!err) {
        runner->comm = comm;
        runner->watch = options->watch;
        runner->config = config;
        runner->cfg = mu_config_root(config);
        runner->own->options = *options;
        runner->max_epochs = runner->max_iters = runner->last_saved_iter = -1;
        runner->started = mu_clock();
        err = mu_runner_agree(runner, open_runner(runner));
    }
    if (err) {
        mu_runner_release(runner);
        MU_TRY(err);
    }
    *out = runner;
    return MU_OK;
}

void mu_runner_release(mu_runner *runner)
{
    if (!runner)
        return;
    mu_checkpoint_close(runner);
    if (runner->own) {
        mu_values_release(runner->own->values);
        mu_explain_release(runner);
        mu_repeat_release(runner->own->repeat);
    }
    for (int i = runner->n_hooks; i > 0; i--)
        mu_destroy(runner->hook[i - 1]);
    mu_free(runner->hook);
    mu_loop *loops[] = {runner->train_loop, runner->val_loop, runner->test_loop};
    mu_loader *loaders[] = {runner->train_loader, runner->val_loader, runner->test_loader};
    for (int i = 0; i < 3; i++)
        mu_destroy(loops[i]);
    mu_evaluator_release(runner->val_evaluator);
    mu_evaluator_release(runner->test_evaluator);
    for (int i = 0; i < runner->n_schedulers; i++)
        mu_destroy(runner->scheduler[i]);
    mu_free(runner->scheduler);
    for (int i = 0; i < runner->n_parts; i++)
        mu_destroy(runner->part[i].optim);
    if (!runner->n_parts)
        mu_destroy(runner->optim);
    mu_destroy(runner->parallel);
    mu_destroy(runner->model); /* batches are not read any more */
    for (int i = 0; i < 3; i++)
        mu_loader_release(loaders[i]);
    if (runner->own)
        mu_runner_close_norm_device(runner);
    mu_backend_close(runner->backend);
    mu_log_processor_release(runner->log_processor);
    mu_message_hub_release(runner->hub);
    if (runner->own) {
        mu_run_log_release(runner->own->log);
        mu_work_dir_release(runner->own->dir);
        mu_cfg_release(runner->own->hooks_cfg);
        mu_cfg_release(runner->own->dump_cfg);
        mu_cfg_release(runner->own->parallel_cfg);
        mu_comm_release(runner->own->norm_comm);
    }
    mu_free(runner->own);
    mu_free(runner->experiment_name);
    mu_free(runner->timestamp);
    mu_free(runner->work_dir);
    mu_free(runner->log_dir);
    mu_free(runner->device);
    mu_free(runner);
}

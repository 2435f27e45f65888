#include "runner/measure.h"

#include "core/clock.h"
#include "core/mem.h"
#include "parallel/bucket.h"
#include "runner/own.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WARM_UP = 2 };

typedef struct {
    mu_runner *runner;
    const mu_batch *batch;
    double budget; /* s */
    mu_measurement *out;
    double *before;     /* [steps of the plan] seconds before the measured runs */
    double *model, *optimizer; /* [runs] s */
    int64_t done;       /* steps in all */
} measurer;

/* ---- making ready ---- */

/* The units of parameters that the wrapper insists on, without their being shared; else every parameter is one. */
static mu_err cut_units(measurer *m)
{
    mu_runner *r = m->runner;
    mu_workload *w = &m->out->workload;
    mu_params_sharing sharing = {.size = 1, .unit_bytes = 1};
    MU_TRY(mu_runner_build_parallel(r));
    MU_TRY(((const mu_parallel_ops *)mu_component_of(r->parallel)->ops)->share(r->parallel, &sharing));
    bool theirs = sharing.unit_bytes != 1 || sharing.n_modules;
    double mb = r->parallel->bucket_cap_mb;
    w->bucket_bytes = theirs ? 0 : mb > 0 ? mb * (1 << 20) : r->deterministic ? MU_BUCKET_DEFAULT_BYTES : NAN;
    w->stage = (int)sharing.stage;
    w->prefetch = r->parallel->exchange.prefetch;
    w->wire = r->parallel->wire && strcmp(r->parallel->wire, "bfloat16") == 0 ? 0.5 : 1;
    w->hierarchical = r->parallel->hierarchical;
    w->broadcasts = r->parallel->broadcast_buffers;
    sharing.stage = MU_SHARD_NOTHING;
    sharing.exchange = NULL;
    return mu_params_share(mu_model_params(r->model), &sharing);
}

static mu_err open_model(measurer *m)
{
    mu_runner *r = m->runner;
    if (mu_runner_names_parts(mu_runner_get(r, "optim_wrapper")))
        return MU_FAIL(MU_ERR_UNSUPPORTED, "steps of models that are trained in parts are not measured");
    MU_TRY(mu_runner_build_typed("optim_wrapper", mu_runner_get(r, "optim_wrapper"), "OptimWrapper", "optim_wrapper", (void **)&r->optim));
    MU_TRY(mu_build("model", mu_runner_get(r, "model"), NULL, "model", (void **)&r->model));
    MU_TRY(mu_optim_wrapper_check_device(r->optim, r->backend));
    mu_model_options options = {.backend = r->backend,
                                .autocast = mu_optim_wrapper_autocast(r->optim),
                                .loss_scale = mu_optim_wrapper_scales(r->optim),
                                .data_preprocessor = mu_runner_get(r, "data_preprocessor"),
                                .profile = true};
    MU_TRY(mu_model_bind(r->model, &options));
    MU_TRY(cut_units(m));
    MU_TRY(mu_model_prepare(r->model, m->batch, true));
    MU_TRY(mu_model_init_weights(r->model, 0, NULL, NULL, NULL));
    return mu_optim_bind(mu_optim_wrapper_optim(r->optim), r->backend, mu_model_params(r->model), NULL, NULL, 0);
}

/* ---- steps ---- */

static mu_err step(measurer *m, double *model, double *optimizer)
{
    mu_log_vars vars;
    mu_runner *r = m->runner;
    double norm, begun = mu_clock();
    MU_TRY(mu_model_train_step(r->model, m->batch, 0, m->done++, &vars));
    double between = mu_clock();
    const mu_cfg *clip = mu_runner_get(r, "optim_wrapper.clip_grad");
    /* So small a gradient scale that random inputs do not lead the weights away. */
    MU_TRY(mu_optim_step(mu_optim_wrapper_optim(r->optim), &(mu_optim_step_options){.gradient_scale = 1e-6}, clip ? &norm : NULL));
    mu_model_changed(r->model);
    *model = between - begun;
    *optimizer = mu_clock() - between;
    return MU_OK;
}

static mu_err warm_up(measurer *m, double *last)
{
    double optimizer;
    for (int i = 0; i < WARM_UP; i++) {
        MU_TRY(step(m, last, &optimizer));
        *last += optimizer;
    }
    return MU_OK;
}

static mu_err run_steps(measurer *m)
{
    const mu_plan *plan = mu_model_train_plan(m->runner->model);
    for (int i = 0; i < mu_plan_n_steps(plan); i++)
        m->before[i] = mu_plan_get_step(plan, i).seconds;
    for (int i = 0; i < m->out->runs; i++)
        MU_TRY(step(m, &m->model[i], &m->optimizer[i]));
    return MU_OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts. */
static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* The standard deviation that normal numbers of this median distance from their median have, over the median. Sorts; x is lost. */
static double relative_deviation(double *x, int n)
{
    double middle = median(x, n);
    for (int i = 0; i < n; i++)
        x[i] = fabs(x[i] - middle);
    return 1.4826 * median(x, n) / middle;
}

/* ---- what it tells ---- */

/* The plan's times, as they are in a step of `model` seconds: `ends` [steps + 1] s from the beginning. */
static void plan_times(const measurer *m, const mu_plan *plan, double model, double mean, double *ends)
{
    mu_workload *w = &m->out->workload;
    double scale = model / mean / m->out->runs, at = 0;
    for (int i = 0; i < mu_plan_n_steps(plan); i++) {
        mu_plan_step s = mu_plan_get_step(plan, i);
        double seconds = (s.seconds - m->before[i]) * scale;
        *(s.backward ? &w->backward : &w->forward) += seconds;
        ends[i] = at;
        at += seconds;
    }
    ends[mu_plan_n_steps(plan)] = at;
    w->rest = fmax(0, model - at);
}

/* A unit is ready with the last of its gradients, and needed with the first of its parameters. */
static mu_bucket bucket_of(const mu_params *params, int u, const mu_plan *plan, const double *ends, double end)
{
    const mu_param_unit *unit = mu_params_unit(params, u);
    mu_bucket b = {.bytes = (double)unit->bytes, .used = ends[mu_plan_n_steps(plan)]};
    for (int i = unit->first; i < unit->first + unit->n; i++) {
        int first, last;
        mu_plan_param_steps(plan, mu_params_at(params, i)->name, &first, &last);
        if (first >= 0)
            b.used = fmin(b.used, ends[first]);
        if (last >= 0)
            b.ready = fmin(end, fmax(b.ready, ends[last + 1])); /* end: the same sum, rounded in another order */
    }
    return b;
}

static mu_err tell_buckets(const measurer *m, const mu_plan *plan, const double *ends)
{
    const mu_params *params = mu_model_params(m->runner->model);
    int n = mu_params_n_units(params);
    mu_bucket *bucket;
    MU_TRY(mu_calloc(&bucket, (size_t)n, sizeof *bucket));
    for (int u = 0; u < n; u++)
        bucket[u] = bucket_of(params, u, plan, ends, m->out->workload.forward + m->out->workload.backward);
    m->out->workload.bucket = bucket;
    m->out->workload.n_buckets = n;
    return MU_OK;
}

static mu_err tell_times(measurer *m)
{
    const mu_plan *plan = mu_model_train_plan(m->runner->model);
    mu_workload *w = &m->out->workload;
    double mean = 0, *ends;
    int n = m->out->runs;
    for (int i = 0; i < n; i++)
        mean += m->model[i] / n;
    MU_TRY(mu_calloc(&ends, (size_t)mu_plan_n_steps(plan) + 1, sizeof *ends));
    double model = median(m->model, n);
    w->optimizer = median(m->optimizer, n);
    w->noise = relative_deviation(m->model, n);
    plan_times(m, plan, model, mean, ends);
    m->out->step = w->forward + w->backward + w->rest + w->optimizer;
    mu_err err = tell_buckets(m, plan, ends);
    mu_free(ends);
    return err;
}

static double bytes_of(const mu_batch *batch)
{
    size_t bytes = 0;
    for (int i = 0; i < batch->fields.n; i++)
        bytes += mu_type_bytes(&batch->fields.item[i].type);
    return (double)bytes;
}

static void tell_memory(measurer *m)
{
    mu_workload *w = &m->out->workload;
    const mu_params *params = mu_model_params(m->runner->model);
    mu_plan_stats stats = mu_plan_get_stats(mu_model_train_plan(m->runner->model));
    size_t data, gradients, states;
    mu_params_data(params, &data);
    mu_params_gradients(params, &gradients);
    mu_params_states(params, &states);
    for (int i = 0; i < mu_params_count(params); i++)
        w->largest_bytes = fmax(w->largest_bytes, (double)mu_params_at(params, i)->bytes);
    w->param_bytes = (double)data;
    w->gradient_bytes = (double)gradients;
    w->state_bytes = (double)states;
    w->optimizer_bytes = (double)data * mu_optim_n_states(mu_optim_wrapper_optim(m->runner->optim));
    w->activation_bytes = (double)stats.arena_bytes;
}

/* ---- data ---- */

/* Seconds to make a batch in one thread: the best of three. */
static mu_err time_loading(measurer *m, mu_loader *loader)
{
    double best = INFINITY;
    for (int i = 0; i < 3; i++) {
        mu_batch_buffer *buffer;
        double begun = mu_clock();
        MU_TRY(mu_loader_example(loader, 0, &buffer));
        best = fmin(best, mu_clock() - begun);
        mu_batch_buffer_release(buffer);
    }
    m->out->workload.load = best;
    return MU_OK;
}

/* Where the dataset is not here, nothing of it is known but the shape that was given. */
static mu_err tell_data(measurer *m)
{
    const mu_cfg *cfg = mu_runner_get(m->runner, "train_dataloader"), *path = mu_runner_get(m->runner, "train_dataloader.dataset.path");
    mu_workload *w = &m->out->workload;
    mu_loader_options options = {.world_size = 1, .training = true, .keep = m->runner->backend->host_memory ? 1 : 2};
    mu_loader *loader;
    struct stat info;
    w->batch = m->batch->size;
    w->sample_bytes = bytes_of(m->batch) / (double)m->batch->size;
    mu_err err = mu_loader_new(cfg, "train_dataloader", &options, &loader);
    if (err == MU_ERR_MEMORY)
        return err;
    if (err)
        return MU_OK;
    const mu_cfg *workers = mu_cfg_get(cfg, "num_workers");
    w->loader_threads = workers ? (int)mu_cfg_int(workers) : 0;
    w->samples = mu_dataset_length(mu_loader_dataset(loader));
    w->loader_bytes = (double)mu_loader_get_stats(loader).slots * bytes_of(m->batch) + (double)w->samples * sizeof(int64_t);
    if (path && mu_cfg_kind_of(path) == MU_CFG_STRING && stat(mu_cfg_string(path), &info) == 0)
        w->sample_bytes = (double)info.st_size / (double)w->samples;
    err = time_loading(m, loader);
    mu_loader_release(loader);
    return err;
}

/* ---- all of it ---- */

/* Rank 0 first: the algorithms that it measures, the others find in the cache. */
static mu_err open_in_turn(measurer *m, mu_comm *comm)
{
    bool first = mu_comm_is_main(comm);
    MU_TRY(mu_comm_agree(comm, first ? open_model(m) : MU_OK));
    return comm->size == 1 ? MU_OK : mu_comm_agree(comm, first ? MU_OK : open_model(m));
}

static mu_err make_room(measurer *m, double seconds)
{
    double wish = m->budget / seconds;
    int runs = wish < MU_MEASURE_LEAST ? MU_MEASURE_LEAST : wish > MU_MEASURE_MOST ? MU_MEASURE_MOST : (int)wish;
    m->out->runs = runs;
    MU_TRY(mu_calloc(&m->model, (size_t)runs, sizeof *m->model));
    MU_TRY(mu_calloc(&m->optimizer, (size_t)runs, sizeof *m->optimizer));
    MU_TRY(mu_calloc(&m->before, (size_t)mu_plan_n_steps(mu_model_train_plan(m->runner->model)), sizeof *m->before));
    return MU_OK;
}

/* What an iteration does besides, as loops/train_loop.c has it. */
static void tell_settings(measurer *m)
{
    mu_workload *w = &m->out->workload;
    const mu_cfg *async = mu_runner_get(m->runner, "default_hooks.checkpoint.async_save");
    w->threads = m->runner->backend->n_threads;
    w->async_checkpoint = !async || mu_cfg_bool(async);
    w->small = w->stage > MU_SHARD_NOTHING && mu_runner_get(m->runner, "optim_wrapper.clip_grad") ? 3 : 2; /* errors and signals; losses; norm */
    w->small_bytes = (1 + MU_MAX_LOSSES) * sizeof(double);
}

static mu_err tell(measurer *m)
{
    tell_settings(m);
    MU_TRY(tell_times(m));
    tell_memory(m);
    return tell_data(m);
}

static mu_err measure(measurer *m, mu_comm *comm)
{
    double seconds = 0;
    const mu_cfg *deterministic = mu_runner_get(m->runner, "randomness.deterministic");
    m->runner->deterministic = deterministic && mu_cfg_bool(deterministic);
    MU_TRY(mu_runner_open_device(m->runner));
    MU_TRY(open_in_turn(m, comm));
    MU_TRY(mu_comm_agree(comm, warm_up(m, &seconds)));
    MU_TRY(mu_comm_all_reduce(comm, &seconds, 1, MU_F64, MU_COMM_MAX));
    MU_TRY(mu_comm_agree(comm, make_room(m, seconds)));
    MU_TRY(mu_comm_agree(comm, run_steps(m)));
    return mu_comm_agree(comm, tell(m));
}

mu_err mu_measure(const mu_config *config, const mu_batch *example, double seconds, mu_comm *comm, mu_measurement *out)
{
    mu_measurement result = {.ranks = comm->size};
    measurer m = {.batch = example, .budget = seconds, .out = &result};
    mu_err err = mu_calloc(&m.runner, 1, sizeof *m.runner);
    err = err ? err : mu_calloc(&m.runner->own, 1, sizeof *m.runner->own);
    err = mu_comm_agree(comm, err);
    if (!err) {
        m.runner->comm = comm;
        m.runner->config = config;
        m.runner->cfg = mu_config_root(config);
        err = measure(&m, comm);
    }
    mu_runner_release(m.runner);
    mu_free(m.before);
    mu_free(m.model);
    mu_free(m.optimizer);
    if (err) {
        mu_measurement_release(&result);
        return err;
    }
    *out = result;
    return MU_OK;
}

void mu_measurement_release(mu_measurement *measurement)
{
    mu_free((void *)measurement->workload.bucket);
    *measurement = (mu_measurement){0};
}

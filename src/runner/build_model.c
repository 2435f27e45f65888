/* The model on its device, the same on all ranks, and the wrapper that averages its gradients. */
#include "core/log.h"
#include "runner/own.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* sync_bn: torch, mmcv or true. */
static bool converts_batch_norms(const mu_runner *runner)
{
    const mu_cfg *wish = mu_runner_get(runner, "sync_bn");
    return wish && (mu_cfg_kind_of(wish) != MU_CFG_BOOL || mu_cfg_bool(wish));
}

/* Collective. SyncBN speaks in the middle of a step, while gradients travel. */
static mu_err open_norm_comm(mu_runner *runner)
{
    if (runner->comm->size == 1)
        return MU_OK;
    MU_TRY(mu_comm_split(runner->comm, 0, runner->comm->rank, &runner->own->norm_comm));
    MU_TRY(mu_comm_set_fixed_order(runner->own->norm_comm, runner->deterministic));
    return MU_OK;
}

void mu_runner_close_norm_device(mu_runner *runner)
{
    if (runner->own->norm_device)
        runner->backend->ops->comm_close(runner->backend, runner->own->norm_device);
    runner->own->norm_device = NULL;
}

/* Moves the wrapper of the model's part i to its place. */
static mu_err place_part(mu_runner *runner, int i)
{
    const char *name = mu_model_part(runner->model, i);
    int at = i;
    while (at < runner->n_parts && strcmp(runner->part[at].name, name) != 0)
        at++;
    if (at == runner->n_parts) {
        (void)MU_FAIL_AT(mu_cfg_pos(mu_runner_get(runner, "optim_wrapper")), "optim_wrapper: there is none for part \"%s\" of the model", name);
        return mu_error_hint("optim_wrapper: {%s: {optimizer: {...}}, ...}", name);
    }
    mu_optim_wrapper *optim = runner->part[at].optim;
    const char *named = runner->part[at].name;
    runner->part[at] = runner->part[i];
    runner->part[i].name = named;
    runner->part[i].optim = optim;
    return MU_OK;
}

static mu_err check_parts(mu_runner *runner)
{
    int n = mu_model_n_parts(runner->model);
    const mu_cfg *cfg = mu_runner_get(runner, "optim_wrapper");
    if (n == 0 && runner->n_parts)
        return MU_FAIL_AT(mu_cfg_pos(cfg), "optim_wrapper: %s is trained as a whole, by one optimizer", mu_component_of(runner->model)->name);
    for (int i = 0; i < n; i++)
        MU_TRY(place_part(runner, i));
    if (runner->n_parts > n)
        return MU_FAIL_AT(mu_cfg_pos(cfg), "optim_wrapper: the model has no part \"%s\"", runner->part[n].name);
    for (int i = 0; i < n; i++)
        if (mu_optim_wrapper_accumulates(runner->part[i].optim))
            return MU_FAIL_AT(mu_cfg_pos(cfg), "optim_wrapper.%s.accumulative_counts: parts are updated by every batch", runner->part[i].name);
    return MU_OK;
}

static bool scales_loss(const mu_runner *runner)
{
    bool scales = runner->optim && mu_optim_wrapper_scales(runner->optim);
    for (int i = 0; i < runner->n_parts; i++)
        scales |= mu_optim_wrapper_scales(runner->part[i].optim);
    return scales;
}

static mu_err open_model(mu_runner *runner)
{
    for (int i = 0; runner->optim && i < (runner->n_parts ? runner->n_parts : 1); i++)
        MU_TRY(mu_optim_wrapper_check_device(runner->n_parts ? runner->part[i].optim : runner->optim, runner->backend));
    mu_model_options options = {.backend = runner->backend,
                                .autocast = runner->optim ? mu_optim_wrapper_autocast(runner->optim) : MU_NONE,
                                .loss_scale = scales_loss(runner),
                                .data_preprocessor = mu_runner_get(runner, "data_preprocessor"),
                                .comm = runner->own->norm_comm,
                                .sync_bn = converts_batch_norms(runner)};
    MU_TRY(mu_build("model", mu_runner_get(runner, "model"), NULL, "model", (void **)&runner->model));
    if (runner->optim)
        MU_TRY(check_parts(runner));
    return mu_model_bind(runner->model, &options);
}

/* Collective. Before kernels are prepared. Ranks have the same model: they agree without asking. */
static mu_err open_norm_device(mu_runner *runner)
{
    mu_backend *backend = runner->backend;
    if (backend->host_memory || !runner->own->norm_comm || !runner->own->sync_bn)
        return MU_OK;
    if (!backend->ops->comm_open)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "SyncBN on %d ranks: %s devices do not exchange memory", runner->comm->size, backend->ops->name);
    return backend->ops->comm_open(backend, runner->own->norm_comm, &runner->own->norm_device);
}

/* Bytes of the parameters that such a model trains, and whether it speaks to other ranks. */
static mu_err look_at_model(mu_runner *runner, mu_loader *loader, size_t *bytes)
{
    mu_batch_buffer *example;
    mu_graph *graph = NULL;
    MU_TRY(mu_loader_example(loader, 0, &example));
    mu_err err = mu_model_trace(runner->model, mu_batch_buffer_batch(example), MU_MODE_LOSS, true, &graph);
    mu_graph_release(graph);
    if (!err)
        err = mu_model_is_collective(runner->model, mu_batch_buffer_batch(example), &runner->own->sync_bn);
    mu_batch_buffer_release(example);
    MU_TRY(err);
    const mu_modules *modules = mu_model_modules(runner->model);
    *bytes = 0;
    for (int i = 0; i < mu_modules_n_params(modules); i++)
        if (mu_modules_param(modules, i)->trainable)
            *bytes += mu_type_bytes(&mu_modules_param(modules, i)->type);
    return MU_OK;
}

int64_t mu_runner_count_classes(mu_runner *runner, const mu_batch *batch)
{
    mu_graph *graph;
    int64_t n = 0;
    if (mu_model_trace(runner->model, batch, MU_MODE_PREDICT, false, &graph) != MU_OK)
        return 0; /* validation may have other batches */
    for (int i = 0; i < mu_graph_n_outputs(graph); i++) {
        const mu_type *type = mu_graph_type(graph, mu_graph_output_value(graph, i));
        if (strcmp(mu_graph_output_name(graph, i), "pred_score") == 0 && type->ndim == 2)
            n = type->dim[1];
    }
    mu_graph_release(graph);
    return n;
}

/* What would else be met by the first batch that is evaluated, hours later. */
static mu_err check_evaluators(mu_runner *runner, const mu_batch *batch)
{
    mu_evaluator *const evaluator[] = {runner->val_evaluator, runner->test_evaluator};
    int64_t n = evaluator[0] || evaluator[1] ? mu_runner_count_classes(runner, batch) : 0;
    for (int i = 0; i < 2 && n > 0; i++)
        if (evaluator[i])
            MU_TRY(mu_evaluator_check(evaluator[i], n));
    return MU_OK;
}

static mu_err prepare_model(mu_runner *runner, mu_loader *loader, bool training)
{
    mu_batch_buffer *example;
    if (training)
        MU_TRY(mu_params_share(mu_model_params(runner->model), &runner->own->sharing));
    MU_TRY(mu_loader_example(loader, 0, &example));
    mu_err err = mu_model_prepare(runner->model, mu_batch_buffer_batch(example), training);
    err = err ? err : check_evaluators(runner, mu_batch_buffer_batch(example));
    mu_batch_buffer_release(example);
    MU_TRY(err);
    return MU_OK;
}

/* Of names, places and layouts of all parameters: equal arenas can be averaged as they lie. */
static uint64_t fingerprint(const mu_params *params)
{
    uint64_t hash = 0;
    for (int i = 0; i < mu_params_count(params); i++) {
        const mu_param_info *p = mu_params_at(params, i);
        const char *layout = p->layout ? p->layout->name : "";
        const size_t place[] = {p->offset, p->bytes};
        hash = XXH3_64bits_withSeed(p->name, strlen(p->name), hash);
        hash = XXH3_64bits_withSeed(place, sizeof place, hash);
        hash = XXH3_64bits_withSeed(layout, strlen(layout), hash);
    }
    return hash;
}

static mu_err same_everywhere(mu_runner *runner, bool *same)
{
    int64_t hash = (int64_t)(fingerprint(mu_model_params(runner->model)) >> 1), range[2] = {hash, -hash};
    MU_TRY(mu_comm_all_reduce(runner->comm, range, 2, MU_I64, MU_COMM_MAX));
    *same = range[0] == -range[1];
    return MU_OK;
}

/* Rank 0 first: what it measures, the others find in the cache. */
static mu_err prepare_in_turn(mu_runner *runner, mu_loader *loader, bool training)
{
    bool first = mu_runner_is_main(runner);
    MU_TRY(mu_runner_agree(runner, first ? prepare_model(runner, loader, training) : MU_OK));
    if (runner->comm->size == 1)
        return MU_OK;
    return mu_runner_agree(runner, first ? MU_OK : prepare_model(runner, loader, training));
}

static mu_err reopen_deterministic(mu_runner *runner)
{
    mu_backend_options options = mu_runner_backend_options(runner);
    options.deterministic = true;
    mu_destroy(runner->model);
    mu_runner_close_norm_device(runner);
    mu_backend_close(runner->backend);
    runner->model = NULL;
    runner->backend = NULL;
    MU_TRY(mu_backend_open(runner->device, &options, &runner->backend));
    return open_model(runner);
}

static mu_err check_wrapper(const mu_runner *runner)
{
    const mu_component *wrapper = mu_component_of(runner->parallel);
    bool parts = runner->n_parts > 0;
    if (((const mu_parallel_ops *)wrapper->ops)->parts == parts)
        return MU_OK;
    (void)MU_FAIL(MU_ERR_CONFIG, "model_wrapper_cfg.type: %s is for models that are trained %s, this one is trained %s", wrapper->name,
                  parts ? "as a whole" : "in parts", parts ? "in parts" : "as a whole");
    return mu_error_hint("%s fits; without model_wrapper_cfg it is taken",
                         parts ? "MMSeparateDistributedDataParallel" : "MMDistributedDataParallel");
}

mu_err mu_runner_build_parallel(mu_runner *runner)
{
    const char *type = runner->n_parts ? "MMSeparateDistributedDataParallel" : "MMDistributedDataParallel";
    const mu_cfg *cfg = mu_runner_get(runner, "model_wrapper_cfg");
    char standard[64];
    void **out = (void **)&runner->parallel;
    if (cfg) {
        MU_TRY(mu_runner_build_typed("model_wrapper", cfg, type, "model_wrapper_cfg", out));
        return check_wrapper(runner);
    }
    int n = snprintf(standard, sizeof standard, "{\"type\": \"%s\"}", type);
    MU_TRY(mu_cfg_parse_json(standard, (size_t)n, "<defaults>", &runner->own->parallel_cfg));
    return mu_build("model_wrapper", runner->own->parallel_cfg, NULL, "model_wrapper_cfg", out);
}

/* Collective. */
static mu_err open_parallel(mu_runner *runner, mu_loader *loader)
{
    size_t bytes = 0;
    mu_err err = mu_runner_build_parallel(runner);
    MU_TRY(mu_runner_agree(runner, err ? err : look_at_model(runner, loader, &bytes)));
    return mu_runner_agreed(runner, mu_parallel_open(runner->parallel, runner->comm, bytes, runner->deterministic, &runner->own->sharing));
}

mu_err mu_runner_build_model(mu_runner *runner, mu_loader *loader, bool training)
{
    bool same = true;
    if (training)
        MU_TRY(mu_runner_agreed(runner, open_norm_comm(runner)));
    MU_TRY(mu_runner_agree(runner, open_model(runner)));
    if (training)
        MU_TRY(open_parallel(runner, loader));
    MU_TRY(mu_runner_agree(runner, open_norm_device(runner)));
    MU_TRY(prepare_in_turn(runner, loader, training));
    MU_TRY(same_everywhere(runner, &same));
    if (!same) {
        if (mu_runner_is_main(runner))
            MU_WARN("run", "the ranks chose different memory layouts by measuring; all go on without measured choices");
        MU_TRY(mu_runner_agree(runner, reopen_deterministic(runner)));
        MU_TRY(mu_runner_agree(runner, open_norm_device(runner)));
        MU_TRY(prepare_in_turn(runner, loader, training));
        MU_TRY(same_everywhere(runner, &same));
    }
    if (same)
        return MU_OK;
    MU_FAIL(MU_ERR_BACKEND, "the ranks lay parameters out differently");
    mu_error_hint("run on nodes with the same processors, or set device: cpu:ref");
    return mu_runner_agree(runner, MU_ERR_BACKEND);
}

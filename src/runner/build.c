#include "backend/lanes.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "graph/autodiff.h"
#include "runner/hooks/hooks.h"
#include "runner/loop.h"
#include "runner/own.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* ---- hooks ---- */

/* {"timer": {"type": "IterTimerHook"}, ...} */
static mu_err default_hooks(mu_cfg **out)
{
    mu_text text = {0};
    mu_text_append(&text, "{");
    for (int i = 0; mu_default_hooks[i][0]; i++)
        mu_text_printf(&text, "%s\"%s\": {\"type\": \"%s\"}", i ? ", " : "", mu_default_hooks[i][0], mu_default_hooks[i][1]);
    mu_text_append(&text, "}");
    mu_err err = mu_text_status(&text);
    if (!err)
        err = mu_cfg_parse_json(text.data, text.length, "<defaults>", out);
    mu_text_release(&text);
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_runner_add_hook(mu_runner *runner, const mu_cfg *cfg, const char *path, mu_hook **out)
{
    mu_hook *hook;
    int priority = 0, other = 0, at = runner->n_hooks;
    MU_TRY(mu_build("hook", cfg, NULL, path, (void **)&hook));
    mu_err err = mu_hook_priority(hook, &priority);
    size_t bytes = (size_t)(runner->n_hooks + 1) * sizeof(mu_hook *);
    if (!err)
        err = mu_realloc(&runner->hook, bytes);
    while (!err && at > 0) {
        err = mu_hook_priority(runner->hook[at - 1], &other);
        if (err || other <= priority)
            break;
        runner->hook[at] = runner->hook[at - 1];
        at--;
    }
    if (err) {
        mu_destroy(hook);
        MU_TRY(err);
    }
    runner->hook[at] = hook;
    runner->n_hooks++;
    if (out)
        *out = hook;
    return MU_OK;
}

mu_err mu_runner_visit_hooks(mu_runner *runner, mu_runner_hook_visit *visit, void *user)
{
    const mu_cfg *given = mu_runner_get(runner, "default_hooks"), *custom = mu_runner_get(runner, "custom_hooks");
    char path[128];
    MU_TRY(default_hooks(&runner->own->hooks_cfg));
    const mu_cfg *defaults = runner->own->hooks_cfg;
    for (size_t i = 0; i < mu_cfg_size(defaults); i++) {
        const mu_cfg *wish = given ? mu_cfg_get(given, mu_cfg_key_at(defaults, i)) : NULL;
        if (wish && mu_cfg_kind_of(wish) == MU_CFG_NULL)
            continue;
        snprintf(path, sizeof path, "default_hooks.%s", mu_cfg_key_at(defaults, i));
        MU_TRY(visit(user, runner, wish ? wish : mu_cfg_at(defaults, i), path));
    }
    for (size_t i = 0; given && i < mu_cfg_size(given); i++) {
        const char *key = mu_cfg_key_at(given, i);
        if (mu_cfg_get(defaults, key) || mu_cfg_kind_of(mu_cfg_at(given, i)) == MU_CFG_NULL)
            continue;
        snprintf(path, sizeof path, "default_hooks.%s", key);
        MU_TRY(visit(user, runner, mu_cfg_at(given, i), path));
    }
    bool list = custom && mu_cfg_kind_of(custom) == MU_CFG_LIST;
    for (size_t i = 0; custom && i < (list ? mu_cfg_size(custom) : 1); i++) {
        snprintf(path, sizeof path, "custom_hooks.%zu", i);
        MU_TRY(visit(user, runner, list ? mu_cfg_at(custom, i) : custom, path));
    }
    return MU_OK;
}

static mu_err add_visited(void *user, mu_runner *runner, const mu_cfg *cfg, const char *path)
{
    (void)user;
    return mu_runner_add_hook(runner, cfg, path, NULL);
}

mu_err mu_runner_build_hooks(mu_runner *runner)
{
    return mu_runner_visit_hooks(runner, add_visited, NULL);
}

/* ---- loaders, evaluators, loops ---- */

static mu_err add_dump(mu_runner *runner, mu_evaluator *evaluator)
{
    const char *path = runner->own->options.dump;
    mu_metric *metric;
    mu_text text = {0};
    mu_text_append(&text, "{\"type\": \"DumpResults\", \"out_file_path\": ");
    mu_text_append_json(&text, path, strlen(path));
    mu_text_append(&text, "}");
    mu_err err = mu_text_status(&text);
    if (!err)
        err = mu_cfg_parse_json(text.data, text.length, "<command line>", &runner->own->dump_cfg);
    mu_text_release(&text);
    MU_TRY(err);
    MU_TRY(mu_build("metric", runner->own->dump_cfg, NULL, "out", (void **)&metric));
    return mu_evaluator_add(evaluator, metric);
}

/* The backend may be another one by the time (reopen_deterministic). */
static mu_err batch_memory_new(void *user, size_t bytes, void **out)
{
    return mu_host_room_new(((const mu_runner *)user)->backend, bytes, out);
}

static void batch_memory_release(void *user, void *block)
{
    mu_host_room_release(((const mu_runner *)user)->backend, block);
}

/* A device copies a batch while the next one is loaded. */
static void set_memory(mu_runner *runner, mu_loader_options *options)
{
    const mu_backend *backend = runner->backend;
    if (backend->host_memory || !backend->ops->alloc_host)
        return;
    options->keep = 2;
    options->memory = (mu_loader_memory){.alloc = batch_memory_new, .dealloc = batch_memory_release, .user = runner};
}

/* A key that the phase cannot do without. */
static mu_err get_of_phase(const mu_runner *runner, mu_phase phase, const char *path, const mu_cfg **out)
{
    const char *name = mu_phase_names[phase];
    const mu_cfg *cfg = mu_runner_get(runner, path);
    if (!cfg) {
        MU_FAIL(MU_ERR_CONFIG, "the config has no %s", path);
        return mu_error_hint("add %s_dataloader, %s_cfg and %s", name, name,
                             phase == MU_PHASE_TRAIN ? "optim_wrapper" : phase == MU_PHASE_VAL ? "val_evaluator" : "test_evaluator");
    }
    *out = cfg;
    return MU_OK;
}

mu_err mu_runner_build_loader(mu_runner *runner, mu_phase phase)
{
    mu_loader **loader = phase == MU_PHASE_TRAIN ? &runner->train_loader
                         : phase == MU_PHASE_VAL ? &runner->val_loader
                                                 : &runner->test_loader;
    mu_evaluator **evaluator = phase == MU_PHASE_VAL ? &runner->val_evaluator : &runner->test_evaluator;
    const char *name = mu_phase_names[phase];
    char path[32];
    mu_loader_options options = {.rank = runner->comm->rank, .world_size = runner->comm->size, .seed = runner->seed,
                                 .training = phase == MU_PHASE_TRAIN};
    set_memory(runner, &options);
    snprintf(path, sizeof path, "%s_dataloader", name);
    const mu_cfg *cfg;
    MU_TRY(get_of_phase(runner, phase, path, &cfg));
    MU_TRY(mu_loader_new(cfg, path, &options, loader));
    if (phase == MU_PHASE_TRAIN)
        return MU_OK;
    snprintf(path, sizeof path, "%s_evaluator", name);
    MU_TRY(mu_evaluator_new(mu_runner_get(runner, path), path, evaluator));
    if (runner->own->options.dump)
        MU_TRY(add_dump(runner, *evaluator));
    return mu_evaluator_set_meta(*evaluator, mu_dataset_meta(mu_loader_dataset(*loader)));
}

mu_err mu_runner_build_typed(const char *kind, const mu_cfg *cfg, const char *type, const char *path, void **out)
{
    char text[64];
    mu_cfg *defaults;
    int n = snprintf(text, sizeof text, "{\"type\": \"%s\"}", type);
    MU_TRY(mu_cfg_parse_json(text, (size_t)n, "<defaults>", &defaults));
    mu_err err = mu_build(kind, cfg, defaults, path, out);
    mu_cfg_release(defaults);
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_runner_build_loop(mu_runner *runner, mu_phase phase)
{
    mu_loop **loop = phase == MU_PHASE_TRAIN ? &runner->train_loop
                     : phase == MU_PHASE_VAL ? &runner->val_loop
                                             : &runner->test_loop;
    const mu_cfg *by_epoch = mu_runner_get(runner, "train_cfg.by_epoch");
    const char *type = phase == MU_PHASE_VAL                  ? "ValLoop"
                       : phase == MU_PHASE_TEST               ? "TestLoop"
                       : by_epoch && !mu_cfg_bool(by_epoch)   ? "IterBasedTrainLoop"
                                                              : "EpochBasedTrainLoop";
    char path[32];
    snprintf(path, sizeof path, "%s_cfg", mu_phase_names[phase]);
    const mu_cfg *cfg;
    MU_TRY(get_of_phase(runner, phase, path, &cfg));
    MU_TRY(mu_runner_build_typed("loop", cfg, type, path, (void **)loop));
    const mu_component *component = mu_component_of(*loop);
    mu_phase for_phase = ((const mu_loop_ops *)component->ops)->phase;
    if (for_phase == phase)
        return MU_OK;
    const mu_cfg *named = mu_cfg_get(cfg, "type");
    return MU_FAIL_AT(mu_cfg_pos(named ? named : cfg), "%s.type: %s is a loop for %s", path, component->name, mu_phase_names[for_phase]);
}

/* ---- the model ---- */

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

/* ---- the optimizer ---- */

static mu_err collect_traits(mu_runner *runner, mu_param_traits **out, int *n)
{
    const mu_modules *modules = mu_model_modules(runner->model);
    int count = mu_modules_n_params(modules);
    MU_TRY(mu_calloc(out, (size_t)count, sizeof **out));
    *n = 0;
    for (int i = 0; i < count; i++) {
        const mu_module_param *p = mu_modules_param(modules, i);
        const mu_module_info *owner = mu_modules_at(modules, p->module);
        if (p->trainable)
            (*out)[(*n)++] = (mu_param_traits){.name = p->name, .ndim = p->type.ndim, .bias = strcmp(p->leaf, "bias") == 0,
                                               .norm = owner->norm, .depthwise = owner->depthwise};
    }
    return MU_OK;
}

typedef struct {
    mu_param_traits *traits;
    int n;
    bool told; /* by this rank */
} unused_search;

static void drop_unused(void *user, const char *name)
{
    unused_search *search = user;
    if (search->told)
        MU_WARN("run", "parameter %s has no influence on the loss: it is not trained", name);
    for (int i = 0; i < search->n; i++)
        if (strcmp(search->traits[i].name, name) == 0) {
            memmove(&search->traits[i], &search->traits[i + 1], (size_t)(--search->n - i) * sizeof *search->traits);
            return;
        }
}

static void append_name(void *user, const char *name)
{
    mu_text *text = user;
    mu_text_printf(text, "%s%s", text->length ? ", " : "", name);
}

/* model_wrapper_cfg.detect_anomalous_params */
static mu_err refuse_unused(const mu_runner *runner)
{
    mu_text names = {0};
    int n = runner->parallel->detect_anomalous_params ? mu_model_unused_params(runner->model, append_name, &names) : 0;
    mu_err err = mu_text_status(&names);
    if (!err && n) {
        (void)MU_FAIL(MU_ERR_CONFIG, "%d %s no influence on the loss: %s", n, n == 1 ? "parameter has" : "parameters have", names.data);
        err = mu_error_hint("model_wrapper_cfg: {detect_anomalous_params: false} trains the others");
    }
    mu_text_release(&names);
    return err;
}

/* auto_scale_lr: the global batch over the one that lr is meant for. */
static double lr_scale(const mu_runner *runner)
{
    const mu_cfg *enable = mu_runner_get(runner, "auto_scale_lr.enable"), *base = mu_runner_get(runner, "auto_scale_lr.base_batch_size");
    if (!enable || !mu_cfg_bool(enable) || !base)
        return 1;
    double scale = (double)(mu_loader_batch_size(runner->train_loader) * runner->comm->size) / (double)mu_cfg_int(base);
    MU_INFO("run", "auto_scale_lr: lr is multiplied by %g", scale);
    return scale;
}

/* One scheduler, or a list, for the optimizer `optim`. */
static mu_err bind_schedulers(mu_runner *runner, const mu_cfg *cfg, const char *where, mu_optim *optim)
{
    bool list = cfg && mu_cfg_kind_of(cfg) == MU_CFG_LIST;
    size_t n = !cfg || mu_cfg_kind_of(cfg) == MU_CFG_NULL ? 0 : list ? mu_cfg_size(cfg) : 1;
    MU_TRY(mu_realloc(&runner->scheduler, ((size_t)runner->n_schedulers + n) * sizeof *runner->scheduler));
    for (size_t i = 0; i < n; i++) {
        char path[128];
        mu_scheduler *scheduler;
        snprintf(path, sizeof path, list ? "%s.%zu" : "%s", where, i);
        MU_TRY(mu_build("param_scheduler", list ? mu_cfg_at(cfg, i) : cfg, NULL, path, (void **)&scheduler));
        runner->scheduler[runner->n_schedulers++] = scheduler;
        mu_err err = mu_scheduler_bind(scheduler, optim, mu_loader_length(runner->train_loader));
        if (err)
            mu_error_context("%s", path);
        MU_TRY(err);
    }
    return MU_OK;
}

static mu_err bind_optim(mu_runner *runner, mu_optim_wrapper *optim, const mu_param_traits *traits, int n)
{
    return mu_optim_wrapper_bind(optim, runner->backend, mu_model_params(runner->model), traits, n, lr_scale(runner), runner->parallel);
}

/* Units that hold gradients of the part: neighbours, in the order of the store. */
static void find_units(mu_runner *runner, int i)
{
    const mu_params *params = mu_model_params(runner->model);
    int first = mu_params_n_units(params), last = -1;
    for (int p = 0; p < mu_params_count(params); p++) {
        int unit = mu_params_unit_of(params, p);
        if (unit < 0 || !mu_name_is_under(mu_params_at(params, p)->name, runner->part[i].name))
            continue;
        first = unit < first ? unit : first;
        last = unit > last ? unit : last;
    }
    runner->part[i].first_unit = first;
    runner->part[i].n_units = last < 0 ? 0 : last - first + 1;
}

static mu_err bind_part(mu_runner *runner, int i, const mu_param_traits *traits, int n)
{
    const mu_cfg *cfg = mu_runner_get(runner, "param_scheduler");
    mu_param_traits *own = NULL;
    int n_own = 0;
    char path[96] = "param_scheduler";
    bool named = cfg && mu_cfg_kind_of(cfg) == MU_CFG_DICT && !mu_cfg_get(cfg, "type");
    MU_TRY(mu_calloc(&own, (size_t)n, sizeof *own));
    for (int k = 0; k < n; k++)
        if (mu_name_is_under(traits[k].name, runner->part[i].name))
            own[n_own++] = traits[k];
    mu_err err = bind_optim(runner, runner->part[i].optim, own, n_own);
    mu_free(own);
    if (err)
        mu_error_context("part \"%s\"", runner->part[i].name);
    MU_TRY(err);
    if (named)
        snprintf(path, sizeof path, "param_scheduler.%s", runner->part[i].name);
    find_units(runner, i);
    return bind_schedulers(runner, named ? mu_cfg_get(cfg, runner->part[i].name) : cfg, path, mu_optim_wrapper_optim(runner->part[i].optim));
}

static mu_err bind_optims(mu_runner *runner)
{
    unused_search search = {.told = mu_runner_is_main(runner)};
    MU_TRY(refuse_unused(runner));
    MU_TRY(collect_traits(runner, &search.traits, &search.n));
    mu_model_unused_params(runner->model, drop_unused, &search);
    mu_err err = runner->n_parts ? MU_OK : bind_optim(runner, runner->optim, search.traits, search.n);
    for (int i = 0; !err && i < runner->n_parts; i++)
        err = bind_part(runner, i, search.traits, search.n);
    mu_free(search.traits);
    MU_TRY(err);
    if (runner->n_parts)
        return MU_OK;
    return bind_schedulers(runner, mu_runner_get(runner, "param_scheduler"), "param_scheduler", mu_optim_wrapper_optim(runner->optim));
}

mu_err mu_runner_build_optim(mu_runner *runner)
{
    MU_TRY(mu_runner_agreed(runner, mu_parallel_bind(runner->parallel, runner->backend, mu_model_params(runner->model),
                                                     mu_optim_wrapper_accumulates(runner->optim))));
    if (runner->own->norm_device) /* frees the device of this rank, should another's fail */
        MU_TRY(mu_guard_add(mu_parallel_guard(runner->parallel), runner->own->norm_device));
    return mu_runner_agree(runner, bind_optims(runner));
}

bool mu_runner_names_parts(const mu_cfg *cfg)
{
    if (!cfg || mu_cfg_kind_of(cfg) != MU_CFG_DICT || mu_cfg_get(cfg, "type") || mu_cfg_get(cfg, "optimizer"))
        return false;
    for (size_t i = 0; i < mu_cfg_size(cfg); i++)
        if (mu_cfg_kind_of(mu_cfg_at(cfg, i)) == MU_CFG_DICT && mu_cfg_get(mu_cfg_at(cfg, i), "optimizer"))
            return true;
    return false;
}

mu_err mu_runner_build_optim_wrappers(mu_runner *runner)
{
    const mu_cfg *cfg = mu_runner_get(runner, "optim_wrapper");
    if (!mu_runner_names_parts(cfg))
        return mu_runner_build_typed("optim_wrapper", cfg, "OptimWrapper", "optim_wrapper", (void **)&runner->optim);
    for (size_t i = 0; i < mu_cfg_size(cfg); i++) {
        char path[128];
        void *wrapper;
        const char *name = mu_cfg_key_at(cfg, i);
        if (strcmp(name, "constructor") == 0 || mu_cfg_kind_of(mu_cfg_at(cfg, i)) == MU_CFG_NULL)
            continue;
        if (runner->n_parts == MU_MAX_PARTS)
            return MU_FAIL_AT(mu_cfg_pos(cfg), "optim_wrapper: more than %d parts", MU_MAX_PARTS);
        snprintf(path, sizeof path, "optim_wrapper.%s", name);
        MU_TRY(mu_runner_build_typed("optim_wrapper", mu_cfg_at(cfg, i), "OptimWrapper", path, &wrapper));
        runner->part[runner->n_parts].name = name;
        runner->part[runner->n_parts++].optim = wrapper;
        if (mu_optim_wrapper_autocast(wrapper) != mu_optim_wrapper_autocast(runner->part[0].optim))
            return MU_FAIL_AT(mu_cfg_pos(mu_cfg_at(cfg, i)), "%s.type: all parts compute in one precision", path);
    }
    runner->optim = runner->part[0].optim;
    return MU_OK;
}

#include "runner/inspect.h"

#include "core/mem.h"
#include "io/tensor_file.h"
#include "runner/checkpoint.h"
#include "runner/checkpoint_impl.h"
#include "runner/hooks/hooks.h"
#include "runner/log_processor.h"
#include "runner/mistake.h"
#include "runner/own.h"

#include <stdio.h>
#include <string.h>

/* Everything that is built on the way. */
typedef struct {
    const mu_cfg *cfg;
    const mu_inspect_options *options;
    mu_diagnostics *list;
    mu_inspection *out;
    mu_runner *runner; /* without communicator and folder: holds what is built */
    mu_batch_buffer *example;
} inspector;

static const char *const phases[] = {"train", "val", "test"};

static const mu_cfg *get(const inspector *i, const char *path)
{
    const mu_cfg *value = mu_cfg_find(i->cfg, path);
    return value && mu_cfg_kind_of(value) != MU_CFG_NULL ? value : NULL;
}

static bool input_is_given(const inspector *i)
{
    return i->options->input_shape.ndim > 0;
}

/* Takes a mistake down and goes on; other errors, as of memory, are passed on. */
static mu_err note(inspector *i, mu_err err, const mu_cfg *at, const char *path)
{
    return mu_mistake_is_one(err) ? mu_mistake_add(i->list, at, path) : err;
}

/* ---- data ---- */

static mu_loader **loader_of(const inspector *i, int phase)
{
    return phase == 0 ? &i->runner->train_loader : phase == 1 ? &i->runner->val_loader : &i->runner->test_loader;
}

static mu_err open_data(inspector *i, int phase)
{
    char path[64];
    snprintf(path, sizeof path, "%s_dataloader", phases[phase]);
    const mu_cfg *cfg = get(i, path);
    if (!cfg)
        return MU_OK;
    mu_inspect_data *data = &i->out->data[i->out->n_data++];
    int ranks = i->options->ranks;
    mu_loader_options options = {.rank = 0, .world_size = ranks, .training = phase == 0};
    *data = (mu_inspect_data){.phase = phases[phase], .batch = mu_cfg_int(mu_cfg_get(cfg, "batch_size"))};
    data->global_batch = data->batch * ranks;
    mu_err err = mu_loader_new(cfg, path, &options, loader_of(i, phase));
    if (!err) {
        const mu_loader *loader = *loader_of(i, phase);
        data->samples = mu_dataset_length(mu_loader_dataset(loader));
        data->batches = mu_loader_length(loader);
        data->repeated = data->batches > 0 ? (ranks - data->samples % ranks) % ranks : 0;
        return MU_OK;
    }
    if (!mu_mistake_is_one(err))
        return err;
    MU_TRY(mu_mistake_text(&data->missing));
    if (input_is_given(i) && err == MU_ERR_IO)
        return MU_OK;
    const mu_cfg *file = mu_cfg_find(cfg, "dataset.path");
    if (!file || (err != MU_ERR_IO && err != MU_ERR_FORMAT))
        return note(i, err, cfg, path);
    snprintf(path, sizeof path, "%s_dataloader.dataset.path", phases[phase]);
    return mu_diagnostics_add(i->list, mu_cfg_pos(file), path, NULL, data->missing, NULL);
}

/* A batch of zeros of the shape that was given. */
static mu_err make_example(inspector *i)
{
    const mu_cfg *batch_size = get(i, "train_dataloader.batch_size");
    int64_t n = batch_size ? mu_cfg_int(batch_size) : 1, label = 0;
    mu_sample sample = {0};
    mu_cfg *cfg = NULL;
    void *collate = NULL, *image, *at;
    const mu_sample **samples = NULL;
    mu_type type = i->options->input_shape;
    mu_sample_begin(&sample, 0, 0, 0);
    mu_err err;
    MU_TRY_GOTO(err, mu_sample_put(&sample, "img", type, &image), done);
    memset(image, 0, mu_type_bytes(&type));
    MU_TRY_GOTO(err, mu_sample_put(&sample, "gt_label", MU_SCALAR(MU_I64), &at), done);
    memcpy(at, &label, sizeof label);
    MU_TRY_GOTO(err, mu_calloc(&samples, (size_t)n, sizeof *samples), done);
    for (int64_t k = 0; k < n; k++)
        samples[k] = &sample;
    static const char text[] = "{\"type\": \"default_collate\"}";
    MU_TRY_GOTO(err, mu_cfg_parse_json(text, sizeof text - 1, "<defaults>", &cfg), done);
    MU_TRY_GOTO(err, mu_build("collate", cfg, NULL, "collate_fn", &collate), done);
    MU_TRY_GOTO(err, mu_batch_buffer_new(&i->example), done);
    err = mu_collate(collate, i->example, samples, n);
done:
    mu_destroy(collate);
    mu_cfg_release(cfg);
    mu_free(samples);
    mu_sample_release(&sample);
    return err;
}

/* The first batch of what is there; none: *out stays NULL. */
static mu_err find_example(inspector *i)
{
    if (input_is_given(i))
        return make_example(i);
    for (int phase = 0; phase < 3; phase++)
        if (*loader_of(i, phase))
            return mu_loader_example(*loader_of(i, phase), 0, &i->example);
    return MU_OK;
}

/* ---- the model ---- */

static int depth_of(const char *path)
{
    int depth = path[0] != '\0';
    for (; *path; path++)
        depth += *path == '.';
    return depth;
}

static int64_t params_below(const mu_modules *modules, int module)
{
    int64_t n = 0;
    for (int p = 0; p < mu_modules_n_params(modules); p++) {
        const mu_module_param *param = mu_modules_param(modules, p);
        int owner = param->module;
        while (owner >= 0 && owner != module)
            owner = mu_modules_at(modules, owner)->parent;
        if (owner == module && strncmp(param->leaf, "running_", 8) != 0)
            n += mu_type_count(&param->type);
    }
    return n;
}

static mu_err add_module(inspector *i, const mu_graph *graph, const mu_modules *modules, int m, int64_t samples)
{
    mu_inspection *out = i->out;
    const mu_module_info *info = mu_modules_at(modules, m);
    mu_type types[MU_OP_VARIADIC + MU_OP_MAX_OUT];
    int64_t flops = 0;
    MU_TRY(mu_grow(&out->module, &out->capacity, out->n_modules + 1, sizeof *out->module));
    mu_inspect_module *module = &out->module[out->n_modules];
    *module = (mu_inspect_module){.depth = depth_of(info->path), .params = params_below(modules, m)};
    for (int32_t k = info->first_node; k < info->first_node + info->n_nodes; k++) {
        const mu_node *node = mu_graph_node(graph, k);
        mu_call call = mu_graph_call(graph, node, types);
        flops += mu_call_flops(&call);
        module->output = *mu_graph_type(graph, node->out[0]);
    }
    module->flops = flops / samples;
    MU_TRY(mu_strdup(&module->path, info->path));
    out->n_modules++;
    return mu_strdup(&module->type, info->type);
}

static mu_err list_modules(inspector *i, const mu_batch *batch)
{
    mu_graph *graph;
    mu_mode mode = i->out->training ? MU_MODE_LOSS : MU_MODE_PREDICT;
    MU_TRY(mu_model_trace(i->runner->model, batch, mode, i->out->training, &graph));
    const mu_modules *modules = mu_model_modules(i->runner->model);
    mu_err err = MU_OK;
    for (int m = 0; m < mu_modules_count(modules) && !err; m++)
        err = add_module(i, graph, modules, m, batch->size);
    for (int p = 0; p < mu_modules_n_params(modules); p++) {
        const mu_module_param *param = mu_modules_param(modules, p);
        int64_t n = mu_type_count(&param->type);
        i->out->params += strncmp(param->leaf, "running_", 8) == 0 ? 0 : n;
        i->out->trainable += param->trainable ? n : 0;
    }
    mu_graph_release(graph);
    MU_TRY(err);
    return MU_OK;
}

static size_t count_averages(const mu_runner *runner)
{
    size_t n = 0;
    for (int i = 0; i < runner->n_hooks; i++)
        n += mu_component_of(runner->hook[i]) == &mu_component_ema_hook;
    return n;
}

/* An average lies where an optimizer's states do. */
static size_t optimizer_bytes(const inspector *i)
{
    const mu_params_sharing *sharing = mu_params_sharing_of(mu_model_params(i->runner->model));
    size_t parts = sharing->stage == MU_SHARD_OPTIMIZER ? (size_t)sharing->size : 1; /* else arenas like that of the gradients */
    size_t bytes = count_averages(i->runner) * i->out->gradient_bytes / parts;
    for (int k = 0; k < ckpt_n_optims(i->runner); k++) {
        ckpt_optim o;
        ckpt_optim_at(i->runner, k, &o);
        const mu_optim_ops *ops = mu_component_of(o.optim)->ops;
        mu_optim_group group = ops->group(o.optim);
        bytes += (size_t)ops->n_states(o.optim, &group) * i->out->gradient_bytes / parts;
    }
    return bytes;
}

/* How the ranks of the run would share the store. */
static mu_err share_store(inspector *i)
{
    mu_params_sharing sharing;
    if (!i->out->training)
        return MU_OK;
    mu_err err = i->runner->parallel ? MU_OK : mu_runner_build_parallel(i->runner);
    if (err)
        return note(i, err, get(i, "model_wrapper_cfg"), "model_wrapper_cfg");
    MU_TRY(mu_parallel_foresee(i->runner->parallel, i->options->ranks, &sharing));
    MU_TRY(mu_params_share(mu_model_params(i->runner->model), &sharing));
    return MU_OK;
}

static mu_err open_device(inspector *i)
{
    const mu_cfg *device = get(i, "device");
    mu_backend_options options = {.deterministic = true, .cache_dir = ""};
    MU_TRY(mu_strdup(&i->out->device, device ? mu_cfg_string(device) : "auto"));
    MU_TRY(mu_backend_open(i->out->device, &options, &i->runner->backend));
    return MU_OK;
}

static mu_err open_model(inspector *i)
{
    mu_model_options model = {.backend = i->runner->backend,
                              .autocast = i->runner->optim ? mu_optim_wrapper_autocast(i->runner->optim) : MU_NONE,
                              .loss_scale = i->runner->optim && mu_optim_wrapper_scales(i->runner->optim),
                              .data_preprocessor = get(i, "data_preprocessor")};
    MU_TRY(mu_build("model", get(i, "model"), NULL, "model", (void **)&i->runner->model));
    return mu_model_bind(i->runner->model, &model);
}

/* Do the metrics suit the model? */
static mu_err check_evaluators(inspector *i, const mu_batch *batch)
{
    static const char *const keys[] = {"val_evaluator", "test_evaluator"};
    mu_evaluator *const evaluator[] = {i->runner->val_evaluator, i->runner->test_evaluator};
    int64_t n = evaluator[0] || evaluator[1] ? mu_runner_count_classes(i->runner, batch) : 0;
    for (int k = 0; k < 2 && n > 0; k++) {
        mu_err err = evaluator[k] ? mu_evaluator_check(evaluator[k], n) : MU_OK;
        if (err)
            MU_TRY(note(i, err, get(i, keys[k]), keys[k]));
    }
    return MU_OK;
}

static mu_err trace_model(inspector *i)
{
    mu_plan_stats stats;
    const mu_batch *batch = mu_batch_buffer_batch(i->example);
    MU_TRY(open_model(i));
    i->out->training = i->runner->optim != NULL;
    MU_TRY(share_store(i));
    const mu_tensor *image = mu_tensors_find(&batch->fields, "img");
    i->out->input = image ? image->type : (mu_type){0};
    MU_TRY(list_modules(i, batch));
    MU_TRY(mu_model_estimate(i->runner->model, batch, i->out->training ? MU_MODE_LOSS : MU_MODE_PREDICT, i->out->training, &stats));
    i->out->flops = stats.flops;
    i->out->param_bytes = stats.param_bytes + stats.state_bytes;
    i->out->gradient_bytes = stats.gradient_bytes;
    i->out->activation_bytes = stats.arena_bytes;
    i->out->optimizer_bytes = optimizer_bytes(i);
    MU_TRY(check_evaluators(i, batch));
    i->out->traced = true;
    i->out->example = i->example;
    i->example = NULL;
    return MU_OK;
}

static mu_err check_load_from(inspector *i)
{
    const mu_cfg *from = get(i, "load_from");
    mu_tensor_file *file;
    if (!from)
        return MU_OK;
    mu_err err = mu_tensor_file_open(mu_cfg_string(from), MU_CHECKPOINT_FORMAT, MU_CHECKPOINT_VERSION, &file);
    if (err)
        return note(i, err, from, "load_from");
    mu_tensor_file_release(file);
    return MU_OK;
}

/* ---- what is built beside: loops, evaluators, optimizer, schedulers, hooks ---- */

/* A loop type, and an evaluator, per phase. */
static mu_err build_phase(inspector *i, mu_phase phase)
{
    static const char *const keys[][2] = {{NULL}, {"train_cfg"}, {"val_cfg", "val_evaluator"}, {"test_cfg", "test_evaluator"}};
    const mu_cfg *cfg = get(i, keys[phase][0]), *evaluator = keys[phase][1] ? get(i, keys[phase][1]) : NULL;
    mu_err err = cfg ? mu_runner_build_loop(i->runner, phase) : MU_OK;
    if (err)
        MU_TRY(note(i, err, cfg, keys[phase][0]));
    if (!evaluator)
        return MU_OK;
    err = mu_evaluator_new(evaluator, keys[phase][1], phase == MU_PHASE_VAL ? &i->runner->val_evaluator : &i->runner->test_evaluator);
    return err ? note(i, err, evaluator, keys[phase][1]) : MU_OK;
}

/* One scheduler, or a list of them. */
static mu_err build_schedulers(inspector *i, const mu_cfg *cfg, const char *where)
{
    bool list = cfg && mu_cfg_kind_of(cfg) == MU_CFG_LIST;
    for (size_t k = 0; cfg && k < (list ? mu_cfg_size(cfg) : 1); k++) {
        char path[128];
        void *scheduler;
        const mu_cfg *one = list ? mu_cfg_at(cfg, k) : cfg;
        snprintf(path, sizeof path, list ? "%s.%zu" : "%s", where, k);
        mu_err err = mu_build("param_scheduler", one, NULL, path, &scheduler);
        if (err)
            MU_TRY(note(i, err, one, path));
        else
            mu_destroy(scheduler);
    }
    return MU_OK;
}

static mu_err build_optim(inspector *i)
{
    const mu_cfg *wrapper = get(i, "optim_wrapper"), *schedulers = get(i, "param_scheduler");
    mu_err err = wrapper ? mu_runner_build_optim_wrappers(i->runner) : MU_OK;
    if (err)
        MU_TRY(note(i, err, wrapper, "optim_wrapper"));
    if (!mu_runner_names_parts(wrapper) || !schedulers || mu_cfg_kind_of(schedulers) != MU_CFG_DICT || mu_cfg_get(schedulers, "type"))
        return build_schedulers(i, schedulers, "param_scheduler");
    for (size_t k = 0; k < mu_cfg_size(schedulers); k++) {
        char path[96];
        snprintf(path, sizeof path, "param_scheduler.%s", mu_cfg_key_at(schedulers, k));
        MU_TRY(build_schedulers(i, mu_cfg_at(schedulers, k), path));
    }
    return MU_OK;
}

static mu_err build_hook(void *user, mu_runner *runner, const mu_cfg *cfg, const char *path)
{
    inspector *i = user;
    mu_hook *hook;
    mu_err err = mu_runner_add_hook(runner, cfg, path, &hook);
    if (!err) {
        const mu_hook_ops *ops = mu_component_of(hook)->ops;
        err = ops->check ? ops->check(hook, runner) : MU_OK;
    }
    return err ? note(i, err, cfg, path) : MU_OK;
}

static mu_err build_parts(inspector *i)
{
    const mu_cfg *log = get(i, "log_processor");
    for (mu_phase phase = MU_PHASE_TRAIN; phase <= MU_PHASE_TEST; phase++)
        MU_TRY(build_phase(i, phase));
    MU_TRY(build_optim(i));
    MU_TRY(mu_runner_visit_hooks(i->runner, build_hook, i));
    mu_err err = mu_log_processor_new(log, "log_processor", &i->runner->log_processor);
    return err ? note(i, err, log, "log_processor") : MU_OK;
}

static mu_err inspect(inspector *i)
{
    MU_TRY(mu_calloc(&i->runner, 1, sizeof *i->runner));
    MU_TRY(mu_calloc(&i->runner->own, 1, sizeof *i->runner->own));
    i->runner->cfg = i->cfg;
    for (int phase = 0; phase < 3; phase++)
        MU_TRY(open_data(i, phase));
    MU_TRY(check_load_from(i));
    MU_TRY(build_parts(i));
    mu_err err = find_example(i);
    const mu_cfg *train = get(i, "train_dataloader");
    if (err)
        return note(i, err, train ? train : i->cfg, train ? "train_dataloader" : "");
    if (!i->example)
        return MU_OK;
    const mu_cfg *device = get(i, "device");
    err = open_device(i);
    if (err)
        return note(i, err, device ? device : i->cfg, "device");
    mu_err fits = i->runner->optim ? mu_optim_wrapper_check_device(i->runner->optim, i->runner->backend) : MU_OK;
    if (fits)
        return note(i, fits, get(i, "optim_wrapper"), "optim_wrapper");
    err = trace_model(i);
    return err ? note(i, err, get(i, "model"), "model") : MU_OK;
}

mu_err mu_inspect(const mu_config *config, const mu_inspect_options *options, mu_diagnostics *list, mu_inspection *out)
{
    *out = (mu_inspection){0};
    inspector i = {.cfg = mu_config_root(config), .options = options, .list = list, .out = out};
    mu_err err = inspect(&i);
    mu_batch_buffer_release(i.example);
    mu_runner_release(i.runner);
    if (err)
        mu_inspection_release(out);
    MU_TRY(err);
    return MU_OK;
}

void mu_inspection_release(mu_inspection *inspection)
{
    for (size_t m = 0; m < inspection->n_modules; m++) {
        mu_free(inspection->module[m].path);
        mu_free(inspection->module[m].type);
    }
    mu_free(inspection->module);
    for (int d = 0; d < inspection->n_data; d++)
        mu_free(inspection->data[d].missing);
    mu_free(inspection->device);
    mu_batch_buffer_release(inspection->example);
    *inspection = (mu_inspection){0};
}

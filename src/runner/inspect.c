#include "runner/inspect.h"

#include "core/mem.h"
#include "io/tensor_file.h"
#include "runner/checkpoint.h"
#include "runner/own.h"

#include <stdio.h>
#include <string.h>

/* Everything that is built on the way. */
typedef struct {
    const mu_cfg *cfg;
    const mu_inspect_options *options;
    mu_diagnostics *list;
    mu_inspection *out;
    mu_loader *loader[3]; /* of train, val, test */
    mu_backend *backend;
    mu_model *model;
    mu_optim_wrapper *optim;
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

/* Notes the error of this thread at a place of the config. */
static mu_err note(inspector *i, const mu_cfg *at, const char *path, const char *expected)
{
    return mu_diagnostics_add(i->list, mu_cfg_pos(at), path, expected, mu_error_last()->message, NULL);
}

/* ---- data ---- */

static bool is_a_mistake_of_the_user(mu_err err)
{
    return err == MU_ERR_IO || err == MU_ERR_FORMAT || err == MU_ERR_CONFIG || err == MU_ERR_NOT_FOUND || err == MU_ERR_SHAPE;
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
    mu_err err = mu_loader_new(cfg, path, &options, &i->loader[phase]);
    if (!err) {
        data->samples = mu_dataset_length(mu_loader_dataset(i->loader[phase]));
        data->batches = mu_loader_length(i->loader[phase]);
        data->repeated = (ranks - data->samples % ranks) % ranks;
        return MU_OK;
    }
    if (!is_a_mistake_of_the_user(err))
        return err;
    MU_TRY(mu_strdup(&data->missing, mu_error_last()->message));
    if (input_is_given(i) && err == MU_ERR_IO)
        return MU_OK;
    snprintf(path, sizeof path, "%s_dataloader.dataset", phases[phase]);
    const mu_cfg *dataset = mu_cfg_get(cfg, "dataset"), *file = mu_cfg_get(dataset, "path");
    return note(i, file ? file : dataset, path, "a dataset that can be read");
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
        if (i->loader[phase])
            return mu_loader_example(i->loader[phase], 0, &i->example);
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
    MU_TRY(mu_model_trace(i->model, batch, mode, i->out->training, &graph));
    const mu_modules *modules = mu_model_modules(i->model);
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

static size_t optimizer_bytes(const inspector *i)
{
    if (!i->optim)
        return 0;
    const mu_optim *optim = mu_optim_wrapper_optim(i->optim);
    const mu_optim_ops *ops = mu_component_of(optim)->ops;
    mu_optim_group group = ops->group(optim);
    return (size_t)ops->n_states(optim, &group) * (size_t)i->out->trainable * sizeof(float);
}

static mu_err open_model(inspector *i)
{
    const mu_cfg *device = get(i, "device"), *wrapper = get(i, "optim_wrapper");
    mu_backend_options options = {.deterministic = true, .cache_dir = ""};
    MU_TRY(mu_strdup(&i->out->device, device ? mu_cfg_string(device) : "auto"));
    MU_TRY(mu_backend_open(i->out->device, &options, &i->backend));
    if (wrapper)
        MU_TRY(mu_runner_build_typed("optim_wrapper", wrapper, "OptimWrapper", "optim_wrapper", (void **)&i->optim));
    mu_model_options model = {.backend = i->backend,
                              .autocast = i->optim ? mu_optim_wrapper_autocast(i->optim) : MU_NONE,
                              .data_preprocessor = get(i, "data_preprocessor")};
    MU_TRY(mu_build("model", get(i, "model"), NULL, "model", (void **)&i->model));
    return mu_model_bind(i->model, &model);
}

static mu_err trace_model(inspector *i)
{
    mu_plan_stats stats;
    const mu_batch *batch = mu_batch_buffer_batch(i->example);
    MU_TRY(open_model(i));
    i->out->training = i->optim != NULL;
    const mu_tensor *image = mu_tensors_find(&batch->fields, "img");
    i->out->input = image ? image->type : (mu_type){0};
    MU_TRY(list_modules(i, batch));
    MU_TRY(mu_model_estimate(i->model, batch, i->out->training ? MU_MODE_LOSS : MU_MODE_PREDICT, i->out->training, &stats));
    i->out->flops = stats.flops;
    i->out->param_bytes = stats.param_bytes + stats.state_bytes;
    i->out->gradient_bytes = stats.gradient_bytes;
    i->out->activation_bytes = stats.arena_bytes;
    i->out->optimizer_bytes = optimizer_bytes(i);
    i->out->traced = true;
    return MU_OK;
}

static mu_err check_load_from(inspector *i)
{
    const mu_cfg *from = get(i, "load_from");
    mu_tensor_file *file;
    if (!from)
        return MU_OK;
    mu_err err = mu_tensor_file_open(mu_cfg_string(from), MU_CHECKPOINT_FORMAT, MU_CHECKPOINT_VERSION, &file);
    if (!err)
        mu_tensor_file_release(file);
    else if (is_a_mistake_of_the_user(err))
        return note(i, from, "load_from", "a checkpoint that can be read");
    return err;
}

static mu_err inspect(inspector *i)
{
    for (int phase = 0; phase < 3; phase++)
        MU_TRY(open_data(i, phase));
    MU_TRY(check_load_from(i));
    mu_err err = find_example(i);
    if (err && is_a_mistake_of_the_user(err))
        return note(i, get(i, "train_dataloader") ? get(i, "train_dataloader") : i->cfg, "train_dataloader",
                    "a first batch that can be made");
    MU_TRY(err);
    if (!i->example)
        return MU_OK;
    err = trace_model(i);
    if (err && is_a_mistake_of_the_user(err))
        return note(i, get(i, "model"), "model", "a model that fits its data");
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_inspect(const mu_config *config, const mu_inspect_options *options, mu_diagnostics *list, mu_inspection *out)
{
    *out = (mu_inspection){0};
    inspector i = {.cfg = mu_config_root(config), .options = options, .list = list, .out = out};
    mu_err err = inspect(&i);
    mu_batch_buffer_release(i.example);
    mu_destroy(i.model);
    mu_destroy(i.optim);
    mu_backend_close(i.backend);
    for (int phase = 0; phase < 3; phase++)
        mu_loader_release(i.loader[phase]);
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
    *inspection = (mu_inspection){0};
}

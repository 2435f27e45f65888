#include "nn/model_impl.h"

#include "core/mem.h"

#include <math.h>

static const mu_model_ops *ops_of(const mu_model *model)
{
    return mu_component_of(model)->ops;
}

int mu_model_n_parts(const mu_model *model)
{
    int n = 0;
    while (ops_of(model)->parts && ops_of(model)->parts[n])
        n++;
    return n;
}

const char *mu_model_part(const mu_model *model, int i)
{
    return i < mu_model_n_parts(model) ? ops_of(model)->parts[i] : NULL;
}

void mu_model_select_part(mu_model *model, int i)
{
    model->state->part = i;
}

static mu_plan_kind train_kind(int part)
{
    return (mu_plan_kind)(MU_PLAN_TRAIN + part);
}

static mu_plan_kind selected(const mu_model *model)
{
    return train_kind(model->state->part);
}

/* Passes through the training plan, or those of all parts. */
static int n_train_plans(const mu_model *model)
{
    int n = mu_model_n_parts(model);
    return n ? n : 1;
}

/* ---- life ---- */

static void release(mu_model_state *state)
{
    mu_plan_cache_release(state->cache);
    mu_params_release(state->params);
    mu_modules_release(state->modules);
    mu_destroy(state->preprocessor);
    for (int k = 0; k < MU_N_PLAN_KINDS; k++)
        mu_trace_names_release(&state->names[k]);
    mu_trace_names_release(&state->fields);
    mu_trace_names_release(&state->unused);
    mu_free(state->outputs);
    mu_free(state);
}

void mu_model_destroy(void *object)
{
    mu_model *model = object;
    if (model->state)
        release(model->state);
    model->state = NULL;
}

static mu_err set_up(const mu_model *model, mu_model_state *state)
{
    const mu_cfg *preprocessor = model->data_preprocessor ? model->data_preprocessor : state->options.data_preprocessor;
    int capacity = state->options.plan_capacity ? state->options.plan_capacity : 8;
    capacity = capacity < n_train_plans(model) ? n_train_plans(model) : capacity;
    if (preprocessor)
        MU_TRY(mu_build("data_preprocessor", preprocessor, NULL, "data_preprocessor", &state->preprocessor));
    MU_TRY(mu_params_new(state->options.backend, &state->params));
    MU_TRY(mu_plan_cache_new(capacity, &state->cache));
    MU_TRY(mu_modules_new(&state->modules));
    return MU_OK;
}

mu_err mu_model_bind(mu_model *model, const mu_model_options *options)
{
    mu_model_state *state;
    if (model->state)
        return MU_FAIL(MU_ERR_USAGE, "the model is bound already");
    if (mu_model_n_parts(model) > MU_MAX_PARTS)
        return MU_FAIL(MU_ERR_OVERFLOW, "%s has %d parts; %d is the limit", mu_component_of(model)->name, mu_model_n_parts(model), MU_MAX_PARTS);
    MU_TRY(mu_calloc(&state, 1, sizeof *state));
    state->options = *options;
    mu_err err = set_up(model, state);
    if (err) {
        release(state);
        return err;
    }
    model->state = state;
    return MU_OK;
}

static mu_err bound(const mu_model *model)
{
    if (!model->state)
        return MU_FAIL(MU_ERR_USAGE, "the model is not bound to a backend: mu_model_bind comes first");
    return MU_OK;
}

mu_err mu_model_prepare(mu_model *model, const mu_batch *example, bool training)
{
    mu_model_slot *slot;
    MU_TRY(bound(model));
    if (!training)
        MU_TRY(mu_model_plan(model, MU_PLAN_PREDICT, &example->fields, &slot));
    for (int i = 0; training && i < n_train_plans(model); i++)
        MU_TRY(mu_model_plan(model, train_kind(i), &example->fields, &slot));
    return MU_OK;
}

/* ---- looking ---- */

mu_params *mu_model_params(const mu_model *model)
{
    return model->state ? model->state->params : NULL;
}

const mu_modules *mu_model_modules(const mu_model *model)
{
    return model->state ? model->state->modules : NULL;
}

int mu_model_unused_params(const mu_model *model, void (*visit)(void *user, const char *name), void *user)
{
    const mu_model_state *state = model->state;
    for (int i = 0; state && visit && i < state->unused.n; i++)
        visit(user, state->unused.name[i]);
    return state ? state->unused.n : 0;
}

mu_plan *mu_model_train_plan(const mu_model *model)
{
    return model->state ? model->state->slot[selected(model)].plan : NULL;
}

void mu_model_changed(mu_model *model)
{
    if (model->state)
        model->state->stale = true;
}

mu_err mu_model_trace(mu_model *model, const mu_batch *example, mu_mode mode, bool training, mu_graph **out)
{
    mu_trace_names names = {0};
    MU_TRY(bound(model));
    MU_TRY(mu_model_record(model, &example->fields, mode, training, 0, model->state->modules, out, &names));
    mu_trace_names_release(&names);
    return MU_OK;
}

static mu_err find_collective(mu_model *model, const mu_tensors *inputs, int part, bool *found)
{
    mu_trace_names names = {0};
    mu_modules *modules;
    mu_graph *graph = NULL;
    MU_TRY(mu_modules_new(&modules));
    mu_err err = mu_model_record(model, inputs, MU_MODE_LOSS, true, part, modules, &graph, &names);
    for (int i = 0; !err && i < mu_graph_n_nodes(graph) && !*found; i++)
        *found = mu_graph_node(graph, i)->op->flags & MU_OP_COLLECTIVE;
    mu_graph_release(graph);
    mu_trace_names_release(&names);
    mu_modules_release(modules);
    return err;
}

mu_err mu_model_is_collective(mu_model *model, const mu_batch *example, bool *out)
{
    int n = mu_model_n_parts(model);
    bool found = false;
    MU_TRY(bound(model));
    for (int i = 0; i < (n ? n : 1) && !found; i++)
        MU_TRY(find_collective(model, &example->fields, i, &found));
    *out = found;
    return MU_OK;
}

static mu_err estimate(mu_model *model, const mu_batch *example, mu_mode mode, bool training, int part, mu_plan_stats *out)
{
    mu_trace_names names = {0};
    mu_modules *modules = NULL;
    mu_graph *graph = NULL;
    mu_plan *plan;
    mu_err err;
    MU_TRY(bound(model));
    MU_TRY(mu_modules_new(&modules));
    MU_TRY_GOTO(err, mu_model_record(model, &example->fields, mode, training, part, modules, &graph, &names), done);
    mu_plan_options options = {
        .autocast = model->state->options.autocast, .dry = true, .sharing = mu_params_sharing_of(model->state->params)};
    MU_TRY_GOTO(err, mu_plan_new(graph, model->state->options.backend, NULL, &options, &plan), done);
    *out = mu_plan_get_stats(plan);
    mu_plan_release(plan);
done:
    mu_graph_release(graph);
    mu_trace_names_release(&names);
    mu_modules_release(modules);
    return err;
}

mu_err mu_model_estimate(mu_model *model, const mu_batch *example, mu_mode mode, bool training, mu_plan_stats *out)
{
    mu_plan_stats all;
    int n = training && mode == MU_MODE_LOSS ? mu_model_n_parts(model) : 0;
    MU_TRY(estimate(model, example, mode, training, 0, &all));
    for (int i = 1; i < n; i++) { /* each has a plan of its own, and runs in every iteration; the store is one */
        mu_plan_stats part;
        MU_TRY(estimate(model, example, mode, training, i, &part));
        all.arena_bytes += part.arena_bytes;
        all.lower_bound_bytes += part.lower_bound_bytes;
        all.activation_bytes += part.activation_bytes;
        all.flops += part.flops;
        all.bytes += part.bytes;
        all.n_steps += part.n_steps;
        all.n_reorders += part.n_reorders;
    }
    *out = all;
    return MU_OK;
}

mu_err mu_model_init_weights(mu_model *model, uint64_t seed, mu_init_load_fn *load, void *user, mu_init_record *record)
{
    if (!model->state || !model->state->prepared)
        return MU_FAIL(MU_ERR_USAGE, "the model has no parameters yet: mu_model_prepare comes first");
    mu_model_changed(model);
    MU_TRY(mu_init_weights(model->state->modules, model->state->params, seed, load, user, record));
    return MU_OK;
}

/* ---- running ---- */

/* An input's place in the plan is good for one run. */
static void give_inputs(mu_model_slot *slot, const mu_batch *batch)
{
    for (int i = 0; i < batch->fields.n; i++) {
        mu_tensor *input = &slot->inputs.item[i];
        input->data = slot->at[i] >= 0 ? batch->fields.item[i].data : NULL;
        if (input->data && batch->lent)
            mu_plan_input_from(slot->plan, slot->at[i], input->data);
        else if (input->data)
            memcpy(mu_plan_input_at(slot->plan, slot->at[i]), input->data, mu_type_bytes(&input->type));
    }
}

/* The plan for this batch, its inputs given and checked. */
static mu_err load(mu_model *model, const mu_batch *batch, mu_plan_kind kind, mu_model_slot **out)
{
    mu_model_slot *slot;
    mu_model_state *state = model->state;
    MU_TRY(bound(model));
    if (!state->prepared)
        return MU_FAIL(MU_ERR_USAGE, "the model has no parameters yet: mu_model_prepare comes first");
    MU_TRY(mu_model_plan(model, kind, &batch->fields, &slot));
    give_inputs(slot, batch);
    if (mu_plan_kind_mode(kind) == MU_MODE_LOSS && ops_of(model)->check)
        MU_TRY(ops_of(model)->check(model, &slot->inputs));
    if (mu_plan_kind_trains(kind)) {
        state->stale = true; /* running statistics move, and parameters after this */
    } else if (state->stale) {
        mu_plan_cache_refresh(state->cache);
        state->stale = false;
    }
    *out = slot;
    return MU_OK;
}

static size_t name_losses(const mu_model_state *state, mu_plan_kind kind, const mu_type *type, const void *raw, mu_log_vars *out)
{
    double wide[MU_MAX_LOSSES];
    const mu_trace_names *names = &state->names[kind];
    mu_convert(wide, MU_F64, raw, type->dtype, names->n);
    out->n = names->n;
    for (int i = 0; i < names->n; i++)
        out->item[i] = (mu_log_var){.name = names->name[i], .value = wide[i]};
    return mu_type_bytes(type);
}

static mu_err read_log_vars(const mu_model_state *state, mu_plan_kind kind, const mu_model_slot *slot, mu_log_vars *out)
{
    double raw[MU_MAX_LOSSES];
    MU_TRY(mu_plan_read(slot->plan, MU_TRACE_LOG_VARS, raw, mu_type_bytes(&slot->output[0])));
    name_losses(state, kind, &slot->output[0], raw, out);
    return MU_OK;
}

void *mu_model_losses(const mu_model *model, int part, mu_type *type)
{
    const mu_model_slot *slot = &model->state->slot[train_kind(part)];
    *type = slot->output[0];
    return mu_plan_output(slot->plan, MU_TRACE_LOG_VARS);
}

size_t mu_model_read_losses(const mu_model *model, int part, const void *bytes, mu_log_vars *out)
{
    const mu_model_state *state = model->state;
    return name_losses(state, train_kind(part), &state->slot[train_kind(part)].output[0], bytes, out);
}

mu_err mu_model_check_gradients(const mu_model *model)
{
    const mu_params *params = model->state->params;
    const char *gradients = mu_params_gradients(params, NULL);
    if (!gradients || !model->state->options.backend->host_memory || model->state->options.loss_scale)
        return MU_OK;
    for (int i = 0; i < mu_params_count(params); i++) {
        const mu_param_info *info = mu_params_at(params, i);
        mu_param_piece piece = mu_params_piece(params, i);
        if (info->trainable && !mu_all_finite(info->type.dtype, gradients + piece.gradient,
                                              (int64_t)(piece.bytes / mu_dtype_size(info->type.dtype))))
            return MU_FAIL(MU_ERR_NUMERIC, "the gradient of \"%s\" is not finite", info->name);
    }
    return MU_OK;
}

/* What the trouble is: the loss, or its gradients. */
static mu_err name_trouble(const mu_model_state *state)
{
    long long step = (long long)state->run.step;
    double loss = state->loss;
    if (isfinite(loss))
        mu_error_context("step %lld: the loss is %g, but its gradients are not finite", step, loss);
    else
        mu_error_context("step %lld: the loss is %s", step, isnan(loss) ? "NaN" : loss > 0 ? "infinite" : "-infinite");
    return mu_error_hint("a smaller learning rate, a warm-up or clip_grad often help; look at the data first");
}

/* What is not finite becomes 0. */
static mu_err mend(mu_params *params, const mu_param_info *info)
{
    size_t size = mu_dtype_size(info->type.dtype), bytes = mu_type_bytes(&info->type);
    bool bad = false;
    char *values;
    MU_TRY(mu_alloc(&values, bytes));
    mu_err err = mu_params_read(params, info->name, values);
    for (size_t at = 0; !err && at < bytes; at += size)
        if (!mu_all_finite(info->type.dtype, values + at, 1)) {
            memset(values + at, 0, size);
            bad = true;
        }
    if (!err && bad)
        err = mu_params_write(params, info->name, values);
    mu_free(values);
    return err;
}

static mu_err mend_states(mu_params *params)
{
    for (int i = 0; i < mu_params_count(params); i++) {
        const mu_param_info *info = mu_params_at(params, i);
        if (!info->trainable && mu_dtype_is_float(info->type.dtype))
            MU_TRY(mend(params, info));
    }
    return MU_OK;
}

/* On states that are finite: operations are not to blame for what the running statistics have seen before. */
static mu_err run_mended(mu_model_state *state)
{
    mu_log_vars vars;
    mu_plan_kind kind = train_kind(state->part);
    MU_TRY(mend_states(state->params));
    mu_err err = mu_plan_run_checked(state->slot[kind].plan, &state->run);
    if ((err && err != MU_ERR_NUMERIC) || state->has_run)
        return err;
    mu_error found = *mu_error_last();
    MU_TRY(read_log_vars(state, kind, &state->slot[kind], &vars));
    state->loss = vars.item[0].value;
    return err ? mu_error_restore(&found) : MU_OK;
}

/* Leaves the states as they were. */
static mu_err run_again(mu_model_state *state)
{
    const mu_backend_ops *ops = state->options.backend->ops;
    size_t bytes;
    char *kept;
    void *states = mu_params_states(state->params, &bytes);
    if (!bytes)
        return run_mended(state);
    MU_TRY(mu_alloc(&kept, bytes));
    mu_err err = ops->download(state->options.backend, kept, states, bytes);
    if (!err) {
        err = run_mended(state);
        mu_error found = *mu_error_last();
        mu_err restored = ops->upload(state->options.backend, states, kept, bytes);
        err = restored ? restored : err ? mu_error_restore(&found) : MU_OK;
    }
    mu_free(kept);
    return err;
}

mu_err mu_model_explain(mu_model *model, uint64_t seed, int64_t step)
{
    mu_model_state *state = model->state;
    const mu_comm *comm = state->options.comm;
    state->run.seed = seed;
    state->run.step = step;
    if (!mu_plan_is_alone(state->slot[selected(model)].plan)) {
        (void)MU_FAIL(MU_ERR_NUMERIC, "which operation is to blame cannot be told: the parameters are in pieces");
        return name_trouble(state);
    }
    mu_err err = run_again(state);
    if (err && err != MU_ERR_NUMERIC)
        return err;
    if (isfinite(state->loss) && (!err || state->options.loss_scale))
        return MU_OK;
    if (!err && comm && comm->size > 1) /* SyncBN: other ranks' values */
        return MU_OK;
    if (!err)
        (void)MU_FAIL(MU_ERR_NUMERIC, "every operation gives finite values when it is run alone, but the total does not");
    return name_trouble(state);
}

mu_err mu_model_load_train(mu_model *model, const mu_batch *batch)
{
    mu_model_slot *slot;
    int n = n_train_plans(model);
    MU_TRY(bound(model));
    for (int i = 0; n > 1 && model->state->prepared && i < n; i++) /* making one plan may cost the others their slots */
        MU_TRY(mu_model_plan(model, train_kind(i), &batch->fields, &slot));
    for (int i = 0; i < n; i++) {
        MU_TRY(load(model, batch, train_kind(i), &slot));
        MU_TRY(mu_plan_send(slot->plan));
    }
    model->state->run = (mu_run){.sample_offset = batch->first, .sample_stride = batch->stride};
    model->state->has_run = false;
    return MU_OK;
}

mu_err mu_model_run_train(mu_model *model, uint64_t seed, int64_t step, mu_log_vars *out)
{
    mu_model_state *state = model->state;
    const mu_model_slot *slot = &state->slot[selected(model)];
    mu_log_vars vars;
    if (!slot->plan)
        return MU_FAIL(MU_ERR_USAGE, "there is no batch to train with: mu_model_load_train comes first");
    state->run.seed = seed;
    state->run.step = step;
    MU_TRY(mu_plan_run(slot->plan, &state->run));
    if (!out)
        return MU_OK;
    MU_TRY(read_log_vars(state, selected(model), slot, &vars));
    state->loss = vars.item[0].value;
    state->has_run = true;
    if (!isfinite(state->loss)) {
        (void)MU_FAIL(MU_ERR_NUMERIC, "the total loss is not finite");
        return name_trouble(state);
    }
    *out = vars;
    return MU_OK;
}

mu_err mu_model_train_step(mu_model *model, const mu_batch *batch, uint64_t seed, int64_t step, mu_log_vars *out)
{
    mu_log_vars vars;
    MU_TRY(mu_model_load_train(model, batch));
    mu_err err = mu_model_run_train(model, seed, step, &vars);
    if (!err)
        err = mu_model_check_gradients(model);
    if (err == MU_ERR_NUMERIC)
        MU_TRY(mu_model_explain(model, seed, step));
    MU_TRY(err);
    *out = vars;
    return MU_OK;
}

mu_err mu_model_loss(mu_model *model, const mu_batch *batch, mu_log_vars *out)
{
    mu_model_slot *slot;
    if (mu_model_n_parts(model))
        return MU_FAIL(MU_ERR_UNSUPPORTED, "%s is trained in parts: it has no losses outside of training", mu_component_of(model)->name);
    MU_TRY(load(model, batch, MU_PLAN_LOSS, &slot));
    MU_TRY(mu_plan_run(slot->plan, NULL));
    MU_TRY(read_log_vars(model->state, MU_PLAN_LOSS, slot, out));
    return MU_OK;
}

static bool is_half(mu_dtype dtype)
{
    return dtype == MU_F16 || dtype == MU_BF16;
}

/* Outputs of half types (autocast) are handed out as f32. */
static mu_err read_outputs(mu_model_state *state, mu_plan_kind kind, const mu_model_slot *slot, mu_tensors *out)
{
    const mu_trace_names *names = &state->names[kind];
    mu_tensors list = {.n = names->n};
    size_t at[MU_MAX_TENSORS + 1] = {0}, raw_bytes = 0;
    for (int i = 0; i < names->n; i++) {
        mu_tensor *output = &list.item[i];
        *output = (mu_tensor){.name = names->name[i], .type = slot->output[i]};
        if (is_half(output->type.dtype)) {
            raw_bytes = mu_type_bytes(&output->type) > raw_bytes ? mu_type_bytes(&output->type) : raw_bytes;
            output->type.dtype = MU_F32;
        }
        MU_TRY(mu_add_size(at[i], mu_align_up(mu_type_bytes(&output->type)), &at[i + 1]));
    }
    MU_TRY(mu_grow(&state->outputs, &state->output_capacity, at[names->n] + raw_bytes, 1));
    for (int i = 0; i < names->n; i++) {
        mu_tensor *output = &list.item[i];
        mu_dtype dtype = slot->output[i].dtype;
        bool convert = dtype != output->type.dtype;
        output->data = state->outputs + at[i];
        void *raw = convert ? state->outputs + at[names->n] : output->data;
        MU_TRY(mu_plan_read(slot->plan, names->name[i], raw, mu_type_bytes(&slot->output[i])));
        if (convert)
            mu_convert(output->data, MU_F32, raw, dtype, mu_type_count(&output->type));
    }
    *out = list;
    return MU_OK;
}

static mu_plan_kind kind_of(mu_mode mode)
{
    return mode == MU_MODE_PREDICT ? MU_PLAN_PREDICT : MU_PLAN_TENSOR;
}

mu_err mu_model_load_forward(mu_model *model, const mu_batch *batch, mu_mode mode)
{
    mu_model_slot *slot;
    if (mode == MU_MODE_LOSS)
        return MU_FAIL(MU_ERR_USAGE, "mu_model_forward gives predictions and tensors; losses come from mu_model_loss");
    MU_TRY(load(model, batch, kind_of(mode), &slot));
    return MU_OK;
}

mu_err mu_model_run_forward(mu_model *model, mu_mode mode, mu_tensors *out)
{
    mu_plan_kind kind = kind_of(mode);
    const mu_model_slot *slot = &model->state->slot[kind];
    if (!slot->plan)
        return MU_FAIL(MU_ERR_USAGE, "there is no batch to run: mu_model_load_forward comes first");
    MU_TRY(mu_plan_run(slot->plan, NULL));
    MU_TRY(read_outputs(model->state, kind, slot, out));
    return MU_OK;
}

mu_err mu_model_forward(mu_model *model, const mu_batch *batch, mu_mode mode, mu_tensors *out)
{
    MU_TRY(mu_model_load_forward(model, batch, mode));
    MU_TRY(mu_model_run_forward(model, mode, out));
    return MU_OK;
}

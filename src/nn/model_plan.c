/* Plans of a model: traced and made at the first batch of a kind and shape, found again for the next ones. */
#include "nn/model_impl.h"

#include "core/mem.h"
#include "graph/autodiff.h"

#include <stdio.h>

_Static_assert((int)MU_TRACE_MAX_LOG_VARS == (int)MU_MAX_LOSSES, "what a trace records must fit in mu_log_vars");

/* "train 1" is the second part's. */
static const char *kind_name(mu_plan_kind kind)
{
    static const char *const train[] = {"train", "train 1", "train 2", "train 3"};
    _Static_assert(sizeof train / sizeof *train == MU_MAX_PARTS, "a name for each part");
    return mu_plan_kind_trains(kind) ? train[kind] : kind == MU_PLAN_LOSS ? "loss" : kind == MU_PLAN_PREDICT ? "predict" : "tensor";
}

mu_mode mu_plan_kind_mode(mu_plan_kind kind)
{
    return kind == MU_PLAN_PREDICT ? MU_MODE_PREDICT : kind == MU_PLAN_TENSOR ? MU_MODE_TENSOR : MU_MODE_LOSS;
}

mu_err mu_model_record(const mu_model *model, const mu_tensors *inputs, mu_mode mode, bool training, int part, mu_modules *modules,
                       mu_graph **graph, mu_trace_names *names)
{
    const mu_component *component = mu_component_of(model);
    mu_trace t;
    MU_TRY(mu_trace_begin(&t, mode, training, inputs, modules, component->name, model->init_cfg));
    t.preprocessor = model->state->preprocessor;
    t.comm = model->state->options.comm;
    t.sync_bn = model->state->options.sync_bn;
    t.loss_scale = model->state->options.loss_scale;
    if (training && mode == MU_MODE_LOSS)
        t.part = mu_model_part(model, part);
    ((const mu_model_ops *)component->ops)->forward(model, &t);
    MU_TRY(mu_trace_end(&t, training && mode == MU_MODE_LOSS, graph, names));
    return MU_OK;
}

static mu_err append_name(mu_trace_names *names, size_t *capacity, const char *name)
{
    MU_TRY(mu_grow(&names->name, capacity, (size_t)names->n + 1, sizeof *names->name));
    MU_TRY(mu_strdup(&names->name[names->n], name));
    names->n++;
    return MU_OK;
}

/* ---- making a plan ---- */

typedef struct {
    mu_model *model;
    mu_plan_kind kind;
    const mu_tensors *inputs;
} request;

/* Every trained parameter must be updated by some part's optimizer. */
static mu_err check_part(const mu_model *model, const mu_module_param *param)
{
    int n = mu_model_n_parts(model);
    for (int i = 0; i < n; i++)
        if (mu_name_is_under(param->name, mu_model_part(model, i)))
            return MU_OK;
    if (n && param->trainable)
        return MU_FAIL(MU_ERR_CONFIG, "parameter \"%s\" is in none of the parts that the model is trained in", param->name);
    return MU_OK;
}

static mu_err declare_params(const mu_model *model, const mu_modules *modules)
{
    mu_params *params = model->state->params;
    for (int i = 0; i < mu_modules_n_params(modules); i++) {
        const mu_module_param *p = mu_modules_param(modules, i);
        if (mu_params_frozen(params) && mu_params_find(params, p->name) < 0) {
            (void)MU_FAIL(MU_ERR_CONFIG, "parameter \"%s\" appears after the model has been prepared", p->name);
            return mu_error_hint("every mode and shape must use parameters that the first trace declares");
        }
        MU_TRY(check_part(model, p));
        MU_TRY(mu_params_declare(params, p->name, p->type, p->trainable));
    }
    return MU_OK;
}

/* Of all parts, before the first plan lays the states out. */
static mu_err declare_loss_scales(const mu_model *model)
{
    int n = mu_model_n_parts(model);
    for (int i = 0; model->state->options.loss_scale && i < (n ? n : 1); i++) {
        char *name;
        MU_TRY(mu_loss_scale_name(mu_model_part(model, i), &name));
        mu_err err = mu_params_declare(model->state->params, name, MU_TYPE(MU_F32, 1), false);
        mu_free(name);
        MU_TRY(err);
    }
    return MU_OK;
}

typedef struct {
    mu_model_state *state;
    const char *part; /* NULL: all parameters */
    mu_err err;
} unused_visit;

static void visit_unused(void *user, const char *name)
{
    unused_visit *visit = user;
    if (!visit->err && (!visit->part || mu_name_is_under(name, visit->part)))
        visit->err = append_name(&visit->state->unused, &visit->state->unused_capacity, name);
}

/* The first part begins the list. */
static mu_err list_unused(const mu_model *model, const mu_graph *graph, int part)
{
    mu_model_state *state = model->state;
    if (part == 0) {
        mu_trace_names_release(&state->unused);
        state->unused_capacity = 0;
    }
    unused_visit visit = {.state = state, .part = mu_model_part(model, part)};
    mu_graph_unused_params(graph, visit_unused, &visit);
    MU_TRY(visit.err);
    return MU_OK;
}

/* Takes the names over when they are the first of this kind; they must be the same ever after. */
static mu_err keep_names(mu_model_state *state, mu_plan_kind kind, mu_trace_names *names)
{
    if (state->names[kind].n == 0) {
        state->names[kind] = *names;
        *names = (mu_trace_names){0};
        return MU_OK;
    }
    if (!mu_trace_names_equal(&state->names[kind], names))
        return MU_FAIL(MU_ERR_UNSUPPORTED, "the model records other values for this batch in mode \"%s\" than before: their "
                                           "names may not depend on shapes", kind_name(kind));
    return MU_OK;
}

static mu_err plan_graph(request *r, const mu_modules *modules, const mu_graph *graph, mu_trace_names *names, mu_plan **out)
{
    mu_model_state *state = r->model->state;
    mu_plan_options options = {.autocast = state->options.autocast, .profile = state->options.profile};
    mu_plan *plan;
    mu_err err;
    MU_TRY(declare_params(r->model, modules));
    MU_TRY(declare_loss_scales(r->model));
    if (mu_plan_kind_trains(r->kind))
        MU_TRY(list_unused(r->model, graph, (int)r->kind));
    MU_TRY(mu_plan_new(graph, state->options.backend, state->params, &options, &plan));
    MU_TRY_GOTO(err, keep_names(state, r->kind, names), fail);
    *out = plan;
    return MU_OK;
fail:
    mu_plan_release(plan);
    return err;
}

static mu_err build(void *user, const mu_plan_key *key, mu_plan **out)
{
    (void)key;
    request *r = user;
    mu_model_state *state = r->model->state;
    mu_modules *modules = state->modules, *own = NULL;
    mu_graph *graph = NULL;
    mu_trace_names names = {0};
    mu_err err;
    memset(state->slot, 0, sizeof state->slot); /* the cache may have let a plan go */
    if (state->prepared) { /* names of the first trace stay borrowed */
        MU_TRY(mu_modules_new(&own));
        modules = own;
    }
    MU_TRY_GOTO(err, mu_model_record(r->model, r->inputs, mu_plan_kind_mode(r->kind), mu_plan_kind_trains(r->kind),
                                     (int)r->kind, modules,
                                     &graph, &names), done);
    MU_TRY_GOTO(err, plan_graph(r, modules, graph, &names, out), done);
    state->prepared = true;
done:
    mu_graph_release(graph);
    mu_trace_names_release(&names);
    mu_modules_release(own);
    return err;
}

/* ---- finding it ---- */

static bool matches(const mu_model_slot *slot, const mu_tensors *inputs)
{
    if (!slot->plan || slot->inputs.n != inputs->n)
        return false;
    for (int i = 0; i < inputs->n; i++) {
        const mu_tensor *had = &slot->inputs.item[i], *has = &inputs->item[i];
        if (strcmp(had->name, has->name) != 0 || !mu_type_equal(&had->type, &has->type))
            return false;
    }
    return true;
}

static mu_err intern(mu_model_state *state, const char *name, const char **out)
{
    int i = 0;
    while (i < state->fields.n && strcmp(state->fields.name[i], name) != 0)
        i++;
    if (i == state->fields.n)
        MU_TRY(append_name(&state->fields, &state->field_capacity, name));
    *out = state->fields.name[i];
    return MU_OK;
}

static mu_err fill_slot(mu_model_state *state, mu_plan_kind kind, mu_plan *plan, const mu_tensors *inputs)
{
    mu_model_slot *slot = &state->slot[kind];
    *slot = (mu_model_slot){.inputs = {.n = inputs->n}};
    for (int i = 0; i < inputs->n; i++) {
        mu_tensor *input = &slot->inputs.item[i];
        MU_TRY(intern(state, inputs->item[i].name, &input->name));
        input->type = inputs->item[i].type;
        slot->at[i] = mu_plan_find_input(plan, input->name);
    }
    if (mu_plan_kind_mode(kind) == MU_MODE_LOSS)
        slot->output[0] = mu_plan_output_type(plan, MU_TRACE_LOG_VARS);
    else
        for (int i = 0; i < state->names[kind].n; i++)
            slot->output[i] = mu_plan_output_type(plan, state->names[kind].name[i]);
    slot->plan = plan;
    return MU_OK;
}

/* The next batch goes by way of another plan, and that one would not wait for what the last one is still being sent. */
static mu_err wait_for_inputs(const mu_model_state *state)
{
    for (int k = 0; k < MU_N_PLAN_KINDS; k++)
        if (state->slot[k].plan)
            MU_TRY(mu_plan_wait_inputs(state->slot[k].plan));
    return MU_OK;
}

mu_err mu_model_plan(mu_model *model, mu_plan_kind kind, const mu_tensors *inputs, mu_model_slot **out)
{
    mu_model_state *state = model->state;
    mu_model_slot *slot = &state->slot[kind];
    if (!matches(slot, inputs)) {
        char mode[1024]; /* plans are told apart by the names of the inputs, too */
        mu_type types[MU_MAX_TENSORS];
        MU_TRY(wait_for_inputs(state));
        size_t at = (size_t)snprintf(mode, sizeof mode, "%s", kind_name(kind));
        for (int i = 0; i < inputs->n; i++) {
            types[i] = inputs->item[i].type;
            if (at < sizeof mode)
                at += (size_t)snprintf(mode + at, sizeof mode - at, " %s", inputs->item[i].name);
        }
        mu_plan_key key = {.mode = mode, .n_inputs = inputs->n, .inputs = types, .autocast = state->options.autocast};
        mu_plan *plan;
        MU_TRY(mu_plan_cache_get(state->cache, &key, build, &(request){model, kind, inputs}, &plan));
        MU_TRY(fill_slot(state, kind, plan, inputs));
    }
    *out = slot;
    return MU_OK;
}

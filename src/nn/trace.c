#include "nn/trace_impl.h"

#include "core/mem.h"
#include "graph/autodiff.h"
#include "graph/params.h"
#include "nn/module_impl.h"
#include "nn/preprocessor.h"

const char *const mu_mode_names[] = {"loss", "predict", "tensor", NULL};

typedef struct {
    char *name;
    mu_value value;
} output;

struct mu_trace_outputs {
    output *item;
    size_t n, capacity;
};

void mu_trace_names_release(mu_trace_names *names)
{
    for (int i = 0; i < names->n; i++)
        mu_free(names->name[i]);
    mu_free(names->name);
    *names = (mu_trace_names){0};
}

bool mu_trace_names_equal(const mu_trace_names *a, const mu_trace_names *b)
{
    bool equal = a->n == b->n;
    for (int i = 0; equal && i < a->n; i++)
        equal = strcmp(a->name[i], b->name[i]) == 0;
    return equal;
}

mu_err mu_trace_status(const mu_trace *t)
{
    return mu_graph_status(t->graph);
}

static bool failed(const mu_trace *t)
{
    return mu_graph_status(t->graph) != MU_OK;
}

void mu_trace_fail(mu_trace *t, mu_err err)
{
    if (!err)
        return;
    const char *scope = mu_graph_scope(t->graph);
    if (*scope)
        mu_error_context("\"%s\"", scope);
    mu_graph_fail(t->graph);
}

/* ---- inputs ---- */

bool mu_trace_has_input(const mu_trace *t, const char *name)
{
    return mu_tensors_find(t->inputs, name) != NULL;
}

mu_value mu_trace_input(mu_trace *t, const char *name)
{
    const mu_tensor *input = mu_tensors_find(t->inputs, name);
    if (input) {
        mu_value *value = &t->input[input - t->inputs->item];
        if (!value->id && !failed(t))
            *value = mu_preprocessor_record(t->preprocessor, t, name, mu_graph_input(t->graph, name, input->type));
        return *value;
    }
    if (!failed(t)) {
        char has[256];
        (void)MU_FAIL(MU_ERR_CONFIG, "the batch has no '%s' (it has %s)", name,
                      mu_tensors_format(t->inputs, has, sizeof has));
        mu_trace_fail(t, mu_error_hint("the dataset or its pipeline must give it"));
    }
    return MU_NO_VALUE;
}

/* ---- modules ---- */

void mu_trace_enter(mu_trace *t, const char *name, const char *type, const mu_cfg *init_cfg)
{
    if (failed(t))
        return;
    mu_err err = mu_modules_enter(t->modules, name, type, init_cfg, mu_graph_n_nodes(t->graph));
    if (err)
        mu_graph_fail(t->graph);
    mu_graph_push(t->graph, name);
}

void mu_trace_leave(mu_trace *t)
{
    if (failed(t))
        return;
    mu_graph_pop(t->graph);
    mu_modules_leave(t->modules, mu_graph_n_nodes(t->graph));
}

void mu_trace_note(mu_trace *t, bool norm, bool depthwise)
{
    mu_module_info *info = mu_modules_current(t->modules);
    if (failed(t) || !info)
        return;
    info->norm = norm;
    info->depthwise = depthwise;
}

static mu_value declare(mu_trace *t, const char *leaf, mu_type type, bool trainable, mu_fill fill)
{
    const char *name;
    if (failed(t))
        return MU_NO_VALUE;
    if (type.dtype == MU_F16 || type.dtype == MU_BF16)
        type.dtype = MU_F32;
    mu_err err = mu_modules_add_param(t->modules, leaf, type, trainable, fill, &name);
    if (err) {
        mu_graph_fail(t->graph);
        return MU_NO_VALUE;
    }
    return trainable ? mu_graph_param(t->graph, name, type) : mu_graph_state(t->graph, name, type);
}

mu_value mu_trace_param(mu_trace *t, const char *leaf, mu_type type, mu_fill fill)
{
    return declare(t, leaf, type, !t->frozen, fill);
}

mu_value mu_trace_state(mu_trace *t, const char *leaf, mu_type type, mu_fill fill)
{
    return declare(t, leaf, type, false, fill);
}

/* ---- outputs ---- */

static mu_err add_output(mu_trace *t, const char *name, mu_value value)
{
    struct mu_trace_outputs *outputs = t->outputs;
    for (size_t i = 0; i < outputs->n; i++)
        if (strcmp(outputs->item[i].name, name) == 0)
            return MU_FAIL(MU_ERR_USAGE, "\"%s\" is recorded twice", name);
    if (value.id == 0)
        return MU_FAIL(MU_ERR_USAGE, "what is recorded as \"%s\" is not a value", name);
    MU_TRY(mu_grow(&outputs->item, &outputs->capacity, outputs->n + 1, sizeof *outputs->item));
    output *added = &outputs->item[outputs->n];
    MU_TRY(mu_strdup(&added->name, name));
    added->value = value;
    outputs->n++;
    return MU_OK;
}

void mu_trace_loss(mu_trace *t, const char *name, mu_value value)
{
    if (failed(t))
        return;
    if (t->mode != MU_MODE_LOSS) {
        mu_trace_fail(t, MU_FAIL(MU_ERR_USAGE, "loss \"%s\" is recorded in mode \"%s\"", name, mu_mode_names[t->mode]));
        return;
    }
    mu_trace_fail(t, add_output(t, name, value));
}

static mu_err check_rows(const mu_trace *t, const char *name, const mu_type *type)
{
    char text[MU_TYPE_TEXT];
    int64_t rows = t->inputs->n && t->inputs->item[0].type.ndim ? t->inputs->item[0].type.dim[0] : -1;
    if (rows >= 0 && (type->ndim < 1 || type->dim[0] != rows))
        return MU_FAIL(MU_ERR_SHAPE, "output \"%s\" of a batch of %lld must have a row for each sample, is %s", name,
                       (long long)rows, mu_type_format(type, text));
    return MU_OK;
}

void mu_trace_output(mu_trace *t, const char *name, mu_value value)
{
    if (failed(t))
        return;
    if (t->mode == MU_MODE_LOSS) {
        mu_trace_fail(t, MU_FAIL(MU_ERR_USAGE, "output \"%s\" is recorded in mode \"loss\"", name));
        return;
    }
    mu_err err = value.id ? check_rows(t, name, mu_graph_type(t->graph, value)) : MU_OK;
    mu_trace_fail(t, err ? err : add_output(t, name, value));
}

/* ---- beginning and end ---- */

mu_err mu_trace_begin(mu_trace *t, mu_mode mode, bool training, const mu_tensors *inputs, mu_modules *modules,
                      const char *type, const mu_cfg *init_cfg)
{
    *t = (mu_trace){.mode = mode, .training = training, .inputs = inputs, .modules = modules};
    MU_TRY(mu_graph_new(&t->graph));
    mu_err err;
    MU_TRY_GOTO(err, mu_calloc(&t->outputs, 1, sizeof *t->outputs), fail);
    mu_modules_clear(modules);
    MU_TRY_GOTO(err, mu_modules_enter(modules, "", type, init_cfg, 0), fail);
    return MU_OK;
fail:
    mu_trace_abandon(t);
    return err;
}

void mu_trace_abandon(mu_trace *t)
{
    for (size_t i = 0; t->outputs && i < t->outputs->n; i++)
        mu_free(t->outputs->item[i].name);
    if (t->outputs)
        mu_free(t->outputs->item);
    mu_free(t->outputs);
    mu_graph_release(t->graph);
    t->outputs = NULL;
    t->graph = NULL;
}

static bool is_loss(const char *name)
{
    return strstr(name, "loss") != NULL;
}

mu_err mu_loss_scale_name(const char *part, char **out)
{
    MU_TRY(mu_asprintf(out, "%s%s%s", MU_LOSS_SCALE, part ? "." : "", part ? part : ""));
    return MU_OK;
}

/* The logged losses know nothing of it: only their gradients start from it. */
static mu_value loss_scale(mu_trace *t)
{
    char *name;
    if (mu_loss_scale_name(t->part, &name) != MU_OK) {
        mu_graph_fail(t->graph);
        return MU_NO_VALUE;
    }
    mu_value scale = mu_graph_state(t->graph, name, MU_TYPE(MU_F32, 1));
    mu_free(name);
    return scale;
}

/* Means, the total and the vector of what is logged: parse_losses. */
static mu_err sum_up(mu_trace *t, bool gradients, mu_trace_names *names)
{
    struct mu_trace_outputs *outputs = t->outputs;
    mu_graph *g = t->graph;
    mu_value item[MU_TRACE_MAX_LOG_VARS], total = MU_NO_VALUE;
    int n = 1, n_losses = 0;
    bool named_loss = false;
    if (outputs->n + 1 > MU_TRACE_MAX_LOG_VARS)
        return MU_FAIL(MU_ERR_OVERFLOW, "%zu losses are recorded; %d is the limit", outputs->n, MU_TRACE_MAX_LOG_VARS - 1);
    for (size_t i = 0; i < outputs->n; i++) {
        mu_value *value = &outputs->item[i].value;
        if (mu_graph_type(g, *value)->ndim > 0)
            *value = mu_mean(g, mu_dtype_is_float(mu_graph_type(g, *value)->dtype) ? *value : mu_cast(g, *value, MU_F32), 0,
                             false);
        if (!is_loss(outputs->item[i].name))
            continue;
        total = total.id ? mu_add(g, total, *value) : *value;
        n_losses++;
        named_loss = named_loss || strcmp(outputs->item[i].name, "loss") == 0;
    }
    MU_TRY(mu_graph_status(g));
    if (!total.id) {
        (void)MU_FAIL(MU_ERR_CONFIG, "the model records no loss");
        return mu_error_hint("the name of at least one value given to mu_trace_loss contains \"loss\"");
    }
    mu_dtype dtype = mu_graph_type(g, total)->dtype == MU_F64 ? MU_F64 : MU_F32;
    MU_TRY(mu_calloc(&names->name, outputs->n + 1, sizeof *names->name));
    MU_TRY(mu_strdup(&names->name[names->n++], "loss"));
    item[0] = total;
    for (size_t i = 0; i < outputs->n; i++) {
        const char *name = outputs->item[i].name;
        bool total_itself = strcmp(name, "loss") == 0;
        if (total_itself && n_losses == 1 && !t->part)
            continue;
        if (total_itself && t->part)
            MU_TRY(mu_asprintf(&names->name[names->n], "%s_loss", t->part));
        else
            MU_TRY(mu_strdup(&names->name[names->n], total_itself ? "loss_" : name));
        names->n++;
        item[n++] = outputs->item[i].value;
    }
    for (int i = 0; i < n; i++)
        item[i] = mu_reshape(g, mu_graph_type(g, item[i])->dtype == dtype ? item[i] : mu_cast(g, item[i], dtype), 1,
                             (int64_t[]){1});
    mu_graph_output(g, MU_TRACE_LOG_VARS, n == 1 ? item[0] : mu_concat(g, item, n, 0));
    if (gradients)
        mu_graph_backward_of(g, total, t->loss_scale ? loss_scale(t) : MU_NO_VALUE, t->part);
    return MU_OK;
}

static mu_err name_outputs(mu_trace *t, mu_trace_names *names)
{
    struct mu_trace_outputs *outputs = t->outputs;
    if (outputs->n == 0)
        return MU_FAIL(MU_ERR_CONFIG, "the model records no output in mode \"%s\"", mu_mode_names[t->mode]);
    if (outputs->n > MU_MAX_TENSORS)
        return MU_FAIL(MU_ERR_OVERFLOW, "%zu outputs are recorded; %d is the limit", outputs->n, MU_MAX_TENSORS);
    MU_TRY(mu_calloc(&names->name, outputs->n, sizeof *names->name));
    for (size_t i = 0; i < outputs->n; i++) {
        mu_graph_output(t->graph, outputs->item[i].name, outputs->item[i].value);
        MU_TRY(mu_strdup(&names->name[i], outputs->item[i].name));
        names->n++;
    }
    return MU_OK;
}

mu_err mu_trace_end(mu_trace *t, bool gradients, mu_graph **graph, mu_trace_names *names)
{
    mu_trace_names given = {0};
    mu_err err = mu_graph_status(t->graph);
    mu_trace_leave(t);
    if (!err)
        err = t->mode == MU_MODE_LOSS ? sum_up(t, gradients, &given) : name_outputs(t, &given);
    if (!err)
        err = mu_graph_status(t->graph);
    if (err) {
        mu_trace_names_release(&given);
        mu_trace_abandon(t);
        return err;
    }
    *graph = t->graph;
    *names = given;
    t->graph = NULL;
    mu_trace_abandon(t);
    return MU_OK;
}

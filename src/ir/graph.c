#include "ir/graph.h"

#include "core/hash.h"
#include "core/mem.h"

#include <stdio.h>

/* Leaves by name. */
typedef struct {
    const char *name; /* the value's own */
    mu_value value;
    UT_hash_handle hh;
} leaf;

typedef struct {
    const char *name;
    mu_value value;
} output;

typedef struct {
    mu_value param, gradient;
} gradient_pair;

struct mu_graph {
    mu_error error; /* the first one; code MU_OK while there is none */

    mu_value_info **value; /* [n_values], value id - 1; each its own block, so that pointers stay valid */
    size_t n_values, value_capacity;
    mu_node **node;
    size_t n_nodes, node_capacity;
    leaf *leaves;

    output *outputs;
    size_t n_outputs, output_capacity;
    gradient_pair *gradients;
    size_t n_gradients, gradient_capacity;

    char *scope; /* "a.b", "" at the top */
    size_t scope_length, scope_capacity;
    size_t *outer; /* [n_scopes] the length before each push */
    size_t n_scopes, outer_capacity;
    bool backward;
    char *mark; /* the name of new nodes, or NULL: the scope's */
};

static const mu_value_info absent = {.type = {.dtype = MU_NONE}, .kind = MU_VALUE_NODE, .index = 0};

mu_err mu_graph_new(mu_graph **out)
{
    mu_graph *graph;
    MU_TRY(mu_calloc(&graph, 1, sizeof *graph));
    *out = graph;
    return MU_OK;
}

static void release_value(mu_value_info *info)
{
    mu_free((void *)info->name);
    mu_free((void *)info->constant);
    mu_free(info);
}

static void release_node(mu_node *node)
{
    mu_free((void *)node->attrs);
    mu_free((void *)node->name);
    mu_free(node->in);
    mu_free(node->out);
    mu_free(node);
}

void mu_graph_release(mu_graph *graph)
{
    if (!graph)
        return;
    leaf *l, *next;
    HASH_ITER(hh, graph->leaves, l, next) {
        HASH_DEL(graph->leaves, l);
        mu_free(l);
    }
    for (size_t i = 0; i < graph->n_values; i++)
        release_value(graph->value[i]);
    for (size_t i = 0; i < graph->n_nodes; i++)
        release_node(graph->node[i]);
    for (size_t i = 0; i < graph->n_outputs; i++)
        mu_free((void *)graph->outputs[i].name);
    mu_free(graph->value);
    mu_free(graph->node);
    mu_free(graph->outputs);
    mu_free(graph->gradients);
    mu_free(graph->scope);
    mu_free(graph->outer);
    mu_free(graph->mark);
    mu_free(graph);
}

mu_err mu_graph_status(const mu_graph *graph)
{
    return graph->error.code == MU_OK ? MU_OK : mu_error_restore(&graph->error);
}

void mu_graph_fail(mu_graph *graph)
{
    if (graph->error.code == MU_OK)
        graph->error = *mu_error_last();
}

static bool failed(const mu_graph *graph)
{
    return graph->error.code != MU_OK;
}

/* Appends a value; its id, or none. */
static mu_err new_value(mu_graph *graph, const mu_value_info *info, mu_value *out)
{
    mu_value_info *copy;
    MU_TRY(mu_grow(&graph->value, &graph->value_capacity, graph->n_values + 1, sizeof(*graph->value)));
    if (graph->n_values == INT32_MAX - 1)
        return MU_FAIL(MU_ERR_OVERFLOW, "a graph holds at most %d values", INT32_MAX - 1);
    MU_TRY(mu_alloc(&copy, sizeof *copy));
    *copy = *info;
    graph->value[graph->n_values++] = copy;
    out->id = (int32_t)graph->n_values;
    return MU_OK;
}

static mu_value_info *info_of(const mu_graph *graph, mu_value value)
{
    return graph->value[value.id - 1];
}

static const char *const kind_names[] = {"value", "input", "parameter", "state", "constant"};

static mu_err declare(mu_graph *graph, mu_value_kind kind, const char *name, const mu_type *type, mu_value *out)
{
    leaf *known;
    HASH_FIND_STR(graph->leaves, name, known);
    if (known) {
        const mu_value_info *old = info_of(graph, known->value);
        if (old->kind != kind || !mu_type_equal(&old->type, type)) {
            char was[MU_TYPE_TEXT], is[MU_TYPE_TEXT];
            MU_FAIL(MU_ERR_SHAPE, "%s \"%s\" of %s was declared before as %s of %s", kind_names[kind], name,
                    mu_type_format(type, is), kind_names[old->kind], mu_type_format(&old->type, was));
            return mu_error_hint("give it another name, or declare it alike to share it");
        }
        *out = known->value;
        return MU_OK;
    }
    mu_type checked;
    MU_TRY(mu_type_init(&checked, type->dtype, type->ndim, type->dim));
    mu_value_info info = {.type = checked, .kind = kind};
    char *copy;
    leaf *added;
    MU_TRY(mu_strdup(&copy, name));
    info.name = copy;
    mu_value value;
    mu_err err = new_value(graph, &info, &value); /* owns the name from here on */
    if (err != MU_OK) {
        mu_free(copy);
        return err;
    }
    MU_TRY(mu_calloc(&added, 1, sizeof *added));
    added->name = copy;
    added->value = value;
    HASH_ADD_KEYPTR(hh, graph->leaves, copy, strlen(copy), added);
    if (!added->hh.tbl) {
        mu_free(added);
        return MU_ERR_MEMORY;
    }
    *out = value;
    return MU_OK;
}

static mu_value declare_sticky(mu_graph *graph, mu_value_kind kind, const char *name, const mu_type *type)
{
    mu_value value = MU_NO_VALUE;
    if (!failed(graph) && declare(graph, kind, name, type, &value) != MU_OK) {
        mu_error_context("%s \"%s\"", kind_names[kind], name);
        mu_graph_fail(graph);
    }
    return value;
}

mu_value mu_graph_input(mu_graph *graph, const char *name, mu_type type)
{
    return declare_sticky(graph, MU_VALUE_INPUT, name, &type);
}

mu_value mu_graph_param(mu_graph *graph, const char *name, mu_type type)
{
    return declare_sticky(graph, MU_VALUE_PARAM, name, &type);
}

mu_value mu_graph_state(mu_graph *graph, const char *name, mu_type type)
{
    return declare_sticky(graph, MU_VALUE_STATE, name, &type);
}

static mu_err add_const(mu_graph *graph, const mu_type *type, const void *data, mu_value *out)
{
    mu_value_info info = {.kind = MU_VALUE_CONST};
    MU_TRY(mu_type_init(&info.type, type->dtype, type->ndim, type->dim));
    void *copy;
    MU_TRY(mu_alloc(&copy, mu_type_bytes(&info.type)));
    memcpy(copy, data, mu_type_bytes(&info.type));
    info.constant = copy;
    mu_err err = new_value(graph, &info, out);
    if (err != MU_OK)
        mu_free(copy);
    return err;
}

mu_value mu_graph_const(mu_graph *graph, mu_type type, const void *data)
{
    mu_value value = MU_NO_VALUE;
    if (!failed(graph) && add_const(graph, &type, data, &value) != MU_OK)
        mu_graph_fail(graph);
    return value;
}

mu_value mu_graph_scalar(mu_graph *graph, mu_dtype dtype, double x)
{
    char bytes[sizeof(double)];
    mu_convert(bytes, dtype, &x, MU_F64, 1);
    return mu_graph_const(graph, MU_SCALAR(dtype), bytes);
}

static mu_err node_name(const mu_graph *graph, const mu_op *op, char **out)
{
    if (graph->mark)
        return mu_strdup(out, graph->mark);
    if (graph->scope_length == 0)
        return mu_strdup(out, op->name);
    return mu_strdup(out, graph->scope);
}

/* Everything that a node owns, allocated before the graph changes. */
static mu_err make_node(mu_graph *graph, const mu_op *op, const void *attrs, const mu_value *in, int n_in, mu_node **out)
{
    mu_node *node = NULL;
    mu_err err;
    MU_TRY(mu_calloc(&node, 1, sizeof *node));
    node->op = op;
    node->n_in = n_in;
    node->n_out = op->n_out;
    node->id = (int32_t)graph->n_nodes;
    node->backward = graph->backward;
    char *name = NULL, *attrs_copy = NULL;
    MU_TRY_GOTO(err, mu_calloc(&node->in, (size_t)n_in, sizeof *in), release);
    MU_TRY_GOTO(err, mu_calloc(&node->out, (size_t)op->n_out, sizeof *in), release);
    MU_TRY_GOTO(err, node_name(graph, op, &name), release);
    node->name = name;
    if (op->attrs_size) {
        MU_TRY_GOTO(err, mu_alloc(&attrs_copy, op->attrs_size), release);
        memcpy(attrs_copy, attrs, op->attrs_size);
        node->attrs = attrs_copy;
    }
    if (n_in)
        memcpy(node->in, in, (size_t)n_in * sizeof *in);
    MU_TRY_GOTO(err, mu_grow(&graph->node, &graph->node_capacity, graph->n_nodes + 1, sizeof(*graph->node)), release);
    *out = node;
    return MU_OK;
release:
    release_node(node);
    return err;
}

static mu_err check_operands(const mu_graph *graph, const mu_op *op, const mu_value *in, int n_in)
{
    if (n_in < op->n_in_min || n_in > op->n_in_max)
        return MU_FAIL(MU_ERR_USAGE, "takes %d to %d operands, not %d", op->n_in_min, op->n_in_max, n_in);
    for (int i = 0; i < n_in; i++) {
        if (in[i].id < 0 || (size_t)in[i].id > graph->n_values)
            return MU_FAIL(MU_ERR_USAGE, "operand %d is not a value of this graph", i);
        if (in[i].id == 0 && i < op->n_in_min)
            return MU_FAIL(MU_ERR_USAGE, "operand %d is missing", i);
    }
    return MU_OK;
}

static mu_err apply(mu_graph *graph, const mu_op *op, const void *attrs, const mu_value *in, int n_in, mu_value *out)
{
    mu_type in_type[MU_OP_VARIADIC], out_type[MU_OP_MAX_OUT] = {{.dtype = MU_NONE}};
    MU_TRY(check_operands(graph, op, in, n_in));
    for (int i = 0; i < n_in; i++)
        in_type[i] = *mu_graph_type(graph, in[i]);
    mu_call call = {.op = op, .attrs = attrs, .n_in = n_in, .n_out = op->n_out, .in = in_type, .out = out_type,
                    .name = graph->scope_length ? graph->scope : op->name};
    MU_TRY(op->infer(&call, out_type));
    for (int i = 0; i < op->n_out; i++) /* sizes that overflow are found here, once for all shape rules */
        if (out_type[i].dtype != MU_NONE)
            MU_TRY(mu_type_init(&out_type[i], out_type[i].dtype, out_type[i].ndim, out_type[i].dim));
    mu_node *node = NULL;
    MU_TRY(make_node(graph, op, attrs, in, n_in, &node));
    graph->node[graph->n_nodes++] = node;
    for (int i = 0; i < op->n_out; i++) {
        if (out_type[i].dtype == MU_NONE)
            continue;
        mu_value_info info = {.type = out_type[i], .kind = MU_VALUE_NODE, .node = node, .index = i};
        MU_TRY(new_value(graph, &info, &node->out[i]));
    }
    memcpy(out, node->out, (size_t)op->n_out * sizeof *out);
    return MU_OK;
}

void mu_graph_apply(mu_graph *graph, const mu_op *op, const void *attrs, const mu_value *in, int n_in, mu_value *out)
{
    for (int i = 0; i < op->n_out; i++)
        out[i] = MU_NO_VALUE;
    if (failed(graph))
        return;
    if (apply(graph, op, attrs, in, n_in, out) != MU_OK) {
        const char *place = graph->mark ? graph->mark : graph->scope_length ? graph->scope : NULL;
        if (place)
            mu_error_context("%s \"%s\"", op->name, place);
        else
            mu_error_context("%s", op->name);
        mu_graph_fail(graph);
    }
}

mu_value mu_graph_apply1(mu_graph *graph, const mu_op *op, const void *attrs, const mu_value *in, int n_in)
{
    mu_value out[MU_OP_MAX_OUT];
    mu_graph_apply(graph, op, attrs, in, n_in, out);
    return out[0];
}

static mu_err push(mu_graph *graph, const char *scope)
{
    size_t length = graph->scope_length + (graph->scope_length ? 1 : 0) + strlen(scope);
    MU_TRY(mu_grow(&graph->scope, &graph->scope_capacity, length + 1, 1));
    MU_TRY(mu_grow(&graph->outer, &graph->outer_capacity, graph->n_scopes + 1, sizeof(*graph->outer)));
    graph->outer[graph->n_scopes++] = graph->scope_length;
    if (graph->scope_length)
        graph->scope[graph->scope_length++] = '.';
    strcpy(graph->scope + graph->scope_length, scope);
    graph->scope_length = length;
    return MU_OK;
}

void mu_graph_push(mu_graph *graph, const char *scope)
{
    if (!failed(graph) && push(graph, scope) != MU_OK)
        mu_graph_fail(graph);
}

void mu_graph_pop(mu_graph *graph)
{
    if (failed(graph) || graph->n_scopes == 0)
        return;
    graph->scope_length = graph->outer[--graph->n_scopes];
    graph->scope[graph->scope_length] = '\0';
}

const char *mu_graph_scope(const mu_graph *graph)
{
    return graph->scope_length ? graph->scope : "";
}

void mu_graph_mark(mu_graph *graph, const char *name, bool backward)
{
    char *copy = NULL;
    if (name && mu_strdup(&copy, name) != MU_OK)
        mu_graph_fail(graph);
    mu_free(graph->mark);
    graph->mark = copy;
    graph->backward = name && backward;
}

static mu_err add_output(mu_graph *graph, const char *name, mu_value value)
{
    if (value.id == 0)
        return MU_FAIL(MU_ERR_USAGE, "output \"%s\" is not a value", name);
    for (size_t i = 0; i < graph->n_outputs; i++)
        if (strcmp(graph->outputs[i].name, name) == 0)
            return MU_FAIL(MU_ERR_USAGE, "output \"%s\" was declared before", name);
    char *copy;
    MU_TRY(mu_grow(&graph->outputs, &graph->output_capacity, graph->n_outputs + 1, sizeof(*graph->outputs)));
    MU_TRY(mu_strdup(&copy, name));
    graph->outputs[graph->n_outputs++] = (output){.name = copy, .value = value};
    return MU_OK;
}

void mu_graph_output(mu_graph *graph, const char *name, mu_value value)
{
    if (!failed(graph) && add_output(graph, name, value) != MU_OK)
        mu_graph_fail(graph);
}

int mu_graph_n_outputs(const mu_graph *graph)
{
    return (int)graph->n_outputs;
}

const char *mu_graph_output_name(const mu_graph *graph, int i)
{
    return graph->outputs[i].name;
}

mu_value mu_graph_output_value(const mu_graph *graph, int i)
{
    return graph->outputs[i].value;
}

void mu_graph_set_gradient(mu_graph *graph, mu_value param, mu_value gradient)
{
    if (failed(graph))
        return;
    for (size_t i = 0; i < graph->n_gradients; i++)
        if (graph->gradients[i].param.id == param.id) {
            graph->gradients[i].gradient = gradient;
            return;
        }
    if (mu_grow(&graph->gradients, &graph->gradient_capacity, graph->n_gradients + 1, sizeof(*graph->gradients)) != MU_OK) {
        mu_graph_fail(graph);
        return;
    }
    graph->gradients[graph->n_gradients++] = (gradient_pair){.param = param, .gradient = gradient};
}

int mu_graph_n_gradients(const mu_graph *graph)
{
    return (int)graph->n_gradients;
}

mu_value mu_graph_gradient_param(const mu_graph *graph, int i)
{
    return graph->gradients[i].param;
}

mu_value mu_graph_gradient(const mu_graph *graph, int i)
{
    return graph->gradients[i].gradient;
}

mu_value mu_graph_gradient_of(const mu_graph *graph, mu_value param)
{
    for (size_t i = 0; i < graph->n_gradients; i++)
        if (graph->gradients[i].param.id == param.id)
            return graph->gradients[i].gradient;
    return MU_NO_VALUE;
}

int32_t mu_graph_n_values(const mu_graph *graph)
{
    return (int32_t)graph->n_values;
}

int32_t mu_graph_n_nodes(const mu_graph *graph)
{
    return (int32_t)graph->n_nodes;
}

const mu_node *mu_graph_node(const mu_graph *graph, int32_t i)
{
    return graph->node[i];
}

const mu_value_info *mu_graph_value(const mu_graph *graph, mu_value value)
{
    return value.id > 0 && (size_t)value.id <= graph->n_values ? info_of(graph, value) : &absent;
}

const mu_type *mu_graph_type(const mu_graph *graph, mu_value value)
{
    return &mu_graph_value(graph, value)->type;
}

mu_value mu_graph_find(const mu_graph *graph, const char *name)
{
    leaf *known;
    HASH_FIND_STR(graph->leaves, name, known);
    return known ? known->value : MU_NO_VALUE;
}

mu_call mu_graph_call(const mu_graph *graph, const mu_node *node, mu_type *types)
{
    for (int i = 0; i < node->n_in; i++)
        types[i] = *mu_graph_type(graph, node->in[i]);
    for (int i = 0; i < node->n_out; i++)
        types[node->n_in + i] = *mu_graph_type(graph, node->out[i]);
    return (mu_call){.op = node->op, .attrs = node->attrs, .n_in = node->n_in, .n_out = node->n_out,
                     .in = types, .out = types + node->n_in, .name = node->name};
}

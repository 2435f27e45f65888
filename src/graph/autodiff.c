#include "graph/autodiff.h"

#include "core/mem.h"
#include "ops/ops.h"

#include <stdlib.h>

typedef struct {
    mu_graph *graph;
    mu_value seed; /* the gradient of the loss; none: 1 */
    const char *module; /* only its parameters are wanted; NULL: all are */
    int32_t n_values; /* before backward nodes were appended */
    bool *needed;     /* [n_values+1] depends on a wanted leaf */
    mu_value *grad;   /* [n_values+1] gradient so far */
    bool *need;       /* [widest node] scratch for one node */
    mu_value *din;
} backward;

static int widest_node(const mu_graph *graph)
{
    int n = 1;
    for (int32_t i = 0; i < mu_graph_n_nodes(graph); i++)
        if (mu_graph_node(graph, i)->n_in > n)
            n = mu_graph_node(graph, i)->n_in;
    return n;
}

bool mu_name_is_under(const char *name, const char *module)
{
    size_t n = strlen(module);
    return strncmp(name, module, n) == 0 && name[n] == '.';
}

static bool is_wanted(const backward *b, mu_value v)
{
    const mu_value_info *info = mu_graph_value(b->graph, v);
    return info->kind == MU_VALUE_PARAM && (!b->module || mu_name_is_under(info->name, b->module));
}

/* Forward sweep: which values depend on a wanted leaf. */
static void mark_needed(backward *b, const mu_value *extra, int n_extra)
{
    for (int32_t v = 1; v <= b->n_values; v++)
        b->needed[v] = is_wanted(b, (mu_value){v});
    for (int i = 0; i < n_extra; i++)
        b->needed[extra[i].id] = mu_dtype_is_float(mu_graph_type(b->graph, extra[i])->dtype);
    b->needed[0] = false;
    for (int32_t i = 0; i < mu_graph_n_nodes(b->graph); i++) {
        const mu_node *node = mu_graph_node(b->graph, i);
        bool any = false;
        for (int k = 0; k < node->n_in && !any; k++)
            any = b->needed[node->in[k].id];
        for (int k = 0; any && k < node->n_out; k++)
            if (node->out[k].id && mu_dtype_is_float(mu_graph_type(b->graph, node->out[k])->dtype))
                b->needed[node->out[k].id] = true;
    }
}

static void accumulate(backward *b, mu_value to, mu_value gradient)
{
    mu_value *sum = &b->grad[to.id];
    *sum = sum->id ? mu_add(b->graph, *sum, gradient) : gradient;
}

static mu_err check_gradient(const backward *b, const mu_node *node, int i)
{
    const mu_type *want = mu_graph_type(b->graph, node->in[i]), *got = mu_graph_type(b->graph, b->din[i]);
    char a[MU_TYPE_TEXT], c[MU_TYPE_TEXT];
    if (!mu_type_equal(want, got))
        return MU_FAIL(MU_ERR_INTERNAL, "%s \"%s\": operand %d is %s, its gradient came out as %s", node->op->name, node->name,
                       i, mu_type_format(want, a), mu_type_format(got, c));
    return MU_OK;
}

/* Appends the gradient of one node, if any flows into it. */
static mu_err differentiate(backward *b, const mu_node *node)
{
    mu_value dout[MU_OP_MAX_OUT] = {{0}};
    bool flows = false, wanted = false;
    for (int k = 0; k < node->n_out; k++) {
        dout[k] = b->grad[node->out[k].id];
        flows |= dout[k].id != 0;
    }
    for (int k = 0; k < node->n_in; k++) {
        b->need[k] = b->needed[node->in[k].id];
        wanted |= b->need[k];
        b->din[k] = MU_NO_VALUE;
    }
    if (!flows || !wanted)
        return MU_OK;
    if (!node->op->gradient) {
        (void)MU_FAIL(MU_ERR_UNSUPPORTED, "%s \"%s\" has no gradient, and a parameter reaches the loss through it",
                      node->op->name, node->name);
        return mu_error_hint("freeze what comes before it, or keep it out of the loss");
    }
    mu_grad grad = {.graph = b->graph, .node = node, .dout = dout, .need = b->need, .din = b->din};
    mu_graph_mark(b->graph, node->name, true);
    node->op->gradient(&grad);
    MU_TRY(mu_graph_status(b->graph));
    for (int k = 0; k < node->n_in; k++) {
        if (!b->need[k] || !b->din[k].id)
            continue;
        MU_TRY(check_gradient(b, node, k));
        accumulate(b, node->in[k], b->din[k]);
    }
    MU_TRY(mu_graph_status(b->graph));
    return MU_OK;
}

typedef struct {
    mu_value param, gradient;
} pair;

static int compare_production(const void *pa, const void *pb)
{
    const pair *a = pa, *b = pb;
    if (a->gradient.id != b->gradient.id)
        return a->gradient.id < b->gradient.id ? -1 : 1;
    return a->param.id < b->param.id ? -1 : a->param.id > b->param.id;
}

/* Values are numbered as they are produced. */
static mu_err record_gradients(backward *b)
{
    pair *pairs;
    size_t n = 0;
    MU_TRY(mu_calloc(&pairs, (size_t)b->n_values + 1, sizeof *pairs));
    for (int32_t v = 1; v <= b->n_values; v++)
        if (b->grad[v].id && mu_graph_value(b->graph, (mu_value){v})->kind == MU_VALUE_PARAM)
            pairs[n++] = (pair){{v}, b->grad[v]};
    qsort(pairs, n, sizeof *pairs, compare_production);
    for (size_t i = 0; i < n; i++)
        mu_graph_set_gradient(b->graph, pairs[i].param, pairs[i].gradient);
    mu_free(pairs);
    return MU_OK;
}

static mu_err check_loss(const mu_graph *graph, mu_value loss)
{
    char text[MU_TYPE_TEXT];
    const mu_type *type = mu_graph_type(graph, loss);
    if (!mu_dtype_is_float(type->dtype) || mu_type_count(type) != 1) {
        (void)MU_FAIL(MU_ERR_SHAPE, "the loss must be one float, it is %s", mu_type_format(type, text));
        return mu_error_hint("reduce it with mu_mean() or mu_sum()");
    }
    return MU_OK;
}

static mu_err seed_loss(backward *b, mu_value loss)
{
    const mu_type *type = mu_graph_type(b->graph, loss);
    mu_value one = b->seed.id ? b->seed : mu_graph_scalar(b->graph, type->dtype, 1.0);
    if (mu_graph_type(b->graph, one)->dtype != type->dtype)
        one = mu_cast(b->graph, one, type->dtype);
    if (b->seed.id || type->ndim)
        one = mu_reshape(b->graph, one, type->ndim, type->dim);
    MU_TRY(mu_graph_status(b->graph));
    b->grad[loss.id] = one;
    return MU_OK;
}

static mu_err run_backward(backward *b, mu_value loss, const mu_value *extra, int n_extra, mu_value *extra_grad)
{
    size_t n = (size_t)b->n_values + 1, wide = (size_t)widest_node(b->graph);
    int32_t n_nodes = mu_graph_n_nodes(b->graph);
    MU_TRY(check_loss(b->graph, loss));
    MU_TRY(mu_calloc(&b->needed, n, sizeof *b->needed));
    MU_TRY(mu_calloc(&b->grad, n, sizeof *b->grad));
    MU_TRY(mu_calloc(&b->need, wide, sizeof *b->need));
    MU_TRY(mu_calloc(&b->din, wide, sizeof *b->din));
    mark_needed(b, extra, n_extra);
    if (b->needed[loss.id]) {
        MU_TRY(seed_loss(b, loss));
        for (int32_t i = n_nodes - 1; i >= 0; i--)
            MU_TRY(differentiate(b, mu_graph_node(b->graph, i)));
    }
    MU_TRY(record_gradients(b));
    for (int i = 0; i < n_extra; i++)
        extra_grad[i] = b->grad[extra[i].id];
    return MU_OK;
}

static void append_gradients(mu_graph *graph, mu_value loss, mu_value seed, const char *module, const mu_value *extra, int n_extra,
                             mu_value *extra_grad)
{
    for (int i = 0; i < n_extra; i++)
        extra_grad[i] = MU_NO_VALUE;
    if (mu_graph_status(graph))
        return;
    backward b = {.graph = graph, .seed = seed, .module = module, .n_values = mu_graph_n_values(graph)};
    if (run_backward(&b, loss, extra, n_extra, extra_grad))
        mu_graph_fail(graph);
    mu_graph_mark(graph, NULL, false);
    mu_free(b.needed);
    mu_free(b.grad);
    mu_free(b.need);
    mu_free(b.din);
}

void mu_graph_backward(mu_graph *graph, mu_value loss, const mu_value *extra, int n_extra, mu_value *extra_grad)
{
    append_gradients(graph, loss, MU_NO_VALUE, NULL, extra, n_extra, extra_grad);
}

void mu_graph_backward_of(mu_graph *graph, mu_value loss, mu_value seed, const char *module)
{
    append_gradients(graph, loss, seed, module, NULL, 0, NULL);
}

int mu_graph_unused_params(const mu_graph *graph, void (*visit)(void *user, const char *name), void *user)
{
    int n = 0;
    for (int32_t v = 1; v <= mu_graph_n_values(graph); v++) {
        const mu_value_info *info = mu_graph_value(graph, (mu_value){v});
        if (info->kind != MU_VALUE_PARAM || mu_graph_gradient_of(graph, (mu_value){v}).id)
            continue;
        if (visit)
            visit(user, info->name);
        n++;
    }
    return n;
}

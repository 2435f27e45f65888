#include "ops/ops.h"

static const mu_attr attr_table[] = {MU_ATTR_REAL(mu_dropout_attrs, p), MU_ATTR_INT(mu_dropout_attrs, key),
                                     MU_ATTR_END};

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_dropout_attrs *a = call->attrs;
    char x[MU_TYPE_TEXT];
    if (!mu_dtype_is_float(call->in[0].dtype))
        return MU_FAIL(MU_ERR_SHAPE, "needs a floating-point operand, got %s", mu_type_format(&call->in[0], x));
    if (!(a->p >= 0 && a->p <= 1))
        return MU_FAIL(MU_ERR_USAGE, "the probability of zeroing lies between 0 and 1, not %g", a->p);
    out[0] = call->in[0];
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    grad->din[0] = mu_graph_apply1(grad->graph, &mu_op_dropout, grad->node->attrs, &grad->dout[0], 1);
}

const mu_op mu_op_dropout = {
    .name = "dropout",
    .doc = "Zeroes elements with probability p and scales the rest by 1 / (1 - p) (Srivastava et al. 2014). Which ones "
           "follows "
           "from the run's seed, the key, the step, and the element's index in the global batch.",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = MU_OP_RANDOM | MU_OP_ZERO_KEEPS,
    .inplace = {1},
    .attrs_size = sizeof(mu_dropout_attrs),
    .attrs = attr_table,
    .infer = infer,
    .gradient = gradient,
};

/* The key of a call: FNV-1a over its scope and how many calls in forward passes of this scope were before it. It does
 * not depend on batch size, ranks, or what else the graph holds. */
static int64_t key_of(const mu_graph *g)
{
    const char *scope = mu_graph_scope(g);
    uint64_t hash = 0xcbf29ce484222325u, before = 0;
    for (int32_t i = 0; i < mu_graph_n_nodes(g); i++) {
        const mu_node *node = mu_graph_node(g, i);
        before += node->op == &mu_op_dropout && !node->backward && strcmp(node->name, *scope ? scope : "dropout") == 0;
    }
    for (; *scope; scope++)
        hash = (hash ^ (unsigned char)*scope) * 0x100000001b3u;
    return (int64_t)(((hash ^ before) * 0x100000001b3u) >> 1);
}

mu_value mu_dropout(mu_graph *g, mu_value x, double p)
{
    mu_dropout_attrs a = {.p = p, .key = key_of(g)};
    return p == 0 ? x : mu_graph_apply1(g, &mu_op_dropout, &a, &x, 1);
}

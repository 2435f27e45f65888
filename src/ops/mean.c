#include "ops/reduce.h"

static mu_err infer(const mu_call *call, mu_type *out)
{
    char x[MU_TYPE_TEXT];
    if (!mu_dtype_is_float(call->in[0].dtype))
        return MU_FAIL(MU_ERR_SHAPE, "needs a floating-point operand, got %s", mu_type_format(&call->in[0], x));
    return mu_reduce_infer(call, out);
}

static void gradient(mu_grad *grad)
{
    mu_graph *g = grad->graph;
    mu_value x = mu_grad_in(grad, 0), dy = grad->dout[0];
    int64_t n_in = mu_type_count(mu_graph_type(g, x)), n_out = mu_type_count(mu_graph_type(g, dy));
    if (n_in > 0)
        dy = mu_mul_scalar(g, dy, (double)n_out / (double)n_in);
    grad->din[0] = mu_reduce_expand(g, grad->node->attrs, dy, x);
}

const mu_op mu_op_mean = {
    .name = "mean",
    .doc = "The arithmetic mean over the dimensions of a bit mask (0: all); NaN of no elements.",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_reduce_attrs), .attrs = mu_reduce_attr_table,
    .infer = infer, .gradient = gradient,
};

mu_value mu_mean(mu_graph *g, mu_value x, int64_t dims, bool keepdim)
{
    return mu_reduce_apply(g, &mu_op_mean, x, dims, keepdim);
}

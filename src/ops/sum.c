#include "ops/reduce.h"

static void gradient(mu_grad *grad)
{
    grad->din[0] = mu_reduce_expand(grad->graph, grad->node->attrs, grad->dout[0], mu_grad_in(grad, 0));
}

const mu_op mu_op_sum = {
    .name = "sum",
    .doc = "The sum over the dimensions of a bit mask (0: all).",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_reduce_attrs), .attrs = mu_reduce_attr_table,
    .infer = mu_reduce_infer, .gradient = gradient,
};

mu_value mu_sum(mu_graph *g, mu_value x, int64_t dims, bool keepdim)
{
    return mu_reduce_apply(g, &mu_op_sum, x, dims, keepdim);
}

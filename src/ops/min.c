#include "ops/reduce.h"

static void gradient(mu_grad *grad)
{
    mu_reduce_gradient_of_extreme(grad);
}

const mu_op mu_op_min = {
    .name = "min",
    .doc = "The smallest element over the dimensions of a bit mask (0: all), NaN if there is one. "
           "The gradient goes evenly to ties.",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_reduce_attrs), .attrs = mu_reduce_attr_table,
    .infer = mu_reduce_infer_extreme, .gradient = gradient,
};

mu_value mu_min(mu_graph *g, mu_value x, int64_t dims, bool keepdim)
{
    return mu_reduce_apply(g, &mu_op_min, x, dims, keepdim);
}

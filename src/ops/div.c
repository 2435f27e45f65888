#include "ops/binary.h"

static void gradient(mu_grad *grad)
{
    mu_graph *g = grad->graph;
    mu_value by_b = mu_div(g, grad->dout[0], mu_grad_in(grad, 1));
    if (grad->need[0])
        mu_binary_set_gradient(grad, 0, by_b);
    if (grad->need[1])
        mu_binary_set_gradient(grad, 1, mu_mul_scalar(g, mu_mul(g, by_b, mu_grad_out(grad, 0)), -1));
}

MU_BINARY_OP(div, "a / b, floating point.", mu_binary_infer_float, .flags = MU_OP_ELEMENTWISE, .inplace = {1},
             .gradient = gradient);

mu_value mu_div(mu_graph *g, mu_value a, mu_value b)
{
    return mu_binary_apply(g, &mu_op_div, a, b);
}

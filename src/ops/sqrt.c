#include "ops/unary.h"

static void gradient(mu_grad *grad)
{
    grad->din[0] = mu_mul_scalar(grad->graph, mu_div(grad->graph, grad->dout[0], mu_grad_out(grad, 0)), 0.5);
}

MU_UNARY_OP(sqrt, "y = the square root of x.", .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS, .gradient = gradient);

mu_value mu_sqrt(mu_graph *g, mu_value x)
{
    return mu_unary_apply(g, &mu_op_sqrt, 0, 0, x);
}

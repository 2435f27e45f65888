#include "ops/unary.h"

static void gradient(mu_grad *grad)
{
    grad->din[0] = mu_mul(grad->graph, grad->dout[0], mu_grad_out(grad, 0));
}

MU_UNARY_OP(exp, "The exponential, y = e^x.", .flags = MU_OP_ELEMENTWISE, .gradient = gradient);

mu_value mu_exp(mu_graph *g, mu_value x)
{
    return mu_unary_apply(g, &mu_op_exp, 0, 0, x);
}

#include "ops/unary.h"

static void gradient(mu_grad *grad)
{
    grad->din[0] = mu_div(grad->graph, grad->dout[0], mu_grad_in(grad, 0));
}

MU_UNARY_OP(log, "The natural logarithm, y = ln(x).", .flags = MU_OP_ELEMENTWISE, .gradient = gradient);

mu_value mu_log(mu_graph *g, mu_value x)
{
    return mu_unary_apply(g, &mu_op_log, 0, 0, x);
}

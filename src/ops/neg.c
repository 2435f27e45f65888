#include "ops/unary.h"

static void gradient(mu_grad *grad)
{
    grad->din[0] = mu_neg(grad->graph, grad->dout[0]);
}

MU_UNARY_OP(neg, "The negative, y = -x.", .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS, .gradient = gradient);

mu_value mu_neg(mu_graph *g, mu_value x)
{
    return mu_unary_apply(g, &mu_op_neg, 0, 0, x);
}

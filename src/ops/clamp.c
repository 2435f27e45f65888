#include "ops/unary.h"

MU_UNARY_GRAD_OP(clamp_grad, "dx = dy where alpha < x < beta, else 0; (dy, x).",
                 .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS);

static void gradient(mu_grad *grad)
{
    mu_unary_gradient_of_input(grad, &mu_op_clamp_grad);
}

MU_UNARY_OP(clamp, "y = min(max(x, alpha), beta); NaN stays.", .flags = MU_OP_ELEMENTWISE, .gradient = gradient);

mu_value mu_clamp(mu_graph *g, mu_value x, double low, double high)
{
    return mu_unary_apply(g, &mu_op_clamp, low, high, x);
}

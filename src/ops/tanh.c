#include "ops/unary.h"

MU_UNARY_GRAD_OP(tanh_grad, "dx = dy * (1 - y^2); (dy, y).", .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS);

static void gradient(mu_grad *grad)
{
    mu_unary_gradient_of_output(grad, &mu_op_tanh_grad);
}

MU_UNARY_OP(tanh, "y = tanh(x).", .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS, .gradient = gradient);

mu_value mu_tanh(mu_graph *g, mu_value x)
{
    return mu_unary_apply(g, &mu_op_tanh, 0, 0, x);
}

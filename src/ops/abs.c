#include "ops/unary.h"

MU_UNARY_GRAD_OP(abs_grad, "dx = dy * sign(x); (dy, x).", .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS);

static void gradient(mu_grad *grad)
{
    mu_unary_gradient_of_input(grad, &mu_op_abs_grad);
}

MU_UNARY_OP(abs, "The absolute value, y = |x|.", .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS, .gradient = gradient);

mu_value mu_abs(mu_graph *g, mu_value x)
{
    return mu_unary_apply(g, &mu_op_abs, 0, 0, x);
}

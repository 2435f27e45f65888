#include "ops/unary.h"

MU_UNARY_GRAD_OP(relu6_grad, "dx = dy where 0 < y < 6, else 0; (dy, y).",
                 .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS);

static void gradient(mu_grad *grad)
{
    mu_unary_gradient_of_output(grad, &mu_op_relu6_grad);
}

MU_UNARY_OP(relu6, "y = min(max(x, 0), 6).", .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS, .gradient = gradient);

mu_value mu_relu6(mu_graph *g, mu_value x)
{
    return mu_unary_apply(g, &mu_op_relu6, 0, 0, x);
}

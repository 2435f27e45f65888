#include "ops/unary.h"

MU_UNARY_GRAD_OP(relu_grad, "dx = dy where y > 0, else 0; (dy, y).", .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS);

static void gradient(mu_grad *grad)
{
    mu_unary_gradient_of_output(grad, &mu_op_relu_grad);
}

MU_UNARY_OP(relu, "y = max(x, 0).", .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS, .gradient = gradient);

mu_value mu_relu(mu_graph *g, mu_value x)
{
    return mu_unary_apply(g, &mu_op_relu, 0, 0, x);
}

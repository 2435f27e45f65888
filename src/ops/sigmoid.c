#include "ops/unary.h"

MU_UNARY_GRAD_OP(sigmoid_grad, "dx = dy * y * (1 - y); (dy, y).", .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS);

static void gradient(mu_grad *grad)
{
    mu_unary_gradient_of_output(grad, &mu_op_sigmoid_grad);
}

MU_UNARY_OP(sigmoid, "y = 1 / (1 + e^-x).", .flags = MU_OP_ELEMENTWISE, .gradient = gradient);

mu_value mu_sigmoid(mu_graph *g, mu_value x)
{
    return mu_unary_apply(g, &mu_op_sigmoid, 0, 0, x);
}

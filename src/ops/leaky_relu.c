#include "ops/unary.h"

MU_UNARY_GRAD_OP(leaky_relu_grad, "dx = dy where x > 0, else alpha * dy; (dy, x).",
                 .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS);

static void gradient(mu_grad *grad)
{
    mu_unary_gradient_of_input(grad, &mu_op_leaky_relu_grad);
}

MU_UNARY_OP(leaky_relu, "y = x where x > 0, else alpha * x.",
            .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS, .gradient = gradient);

mu_value mu_leaky_relu(mu_graph *g, mu_value x, double slope)
{
    return mu_unary_apply(g, &mu_op_leaky_relu, slope, 0, x);
}

#include "ops/unary.h"

MU_UNARY_GRAD_OP(silu_grad, "dx = dy * s * (1 + x * (1 - s)), s = sigmoid(x); (dy, x).",
                 .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS);

static void gradient(mu_grad *grad)
{
    mu_unary_gradient_of_input(grad, &mu_op_silu_grad);
}

MU_UNARY_OP(silu, "y = x * sigmoid(x) (Elfwing et al. 2018).",
            .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS, .gradient = gradient);

mu_value mu_silu(mu_graph *g, mu_value x)
{
    return mu_unary_apply(g, &mu_op_silu, 0, 0, x);
}

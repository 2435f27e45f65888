#include "ops/unary.h"

MU_UNARY_GRAD_OP(hard_swish_grad, "dx = 0 where x <= -3, dy where x >= 3, dy * (x / 3 + 1/2) between; (dy, x).",
                 .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS);

static void gradient(mu_grad *grad)
{
    mu_unary_gradient_of_input(grad, &mu_op_hard_swish_grad);
}

MU_UNARY_OP(hard_swish, "y = x * hard_sigmoid(x) (Howard et al. 2019).",
            .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS, .gradient = gradient);

mu_value mu_hard_swish(mu_graph *g, mu_value x)
{
    return mu_unary_apply(g, &mu_op_hard_swish, 0, 0, x);
}

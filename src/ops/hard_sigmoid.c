#include "ops/unary.h"

MU_UNARY_GRAD_OP(hard_sigmoid_grad, "dx = dy / 6 where -3 < x < 3, else 0; (dy, x).",
                 .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS);

static void gradient(mu_grad *grad)
{
    mu_unary_gradient_of_input(grad, &mu_op_hard_sigmoid_grad);
}

MU_UNARY_OP(hard_sigmoid, "y = min(max(x / 6 + 1/2, 0), 1) (Howard et al. 2019).",
            .flags = MU_OP_ELEMENTWISE, .gradient = gradient);

mu_value mu_hard_sigmoid(mu_graph *g, mu_value x)
{
    return mu_unary_apply(g, &mu_op_hard_sigmoid, 0, 0, x);
}

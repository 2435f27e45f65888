#include "ops/unary.h"

MU_UNARY_GRAD_OP(gelu_grad, "dx = dy * the slope of gelu at x; (dy, x).",
                 .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS);

static void gradient(mu_grad *grad)
{
    mu_unary_gradient_of_input(grad, &mu_op_gelu_grad);
}

MU_UNARY_OP(gelu,
            "y = x * Phi(x), Phi the normal distribution; its tanh form when alpha is not 0 (Hendrycks and Gimpel 2016).",
            .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS, .gradient = gradient);

mu_value mu_gelu(mu_graph *g, mu_value x, bool tanh_form)
{
    return mu_unary_apply(g, &mu_op_gelu, tanh_form, 0, x);
}

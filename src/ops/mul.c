#include "ops/binary.h"

static void gradient(mu_grad *grad)
{
    for (int i = 0; i < 2; i++)
        if (grad->need[i])
            mu_binary_set_gradient(grad, i, mu_mul(grad->graph, grad->dout[0], mu_grad_in(grad, 1 - i)));
}

MU_BINARY_OP(mul, "a * b; integers wrap.", mu_binary_infer, .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS,
             .inplace = {1}, .gradient = gradient);

mu_value mu_mul(mu_graph *g, mu_value a, mu_value b)
{
    return mu_binary_apply(g, &mu_op_mul, a, b);
}

mu_value mu_mul_scalar(mu_graph *g, mu_value x, double c)
{
    return mu_mul(g, x, mu_constant_like(g, x, c));
}

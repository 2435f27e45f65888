#include "ops/binary.h"

static void gradient(mu_grad *grad)
{
    for (int i = 0; i < 2; i++)
        if (grad->need[i])
            mu_binary_set_gradient(grad, i, grad->dout[0]);
}

MU_BINARY_OP(add, "a + b; integers wrap.", mu_binary_infer, .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS,
             .inplace = {1}, .gradient = gradient);

mu_value mu_add(mu_graph *g, mu_value a, mu_value b)
{
    return mu_binary_apply(g, &mu_op_add, a, b);
}

mu_value mu_add_scalar(mu_graph *g, mu_value x, double c)
{
    return mu_add(g, x, mu_constant_like(g, x, c));
}

#include "ops/binary.h"

static void gradient(mu_grad *grad)
{
    if (grad->need[0])
        mu_binary_set_gradient(grad, 0, grad->dout[0]);
    if (grad->need[1])
        mu_binary_set_gradient(grad, 1, mu_mul_scalar(grad->graph, grad->dout[0], -1));
}

MU_BINARY_OP(sub, "a - b; integers wrap.", mu_binary_infer, .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS,
             .inplace = {1}, .gradient = gradient);

mu_value mu_sub(mu_graph *g, mu_value a, mu_value b)
{
    return mu_binary_apply(g, &mu_op_sub, a, b);
}

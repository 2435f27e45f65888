#include "ops/binary.h"

/* Where operand i does not win there is nothing; a tie gives each half. A NaN counts as a win of both. */
static void gradient(mu_grad *grad)
{
    mu_graph *g = grad->graph;
    mu_value a = mu_grad_in(grad, 0), b = mu_grad_in(grad, 1), dy = grad->dout[0];
    mu_value shared = mu_where(g, mu_equal(g, a, b), mu_mul_scalar(g, dy, 0.5), dy), zero = mu_constant_like(g, dy, 0);
    if (grad->need[0])
        mu_binary_set_gradient(grad, 0, mu_where(g, mu_less(g, a, b), zero, shared));
    if (grad->need[1])
        mu_binary_set_gradient(grad, 1, mu_where(g, mu_less(g, b, a), zero, shared));
}

MU_BINARY_OP(maximum, "The larger of a and b; NaN if either is.", mu_binary_infer,
             .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS, .inplace = {1}, .gradient = gradient);

mu_value mu_maximum(mu_graph *g, mu_value a, mu_value b)
{
    return mu_binary_apply(g, &mu_op_maximum, a, b);
}

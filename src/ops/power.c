#include "ops/binary.h"

/* dy * b * a^(b-1), and 0 where b is 0 whatever a is. */
static mu_value base_gradient(mu_graph *g, mu_value dy, mu_value a, mu_value b)
{
    double c;
    if (mu_constant_value(g, b, &c)) {
        if (c == 0)
            return MU_NO_VALUE;
        mu_value slope = c == 1 ? dy : mu_mul(g, dy, c == 2 ? a : mu_power(g, a, mu_constant_like(g, a, c - 1)));
        return c == 1 ? slope : mu_mul_scalar(g, slope, c);
    }
    mu_value d = mu_mul(g, mu_mul(g, dy, b), mu_power(g, a, mu_add_scalar(g, b, -1)));
    mu_value zero = mu_constant_like(g, b, 0);
    return mu_where(g, mu_equal(g, b, zero), zero, d);
}

/* dy * y * log(a), and 0 where a is 0 and b is not negative. */
static mu_value exponent_gradient(mu_graph *g, mu_value dy, mu_value a, mu_value b, mu_value y)
{
    mu_value zero = mu_constant_like(g, a, 0);
    mu_value d = mu_mul(g, mu_mul(g, dy, y), mu_log(g, a));
    mu_value at_zero = mu_where(g, mu_greater_equal(g, b, zero), zero, d);
    return mu_where(g, mu_equal(g, a, zero), at_zero, d);
}

static void gradient(mu_grad *grad)
{
    mu_value a = mu_grad_in(grad, 0), b = mu_grad_in(grad, 1), dy = grad->dout[0];
    if (grad->need[0])
        mu_binary_set_gradient(grad, 0, base_gradient(grad->graph, dy, a, b));
    if (grad->need[1])
        mu_binary_set_gradient(grad, 1, exponent_gradient(grad->graph, dy, a, b, mu_grad_out(grad, 0)));
}

MU_BINARY_OP(power, "a to the power of b, floating point.", mu_binary_infer_float, .flags = MU_OP_ELEMENTWISE,
             .inplace = {1}, .gradient = gradient);

mu_value mu_power(mu_graph *g, mu_value a, mu_value b)
{
    return mu_binary_apply(g, &mu_op_power, a, b);
}

mu_value mu_power_scalar(mu_graph *g, mu_value x, double c)
{
    return mu_power(g, x, mu_constant_like(g, x, c));
}

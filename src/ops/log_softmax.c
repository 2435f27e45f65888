#include "ops/softmax.h"

MU_SOFTMAX_OP(log_softmax_grad, "dx = dy - e^y * sum(dy); (dy, y).", 2);

static void gradient(mu_grad *grad)
{
    mu_softmax_gradient(grad, &mu_op_log_softmax_grad);
}

MU_SOFTMAX_OP(log_softmax, "y = x - log(the sum of e^x along dimension dim).", 1, .gradient = gradient);

mu_value mu_log_softmax(mu_graph *g, mu_value x, int64_t dim)
{
    return mu_softmax_apply(g, &mu_op_log_softmax, x, dim);
}

#include "ops/loss.h"

MU_LOSS_GRAD_OP(mse_loss_grad, "dx = 2 * (x - target) * dloss; (dloss, x, target).", 3);

static void gradient(mu_grad *grad)
{
    mu_loss_gradient_of_difference(grad, &mu_op_mse_loss_grad);
}

MU_LOSS_OP(mse_loss, "(x - target)^2, reduced.", 2, .gradient = gradient);

mu_value mu_mse_loss(mu_graph *g, mu_value x, mu_value target, const mu_loss_attrs *attrs)
{
    return mu_loss_apply(g, &mu_op_mse_loss, attrs, (mu_value[]){x, target}, 2);
}

#include "ops/loss.h"

MU_LOSS_GRAD_OP(l1_loss_grad, "dx = sign(x - target) * dloss; (dloss, x, target).", 3);

static void gradient(mu_grad *grad)
{
    mu_loss_gradient_of_difference(grad, &mu_op_l1_loss_grad);
}

MU_LOSS_OP(l1_loss, "|x - target|, reduced.", 2, .gradient = gradient);

mu_value mu_l1_loss(mu_graph *g, mu_value x, mu_value target, const mu_loss_attrs *attrs)
{
    return mu_loss_apply(g, &mu_op_l1_loss, attrs, (mu_value[]){x, target}, 2);
}

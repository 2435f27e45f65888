#include "ops/loss.h"

MU_LOSS_GRAD_OP(smooth_l1_loss_grad,
                "dx = (x - target) / beta within beta, else its sign, times dloss; (dloss, x, target).", 3);

static void gradient(mu_grad *grad)
{
    mu_loss_gradient_of_difference(grad, &mu_op_smooth_l1_loss_grad);
}

MU_LOSS_OP(smooth_l1_loss,
           "d = |x - target|: d^2 / (2 beta) where d < beta, else d - beta / 2; reduced (Girshick 2015).", 2,
           .gradient = gradient);

mu_value mu_smooth_l1_loss(mu_graph *g, mu_value x, mu_value target, const mu_loss_attrs *attrs)
{
    return mu_loss_apply(g, &mu_op_smooth_l1_loss, attrs, (mu_value[]){x, target}, 2);
}

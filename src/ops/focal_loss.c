#include "ops/loss.h"

MU_LOSS_GRAD_OP(focal_loss_grad, "dx, the slope of the focal loss at x, times dloss; (dloss, x, target).", 3);

static void gradient(mu_grad *grad)
{
    mu_loss_gradient(grad, &mu_op_focal_loss_grad);
}

MU_LOSS_OP(focal_loss,
           "Sigmoid focal loss (Lin et al. 2017): alpha_t * (1 - p_t)^gamma * binary cross-entropy, p_t = p t + (1 - "
           "p)(1 - t); "
           "alpha < 0: without alpha_t; reduced.",
           2, .gradient = gradient);

mu_value mu_focal_loss(mu_graph *g, mu_value x, mu_value target, const mu_loss_attrs *attrs)
{
    return mu_loss_apply(g, &mu_op_focal_loss, attrs, (mu_value[]){x, target}, 2);
}

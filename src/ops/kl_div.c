#include "ops/loss.h"

MU_LOSS_GRAD_OP(kl_div_grad, "dx = -target * dloss, or -e^target * dloss; (dloss, x, target).", 3);

static void gradient(mu_grad *grad)
{
    mu_loss_gradient(grad, &mu_op_kl_div_grad);
}

MU_LOSS_OP(kl_div, "target * (log(target) - x), x log-probabilities; with log_target e^target * (target - x); reduced.",
           2, .gradient = gradient);

mu_value mu_kl_div(mu_graph *g, mu_value x, mu_value target, const mu_loss_attrs *attrs)
{
    return mu_loss_apply(g, &mu_op_kl_div, attrs, (mu_value[]){x, target}, 2);
}

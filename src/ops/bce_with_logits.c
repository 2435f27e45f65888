#include "ops/loss.h"

MU_LOSS_GRAD_OP(bce_with_logits_grad,
                "dx = weight * (1 - t - (1 + (pos_weight - 1) * t) * sigmoid(-x)) * dloss; (dloss, x, target, weight?, "
                "pos_weight?).",
                5);

static void gradient(mu_grad *grad)
{
    mu_loss_gradient(grad, &mu_op_bce_with_logits_grad);
}

MU_LOSS_OP(bce_with_logits,
           "Binary cross-entropy of sigmoid(x) in a form that does not overflow: weight * ((1 - t) * x + "
           "(1 + (pos_weight - 1) * t) * log(1 + e^-x)); (x, target, weight?, pos_weight?), reduced.",
           4, .gradient = gradient);

mu_value mu_bce_with_logits(mu_graph *g, mu_value x, mu_value target, mu_value weight, mu_value pos_weight,
                            const mu_loss_attrs *attrs)
{
    return mu_loss_apply(g, &mu_op_bce_with_logits, attrs, (mu_value[]){x, target, weight, pos_weight}, 4);
}

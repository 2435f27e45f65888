#include "nn/losses/loss_impl.h"

typedef struct {
    double gamma, alpha, loss_weight;
    int reduction;
} focal_loss;

static const mu_option options[] = {
    MU_OPTION(focal_loss, gamma, MU_OPT_FLOAT, .float_default = 2, .bounded_below = true,
              .help = "how much well classified samples count less"),
    MU_OPTION(focal_loss, alpha, MU_OPT_FLOAT, .float_default = 0.25, .bounded_below = true, .bounded_above = true, .max = 1,
              .help = "factor of positive samples; of negative ones it is 1 - alpha"),
    MU_CRITERION_OPTIONS(focal_loss),
    MU_OPTION_END};

static mu_value apply(const void *loss, mu_trace *t, mu_value x, mu_value target)
{
    const focal_loss *self = loss;
    mu_loss_attrs a = mu_loss_defaults();
    a.gamma = self->gamma;
    a.alpha = self->alpha;
    a.reduction = self->reduction == MU_REDUCE_NONE ? MU_REDUCE_NONE : MU_REDUCE_SUM;
    mu_value y = mu_focal_loss(t->graph, x, mu_criterion_one_hot(t, x, target), &a);
    return mu_criterion_over_samples(t, y, mu_graph_type(t->graph, x)->dim[0], self->reduction, self->loss_weight);
}

const mu_component mu_component_focal_loss = {
    .kind = "loss",
    .name = "FocalLoss",
    .doc = "Sigmoid focal loss (Lin et al. 2017), summed over classes, averaged over samples.",
    .size = sizeof(focal_loss),
    .options = options,
    .ops = &(const mu_loss_ops){.apply = apply},
};

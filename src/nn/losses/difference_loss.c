/* Losses of x - target, element by element. */
#include "nn/losses/loss_impl.h"

typedef struct {
    int reduction;
    double loss_weight;
    double beta; /* SmoothL1Loss */
} difference_loss;

static const mu_option options[] = {MU_CRITERION_OPTIONS(difference_loss), MU_OPTION_END};

static const mu_option smooth_options[] = {
    MU_OPTION(difference_loss, beta, MU_OPT_FLOAT, .float_default = 1, .bounded_below = true, .above_min = true,
              .help = "smaller differences count as their squares"),
    MU_CRITERION_OPTIONS(difference_loss),
    MU_OPTION_END};

typedef mu_value difference_fn(mu_graph *g, mu_value x, mu_value target, const mu_loss_attrs *attrs);

static mu_value apply(const difference_loss *self, mu_trace *t, mu_value x, mu_value target, difference_fn *op)
{
    mu_loss_attrs a = mu_loss_defaults();
    a.reduction = self->reduction;
    a.beta = self->beta;
    return mu_criterion_weighted(t, op(t->graph, x, target, &a), self->loss_weight);
}

static mu_value apply_mse(const void *loss, mu_trace *t, mu_value x, mu_value target)
{
    return apply(loss, t, x, target, mu_mse_loss);
}

static mu_value apply_l1(const void *loss, mu_trace *t, mu_value x, mu_value target)
{
    return apply(loss, t, x, target, mu_l1_loss);
}

static mu_value apply_smooth_l1(const void *loss, mu_trace *t, mu_value x, mu_value target)
{
    return apply(loss, t, x, target, mu_smooth_l1_loss);
}

const mu_component mu_component_mse_loss = {
    .kind = "loss",
    .name = "MSELoss",
    .doc = "Squares of the differences.",
    .size = sizeof(difference_loss),
    .options = options,
    .ops = &(const mu_loss_ops){.apply = apply_mse},
};

const mu_component mu_component_l1_loss = {
    .kind = "loss",
    .name = "L1Loss",
    .doc = "Absolute differences.",
    .size = sizeof(difference_loss),
    .options = options,
    .ops = &(const mu_loss_ops){.apply = apply_l1},
};

const mu_component mu_component_smooth_l1_loss = {
    .kind = "loss",
    .name = "SmoothL1Loss",
    .doc = "Squares of small differences over 2 beta, absolute values of large ones less beta / 2.",
    .size = sizeof(difference_loss),
    .options = smooth_options,
    .ops = &(const mu_loss_ops){.apply = apply_smooth_l1},
};

#include "nn/init.h"

/* Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010. */
typedef struct {
    mu_weight_init base;
    double gain;
    int distribution;
} xavier;

static const mu_option options[] = {
    MU_OPTION(xavier, gain, MU_OPT_FLOAT, .float_default = 1, .bounded_below = true, .help = "factor"),
    MU_OPTION(xavier, distribution, MU_OPT_CHOICE, .choices = mu_distribution_names, .help = "of the weights"),
    MU_WEIGHT_INIT_OPTIONS(xavier),
    MU_OPTION_END,
};

static mu_err fill(const void *init, const mu_type *type, mu_weight_fill *out)
{
    const xavier *self = init;
    double in, out_;
    MU_TRY(mu_weight_fans(type, &in, &out_));
    *out = mu_weight_fill_std(self->distribution, self->gain * sqrt(2 / (in + out_)));
    return MU_OK;
}

const mu_component mu_component_xavier = {.kind = "weight_init",
                                          .name = "Xavier",
                                          .size = sizeof(xavier),
                                          .options = options,
                                          .ops = &(const mu_weight_init_ops){.fill = fill},
                                          .doc = "Glorot and Bengio's: the variance is 2 gain^2 / (fan_in + fan_out)."};

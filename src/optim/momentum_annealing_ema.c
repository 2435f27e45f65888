#include "optim/moving_average.h"

#include <math.h>

typedef struct {
    mu_moving_average base;
    int64_t gamma;
} annealing_ema;

static double weight(const mu_averaged_model *average, int64_t steps)
{
    const annealing_ema *self = (const annealing_ema *)average;
    double gamma = (double)self->gamma;
    return fmax(self->base.momentum, gamma / (gamma + (double)steps));
}

static const mu_option options[] = {
    MU_MOVING_AVERAGE_OPTIONS,
    MU_OPTION(annealing_ema, gamma, MU_OPT_INT, .int_default = 100, .bounded_below = true, .min = 1,
              .help = "the momentum is gamma / (gamma + steps), as long as that is larger"),
    MU_OPTION_END,
};

const mu_component mu_component_momentum_annealing_ema = {
    .kind = "averaged_model",
    .name = "MomentumAnnealingEMA",
    .doc = "An exponential moving average whose momentum begins high and falls to its value.",
    .size = sizeof(annealing_ema),
    .options = options,
    .create = mu_moving_average_create,
    .destroy = mu_averaged_model_destroy,
    .ops = &(const mu_averaged_model_ops){.weight = weight},
};

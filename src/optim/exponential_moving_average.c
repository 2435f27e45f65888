#include "core/log.h"
#include "optim/moving_average.h"

mu_err mu_moving_average_create(void *object, const mu_cfg *cfg)
{
    const mu_moving_average *self = object;
    (void)cfg;
    if (self->momentum >= 1)
        return MU_FAIL(MU_ERR_CONFIG, "momentum must be between 0 and 1, both excluded, got %g", self->momentum);
    if (self->momentum > 0.5)
        MU_WARN("optim", "momentum %g: in an average of weights it is the share of the newest, and usually small", self->momentum);
    return MU_OK;
}

static double weight(const mu_averaged_model *average, int64_t steps)
{
    (void)steps;
    return ((const mu_moving_average *)average)->momentum;
}

static const mu_option options[] = {
    MU_MOVING_AVERAGE_OPTIONS,
    MU_OPTION_END,
};

const mu_component mu_component_exponential_moving_average = {
    .kind = "averaged_model",
    .name = "ExponentialMovingAverage",
    .doc = "average = (1 - momentum) * average + momentum * model.",
    .size = sizeof(mu_moving_average),
    .options = options,
    .create = mu_moving_average_create,
    .destroy = mu_averaged_model_destroy,
    .ops = &(const mu_averaged_model_ops){.weight = weight},
};

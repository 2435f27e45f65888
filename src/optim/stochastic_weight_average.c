#include "optim/averaged_model.h"

static double weight(const mu_averaged_model *average, int64_t steps)
{
    return 1 / ((double)(steps / average->interval) + 1);
}

static const mu_option options[] = {MU_AVERAGED_MODEL_OPTIONS, MU_OPTION_END};

const mu_component mu_component_stochastic_weight_average = {
    .kind = "averaged_model",
    .name = "StochasticWeightAverage",
    .doc = "The mean of all models so far (Izmailov et al. 2018).",
    .size = sizeof(mu_averaged_model),
    .options = options,
    .destroy = mu_averaged_model_destroy,
    .ops = &(const mu_averaged_model_ops){.weight = weight},
};

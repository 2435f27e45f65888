/* What averages with a momentum share. */
#ifndef MU_OPTIM_MOVING_AVERAGE_H
#define MU_OPTIM_MOVING_AVERAGE_H

#include "optim/averaged_model.h"

typedef struct {
    mu_averaged_model base;
    double momentum;
} mu_moving_average;
#define MU_MOVING_AVERAGE_OPTIONS                                                                                       \
    MU_AVERAGED_MODEL_OPTIONS,                                                                                            \
    {.key = "momentum", .type = MU_OPT_FLOAT, .offset = offsetof(mu_moving_average, momentum), .float_default = 0.0002,   \
     .bounded_below = true, .above_min = true, .bounded_above = true, .max = 1,                                           \
     .help = "share of the model in the average after an update"}

/* create of the components that begin with a mu_moving_average. */
mu_err mu_moving_average_create(void *object, const mu_cfg *cfg);

#endif

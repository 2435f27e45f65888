#include "optim/scheduler.h"

#include <math.h>

typedef struct {
    mu_scheduler base;
    double gamma;
} exponential;

static const mu_option options[] = {
    MU_OPTION(exponential, gamma, MU_OPT_FLOAT, .required = true, .bounded_below = true, .help = "factor of a step"),
    MU_SCHEDULER_OPTIONS(exponential),
    MU_OPTION_END,
};

static mu_err create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    MU_TRY(mu_scheduler_check(object, false));
    return MU_OK;
}

static double value(const mu_scheduler *scheduler, int64_t t, int64_t n, double previous, double base)
{
    (void)n, (void)base;
    const exponential *self = (const exponential *)scheduler;
    return t == 0 ? previous : previous * self->gamma;
}

/* After an epoch of iterations the same as after one step of an epoch. */
static mu_err convert(mu_scheduler *scheduler, int64_t epoch_length)
{
    exponential *self = (exponential *)scheduler;
    self->gamma = pow(self->gamma, 1 / (double)epoch_length);
    return MU_OK;
}

static const mu_scheduler_ops ops = {.field = offsetof(mu_optim_group, lr), .name = "lr", .value = value, .convert = convert};

const mu_component mu_component_exponential_lr = {
    .kind = "param_scheduler",
    .name = "ExponentialLR",
    .doc = "Multiplies the learning rate by gamma at every step after the first.",
    .size = sizeof(exponential),
    .options = options,
    .create = create,
    .destroy = mu_scheduler_destroy,
    .ops = &ops,
};

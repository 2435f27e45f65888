#include "optim/scheduler.h"

#include <math.h>

typedef struct {
    mu_scheduler base;
    double eta_min, power;
} poly;

static const mu_option options[] = {
    MU_OPTION(poly, eta_min, MU_OPT_FLOAT, .bounded_below = true, .help = "learning rate at the last step before end"),
    MU_OPTION(poly, power, MU_OPT_FLOAT, .float_default = 1, .bounded_below = true, .help = "power of the curve"),
    MU_SCHEDULER_OPTIONS(poly),
    MU_OPTION_END,
};

static mu_err create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    MU_TRY(mu_scheduler_check(object, true));
    return MU_OK;
}

static double value(const mu_scheduler *scheduler, int64_t t, int64_t n, double previous, double base)
{
    (void)base;
    const poly *self = (const poly *)scheduler;
    if (t == 0)
        return previous;
    return (previous - self->eta_min) * pow(1 - 1 / (double)(n - t), self->power) + self->eta_min;
}

static const mu_scheduler_ops ops = {.field = offsetof(mu_optim_group, lr), .name = "lr", .value = value};

const mu_component mu_component_poly_lr = {
    .kind = "param_scheduler",
    .name = "PolyLR",
    .doc = "Lowers the learning rate to eta_min at end, as a power of the share of steps that is left.",
    .size = sizeof(poly),
    .options = options,
    .create = create,
    .destroy = mu_scheduler_destroy,
    .ops = &ops,
};

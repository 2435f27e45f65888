#include "optim/scheduler.h"

typedef struct {
    mu_scheduler base;
    double start_factor, end_factor;
} linear;

static const mu_option options[] = {
    MU_OPTION(linear, start_factor, MU_OPT_FLOAT, .float_default = 1.0 / 3, .text_default = "1/3", .bounded_below = true,
              .above_min = true, .bounded_above = true, .max = 1, .help = "factor at begin"),
    MU_OPTION(linear, end_factor, MU_OPT_FLOAT, .float_default = 1, .bounded_below = true, .bounded_above = true, .max = 1,
              .help = "factor at the last step before end"),
    MU_SCHEDULER_OPTIONS(linear),
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
    const linear *self = (const linear *)scheduler;
    double rise = self->end_factor - self->start_factor;
    if (t == 0)
        return previous * self->start_factor;
    return previous * (1 + rise / ((double)(n - 1) * self->start_factor + (double)(t - 1) * rise));
}

static const mu_scheduler_ops ops = {.field = offsetof(mu_optim_group, lr), .name = "lr", .value = value};

const mu_component mu_component_linear_lr = {
    .kind = "param_scheduler",
    .name = "LinearLR",
    .doc = "Multiplies the learning rate by a factor that goes from start_factor to end_factor in equal steps, until end.",
    .size = sizeof(linear),
    .options = options,
    .create = create,
    .destroy = mu_scheduler_destroy,
    .ops = &ops,
};

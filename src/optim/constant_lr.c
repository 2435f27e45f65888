#include "optim/scheduler.h"

typedef struct {
    mu_scheduler base;
    double factor;
} constant;

static const mu_option options[] = {
    MU_OPTION(constant, factor, MU_OPT_FLOAT, .float_default = 1.0 / 3, .text_default = "1/3", .bounded_below = true,
              .above_min = true, .bounded_above = true, .max = 1, .help = "factor from begin on"),
    MU_SCHEDULER_OPTIONS(constant),
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
    (void)base;
    const constant *self = (const constant *)scheduler;
    if (t == 0)
        return previous * self->factor;
    return t == n - 1 ? previous * (1 / self->factor) : previous;
}

static const mu_scheduler_ops ops = {.field = offsetof(mu_optim_group, lr), .name = "lr", .value = value};

const mu_component mu_component_constant_lr = {
    .kind = "param_scheduler",
    .name = "ConstantLR",
    .doc = "Multiplies the learning rate by a factor, and takes it back at the last step before end.",
    .size = sizeof(constant),
    .options = options,
    .create = create,
    .destroy = mu_scheduler_destroy,
    .ops = &ops,
};

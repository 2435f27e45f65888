#include "optim/scheduler.h"

#include "core/mem.h"

typedef struct {
    mu_scheduler base;
    int64_t step_size;
    double gamma;
} steps;

static const mu_option options[] = {
    MU_OPTION(steps, step_size, MU_OPT_INT, .required = true, .bounded_below = true, .min = 1,
              .help = "steps between two changes"),
    MU_OPTION(steps, gamma, MU_OPT_FLOAT, .float_default = 0.1, .bounded_below = true, .help = "factor of a change"),
    MU_SCHEDULER_OPTIONS(steps),
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
    const steps *self = (const steps *)scheduler;
    return t == 0 || t % self->step_size != 0 ? previous : previous * self->gamma;
}

static mu_err convert(mu_scheduler *scheduler, int64_t epoch_length)
{
    steps *self = (steps *)scheduler;
    MU_TRY(mu_mul_i64(self->step_size, epoch_length, &self->step_size));
    return MU_OK;
}

static const mu_scheduler_ops ops = {.field = offsetof(mu_optim_group, lr), .name = "lr", .value = value, .convert = convert};

const mu_component mu_component_step_lr = {
    .kind = "param_scheduler",
    .name = "StepLR",
    .doc = "Multiplies the learning rate by gamma every step_size steps.",
    .size = sizeof(steps),
    .options = options,
    .create = create,
    .destroy = mu_scheduler_destroy,
    .ops = &ops,
};

#include "optim/scheduler.h"

#include "core/mem.h"

#include <math.h>

typedef struct {
    mu_scheduler base;
    mu_ints milestones;
    double gamma;
} multi_step;

static const mu_option options[] = {
    MU_OPTION(multi_step, milestones, MU_OPT_INTS, .required = true, .bounded_below = true, .min_items = 1,
              .help = "steps at which it changes"),
    MU_OPTION(multi_step, gamma, MU_OPT_FLOAT, .float_default = 0.1, .bounded_below = true, .help = "factor of a change"),
    MU_SCHEDULER_OPTIONS(multi_step),
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
    const multi_step *self = (const multi_step *)scheduler;
    int times = 0;
    for (size_t i = 0; i < self->milestones.n; i++)
        times += self->milestones.v[i] == t;
    return times ? previous * pow(self->gamma, times) : previous;
}

static mu_err convert(mu_scheduler *scheduler, int64_t epoch_length)
{
    mu_ints *milestones = &((multi_step *)scheduler)->milestones;
    int64_t last;
    for (size_t i = 0; i < milestones->n; i++)
        MU_TRY(mu_mul_i64(milestones->v[i], epoch_length, &last));
    for (size_t i = 0; i < milestones->n; i++)
        milestones->v[i] *= epoch_length;
    return MU_OK;
}

static const mu_scheduler_ops ops = {.field = offsetof(mu_optim_group, lr), .name = "lr", .value = value, .convert = convert};

const mu_component mu_component_multi_step_lr = {
    .kind = "param_scheduler",
    .name = "MultiStepLR",
    .doc = "Multiplies the learning rate by gamma at each milestone, counted from begin.",
    .size = sizeof(multi_step),
    .options = options,
    .create = create,
    .destroy = mu_scheduler_destroy,
    .ops = &ops,
};

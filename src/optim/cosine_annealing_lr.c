#include "optim/scheduler.h"

#include "core/mem.h"

#include <math.h>

typedef struct {
    mu_scheduler base;
    int64_t T_max; /* 0: end - begin */
    double eta_min, eta_min_ratio; /* NaN: not given */
} cosine;

static const mu_option options[] = {
    MU_OPTION(cosine, T_max, MU_OPT_INT, .nullable = true, .bounded_below = true, .min = 1, .text_default = "end - begin",
              .help = "steps from the highest value to the lowest"),
    MU_OPTION(cosine, eta_min, MU_OPT_FLOAT, .float_default = NAN, .nullable = true, .text_default = "0",
              .bounded_below = true, .help = "lowest value"),
    MU_OPTION(cosine, eta_min_ratio, MU_OPT_FLOAT, .float_default = NAN, .nullable = true, .text_default = "null",
              .bounded_below = true, .help = "lowest value as a share of the first, instead of eta_min"),
    MU_SCHEDULER_OPTIONS(cosine),
    MU_OPTION_END,
};

static mu_err create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    const cosine *self = object;
    MU_TRY(mu_scheduler_check(object, false));
    if (self->T_max == 0 && self->base.end < 0) {
        MU_FAIL(MU_ERR_CONFIG, "the length of the curve is not known: expected T_max or end");
        return mu_error_hint("T_max: the number of epochs that are trained");
    }
    if (!isnan(self->eta_min) && !isnan(self->eta_min_ratio))
        return MU_FAIL(MU_ERR_CONFIG, "eta_min and eta_min_ratio exclude each other, got %g and %g", self->eta_min,
                       self->eta_min_ratio);
    return MU_OK;
}

static double value(const mu_scheduler *scheduler, int64_t t, int64_t n, double previous, double base)
{
    const cosine *self = (const cosine *)scheduler;
    int64_t T = self->T_max ? self->T_max : n;
    double low = !isnan(self->eta_min_ratio) ? base * self->eta_min_ratio : isnan(self->eta_min) ? 0 : self->eta_min;
    if (t == 0)
        return previous;
    if (t > T && (t - 1) % T == 0 && (t - 1) / T % 2 == 1) /* away from the lowest value, from which the ratio below is 0 / 0 */
        return previous + (base - low) * (1 - cos(M_PI / (double)T)) / 2;
    return (1 + cos(M_PI * (double)t / (double)T)) / (1 + cos(M_PI * (double)(t - 1) / (double)T)) * (previous - low) + low;
}

static mu_err convert(mu_scheduler *scheduler, int64_t epoch_length)
{
    cosine *self = (cosine *)scheduler;
    MU_TRY(mu_mul_i64(self->T_max, epoch_length, &self->T_max));
    return MU_OK;
}

static const mu_scheduler_ops ops = {.field = offsetof(mu_optim_group, lr), .name = "lr", .value = value, .convert = convert};

const mu_component mu_component_cosine_annealing_lr = {
    .kind = "param_scheduler",
    .name = "CosineAnnealingLR",
    .doc = "Moves the learning rate along half a cosine to eta_min in T_max steps, and back (Loshchilov and Hutter 2017, without restarts).",
    .size = sizeof(cosine),
    .options = options,
    .create = create,
    .destroy = mu_scheduler_destroy,
    .ops = &ops,
};

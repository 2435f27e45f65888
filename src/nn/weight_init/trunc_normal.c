#include "nn/init.h"

typedef struct {
    mu_weight_init base;
    double mean, std, a, b;
} trunc_normal;

static const mu_option options[] = {
    MU_OPTION(trunc_normal, mean, MU_OPT_FLOAT, .help = "of the distribution before it is cut"),
    MU_OPTION(trunc_normal, std, MU_OPT_FLOAT, .float_default = 1, .bounded_below = true, .above_min = true,
              .help = "standard deviation before the cut"),
    MU_OPTION(trunc_normal, a, MU_OPT_FLOAT, .float_default = -2, .help = "least weight (not in units of std)"),
    MU_OPTION(trunc_normal, b, MU_OPT_FLOAT, .float_default = 2, .help = "greatest weight (not in units of std)"),
    MU_WEIGHT_INIT_OPTIONS(trunc_normal),
    MU_OPTION_END,
};

static mu_err create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    const trunc_normal *self = object;
    if (!(self->a < self->b))
        return MU_FAIL(MU_ERR_CONFIG, "the least weight a = %g is not below the greatest, b = %g", self->a, self->b);
    return MU_OK;
}

static mu_err fill(const void *init, const mu_type *type, mu_weight_fill *out)
{
    (void)type;
    const trunc_normal *self = init;
    *out = (mu_weight_fill){.fill = {.kind = MU_FILL_NORMAL, .a = self->mean, .b = self->std},
                            .truncated = true,
                            .low = self->a,
                            .high = self->b};
    return MU_OK;
}

const mu_component mu_component_trunc_normal = {
    .kind = "weight_init",
    .name = "TruncNormal",
    .size = sizeof(trunc_normal),
    .options = options,
    .create = create,
    .ops = &(const mu_weight_init_ops){.fill = fill},
    .doc = "Draws weights from a normal distribution, none outside of [a, b]."};

#include "nn/init.h"

typedef struct {
    mu_weight_init base;
    double a, b;
} uniform;

static const mu_option options[] = {
    MU_OPTION(uniform, a, MU_OPT_FLOAT, .help = "lower bound"),
    MU_OPTION(uniform, b, MU_OPT_FLOAT, .float_default = 1, .help = "upper bound"),
    MU_WEIGHT_INIT_OPTIONS(uniform),
    MU_OPTION_END,
};

static mu_err create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    const uniform *self = object;
    if (!(self->a <= self->b))
        return MU_FAIL(MU_ERR_CONFIG, "the lower bound a = %g lies above b = %g", self->a, self->b);
    return MU_OK;
}

static mu_err fill(const void *init, const mu_type *type, mu_weight_fill *out)
{
    (void)type;
    const uniform *self = init;
    *out = (mu_weight_fill){.fill = {.kind = MU_FILL_UNIFORM, .a = self->a, .b = self->b}};
    return MU_OK;
}

const mu_component mu_component_uniform = {.kind = "weight_init",
                                           .name = "Uniform",
                                           .size = sizeof(uniform),
                                           .options = options,
                                           .create = create,
                                           .ops = &(const mu_weight_init_ops){.fill = fill},
                                           .doc = "Draws weights evenly between two bounds."};

#include "nn/init.h"

typedef struct {
    mu_weight_init base;
    double mean, std;
} normal;

static const mu_option options[] = {
    MU_OPTION(normal, mean, MU_OPT_FLOAT, .help = "of the weights"),
    MU_OPTION(normal, std, MU_OPT_FLOAT, .float_default = 1, .bounded_below = true, .help = "standard deviation"),
    MU_WEIGHT_INIT_OPTIONS(normal),
    MU_OPTION_END,
};

static mu_err fill(const void *init, const mu_type *type, mu_weight_fill *out)
{
    (void)type;
    const normal *self = init;
    *out = (mu_weight_fill){.fill = {.kind = MU_FILL_NORMAL, .a = self->mean, .b = self->std}};
    return MU_OK;
}

const mu_component mu_component_normal = {.kind = "weight_init",
                                          .name = "Normal",
                                          .size = sizeof(normal),
                                          .options = options,
                                          .ops = &(const mu_weight_init_ops){.fill = fill},
                                          .doc = "Draws weights from a normal distribution."};

#include "nn/init.h"

typedef struct {
    mu_weight_init base;
    double val;
} constant;

static const mu_option options[] = {
    MU_OPTION(constant, val, MU_OPT_FLOAT, .required = true, .help = "what weights are set to"),
    MU_WEIGHT_INIT_OPTIONS(constant),
    MU_OPTION_END,
};

static mu_err fill(const void *init, const mu_type *type, mu_weight_fill *out)
{
    (void)type;
    *out = (mu_weight_fill){.fill = {.kind = MU_FILL_CONSTANT, .a = ((const constant *)init)->val}};
    return MU_OK;
}

const mu_component mu_component_constant = {.kind = "weight_init",
                                            .name = "Constant",
                                            .size = sizeof(constant),
                                            .options = options,
                                            .ops = &(const mu_weight_init_ops){.fill = fill},
                                            .doc = "Sets weights to a number."};

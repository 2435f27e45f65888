#include "nn/init.h"

typedef struct {
    mu_weight_init base;
} caffe2_xavier;

static const mu_option options[] = {
    MU_WEIGHT_INIT_OPTIONS(caffe2_xavier),
    MU_OPTION_END,
};

static mu_err fill(const void *init, const mu_type *type, mu_weight_fill *out)
{
    double in, out_;
    (void)init;
    MU_TRY(mu_weight_fans(type, &in, &out_));
    *out = mu_weight_fill_std(MU_DISTRIBUTION_UNIFORM, sqrt(1 / in));
    return MU_OK;
}

const mu_component mu_component_caffe2_xavier = {.kind = "weight_init",
                                                 .name = "Caffe2Xavier",
                                                 .size = sizeof(caffe2_xavier),
                                                 .options = options,
                                                 .ops = &(const mu_weight_init_ops){.fill = fill},
                                                 .doc = "Caffe2's XavierFill: uniform, with the variance 1 / fan_in."};

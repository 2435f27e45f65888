#include "nn/init.h"

/* He et al., "Delving deep into rectifiers", 2015. */
typedef struct {
    mu_weight_init base;
    double a;
    int mode, nonlinearity, distribution;
} kaiming;

enum { FAN_IN, FAN_OUT };
static const char *const modes[] = {"fan_in", "fan_out", NULL};
enum { LINEAR, CONV1D, CONV2D, CONV3D, SIGMOID, TANH, RELU, LEAKY_RELU, SELU };
static const char *const nonlinearities[] = {"linear", "conv1d", "conv2d",     "conv3d", "sigmoid",
                                             "tanh",   "relu",   "leaky_relu", "selu",   NULL};

static const mu_option options[] = {
    MU_OPTION(kaiming, a, MU_OPT_FLOAT, .help = "negative slope of the leaky_relu that follows"),
    MU_OPTION(kaiming, mode, MU_OPT_CHOICE, .choices = modes, .int_default = FAN_OUT,
              .help = "keep the variance in the forward (fan_in) or the backward pass"),
    MU_OPTION(kaiming, nonlinearity, MU_OPT_CHOICE, .choices = nonlinearities, .int_default = RELU,
              .help = "what follows the layer"),
    MU_OPTION(kaiming, distribution, MU_OPT_CHOICE, .choices = mu_distribution_names, .help = "of the weights"),
    MU_WEIGHT_INIT_OPTIONS(kaiming),
    MU_OPTION_END,
};

static double gain_of(const kaiming *self)
{
    switch (self->nonlinearity) {
    case TANH: return 5.0 / 3;
    case RELU: return sqrt(2);
    case LEAKY_RELU: return sqrt(2 / (1 + self->a * self->a));
    case SELU: return 0.75;
    default: return 1;
    }
}

static mu_err fill(const void *init, const mu_type *type, mu_weight_fill *out)
{
    const kaiming *self = init;
    double in, out_;
    MU_TRY(mu_weight_fans(type, &in, &out_));
    *out = mu_weight_fill_std(self->distribution, gain_of(self) / sqrt(self->mode == FAN_IN ? in : out_));
    return MU_OK;
}

const mu_component mu_component_kaiming = {
    .kind = "weight_init",
    .name = "Kaiming",
    .size = sizeof(kaiming),
    .options = options,
    .ops = &(const mu_weight_init_ops){.fill = fill},
    .doc = "He's: the variance is gain^2 / fan, the gain that of the nonlinearity."};

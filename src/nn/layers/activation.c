/* Activations as components. */
#include "nn/layers_impl.h"

typedef struct {
    mu_layer base;
    double negative_slope; /* LeakyReLU */
    int approximate;       /* GELU: index into forms */
} activation;

static const char *const forms[] = {"none", "tanh", NULL};
static const mu_option options[] = {MU_LAYER_OPTIONS(activation), MU_OPTION_END};
static const mu_option leaky_options[] = {
    MU_OPTION(activation, negative_slope, MU_OPT_FLOAT, .float_default = 0.01, .help = "slope below 0"),
    MU_LAYER_OPTIONS(activation), MU_OPTION_END};
static const mu_option gelu_options[] = {
    MU_OPTION(activation, approximate, MU_OPT_CHOICE, .choices = forms, .help = "tanh: the form with a hyperbolic tangent"),
    MU_LAYER_OPTIONS(activation), MU_OPTION_END};

static mu_value apply_leaky_relu(const void *layer, mu_trace *t, mu_value x)
{
    return mu_leaky_relu(t->graph, x, ((const activation *)layer)->negative_slope);
}

static mu_value apply_gelu(const void *layer, mu_trace *t, mu_value x)
{
    return mu_gelu(t->graph, x, ((const activation *)layer)->approximate == 1);
}

#define ACTIVATION(symbol_, name_, what_, doc_)                                    \
    static mu_value apply_##symbol_(const void *layer, mu_trace *t, mu_value x)    \
    {                                                                              \
        (void)layer;                                                               \
        return mu_nn_activation(t, x, what_);                                      \
    }                                                                              \
    MU_LAYER_COMPONENT(symbol_, name_, activation, options, doc_)

ACTIVATION(relu, "ReLU", MU_ACT_RELU, "max(x, 0).");
ACTIVATION(relu6, "ReLU6", MU_ACT_RELU6, "x kept between 0 and 6.");
ACTIVATION(silu, "SiLU", MU_ACT_SILU, "x sigmoid(x).");
ACTIVATION(sigmoid, "Sigmoid", MU_ACT_SIGMOID, "1 / (1 + exp(-x)).");
ACTIVATION(tanh, "Tanh", MU_ACT_TANH, "The hyperbolic tangent.");
ACTIVATION(hardsigmoid, "Hardsigmoid", MU_ACT_HARD_SIGMOID, "x / 6 + 1/2, kept between 0 and 1.");
ACTIVATION(hardswish, "Hardswish", MU_ACT_HARD_SWISH, "x hardsigmoid(x).");
MU_LAYER_COMPONENT(leaky_relu, "LeakyReLU", activation, leaky_options, "x, below 0 times a slope.");
MU_LAYER_COMPONENT(gelu, "GELU", activation, gelu_options, "x times the normal distribution function of x.");

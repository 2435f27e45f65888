/* Layers without parameters that are neither activations nor pooling. */
#include "nn/layers_impl.h"

typedef struct {
    mu_layer base;
    int64_t start_dim;
    double p;
} basic;

static const mu_option options[] = {MU_LAYER_OPTIONS(basic), MU_OPTION_END};
static const mu_option flatten_options[] = {
    MU_OPTION(basic, start_dim, MU_OPT_INT, .int_default = 1, .bounded_below = true, .bounded_above = true,
              .max = MU_MAX_NDIM - 1, .help = "first of the dimensions that become one, up to the last"),
    MU_LAYER_OPTIONS(basic), MU_OPTION_END};
static const mu_option dropout_options[] = {
    MU_OPTION(basic, p, MU_OPT_FLOAT, .float_default = 0.5, .bounded_below = true, .bounded_above = true, .max = 1,
              .help = "probability of zeroing an element"),
    MU_LAYER_OPTIONS(basic), MU_OPTION_END};

static mu_value apply_identity(const void *layer, mu_trace *t, mu_value x)
{
    (void)layer, (void)t;
    return x;
}

static mu_value apply_flatten(const void *layer, mu_trace *t, mu_value x)
{
    return mu_flatten(t->graph, x, (int)((const basic *)layer)->start_dim);
}

static mu_value apply_dropout(const void *layer, mu_trace *t, mu_value x)
{
    return mu_nn_dropout(t, x, ((const basic *)layer)->p);
}

MU_LAYER_COMPONENT(identity, "Identity", basic, options, "Gives what it takes.");
MU_LAYER_COMPONENT(flatten, "Flatten", basic, flatten_options, "Makes the dimensions from start_dim on one.");
MU_LAYER_COMPONENT(dropout, "Dropout", basic, dropout_options, "Zeroes elements in training (Srivastava et al. 2014).");

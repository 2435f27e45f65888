#include "nn/layers_impl.h"

typedef struct {
    mu_layer base;
    int64_t in_features, out_features;
    bool bias;
} linear;

static const mu_option options[] = {
    MU_OPTION(linear, in_features, MU_OPT_INT, .nullable = true, .bounded_below = true, .min = 1,
              .text_default = "null", .help = "size of the input's last dimension: checked when given"),
    MU_OPTION(linear, out_features, MU_OPT_INT, .required = true, .bounded_below = true, .min = 1,
              .help = "size of the output's"),
    MU_OPTION(linear, bias, MU_OPT_BOOL, .boolean_default = true, .help = "add a number to each feature"),
    MU_LAYER_OPTIONS(linear), MU_OPTION_END};

static mu_value apply_linear(const void *layer, mu_trace *t, mu_value x)
{
    const linear *self = layer;
    int last = mu_graph_type(t->graph, x)->ndim - 1;
    mu_nn_agree(t, x, last < 0 ? 0 : last, self->in_features, "Linear", "in_features");
    return mu_nn_linear_here(t, x, self->out_features, self->bias);
}

MU_LAYER_COMPONENT(linear, "Linear", linear, options, "x W' + b over the last dimension.");

#include "nn/layer.h"
#include "nn/layers.h"

#include <stdio.h>

typedef struct {
    mu_layer base;
    mu_ints hidden;
    double dropout;
    int act;
} mlp;

static const mu_option options[] = {
    MU_OPTION(mlp, hidden, MU_OPT_INTS, .required = true, .bare_item = true, .min_items = 1, .bounded_below = true,
              .min = 1, .unit = "units", .help = "of each hidden layer"),
    MU_OPTION(mlp, dropout, MU_OPT_FLOAT, .bounded_below = true, .bounded_above = true, .max = 1,
              .help = "probability of zeroing a hidden unit in training"),
    MU_OPTION(mlp, act, MU_OPT_CHOICE, .choices = mu_activation_names, .int_default = MU_ACT_RELU,
              .help = "what follows each layer"),
    MU_LAYER_OPTIONS(mlp),
    MU_OPTION_END,
};

static void forward(const void *layer, mu_trace *t, mu_features *x)
{
    const mlp *self = layer;
    mu_value v = mu_features_single(t, x, "MLP");
    v = mu_flatten(t->graph, v, 1);
    for (size_t i = 0; i < self->hidden.n; i++) {
        char name[24];
        snprintf(name, sizeof name, "fc%zu", i + 1);
        v = mu_nn_activation(t, mu_nn_linear(t, name, v, self->hidden.v[i], true), self->act);
        if (self->dropout > 0)
            v = mu_nn_dropout(t, v, self->dropout);
    }
    *x = mu_features_one(v);
}

const mu_component mu_component_mlp = {
    .kind = "backbone",
    .name = "MLP",
    .doc = "Linear layers, \"fc1\", \"fc2\", ..., each with an activation, over all values of a sample: [N,...] -> "
           "[N,hidden].",
    .size = sizeof(mlp),
    .options = options,
    .ops = &(const mu_layer_ops){.forward = forward},
};

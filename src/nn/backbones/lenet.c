#include "nn/layer.h"
#include "nn/layers_impl.h"

#include <stdio.h>

typedef struct {
    mu_layer base;
    int64_t in_channels, width, kernel, hidden;
    bool norm;
    double dropout;
} lenet;

static const mu_option options[] = {
    MU_OPTION(lenet, in_channels, MU_OPT_INT, .int_default = 1, .bounded_below = true, .min = 1,
              .help = "of the images"),
    MU_OPTION(lenet, width, MU_OPT_INT, .int_default = 32, .bounded_below = true, .min = 1, .unit = "channels",
              .help = "of the first convolution; the second has twice as many"),
    MU_OPTION(lenet, kernel, MU_OPT_INT, .int_default = 5, .bounded_below = true, .min = 1, .unit = "pixels",
              .help = "side of the convolutions, odd; they are padded so that images keep their size"),
    MU_OPTION(lenet, hidden, MU_OPT_INT, .int_default = 128, .bounded_below = true, .min = 1, .unit = "units",
              .help = "of the linear layer"),
    MU_OPTION(lenet, norm, MU_OPT_BOOL, .boolean_default = true,
              .help = "batch norms, instead of the convolutions' biases"),
    MU_OPTION(lenet, dropout, MU_OPT_FLOAT, .bounded_below = true, .bounded_above = true, .max = 1,
              .help = "probability of zeroing a unit of the linear layer in training"),
    MU_LAYER_OPTIONS(lenet),
    MU_OPTION_END,
};

static mu_err create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    const lenet *self = object;
    if (self->kernel % 2 == 0)
        return MU_FAIL(MU_ERR_CONFIG, "kernel is %lld: an odd side keeps the size of the images",
                       (long long)self->kernel);
    return MU_OK;
}

/* conv<i>, bn<i>, ReLU, max pool 2. */
static mu_value stage(const lenet *self, mu_trace *t, int i, mu_value x, int64_t channels)
{
    char conv_name[16], norm_name[16];
    int64_t k = self->kernel;
    mu_conv2d_layer conv = {.out_channels = channels, .kernel = {k, k}, .padding = {k / 2, k / 2}, .bias = !self->norm};
    mu_pool2d_attrs pool = mu_pool2d_defaults(2, 2, 0);
    snprintf(conv_name, sizeof conv_name, "conv%d", i);
    snprintf(norm_name, sizeof norm_name, "bn%d", i);
    x = mu_nn_conv2d(t, conv_name, x, &conv);
    if (self->norm)
        x = mu_nn_norm(t, norm_name, x, NULL);
    return mu_max_pool2d(t->graph, mu_relu(t->graph, x), &pool);
}

static void forward(const void *layer, mu_trace *t, mu_features *x)
{
    const lenet *self = layer;
    mu_value v = mu_features_single(t, x, "LeNet");
    if (!mu_nn_expect_channels(t, v, "LeNet", self->in_channels))
        return;
    v = stage(self, t, 1, v, self->width);
    v = stage(self, t, 2, v, 2 * self->width);
    v = mu_relu(t->graph, mu_nn_linear(t, "fc1", mu_flatten(t->graph, v, 1), self->hidden, true));
    if (self->dropout > 0)
        v = mu_nn_dropout(t, v, self->dropout);
    *x = mu_features_one(v);
}

const mu_component mu_component_lenet = {
    .kind = "backbone",
    .name = "LeNet",
    .doc = "For small images: two convolutions, each with batch norm, ReLU and a max pool that halves the sides, then "
           "a linear "
           "layer with ReLU: [N,C,H,W] -> [N,hidden].",
    .size = sizeof(lenet),
    .options = options,
    .create = create,
    .ops = &(const mu_layer_ops){.forward = forward},
};

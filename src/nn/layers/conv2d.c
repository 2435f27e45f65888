#include "nn/layers_impl.h"

typedef struct {
    mu_layer base;
    int64_t in_channels, out_channels, groups;
    mu_ints kernel_size, stride, padding, dilation;
    bool bias;
} conv2d;

static const mu_option options[] = {
    MU_OPTION(conv2d, in_channels, MU_OPT_INT, .nullable = true, .bounded_below = true, .min = 1,
              .text_default = "null", .help = "channels of the input: checked when given"),
    MU_OPTION(conv2d, out_channels, MU_OPT_INT, .required = true, .bounded_below = true, .min = 1, .help = "channels made"),
    MU_PAIR_OPTION(conv2d, kernel_size, 1, .required = true, .help = "size of the window"),
    MU_PAIR_OPTION(conv2d, stride, 1, .text_default = "1", .help = "step of the window"),
    MU_PAIR_OPTION(conv2d, padding, 0, .text_default = "0", .help = "zeros around the input"),
    MU_PAIR_OPTION(conv2d, dilation, 1, .text_default = "1", .help = "distance of the window's elements"),
    MU_OPTION(conv2d, groups, MU_OPT_INT, .int_default = 1, .bounded_below = true, .min = 1,
              .help = "parts that channels are cut into, each convolved by itself"),
    MU_OPTION(conv2d, bias, MU_OPT_BOOL, .boolean_default = true, .help = "add a number to each channel"),
    MU_LAYER_OPTIONS(conv2d), MU_OPTION_END};

static mu_value apply_conv2d(const void *layer, mu_trace *t, mu_value x)
{
    const conv2d *self = layer;
    mu_conv2d_layer c = {.out_channels = self->out_channels, .groups = self->groups, .bias = self->bias};
    mu_nn_pair(&self->kernel_size, 1, c.kernel);
    mu_nn_pair(&self->stride, 1, c.stride);
    mu_nn_pair(&self->padding, 0, c.padding);
    mu_nn_pair(&self->dilation, 1, c.dilation);
    mu_nn_agree(t, x, 1, self->in_channels, "Conv2d", "in_channels");
    return mu_nn_conv2d_here(t, x, &c);
}

MU_LAYER_COMPONENT(conv2d, "Conv2d", conv2d, options, "A convolution over images [N,C,H,W].");

#include "nn/layers_impl.h"

typedef struct {
    mu_layer base;
    mu_ints kernel_size, stride, padding, dilation, output_size;
    bool ceil_mode, count_include_pad;
} pool2d;

#define WINDOW                                                                                                          \
    MU_PAIR_OPTION(pool2d, kernel_size, 1, .required = true, .help = "size of the window"),                             \
    MU_PAIR_OPTION(pool2d, stride, 1, .nullable = true, .text_default = "kernel_size", .help = "step of the window"),   \
    MU_PAIR_OPTION(pool2d, padding, 0, .text_default = "0", .help = "border around the input"),                         \
    MU_OPTION(pool2d, ceil_mode, MU_OPT_BOOL, .help = "round the output's size up")

static const mu_option max_options[] = {
    WINDOW, MU_PAIR_OPTION(pool2d, dilation, 1, .text_default = "1", .help = "distance of the window's elements"),
    MU_LAYER_OPTIONS(pool2d), MU_OPTION_END};
static const mu_option avg_options[] = {
    WINDOW, MU_OPTION(pool2d, count_include_pad, MU_OPT_BOOL, .boolean_default = true, .help = "count the border's zeros"),
    MU_LAYER_OPTIONS(pool2d), MU_OPTION_END};
static const mu_option adaptive_options[] = {
    MU_PAIR_OPTION(pool2d, output_size, 1, .required = true, .help = "size of the output"),
    MU_LAYER_OPTIONS(pool2d), MU_OPTION_END};

static mu_pool2d_attrs window(const pool2d *self)
{
    mu_pool2d_attrs a = mu_pool2d_defaults(1, 1, 0);
    mu_nn_pair(&self->kernel_size, 1, a.kernel);
    mu_nn_pair(self->stride.n ? &self->stride : &self->kernel_size, 1, a.stride);
    mu_nn_pair(&self->padding, 0, a.padding);
    mu_nn_pair(&self->padding, 0, a.padding + 2);
    mu_nn_pair(&self->dilation, 1, a.dilation);
    a.ceil_mode = self->ceil_mode;
    a.count_include_pad = self->count_include_pad;
    return a;
}

static mu_value apply_max_pool2d(const void *layer, mu_trace *t, mu_value x)
{
    mu_pool2d_attrs a = window(layer);
    return mu_max_pool2d(t->graph, x, &a);
}

static mu_value apply_avg_pool2d(const void *layer, mu_trace *t, mu_value x)
{
    mu_pool2d_attrs a = window(layer);
    return mu_avg_pool2d(t->graph, x, &a);
}

static mu_value apply_adaptive_avg_pool2d(const void *layer, mu_trace *t, mu_value x)
{
    int64_t size[2];
    mu_nn_pair(&((const pool2d *)layer)->output_size, 1, size);
    return mu_adaptive_avg_pool2d(t->graph, x, size[0], size[1]);
}

MU_LAYER_COMPONENT(max_pool2d, "MaxPool2d", pool2d, max_options, "The largest value in a window.");
MU_LAYER_COMPONENT(avg_pool2d, "AvgPool2d", pool2d, avg_options, "The mean of a window.");
MU_LAYER_COMPONENT(adaptive_avg_pool2d, "AdaptiveAvgPool2d", pool2d, adaptive_options,
                   "Means of windows that give an output of a fixed size.");

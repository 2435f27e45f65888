#include "nn/layers_impl.h"
#include "dist/comm.h"

#include <math.h>

static const mu_fill zero = {MU_FILL_CONSTANT, 0, 0}, one = {MU_FILL_CONSTANT, 1, 0};

/* PyTorch's default of convolutions and linear layers: uniform in +-1/sqrt(fan_in). */
static mu_fill uniform(double fan_in)
{
    double bound = fan_in > 0 ? 1 / sqrt(fan_in) : 0;
    return (mu_fill){MU_FILL_UNIFORM, -bound, bound};
}

bool mu_nn_expect(mu_trace *t, mu_value x, const char *who, int min, int max)
{
    char text[MU_TYPE_TEXT];
    const mu_type *type = mu_graph_type(t->graph, x);
    if (mu_trace_status(t) != MU_OK)
        return false;
    if (type->ndim >= min && type->ndim <= max && mu_dtype_is_float(type->dtype))
        return true;
    if (min == max)
        (void)MU_FAIL(MU_ERR_SHAPE, "%s wants floating-point values of %d dimensions, its input is %s", who, min,
                      mu_type_format(type, text));
    else
        (void)MU_FAIL(MU_ERR_SHAPE, "%s wants floating-point values of %d to %d dimensions, its input is %s", who, min, max,
                      mu_type_format(type, text));
    mu_trace_fail(t, type->dtype == MU_U8 ? mu_error_hint("ImgDataPreprocessor turns u8 images into f32") : MU_ERR_SHAPE);
    return false;
}

bool mu_nn_expect_channels(mu_trace *t, mu_value x, const char *who, int64_t channels)
{
    if (!mu_nn_expect(t, x, who, 4, 4))
        return false;
    int64_t found = mu_graph_type(t->graph, x)->dim[1];
    if (found == channels)
        return true;
    (void)MU_FAIL(MU_ERR_CONFIG, "%s: in_channels is %lld, but the input has %lld", who, (long long)channels, (long long)found);
    mu_trace_fail(t, mu_error_hint("set in_channels: %lld, or use a dataset whose images have %lld", (long long)found,
                                   (long long)channels));
    return false;
}

/* ---- convolution ---- */

mu_value mu_nn_conv2d_here(mu_trace *t, mu_value x, const mu_conv2d_layer *layer)
{
    if (!mu_nn_expect(t, x, "Conv2d", 4, 4))
        return MU_NO_VALUE;
    const mu_type type = *mu_graph_type(t->graph, x);
    int64_t groups = layer->groups ? layer->groups : 1, in = type.dim[1];
    if (groups < 1 || in % groups != 0 || layer->out_channels % groups != 0) {
        mu_trace_fail(t, MU_FAIL(MU_ERR_CONFIG, "Conv2d: %lld groups do not divide %lld input and %lld output channels",
                                 (long long)groups, (long long)in, (long long)layer->out_channels));
        return MU_NO_VALUE;
    }
    mu_conv2d_attrs a = mu_conv2d_defaults();
    int64_t kernel[2];
    for (int i = 0; i < 2; i++) {
        kernel[i] = layer->kernel[i] ? layer->kernel[i] : 1;
        a.stride[i] = layer->stride[i] ? layer->stride[i] : 1;
        a.dilation[i] = layer->dilation[i] ? layer->dilation[i] : 1;
        a.padding[i] = a.padding[i + 2] = layer->padding[i];
    }
    a.groups = groups;
    mu_trace_note(t, false, groups == in && in > 1);
    mu_fill fill = uniform((double)(in / groups) * (double)kernel[0] * (double)kernel[1]);
    mu_value w = mu_trace_param(t, "weight", MU_TYPE(type.dtype, layer->out_channels, in / groups, kernel[0], kernel[1]), fill);
    mu_value b = layer->bias ? mu_trace_param(t, "bias", MU_TYPE(type.dtype, layer->out_channels), fill) : MU_NO_VALUE;
    return mu_conv2d(t->graph, x, w, b, &a);
}

mu_value mu_nn_conv2d(mu_trace *t, const char *name, mu_value x, const mu_conv2d_layer *layer)
{
    mu_trace_enter(t, name, "Conv2d", NULL);
    mu_value y = mu_nn_conv2d_here(t, x, layer);
    mu_trace_leave(t);
    return y;
}

mu_value mu_nn_conv(mu_trace *t, const char *name, mu_value x, int64_t out_channels, int64_t kernel, int64_t stride,
                    int64_t padding)
{
    mu_conv2d_layer layer = {.out_channels = out_channels, .kernel = {kernel, kernel}, .stride = {stride, stride},
                             .padding = {padding, padding}};
    return mu_nn_conv2d(t, name, x, &layer);
}

/* ---- linear ---- */

mu_value mu_nn_linear_here(mu_trace *t, mu_value x, int64_t out_features, bool bias)
{
    if (!mu_nn_expect(t, x, "Linear", 1, MU_MAX_NDIM))
        return MU_NO_VALUE;
    const mu_type type = *mu_graph_type(t->graph, x);
    int64_t in = type.dim[type.ndim - 1];
    mu_fill fill = uniform((double)in);
    mu_value w = mu_trace_param(t, "weight", MU_TYPE(type.dtype, out_features, in), fill);
    mu_value b = bias ? mu_trace_param(t, "bias", MU_TYPE(type.dtype, out_features), fill) : MU_NO_VALUE;
    return mu_linear(t->graph, x, w, b);
}

mu_value mu_nn_linear(mu_trace *t, const char *name, mu_value x, int64_t out_features, bool bias)
{
    mu_trace_enter(t, name, "Linear", NULL);
    mu_value y = mu_nn_linear_here(t, x, out_features, bias);
    mu_trace_leave(t);
    return y;
}

/* ---- norms ---- */

static const char *norm_type(const mu_norm_layer *layer, int ndim)
{
    if (layer && layer->sync)
        return "SyncBN";
    switch (layer ? layer->kind : MU_NORM_BATCH) {
    case MU_NORM_BATCH: return ndim == 4 ? "BatchNorm2d" : ndim == 5 ? "BatchNorm3d" : "BatchNorm1d";
    case MU_NORM_LAYER: return "LayerNorm";
    case MU_NORM_GROUP: return "GroupNorm";
    case MU_NORM_INSTANCE: return ndim == 4 ? "InstanceNorm2d" : ndim == 5 ? "InstanceNorm3d" : "InstanceNorm1d";
    }
    return "";
}

static mu_value batch_norm(mu_trace *t, mu_value x, const mu_norm_layer *layer, mu_type affine, mu_value gamma, mu_value beta)
{
    mu_graph *g = t->graph;
    double eps = layer->eps > 0 ? layer->eps : 1e-5, momentum = layer->momentum > 0 ? layer->momentum : 0.1;
    mu_value mean = mu_trace_state(t, "running_mean", affine, zero), var = mu_trace_state(t, "running_var", affine, one);
    if (!t->training || t->norm_eval)
        return mu_batch_norm_inference(g, x, gamma, beta, mean, var, eps);
    if (layer->no_affine && mu_trace_status(t) == MU_OK) { /* the operation wants both */
        mu_dtype dtype = mu_graph_type(g, mean)->dtype;
        gamma = mu_broadcast_to(g, mu_graph_scalar(g, dtype, 1), 1, affine.dim);
        beta = mu_broadcast_to(g, mu_graph_scalar(g, dtype, 0), 1, affine.dim);
    }
    if ((layer->sync || t->sync_bn) && t->comm && t->comm->size > 1)
        return mu_sync_batch_norm(g, x, gamma, beta, mean, var, eps, momentum, t->comm);
    return mu_batch_norm(g, x, gamma, beta, mean, var, eps, momentum);
}

mu_value mu_nn_norm_here(mu_trace *t, mu_value x, const mu_norm_layer *layer)
{
    static const mu_norm_layer standard = {.kind = MU_NORM_BATCH};
    layer = layer ? layer : &standard;
    bool is_layer_norm = layer->kind == MU_NORM_LAYER;
    int trailing = layer->normalized_ndim > 0 ? (int)layer->normalized_ndim : 1;
    const mu_type type = *mu_graph_type(t->graph, x);
    if (!mu_nn_expect(t, x, norm_type(layer, type.ndim), is_layer_norm ? trailing : 2, MU_MAX_NDIM))
        return MU_NO_VALUE;
    mu_type affine = MU_TYPE(type.dtype, type.dim[1]);
    if (is_layer_norm) {
        affine.ndim = trailing;
        for (int i = 0; i < trailing; i++)
            affine.dim[i] = type.dim[type.ndim - trailing + i];
    }
    mu_trace_note(t, true, false);
    mu_value gamma = layer->no_affine ? MU_NO_VALUE : mu_trace_param(t, "weight", affine, one);
    mu_value beta = layer->no_affine ? MU_NO_VALUE : mu_trace_param(t, "bias", affine, zero);
    double eps = layer->eps > 0 ? layer->eps : 1e-5;
    switch (layer->kind) {
    case MU_NORM_BATCH: return batch_norm(t, x, layer, affine, gamma, beta);
    case MU_NORM_LAYER: return mu_layer_norm(t->graph, x, gamma, beta, trailing, eps);
    case MU_NORM_GROUP: return mu_group_norm(t->graph, x, gamma, beta, layer->groups, eps);
    case MU_NORM_INSTANCE: return mu_group_norm(t->graph, x, gamma, beta, type.dim[1], eps);
    }
    return MU_NO_VALUE;
}

mu_value mu_nn_norm(mu_trace *t, const char *name, mu_value x, const mu_norm_layer *layer)
{
    mu_trace_enter(t, name, norm_type(layer, mu_graph_type(t->graph, x)->ndim), NULL);
    mu_value y = mu_nn_norm_here(t, x, layer);
    mu_trace_leave(t);
    return y;
}

/* ---- without parameters ---- */

mu_value mu_nn_dropout(mu_trace *t, mu_value x, double p)
{
    return t->training ? mu_dropout(t->graph, x, p) : x;
}

mu_value mu_nn_activation(mu_trace *t, mu_value x, mu_activation activation)
{
    switch (activation) {
    case MU_ACT_NONE: return x;
    case MU_ACT_RELU: return mu_relu(t->graph, x);
    case MU_ACT_RELU6: return mu_relu6(t->graph, x);
    case MU_ACT_LEAKY_RELU: return mu_leaky_relu(t->graph, x, 0.01);
    case MU_ACT_SILU: return mu_silu(t->graph, x);
    case MU_ACT_GELU: return mu_gelu(t->graph, x, false);
    case MU_ACT_GELU_TANH: return mu_gelu(t->graph, x, true);
    case MU_ACT_SIGMOID: return mu_sigmoid(t->graph, x);
    case MU_ACT_HARD_SIGMOID: return mu_hard_sigmoid(t->graph, x);
    case MU_ACT_HARD_SWISH: return mu_hard_swish(t->graph, x);
    case MU_ACT_TANH: return mu_tanh(t->graph, x);
    }
    return x;
}

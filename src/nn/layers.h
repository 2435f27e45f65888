/* Layers as functions: each enters a module `name`, makes its parameters with PyTorch's names, shapes and defaults, and applies it.
 * The same layers are components of kind "layer" (nn/layer.h). Images are [N,C,H,W]; input sizes are taken from the value. */
#ifndef MU_NN_LAYERS_H
#define MU_NN_LAYERS_H

#include "nn/trace.h"

typedef struct {
    int64_t out_channels;
    int64_t kernel[2], stride[2], padding[2], dilation[2]; /* zeros: kernel 1, stride 1, padding 0, dilation 1 */
    int64_t groups;                                        /* 0: 1 */
    bool bias;
} mu_conv2d_layer;
/* weight [out, in/groups, kh, kw], bias [out] */
mu_value mu_nn_conv2d(mu_trace *t, const char *name, mu_value x, const mu_conv2d_layer *layer);
/* A square kernel without a bias. */
mu_value mu_nn_conv(mu_trace *t, const char *name, mu_value x, int64_t out_channels, int64_t kernel, int64_t stride,
                    int64_t padding);
/* weight [out, in], bias [out]; x [..., in] */
mu_value mu_nn_linear(mu_trace *t, const char *name, mu_value x, int64_t out_features, bool bias);

typedef enum { MU_NORM_BATCH, MU_NORM_LAYER, MU_NORM_GROUP, MU_NORM_INSTANCE } mu_norm_kind;
typedef struct {
    mu_norm_kind kind;
    double eps, momentum; /* zeros: 1e-5, 0.1 */
    int64_t groups;
    int64_t normalized_ndim; /* layer norm: over how many trailing dimensions; 0: 1 */
    bool no_affine;       /* neither weight nor bias */
    bool sync;            /* batch norm: statistics of the batches of all ranks (mu_trace.comm) */
} mu_norm_layer;
/* weight, bias [C] (layer norm: of the trailing dimensions); batch norm also running_mean, running_var. layer NULL: batch norm. */
mu_value mu_nn_norm(mu_trace *t, const char *name, mu_value x, const mu_norm_layer *layer);
/* Nothing outside of training. */
mu_value mu_nn_dropout(mu_trace *t, mu_value x, double p);
mu_value mu_nn_activation(mu_trace *t, mu_value x, mu_activation activation);

#endif

/* The layers of nn/layers.h inside the current module: for components, whose module has been entered. */
#ifndef MU_NN_LAYERS_IMPL_H
#define MU_NN_LAYERS_IMPL_H

#include "nn/layer.h"
#include "nn/layers.h"

mu_value mu_nn_conv2d_here(mu_trace *t, mu_value x, const mu_conv2d_layer *layer);
mu_value mu_nn_linear_here(mu_trace *t, mu_value x, int64_t out_features, bool bias);
mu_value mu_nn_norm_here(mu_trace *t, mu_value x, const mu_norm_layer *layer);
/* x has so many dimensions and floats; else a sticky MU_ERR_SHAPE that names `who` is left. */
bool mu_nn_expect(mu_trace *t, mu_value x, const char *who, int min, int max);
/* x is [N,C,H,W] with these channels; else a sticky MU_ERR_CONFIG that names `who`. */
bool mu_nn_expect_channels(mu_trace *t, mu_value x, const char *who, int64_t channels);

/* What a config says of a size, height and width or one number for both; `standard` when nothing. */
void mu_nn_pair(const mu_ints *given, int64_t standard, int64_t out[2]);
/* `given` (0: nothing) is what x has in dimension `dim`; else a sticky MU_ERR_CONFIG that names `who` and the option. */
void mu_nn_agree(mu_trace *t, mu_value x, int dim, int64_t given, const char *who, const char *option);

/* Components whose forward is one value to one value. */
typedef mu_value mu_layer_fn(const void *layer, mu_trace *t, mu_value x);
void mu_layer_one(const void *layer, mu_trace *t, mu_features *x, const char *who, mu_layer_fn *apply);
#define MU_LAYER_COMPONENT(symbol_, name_, struct_, options_, doc_)                                                 \
    static void forward_##symbol_(const void *layer, mu_trace *t, mu_features *x)                                   \
    {                                                                                                               \
        mu_layer_one(layer, t, x, name_, apply_##symbol_);                                                          \
    }                                                                                                               \
    const mu_component mu_component_##symbol_ = {.kind = "layer",                                                   \
                                                 .name = name_,                                                     \
                                                 .doc = doc_,                                                       \
                                                 .size = sizeof(struct_),                                           \
                                                 .options = options_,                                               \
                                                 .ops = &(const mu_layer_ops){.forward = forward_##symbol_}}
/* A size: one number, or height and width. */
#define MU_PAIR_OPTION(struct_, field_, min_, ...)                                                                  \
    MU_OPTION(struct_, field_, MU_OPT_INTS, .bare_item = true, .min_items = 1, .max_items = 2, .bounded_below = true, \
              .min = min_, __VA_ARGS__)

#endif

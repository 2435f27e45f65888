/* The layers of nn/layers.h inside the current module: for components, whose module has been entered. */
#ifndef MU_NN_LAYERS_IMPL_H
#define MU_NN_LAYERS_IMPL_H

#include "nn/layers.h"

mu_value mu_nn_conv2d_here(mu_trace *t, mu_value x, const mu_conv2d_layer *layer);
mu_value mu_nn_linear_here(mu_trace *t, mu_value x, int64_t out_features, bool bias);
mu_value mu_nn_norm_here(mu_trace *t, mu_value x, const mu_norm_layer *layer);
/* The dimensions of x; a sticky MU_ERR_SHAPE that names `who` unless there are min..max of them. */
bool mu_nn_expect(mu_trace *t, mu_value x, const char *who, int min, int max);

#endif

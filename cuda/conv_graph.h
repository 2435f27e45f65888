/* A convolution as a graph of cuDNN. */
#ifndef MU_CUDA_CONV_GRAPH_H
#define MU_CUDA_CONV_GRAPH_H

#include "dnn.h"

/* What the tensors of the graph are called. */
enum { MU_CUDA_CONV_X = 1, MU_CUDA_CONV_W, MU_CUDA_CONV_Y, MU_CUDA_CONV_BIAS, MU_CUDA_CONV_RESIDUAL, MU_CUDA_CONV_BETWEEN };

/* Builds and finishes the graph, whose target is set. */
MU_CHECKED mu_err mu_cuda_conv_graph(mu_cuda_conv_product product, mu_dtype dtype, const mu_cuda_conv_shape *shape, mu_cuda_conv_ends ends,
                                     mu_dnn_graph *graph);

/* Notes of engines whose results are not those that are asked for: sums in less than f32, operands of f32 in less than f32 (unless tf32), transforms
 * of which no bound is known (Winograd, Fourier), and other bits from run to run (if deterministic). */
unsigned mu_cuda_conv_refused(mu_dtype dtype, bool tf32, bool deterministic);

#endif

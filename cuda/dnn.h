/* cuDNN's graphs, as far as convolutions want them: what is computed, the engines that can do it, and the plan of one of them.
 *
 * Tensors are [N,C,H,W], stored channels last. Engines have a number for each kind of graph, and knobs; both are the same in every process with the
 * same version of cuDNN, so that their text may be kept on disk. */
#ifndef MU_CUDA_DNN_H
#define MU_CUDA_DNN_H

#include "conv.h"

/* Where plans are going to run: on the handle's device; or on one that is not here, of which there are properties
 * (CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR), and handle is NULL. */
typedef struct {
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t device;
} mu_dnn_target;

enum { MU_DNN_PARTS = 24, MU_DNN_OPERATIONS = 4, MU_DNN_KNOBS = 32, MU_DNN_NAME = 400 };

/* Made by {.target = ...}, the calls below and mu_dnn_graph_finish; an error leaves it to be released like any other. */
typedef struct {
    mu_dnn_target target;
    cudnnBackendDescriptor_t part[MU_DNN_PARTS], operation[MU_DNN_OPERATIONS], graph; /* part: all that is owned */
    int n_parts, n_operations;
} mu_dnn_graph;

/* between: an intermediate result, which has no address. Others are told by their uid, from 1 on. */
MU_CHECKED mu_err mu_dnn_tensor(mu_dnn_graph *graph, int64_t uid, cudnnDataType_t type, const int64_t dim[4], bool between,
                                cudnnBackendDescriptor_t *out);
/* Product 0: y = x * w + beta y; 1: x = (y, w) + beta x; 2: w = (x, y) + beta w. Sums are in f32. The shape's padding has two equal sides. */
MU_CHECKED mu_err mu_dnn_convolution(mu_dnn_graph *graph, mu_cuda_conv_product product, const mu_cuda_conv_shape *shape, float beta,
                                     cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t w, cudnnBackendDescriptor_t y);
/* y = a + b, where b may have dimensions of 1; y = max(a, 0) for b NULL, where NaN stays NaN. In f32. */
MU_CHECKED mu_err mu_dnn_add_or_relu(mu_dnn_graph *graph, cudnnBackendDescriptor_t a, cudnnBackendDescriptor_t b, cudnnBackendDescriptor_t y);
MU_CHECKED mu_err mu_dnn_graph_finish(mu_dnn_graph *graph);
void mu_dnn_graph_release(mu_dnn_graph *graph);

typedef struct {
    int64_t number;
    int n_knobs;
    struct {
        cudnnBackendKnobType_t type;
        int64_t value;
    } knob[MU_DNN_KNOBS];
    unsigned notes; /* bit i: CUDNN_NUMERICAL_NOTE i. Not part of the text */
} mu_dnn_engine;

/* Appends to list[*n], up to list[most - 1], what cuDNN would take for a finished graph, the fastest by its judgement first. Leaves out engines with a
 * refused note and those that are listed. */
MU_CHECKED mu_err mu_dnn_engines(const mu_dnn_graph *graph, cudnnBackendHeurMode_t mode, unsigned refused, mu_dnn_engine *list, int most, int *n);
/* "62:2=4,13=0". */
const char *mu_dnn_engine_format(const mu_dnn_engine *engine, char name[MU_DNN_NAME]);
bool mu_dnn_engine_parse(const char *name, mu_dnn_engine *out);

/* A plan outlives its graph. Both are freed by mu_dnn_release. */
MU_CHECKED mu_err mu_dnn_plan(const mu_dnn_graph *graph, const mu_dnn_engine *engine, cudnnBackendDescriptor_t *out, size_t *workspace_bytes);
/* The addresses of the tensors with these uids, for cudnnBackendExecute. */
MU_CHECKED mu_err mu_dnn_addresses(const int64_t *uid, void *const *address, int n, void *workspace, cudnnBackendDescriptor_t *out);
/* Frees *desc, if there is any, and makes it NULL. */
void mu_dnn_release(cudnnBackendDescriptor_t *desc);

#endif

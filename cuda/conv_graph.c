#include "conv_graph.h"

static cudnnDataType_t data_type(mu_dtype dtype)
{
    return dtype == MU_BF16 ? CUDNN_DATA_BFLOAT16 : dtype == MU_F16 ? CUDNN_DATA_HALF : CUDNN_DATA_FLOAT;
}

/* cuDNN has engines for conv + residual? + bias + relu?, in this order. What lies between is in f32, and rounded once. */
static mu_err ends_of(mu_dnn_graph *g, cudnnDataType_t type, const int64_t y_dim[4], mu_cuda_conv_ends ends, cudnnBackendDescriptor_t at)
{
    const int64_t bias_dim[4] = {1, y_dim[1], 1, 1};
    cudnnBackendDescriptor_t bias, residual, next;
    int64_t uid = MU_CUDA_CONV_BETWEEN + 1;
    if (ends.residual) {
        MU_TRY(mu_dnn_tensor(g, MU_CUDA_CONV_RESIDUAL, type, y_dim, false, &residual));
        MU_TRY(mu_dnn_tensor(g, uid++, CUDNN_DATA_FLOAT, y_dim, true, &next));
        MU_TRY(mu_dnn_add_or_relu(g, at, residual, next));
        at = next;
    }
    MU_TRY(mu_dnn_tensor(g, MU_CUDA_CONV_BIAS, type, bias_dim, false, &bias));
    if (ends.relu) {
        MU_TRY(mu_dnn_tensor(g, uid, CUDNN_DATA_FLOAT, y_dim, true, &next));
        MU_TRY(mu_dnn_add_or_relu(g, at, bias, next));
        at = next;
        bias = NULL;
    }
    MU_TRY(mu_dnn_tensor(g, MU_CUDA_CONV_Y, type, y_dim, false, &next));
    MU_TRY(mu_dnn_add_or_relu(g, at, bias, next));
    return MU_OK;
}

mu_err mu_cuda_conv_graph(mu_cuda_conv_product product, mu_dtype dtype, const mu_cuda_conv_shape *s, mu_cuda_conv_ends ends, mu_dnn_graph *g)
{
    const int64_t x_dim[4] = {s->n, s->c, s->h, s->w}, w_dim[4] = {s->k, s->c / s->groups, s->kh, s->kw}, y_dim[4] = {s->n, s->k, s->oh, s->ow};
    bool goes_on = product == MU_CUDA_CONV_FORWARD && ends.bias;
    cudnnDataType_t type = data_type(dtype);
    cudnnBackendDescriptor_t x, w, y;
    MU_TRY(mu_dnn_tensor(g, MU_CUDA_CONV_X, type, x_dim, false, &x));
    MU_TRY(mu_dnn_tensor(g, MU_CUDA_CONV_W, type, w_dim, false, &w));
    MU_TRY(mu_dnn_tensor(g, goes_on ? MU_CUDA_CONV_BETWEEN : MU_CUDA_CONV_Y, goes_on ? CUDNN_DATA_FLOAT : type, y_dim, goes_on, &y));
    MU_TRY(mu_dnn_convolution(g, product, s, product == MU_CUDA_CONV_GRAD_INPUT && ends.bias ? 1 : 0, x, w, y));
    if (goes_on)
        MU_TRY(ends_of(g, type, y_dim, ends, y));
    MU_TRY(mu_dnn_graph_finish(g));
    return MU_OK;
}

/* On tensor cores products of f32 are of TF32. */
unsigned mu_cuda_conv_refused(mu_dtype dtype, bool tf32, bool deterministic)
{
    unsigned notes = 1u << CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS | 1u << CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION |
                     1u << CUDNN_NUMERICAL_NOTE_FFT | 1u << CUDNN_NUMERICAL_NOTE_WINOGRAD | 1u << CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4 |
                     1u << CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6 | 1u << CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13;
    if (dtype == MU_F32 && !tf32)
        notes |= 1u << CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
    if (deterministic)
        notes |= 1u << CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    return notes;
}

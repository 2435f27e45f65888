/* cuDNN: handles, errors, descriptors. */
#include "emulate_cudnn.h"

#include <stdlib.h>
#include <string.h>

size_t cudnnGetVersion(void)
{
    return CUDNN_VERSION;
}

size_t cudnnGetCudartVersion(void)
{
    return CUDART_VERSION;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    switch (status) {
#define X(name, value)                                                                             \
    case name: return #name;
        EMULATE_CUDNN_STATUSES(X)
#undef X
    }
    return "CUDNN_UNKNOWN_STATUS";
}

static _Thread_local const char *last_error = "";

cudnnStatus_t emulate_cudnn_error(cudnnStatus_t status, const char *why)
{
    last_error = why;
    return status;
}

void cudnnGetLastErrorString(char *message, size_t max_size)
{
    if (max_size > 0) {
        strncpy(message, last_error, max_size - 1);
        message[max_size - 1] = 0;
    }
    last_error = "";
}

/* ---- handles ---- */

static cudnnStatus_t made(const void *object)
{
    return object != NULL ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_ALLOC_FAILED;
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *out)
{
    if (emulate_ready() != cudaSuccess)
        return CUDNN_STATUS_NOT_INITIALIZED;
    *out = calloc(1, sizeof **out);
    return made(*out);
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    free(handle);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t *stream)
{
    *stream = handle->stream;
    return CUDNN_STATUS_SUCCESS;
}

/* ---- tensors and filters ---- */

static cudnnStatus_t tensor_set(struct cudnnTensorStruct *self, cudnnDataType_t type, int ndim, const int dims[], const int strides[])
{
    if (ndim != 4)
        return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "the emulated cuDNN has tensors of 4 dimensions only");
    *self = (struct cudnnTensorStruct){.type = type};
    for (int i = 0; i < 4; i++) {
        if (dims[i] <= 0 || strides[i] <= 0)
            return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM, "a dimension or a stride is not positive");
        self->dim[i] = dims[i];
        self->stride[i] = strides[i];
    }
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t tensor_set_format(struct cudnnTensorStruct *self, cudnnTensorFormat_t format, cudnnDataType_t type, int n, int c,
                                       int h, int w)
{
    const int dims[4] = {n, c, h, w};
    const int rows[4] = {c * h * w, h * w, w, 1}, last[4] = {h * w * c, 1, w * c, c};
    return tensor_set(self, type, 4, dims, format == CUDNN_TENSOR_NHWC ? last : rows);
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *out)
{
    return made(*out = calloc(1, sizeof **out));
}

cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t desc)
{
    free(desc);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t desc, cudnnTensorFormat_t format, cudnnDataType_t type, int n, int c,
                                         int h, int w)
{
    return tensor_set_format(desc, format, type, n, c, h, w);
}

cudnnStatus_t cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t desc, cudnnDataType_t type, int n, int c, int h, int w,
                                           int n_stride, int c_stride, int h_stride, int w_stride)
{
    return tensor_set(desc, type, 4, (const int[]){n, c, h, w}, (const int[]){n_stride, c_stride, h_stride, w_stride});
}

cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t desc, cudnnDataType_t type, int ndim, const int dims[],
                                         const int strides[])
{
    return tensor_set(desc, type, ndim, dims, strides);
}

cudnnStatus_t cudnnSetTensorNdDescriptorEx(cudnnTensorDescriptor_t desc, cudnnTensorFormat_t format, cudnnDataType_t type, int ndim,
                                           const int dims[])
{
    if (ndim != 4)
        return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "the emulated cuDNN has tensors of 4 dimensions only");
    return tensor_set_format(desc, format, type, dims[0], dims[1], dims[2], dims[3]);
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *out)
{
    return made(*out = calloc(1, sizeof **out));
}

cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t desc)
{
    free(desc);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t desc, cudnnDataType_t type, cudnnTensorFormat_t format, int k, int c,
                                         int h, int w)
{
    return tensor_set_format(&desc->tensor, format, type, k, c, h, w);
}

cudnnStatus_t cudnnSetFilterNdDescriptor(cudnnFilterDescriptor_t desc, cudnnDataType_t type, cudnnTensorFormat_t format, int ndim,
                                         const int dims[])
{
    return cudnnSetTensorNdDescriptorEx(&desc->tensor, format, type, ndim, dims);
}

/* ---- convolutions and activations ---- */

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *out)
{
    return made(*out = calloc(1, sizeof **out));
}

cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t desc)
{
    free(desc);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t desc, int pad_h, int pad_w, int stride_h, int stride_w,
                                              int dilation_h, int dilation_w, cudnnConvolutionMode_t mode, cudnnDataType_t compute)
{
    if (pad_h < 0 || pad_w < 0 || stride_h < 1 || stride_w < 1 || dilation_h < 1 || dilation_w < 1)
        return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM, "a padding is negative, or a stride or a dilation not positive");
    if (mode != CUDNN_CROSS_CORRELATION || compute != CUDNN_DATA_FLOAT)
        return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "the emulated cuDNN correlates in f32 only");
    *desc = (struct cudnnConvolutionStruct){
        .pad = {pad_h, pad_w}, .stride = {stride_h, stride_w}, .dilation = {dilation_h, dilation_w}, .groups = 1};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionNdDescriptor(cudnnConvolutionDescriptor_t desc, int n, const int pad[], const int stride[],
                                              const int dilation[], cudnnConvolutionMode_t mode, cudnnDataType_t compute)
{
    if (n != 2)
        return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "the emulated cuDNN has convolutions of 2 dimensions only");
    return cudnnSetConvolution2dDescriptor(desc, pad[0], pad[1], stride[0], stride[1], dilation[0], dilation[1], mode, compute);
}

cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t desc, int groups)
{
    if (groups < 1)
        return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM, "there is no group");
    desc->groups = groups;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t desc, cudnnMathType_t math)
{
    desc->math = math;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(cudnnConvolutionDescriptor_t desc, cudnnTensorDescriptor_t x,
                                                    cudnnFilterDescriptor_t w, int *n, int *c, int *h, int *width)
{
    int *out[2] = {h, width};
    for (int i = 0; i < 2; i++)
        *out[i] = (x->dim[2 + i] + 2 * desc->pad[i] - desc->dilation[i] * (w->tensor.dim[2 + i] - 1) - 1) / desc->stride[i] + 1;
    *n = x->dim[0];
    *c = w->tensor.dim[0];
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateActivationDescriptor(cudnnActivationDescriptor_t *out)
{
    return made(*out = calloc(1, sizeof **out));
}

cudnnStatus_t cudnnDestroyActivationDescriptor(cudnnActivationDescriptor_t desc)
{
    free(desc);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t desc, cudnnActivationMode_t mode, cudnnNanPropagation_t nan,
                                           double coefficient)
{
    (void)nan;
    *desc = (struct cudnnActivationStruct){.mode = mode, .coefficient = coefficient};
    return CUDNN_STATUS_SUCCESS;
}

/* cuDNN: handles and errors. */
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

cudnnStatus_t cudnnCreate(cudnnHandle_t *out)
{
    if (emulate_ready() != cudaSuccess)
        return CUDNN_STATUS_NOT_INITIALIZED;
    *out = calloc(1, sizeof **out);
    return *out != NULL ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
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

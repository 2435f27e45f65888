/* cuBLASLt: products of matrices in a plain loop. */
#include "cublasLt.h"
#include "emulate.h"

#include <stdlib.h>

struct cublasLtContext {
    int unused;
};

const char *cublasLtGetStatusName(cublasStatus_t status)
{
    switch (status) {
#define X(name, value, text)                                                                       \
    case name: return #name;
        EMULATE_CUBLAS_STATUSES(X)
#undef X
    }
    return "unknown cuBLAS status";
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    switch (status) {
#define X(name, value, text)                                                                       \
    case name: return text;
        EMULATE_CUBLAS_STATUSES(X)
#undef X
    }
    return "unknown cuBLAS status";
}

size_t cublasLtGetVersion(void)
{
    return 130000;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    if (emulate_ready() != cudaSuccess)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    *out = calloc(1, sizeof **out);
    return *out != NULL ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

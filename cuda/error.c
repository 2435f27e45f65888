#include "comm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *mu_cuda_visible(char *buf, size_t size)
{
    const char *value = getenv("CUDA_VISIBLE_DEVICES");
    if (value)
        snprintf(buf, size, "CUDA_VISIBLE_DEVICES is \"%s\"", value);
    else
        snprintf(buf, size, "CUDA_VISIBLE_DEVICES is not set");
    return buf;
}

/* 13000 is "13.0" */
static void hint_versions(void)
{
    int driver = 0, runtime = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || cudaRuntimeGetVersion(&runtime) != cudaSuccess)
        return;
    if (driver == 0)
        mu_error_hint("there is no driver: this build needs one for CUDA %d.%d; does nvidia-smi run here?", runtime / 1000,
                      runtime % 1000 / 10);
    else
        mu_error_hint("the driver is for CUDA %d.%d, this build needs one for %d.%d: update the driver, or build with an older CUDA",
                      driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
}

static void hint(cudaError_t status)
{
    char visible[256];
    switch (status) {
    case cudaErrorInsufficientDriver:
    case cudaErrorCallRequiresNewerDriver:
    case cudaErrorSystemDriverMismatch: hint_versions(); break;
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorDevicesUnavailable:
        mu_error_hint("%s; nvidia-smi shows the devices of this machine, and who uses them", mu_cuda_visible(visible, sizeof visible));
        break;
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
        mu_error_hint("the kernels were not built for this device: muster env shows its compute capability");
        break;
    case cudaErrorMemoryAllocation: mu_error_hint("use a smaller batch or smaller images, or a half type (amp)"); break;
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorAssert:
    case cudaErrorUnknown:
        mu_error_hint("the device is lost to this process: end it and go on from the last checkpoint; dmesg tells (NVRM: Xid) whether the "
                      "hardware is at fault, compute-sanitizer whether a kernel is");
        break;
    default: break;
    }
}

mu_err mu_cuda_fail(cudaError_t status, const char *call, const char *file, int line, const char *function)
{
    mu_err code = status == cudaErrorMemoryAllocation ? MU_ERR_MEMORY : MU_ERR_BACKEND;
    (void)cudaGetLastError(); /* so that it is not told again by the next launch */
    mu_error_set(code, file, line, function, "CUDA: %s (%s) by %s", cudaGetErrorString(status), cudaGetErrorName(status), call);
    hint(status);
    return code;
}

mu_err mu_cublas_fail(cublasStatus_t status, const char *call, const char *file, int line, const char *function)
{
    mu_err code = status == CUBLAS_STATUS_ALLOC_FAILED ? MU_ERR_MEMORY : MU_ERR_BACKEND;
    mu_error_set(code, file, line, function, "cuBLASLt: %s by %s", cublasLtGetStatusString(status), call);
    if (status == CUBLAS_STATUS_ALLOC_FAILED)
        hint(cudaErrorMemoryAllocation);
    else if (status == CUBLAS_STATUS_EXECUTION_FAILED)
        hint(cudaErrorLaunchFailure);
    return code;
}

mu_err mu_cudnn_fail(cudnnStatus_t status, const char *call, const char *file, int line, const char *function)
{
    bool memory = status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED || status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;
    char said[512] = "";
    cudnnGetLastErrorString(said, sizeof said);
    mu_error_set(memory ? MU_ERR_MEMORY : MU_ERR_BACKEND, file, line, function, "cuDNN: %s by %s%s%s", cudnnGetErrorString(status), call,
                 said[0] ? ": " : "", said);
    if (memory)
        hint(cudaErrorMemoryAllocation);
    else if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_EXECUTION_FAILED)
        hint(cudaErrorLaunchFailure);
    return memory ? MU_ERR_MEMORY : MU_ERR_BACKEND;
}

#ifdef HAVE_NCCL
static const char *nccl_hint(ncclResult_t status)
{
    switch (status) {
    case ncclRemoteError: return "another rank has ended or cannot be reached: what it said last tells why";
    case ncclSystemError:
        return "NCCL_DEBUG=INFO tells more; is /dev/shm large enough (docker --shm-size), and does NCCL_SOCKET_IFNAME name the network?";
    default: return "NCCL_DEBUG=INFO tells more";
    }
}

mu_err mu_nccl_fail(ncclResult_t status, ncclComm_t nccl, const char *call, const char *file, int line, const char *function)
{
    const char *said = ncclGetLastError(nccl);
    int n = (int)strcspn(call, "(");
    mu_error_set(MU_ERR_COMM, file, line, function, "NCCL: %s by %.*s%s%s", ncclGetErrorString(status), n, call, said && *said ? ": " : "",
                 said ? said : "");
    return mu_error_hint("%s", nccl_hint(status));
}
#endif

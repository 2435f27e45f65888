#include "comm.h"

#include <stdio.h>

/* GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, as nvidia-smi writes it. */
static void format_uuid(const cudaUUID_t *uuid, char *buf, size_t size)
{
    const unsigned char *b = (const unsigned char *)uuid->bytes;
    snprintf(buf, size, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5],
             b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* Nothing that would open the device. */
static mu_err fill(int device, mu_device *out)
{
    struct cudaDeviceProp properties;
    *out = (mu_device){0};
    MU_TRY_CUDA(cudaGetDeviceProperties(&properties, device));
    MU_TRY_CUDA(cudaDeviceGetPCIBusId(out->bus, (int)sizeof out->bus, device));
    snprintf(out->name, sizeof out->name, "%.90s", properties.name);
    snprintf(out->version, sizeof out->version, "%d.%d", properties.major, properties.minor);
    format_uuid(&properties.uuid, out->uuid, sizeof out->uuid);
    out->total = properties.totalGlobalMem;
    return MU_OK;
}

mu_err mu_cuda_free_memory(int device, size_t *out)
{
    size_t total;
    MU_TRY_CUDA(cudaSetDevice(device));
    MU_TRY_CUDA(cudaMemGetInfo(out, &total));
    return MU_OK;
}

/* The runtime calls a driver that is not there too old. */
static const char *reason(cudaError_t status)
{
    int driver = 0;
    bool none = status == cudaErrorInsufficientDriver && cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0;
    return none ? "there is no driver" : cudaGetErrorString(status);
}

mu_err mu_cuda_devices(mu_device *out, int most, int *n)
{
    char visible[256];
    *n = 0;
    cudaError_t status = cudaGetDeviceCount(n);
    if (status == cudaSuccess && *n == 0)
        status = cudaErrorNoDevice;
    if (status != cudaSuccess) {
        mu_error kept;
        (void)mu_cuda_fail(status, "cudaGetDeviceCount", __FILE__, __LINE__, __func__);
        kept = *mu_error_last();
        (void)MU_FAIL(MU_ERR_UNSUPPORTED, "no CUDA device: %s (%s)", reason(status), mu_cuda_visible(visible, sizeof visible));
        return kept.hint[0] ? mu_error_hint("%s", kept.hint) : MU_ERR_UNSUPPORTED;
    }
    for (int i = 0; i < *n && i < most; i++)
        MU_TRY(fill(i, &out[i]));
    return MU_OK;
}

static void parts(char version[32], long n, long major, long minor)
{
    snprintf(version, 32, "%ld.%ld.%ld", n / major, n % major / minor, n % minor);
}

bool mu_cuda_library(int i, const char **name, char version[32])
{
    int n = 0;
    switch (i) {
    case 0:
        *name = "CUDA driver";
        if (cudaDriverGetVersion(&n) != cudaSuccess || n == 0)
            snprintf(version, 32, "none");
        else
            snprintf(version, 32, "for CUDA %d.%d", n / 1000, n % 1000 / 10);
        return true;
    case 1:
        *name = "CUDA runtime";
        (void)cudaRuntimeGetVersion(&n);
        snprintf(version, 32, "%d.%d", n / 1000, n % 1000 / 10);
        return true;
    case 2:
        *name = "cuBLASLt";
        parts(version, (long)cublasLtGetVersion(), 10000, 100);
        return true;
    case 3:
        *name = "cuDNN";
        parts(version, (long)cudnnGetVersion(), 10000, 100);
        return true;
    case 4:
        *name = "NCCL";
#ifdef HAVE_NCCL
        if (ncclGetVersion(&n) == ncclSuccess)
            parts(version, n, 10000, 100);
        else
#endif
            snprintf(version, 32, "no; configure --with-nccl");
        return true;
    default: return false;
    }
}

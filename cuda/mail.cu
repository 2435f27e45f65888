/* Uploads of recordings: what each replay brings lies in host memory, one block for each of the replays that may be on their way. */
#include "device.cuh"

static __global__ void take(char *to, const char *from, int64_t bytes, int64_t stride, uint64_t turns, uint64_t *count)
{
    uint64_t n = *count;
    const volatile char *block = from + (int64_t)(n % turns) * stride;
    for (int64_t i = threadIdx.x; i < bytes; i += blockDim.x)
        to[i] = block[i];
    __syncthreads();
    if (threadIdx.x == 0)
        *count = n + 1;
}

extern "C" mu_err mu_cuda_record_upload(mu_backend *backend, void *device, const void *host, size_t bytes, size_t stride, int turns, void *count)
{
    return launch(mu_cuda_of(backend), take, 1, BLOCK, (char *)device, (const char *)host, (int64_t)bytes, (int64_t)stride, (uint64_t)turns,
                  (uint64_t *)count);
}

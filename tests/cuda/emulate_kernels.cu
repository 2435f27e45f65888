#include "emulate_kernels.h"

#include "../../cuda/device.cuh"

template <class... P, class... A> static cudaError_t start(cudaStream_t stream, dim3 grid, unsigned block, void (*kernel)(P...), A... a)
{
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = dim3(block);
    config.stream = stream;
    return cudaLaunchKernelEx(&config, kernel, static_cast<P>(a)...);
}

static __global__ void sums(const float *x, float *y, int64_t n)
{
    float sum = 0;
    FOR_EACH(i, n)
        sum += x[i];
    sum = block_reduce(sum, 0.f, add());
    if (threadIdx.x == 0)
        y[blockIdx.x] = sum;
}

static __global__ void shift(float *x, float by, int64_t n)
{
    FOR_EACH(i, n)
        x[i] += by;
}

static __global__ void reverse(const float *x, float *y, bool barrier)
{
    __shared__ float all[1024];
    unsigned i = threadIdx.x, n = blockDim.x;
    all[i] = x[i];
    if (barrier)
        __syncthreads();
    y[i] = all[n - 1 - i];
}

static __global__ void shuffles(int *y)
{
    int lane = (int)threadIdx.x % 32;
    y[lane] = __shfl_sync(0xffffffffu, lane, 7);
    y[32 + lane] = __shfl_xor_sync(0xffffffffu, lane, 5);
    y[64 + lane] = __shfl_down_sync(0xffffffffu, lane, 3);
    y[96 + lane] = __shfl_up_sync(0xffffffffu, lane, 2);
    y[128 + lane] = __shfl_xor_sync(0xffffffffu, lane, 1, 8);
}

static __global__ void uneven(int *y)
{
    __shared__ int total[4];
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, sum = 0;
    for (int i = 0; i <= warp; i++)
        sum += warp_reduce(lane + i, add());
    if (lane == 0)
        total[warp] = sum;
    __syncthreads();
    y[threadIdx.x] = total[3 - warp];
}

static __global__ void count(unsigned *n, unsigned *last)
{
    atomicAdd(n, 1u);
    atomicMax(&last[0], blockIdx.x);
    atomicMax(&last[1], blockIdx.y);
    atomicMax(&last[2], blockIdx.z);
}

static __global__ void half_barrier()
{
    if (threadIdx.x % 2 == 0)
        __syncthreads();
}

static __global__ void two_barriers()
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
}

static __global__ void ended_lane(float *x)
{
    if (threadIdx.x == 9)
        return;
    x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.f, 1);
}

static __global__ void outside_mask(float *x)
{
    if (threadIdx.x < 16)
        x[threadIdx.x] = __shfl_sync(0xffffu, 1.f, 20);
}

static __global__ void beyond(float *x, int64_t n)
{
    x[n] = 1;
}

extern "C" cudaError_t launch_sums(cudaStream_t stream, unsigned grid, unsigned block, const float *x, float *y, int64_t n)
{
    return start(stream, grid, block, sums, x, y, n);
}
extern "C" cudaError_t launch_shift(cudaStream_t stream, unsigned grid, unsigned block, float *x, float by, int64_t n)
{
    return start(stream, grid, block, shift, x, by, n);
}
extern "C" cudaError_t launch_reverse(cudaStream_t stream, unsigned n, bool barrier, const float *x, float *y)
{
    return start(stream, 1, n, reverse, x, y, barrier);
}
extern "C" cudaError_t launch_shuffles(cudaStream_t stream, int *y)
{
    return start(stream, 1, 32, shuffles, y);
}
extern "C" cudaError_t launch_uneven(cudaStream_t stream, int *y)
{
    return start(stream, 1, 128, uneven, y);
}
extern "C" cudaError_t launch_count(cudaStream_t stream, unsigned x, unsigned y, unsigned z, unsigned block, unsigned *n, unsigned *last)
{
    return start(stream, dim3(x, y, z), block, count, n, last);
}
extern "C" cudaError_t launch_half_barrier(cudaStream_t stream)
{
    return start(stream, 3, 64, half_barrier);
}
extern "C" cudaError_t launch_two_barriers(cudaStream_t stream)
{
    return start(stream, 1, 64, two_barriers);
}
extern "C" cudaError_t launch_ended_lane(cudaStream_t stream, float *x)
{
    return start(stream, 1, 32, ended_lane, x);
}
extern "C" cudaError_t launch_outside_mask(cudaStream_t stream, float *x)
{
    return start(stream, 1, 32, outside_mask, x);
}
extern "C" cudaError_t launch_beyond(cudaStream_t stream, float *x, int64_t n)
{
    return start(stream, 1, 1, beyond, x, n);
}

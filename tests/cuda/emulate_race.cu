#include "emulate_race.h"

#include "../../cuda/device.cuh"

enum { THREADS = 64 };

template <class... P, class... A> static cudaError_t start(unsigned grid, unsigned block, void (*kernel)(P...), A... a)
{
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(grid);
    config.blockDim = dim3(block);
    return cudaLaunchKernelEx(&config, kernel, static_cast<P>(a)...);
}

/* ---- the block ---- */

static __global__ void tree_sum(bool right, float *x)
{
    __shared__ float part[THREADS];
    part[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        if (right || half > 2)
            __syncthreads();
    }
    if (threadIdx.x == 0)
        x[0] = part[0];
}

/* The tile is filled again before all have read it. */
static __global__ void tiles(bool right, float *x)
{
    __shared__ float tile[THREADS];
    for (unsigned i = blockIdx.x; i < 6; i += gridDim.x) {
        tile[threadIdx.x] = x[i * THREADS + threadIdx.x];
        __syncthreads();
        x[i * THREADS + threadIdx.x] = tile[THREADS - 1 - threadIdx.x];
        if (right)
            __syncthreads();
    }
}

/* Every thread reads, then one writes. */
static __global__ void read_by_all(bool right, float *x)
{
    float first = x[0];
    if (right)
        __syncthreads();
    if (threadIdx.x == 40)
        x[0] = first + 1;
}

/* All write the same. */
static __global__ void any(bool right, float *x)
{
    __shared__ int found;
    if (threadIdx.x == 0)
        found = 0;
    __syncthreads();
    if (right ? threadIdx.x == 9 : threadIdx.x % 9 == 0)
        found = 1;
    __syncthreads();
    x[threadIdx.x] = (float)found;
}

/* What a function returns goes to memory as well. */
static __global__ void returned(bool right, float *x)
{
    __shared__ uint4 all;
    uint4 *to = (uint4 *)x;
    if (threadIdx.x == 32)
        all = philox_block(make_uint2(1, 2), make_uint4(3, 4, 5, 6));
    __syncthreads();
    if (threadIdx.x < 3)
        to[right ? threadIdx.x : 0] = philox_block(make_uint2(1, 2), all);
}

/* ---- the warp ---- */

static __global__ void neighbour(bool right, float *x)
{
    __shared__ float part[WARP];
    part[threadIdx.x] = x[threadIdx.x];
    if (right)
        __syncwarp();
    x[threadIdx.x] = part[(threadIdx.x + 1) % WARP];
}

static __global__ void after_shuffle(bool right, float *x)
{
    __shared__ float part[WARP];
    part[threadIdx.x] = x[threadIdx.x];
    float sum = warp_reduce(x[threadIdx.x], add());
    if (right)
        __syncwarp();
    x[threadIdx.x] = sum + part[threadIdx.x ^ 1];
}

static __global__ void read_by_lanes(bool right, float *x)
{
    float first = x[0];
    if (right)
        __syncwarp();
    if (threadIdx.x == 7)
        x[0] = first + 1;
}

/* Lanes 0..15 do not wait for 16..31. */
static __global__ void half_warp(bool right, float *x)
{
    __shared__ float part[WARP];
    part[threadIdx.x] = x[threadIdx.x];
    if (right)
        __syncwarp();
    else if (threadIdx.x < 16)
        __syncwarp(0xffffu);
    else
        __syncwarp(0xffff0000u);
    x[threadIdx.x] = part[threadIdx.x ^ 16];
}

/* Lane 0 is behind lane 2, as lane 1 is behind it and comes first; without lane 1 it is not. */
static __global__ void chain(bool right, float *x)
{
    if (threadIdx.x == 2)
        x[0] = 1;
    if (threadIdx.x == 1 || threadIdx.x == 2)
        __syncwarp(6);
    if (right && threadIdx.x < 2)
        __syncwarp(3);
    if (threadIdx.x == 0)
        x[0] += 1;
}

/* ---- the grid ---- */

static __global__ void one_element(bool right, float *x)
{
    if (threadIdx.x == 0)
        x[right ? blockIdx.x : 5] = 1;
}

static __global__ void of_other_block(bool right, float *x)
{
    float *mine = x + blockIdx.x * THREADS, *from = right ? x + 1024 + (blockIdx.x ^ 1) * THREADS : x + (blockIdx.x ^ 1) * THREADS;
    mine[threadIdx.x] = from[threadIdx.x];
}

/* The block that writes has read itself, as the others have. */
static __global__ void read_by_blocks(bool right, float *x)
{
    float first = x[0];
    __syncthreads();
    if (threadIdx.x == 0)
        x[blockIdx.x == 2 && !right ? 0 : blockIdx.x + 1] = first;
}

/* Blocks have shared memory of their own. */
static __global__ void own_shared(bool, float *x)
{
    __shared__ float part[THREADS];
    part[(threadIdx.x + blockIdx.x) % THREADS] = 1;
    __syncthreads();
    x[blockIdx.x * THREADS + threadIdx.x] = part[threadIdx.x];
}

/* Block 0 leaves something for the next one that runs. */
static __global__ void not_written(bool right, float *x)
{
    __shared__ float part[THREADS];
    if (right || blockIdx.x == 0 || threadIdx.x % 2 == 0)
        part[threadIdx.x] = 1;
    x[blockIdx.x * THREADS + threadIdx.x] = part[threadIdx.x];
}

/* Every launch has other threads for the same elements. */
static __global__ void turned(unsigned by, float *x)
{
    x[(blockIdx.x * blockDim.x + threadIdx.x + by) % 1024] += 1;
}

/* ---- bytes ---- */

/* Neighbours of 1 and 2 bytes are no race, nor are those in one word that another thread has read before a barrier; a half over a byte is one. */
static __global__ void bytes(bool right, float *x)
{
    uint8_t *byte = (uint8_t *)x;
    uint16_t *half = (uint16_t *)(x + 256);
    float all = threadIdx.x == 50 ? x[2] + x[300] : 0;
    __syncthreads();
    byte[threadIdx.x] = (uint8_t)threadIdx.x;
    half[threadIdx.x] = (uint16_t)threadIdx.x;
    if (!right && threadIdx.x == 33)
        ((uint16_t *)x)[3] = 0;
    x[512 + threadIdx.x] = all;
}

static __global__ void packs(bool right, float *x)
{
    pack<float, 4> *all = (pack<float, 4> *)x;
    if (threadIdx.x < 32)
        all[threadIdx.x] = pack<float, 4>{{1, 2, 3, 4}};
    else
        x[right ? 128 + threadIdx.x : 127] = 0;
}

/* ---- atomics ---- */

static __global__ void counted(bool right, float *x)
{
    __shared__ unsigned n;
    if (threadIdx.x == 0)
        n = 0;
    __syncthreads();
    atomicAdd(&n, 1u);
    if (right)
        __syncthreads();
    if (threadIdx.x == 0)
        x[0] = (float)n;
}

/* A plain addition between atomic ones. */
static __global__ void not_all_atomic(bool right, float *x)
{
    if (right || blockIdx.x != 1)
        atomicAdd(x, 1.f);
    else if (threadIdx.x == 0)
        x[0] += 1;
}

/* ---- */

#define CASE(kernel, grid, block, ...)                                                                                 \
    {                                                                                                                  \
        #kernel, [](bool right, float *x) { return start(grid, block, kernel, right, x); }, { __VA_ARGS__ }            \
    }
extern "C" const race_case race_cases[] = {
    CASE(tree_sum, 1, THREADS, "race: thread", "shared memory", "emulate_race.cu:"),
    CASE(tiles, 2, THREADS, "shared memory", "emulate_race.cu:"),
    CASE(read_by_all, 1, THREADS, "byte 0 of 16384 of device memory", "thread 40"),
    CASE(any, 1, THREADS, "writes shared memory", "has written"),
    CASE(returned, 1, THREADS, "writes byte 0 of 16384", "has written"),
    CASE(neighbour, 1, WARP, "shared memory", "has "),
    CASE(after_shuffle, 1, WARP, "shared memory", "emulate_race.cu:"),
    CASE(read_by_lanes, 1, WARP, "byte 0 of 16384", "thread 7"),
    CASE(half_warp, 1, WARP, "shared memory", "emulate_race.cu:"),
    CASE(chain, 1, WARP, "thread 0", "thread 2"),
    CASE(one_element, 4, THREADS, "thread 0 writes byte 20 of 16384", "thread 0 of block", "has written"),
    CASE(of_other_block, 4, THREADS, "of device memory", "of block"),
    CASE(read_by_blocks, 4, THREADS, "byte 0 of 16384", "of block"),
    CASE(own_shared, 4, THREADS),
    CASE(not_written, 4, THREADS, "reads shared memory at emulate_race.cu:", "that its block has not written"),
    CASE(turned, 4, 256),
    CASE(bytes, 1, THREADS, "thread 33", "of 16384"),
    CASE(packs, 1, THREADS, "byte 508 of 16384", "has written"),
    CASE(counted, 1, THREADS, "shared memory", "atomically change"),
    CASE(not_all_atomic, 4, THREADS, "byte 0 of 16384", "thread 0", "atomically change"),
};
extern "C" const int n_race_cases = sizeof race_cases / sizeof *race_cases;

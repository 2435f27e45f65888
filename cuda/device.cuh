/* What the kernels share on the device: elements of every dtype, launches, sums over a block. C++17, read by *.cu only. */
#ifndef MU_CUDA_DEVICE_CUH
#define MU_CUDA_DEVICE_CUH

#include "cuda.h"

#include <cuda_runtime.h>
#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

/* ---- elements: what is stored, and what is computed with ---- */

struct bf16 {
    uint16_t bits;
};
struct f16 {
    uint16_t bits;
};

/* real_of<T>::type: f32 for half types, else T itself. load and store convert: to nearest even, NaN kept. */
template <class T> struct real_of {
    typedef T type;
};
template <> struct real_of<bf16> {
    typedef float type;
};
template <> struct real_of<f16> {
    typedef float type;
};
template <class T> using real = typename real_of<T>::type;

template <class T> __device__ inline T load(T x)
{
    return x;
}
__device__ inline float load(bf16 x)
{
    return __uint_as_float((uint32_t)x.bits << 16);
}
__device__ inline float load(f16 x)
{
#ifdef __CUDACC__
    return __half2float(__ushort_as_half(x.bits));
#else
    return mu_f16_to_f32(x.bits);
#endif
}

template <class T> __device__ inline T store(real<T> x)
{
    return x;
}
template <> __device__ inline bf16 store<bf16>(float x)
{
    uint32_t u = __float_as_uint(x);
    if (x != x)
        return bf16{(uint16_t)(u >> 16 | 0x40)};
    return bf16{(uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16)};
}
template <> __device__ inline f16 store<f16>(float x)
{
#ifdef __CUDACC__
    return f16{__half_as_ushort(__float2half_rn(x))};
#else
    return f16{mu_f32_to_f16(x)};
#endif
}

/* ---- one instance of a template for each dtype ----
 *     return visit_float(dtype, [&](auto zero) { typedef decltype(zero) T; return launch(...<T>...); });
 * A dtype that is not among them is MU_ERR_INTERNAL: `supports` has let it pass. */
inline mu_err no_such_dtype(mu_dtype dtype)
{
    return MU_FAIL(MU_ERR_INTERNAL, "no kernel for %s", mu_dtype_name(dtype));
}

template <class F> mu_err visit_float(mu_dtype dtype, F f)
{
    switch (dtype) {
    case MU_F32: return f(float());
    case MU_BF16: return f(bf16());
    case MU_F16: return f(f16());
    default: return no_such_dtype(dtype);
    }
}

template <class F> mu_err visit_index(mu_dtype dtype, F f)
{
    switch (dtype) {
    case MU_I64: return f(int64_t());
    case MU_I32: return f(int32_t());
    case MU_U8: return f(uint8_t());
    default: return no_such_dtype(dtype);
    }
}

template <class F> mu_err visit_any(mu_dtype dtype, F f)
{
    switch (dtype) {
    case MU_F64: return f(double());
    case MU_BOOL: return f(uint8_t());
    case MU_F32:
    case MU_BF16:
    case MU_F16: return visit_float(dtype, f);
    default: return visit_index(dtype, f);
    }
}

/* By width alone: for kernels that only move elements. */
template <class F> mu_err visit_width(mu_dtype dtype, F f)
{
    switch (mu_dtype_size(dtype)) {
    case 1: return f(uint8_t());
    case 2: return f(uint16_t());
    case 4: return f(uint32_t());
    case 8: return f(uint64_t());
    default: return no_such_dtype(dtype);
    }
}

/* ---- launches ---- */

enum { BLOCK = 256, WARP = 32 };

/* kernel<<<grid, block>>>(args...) on the instance's stream. Nothing is launched for an empty grid. */
template <class... Wanted, class... Given>
mu_err launch(const mu_cuda *self, void (*kernel)(Wanted...), dim3 grid, unsigned block, Given... args)
{
    if (grid.x == 0 || grid.y == 0 || grid.z == 0)
        return MU_OK;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = dim3(block);
    config.stream = self->stream;
    MU_TRY_CUDA(cudaLaunchKernelEx(&config, kernel, static_cast<Wanted>(args)...));
    return MU_OK;
}

/* Blocks for a loop over n elements, `each` of them at once by a thread; enough to fill the device a few times. */
inline unsigned blocks_for(const mu_cuda *self, int64_t n, int64_t each = 1)
{
    int64_t wanted = (n + BLOCK * each - 1) / (BLOCK * each), most = 16 * (int64_t)self->n_multiprocessors;
    return (unsigned)(wanted < most ? wanted : most);
}

/* for (int64_t i: this thread's part of 0..n-1) */
#define FOR_EACH(i, n)                                                                                                 \
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += (int64_t)gridDim.x * blockDim.x)

/* N neighbours that are loaded and stored at once; the address is a multiple of their bytes. */
template <class T, int N> struct alignas(sizeof(T) * N) pack {
    T v[N];
};

/* ---- reductions: the same order whatever the device does, so the same bits from run to run ---- */

struct add {
    template <class R> __device__ R operator()(R a, R b) const { return a + b; }
};
/* NaN wins. */
struct larger {
    template <class R> __device__ R operator()(R a, R b) const { return a != a || a > b ? a : b; }
};
struct smaller {
    template <class R> __device__ R operator()(R a, R b) const { return a != a || a < b ? a : b; }
};

template <class R, class Op> __device__ inline R warp_reduce(R x, Op op)
{
    for (int lane = WARP / 2; lane > 0; lane /= 2)
        x = op(x, __shfl_xor_sync(0xffffffffu, x, lane));
    return x;
}

/* Over a block of blockDim.x threads, a multiple of WARP: called by all of them, all of them get it. `none` changes nothing. */
template <class R, class Op> __device__ inline R block_reduce(R x, R none, Op op)
{
    __shared__ R part[WARP];
    int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP, n = ((int)blockDim.x + WARP - 1) / WARP;
    x = warp_reduce(x, op);
    __syncthreads(); /* of an earlier use */
    if (lane == 0)
        part[warp] = x;
    __syncthreads();
    return warp_reduce(lane < n ? part[lane] : none, op);
}

/* ---- random numbers: core/philox.h on the device, bit for bit ---- */

__device__ inline uint4 philox_block(uint2 key, uint4 counter)
{
    for (int round = 0; round < 10; round++) {
        uint32_t low0 = 0xD2511F53u * counter.x, high0 = __umulhi(0xD2511F53u, counter.x);
        uint32_t low1 = 0xCD9E8D57u * counter.z, high1 = __umulhi(0xCD9E8D57u, counter.z);
        counter = make_uint4(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
        key.x += 0x9E3779B9u;
        key.y += 0xBB67AE85u;
    }
    return counter;
}

#endif

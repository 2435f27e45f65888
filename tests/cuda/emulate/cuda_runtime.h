/* CUDA C++ for a C++17 compiler: the language's words, launches, and the device functions that cuda/ uses. */
#ifndef EMULATE_CUDA_RUNTIME_H
#define EMULATE_CUDA_RUNTIME_H

#include <math.h>
#include <string.h>
#include <tuple>
#include <type_traits>

#include "emulate.h"

#define __global__
#ifdef __SANITIZE_THREAD__
#define __device__ __attribute__((always_inline)) /* the compiler does not tell what a call returns into memory */
#else
#define __device__
#endif
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
/* Blocks run one after the other, so a block's shared memory may be any block's. */
#define __shared__ static
#define __constant__
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

/* ---- vector types ---- */

#define EMULATE_VECTORS(T, scalar, size)                                                                    \
    struct alignas(2 * size) T##2 { scalar x, y; };                                                         \
    struct T##3 { scalar x, y, z; };                                                                        \
    struct alignas(4 * size < 16 ? 4 * size : 16) T##4 { scalar x, y, z, w; };                              \
    __device__ inline T##2 make_##T##2(scalar x, scalar y) { return T##2{x, y}; }                           \
    __device__ inline T##4 make_##T##4(scalar x, scalar y, scalar z, scalar w) { return T##4{x, y, z, w}; }
EMULATE_VECTORS(float, float, 4)
EMULATE_VECTORS(int, int, 4)
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
__device__ inline uint2 make_uint2(unsigned x, unsigned y) { return uint2{x, y}; }
__device__ inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return uint4{x, y, z, w}; }

/* ---- where a thread is ---- */

static constexpr uint3 &threadIdx = emulate_index.thread, &blockIdx = emulate_index.block;
static constexpr dim3 &blockDim = emulate_index.threads, &gridDim = emulate_index.blocks;

/* ---- launches ---- */

template <class... P> struct emulate_call {
    void (*kernel)(P...);
    std::tuple<P...> arguments;

    static void run(const void *closure)
    {
        const emulate_call *call = static_cast<const emulate_call *>(closure);
        std::apply(call->kernel, call->arguments);
    }
};

template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(P...), A &&...arguments)
{
    static_assert((std::is_trivially_copyable<P>::value && ...), "arguments of kernels are copied byte by byte");
    emulate_call<P...> call = {kernel, std::tuple<P...>(arguments...)};
    return emulate_launch(config, (const void *)kernel, __PRETTY_FUNCTION__, emulate_call<P...>::run, &call, sizeof call);
}

template <class T> cudaError_t cudaMalloc(T **out, size_t bytes)
{
    return cudaMalloc((void **)(void *)out, bytes);
}
template <class T> cudaError_t cudaMallocHost(T **out, size_t bytes)
{
    return cudaMallocHost((void **)(void *)out, bytes);
}

/* ---- barriers and shuffles ---- */

enum { warpSize = 32 };

inline void __syncthreads(const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    emulate_barrier(file, line);
}
inline int __syncthreads_or(int mine, const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    return emulate_barrier_or(mine != 0, file, line);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    emulate_exchange(mask, 0, EMULATE_SYNC, file, line);
}

template <class T> T emulate_shuffle(unsigned mask, T value, int source, const char *file, int line)
{
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value, "a shuffle moves 4 or 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = emulate_exchange(mask, bits, source, file, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, const char *file = __builtin_FILE(),
              int line = __builtin_LINE())
{
    int first = emulate_lane() & ~(width - 1);
    return emulate_shuffle(mask, value, first + (source & (width - 1)), file, line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, const char *file = __builtin_FILE(),
                  int line = __builtin_LINE())
{
    int lane = emulate_lane(), source = lane ^ bits;
    return emulate_shuffle(mask, value, source < (lane & ~(width - 1)) + width ? source : EMULATE_OWN, file, line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, const char *file = __builtin_FILE(),
                   int line = __builtin_LINE())
{
    int lane = emulate_lane(), source = lane + (int)by;
    return emulate_shuffle(mask, value, source < (lane & ~(width - 1)) + width ? source : EMULATE_OWN, file, line);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, const char *file = __builtin_FILE(),
                 int line = __builtin_LINE())
{
    int lane = emulate_lane(), source = lane - (int)by;
    return emulate_shuffle(mask, value, source >= (lane & ~(width - 1)) ? source : EMULATE_OWN, file, line);
}

/* ---- atomics: threads run one at a time ---- */

inline void emulate_atomic(bool begins)
{
#ifdef __SANITIZE_THREAD__
    emulate_race_atomic(begins);
#else
    (void)begins;
#endif
}
/* *place = change(*place); the old value. */
template <class T, class F> T emulate_change(T *place, F change)
{
    emulate_atomic(true);
    T old = *place;
    *place = change(old);
    emulate_atomic(false);
    return old;
}
inline void __threadfence() {}
inline void __threadfence_block() {}
#define EMULATE_ATOMICS(T)                                                                                  \
    inline T atomicAdd(T *place, T value) { return emulate_change(place, [&](T old) { return (T)(old + value); }); } \
    inline T atomicExch(T *place, T value) { return emulate_change(place, [&](T) { return value; }); }
EMULATE_ATOMICS(int)
EMULATE_ATOMICS(unsigned)
EMULATE_ATOMICS(unsigned long long)
EMULATE_ATOMICS(float)
EMULATE_ATOMICS(double)
#undef EMULATE_ATOMICS
#define EMULATE_ATOMICS(T)                                                                                  \
    inline T atomicMax(T *place, T value) { return emulate_change(place, [&](T old) { return old > value ? old : value; }); } \
    inline T atomicMin(T *place, T value) { return emulate_change(place, [&](T old) { return old < value ? old : value; }); } \
    inline T atomicCAS(T *place, T is, T value) { return emulate_change(place, [&](T old) { return old == is ? value : old; }); }
EMULATE_ATOMICS(int)
EMULATE_ATOMICS(unsigned)
EMULATE_ATOMICS(unsigned long long)
#undef EMULATE_ATOMICS

/* ---- other device functions ---- */

template <class T> T __ldg(const T *place)
{
    return *place;
}
inline unsigned __float_as_uint(float x)
{
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
inline float __uint_as_float(unsigned bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
inline int __float_as_int(float x)
{
    return (int)__float_as_uint(x);
}
inline float __int_as_float(int bits)
{
    return __uint_as_float((unsigned)bits);
}
inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((uint64_t)a * b >> 32);
}
inline float rsqrtf(float x)
{
    return 1 / sqrtf(x);
}
inline int min(int a, int b)
{
    return a < b ? a : b;
}
inline int max(int a, int b)
{
    return a > b ? a : b;
}
inline unsigned min(unsigned a, unsigned b)
{
    return a < b ? a : b;
}
inline unsigned max(unsigned a, unsigned b)
{
    return a > b ? a : b;
}
inline long long min(long long a, long long b)
{
    return a < b ? a : b;
}
inline long long max(long long a, long long b)
{
    return a > b ? a : b;
}

#endif

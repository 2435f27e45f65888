/* Elements of a line as numbers that stand in the line's order: by value, NaN above all, equals by index. */
#ifndef MU_CUDA_ORDER_CUH
#define MU_CUDA_ORDER_CUH

#include "reduce.cuh"

typedef unsigned long long order_key;

/* The larger key stands first: of the largest elements or, with `least`, of the smallest. No key is 0 or all ones. */
static __device__ inline order_key order_of(float x, uint32_t index, bool least)
{
    uint32_t u = x == 0 ? 0 : __float_as_uint(x);
    u = x != x ? 0xfffffffeu : u >> 31 ? ~u : u | 0x80000000u;
    return (order_key)(least ? ~u : u) << 32 | (uint32_t)~index;
}

static __device__ inline int64_t order_index(order_key key)
{
    return (uint32_t)~(uint32_t)key;
}

struct op_first {
    template <class R> __device__ R none() const { return R(0); }
    template <class R> __device__ R operator()(R a, R b) const { return a > b ? a : b; }
};

#endif

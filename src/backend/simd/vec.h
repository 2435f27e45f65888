/* Vectors of the widest size of this compilation, in GCC's vector extension: float math on f32 or bf16 storage. */
#ifndef MU_BACKEND_SIMD_VEC_H
#define MU_BACKEND_SIMD_VEC_H

#include "backend/simd/kernel.h"

#if defined(__AVX512F__)
#define VL 16
#elif defined(__AVX2__)
#define VL 8
#else
#define VL 4
#endif

typedef float vf __attribute__((vector_size(VL * 4)));
typedef int32_t vi __attribute__((vector_size(VL * 4)));
typedef uint32_t vu __attribute__((vector_size(VL * 4)));
typedef uint16_t vh __attribute__((vector_size(VL * 2)));
typedef float vf_any __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef int32_t vi_any __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef uint16_t vh_any __attribute__((vector_size(VL * 2), aligned(2), may_alias));

SIMD_INLINE vf vset(float x)
{
    return x - (vf){0};
}

SIMD_INLINE vi vseti(int32_t x)
{
    return x - (vi){0};
}

/* mask ? a : b; masks come from comparisons. GCC makes blends of it. */
SIMD_INLINE vf vsel(vi mask, vf a, vf b)
{
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

SIMD_INLINE vf vand(vi mask, vf a)
{
    return (vf)(mask & (vi)a);
}

SIMD_INLINE vf vabs(vf a)
{
    return (vf)((vi)a & 0x7fffffff);
}

SIMD_INLINE vf vsqrt(vf a)
{
    for (int i = 0; i < VL; i++)
        a[i] = __builtin_sqrtf(a[i]);
    return a;
}

/* NaN in a or b gives NaN. */
SIMD_INLINE vf vmax(vf a, vf b)
{
    return vsel((a > b) | (a != a), a, b);
}

SIMD_INLINE vf vmin(vf a, vf b)
{
    return vsel((a < b) | (a != a), a, b);
}

/* Sum of the lanes. */
SIMD_INLINE float vhsum(vf a)
{
    float s[VL];
    memcpy(s, &a, sizeof s);
    for (int n = VL / 2; n; n /= 2)
        for (int i = 0; i < n; i++)
            s[i] += s[i + n];
    return s[0];
}

SIMD_INLINE vf vload(const float *p)
{
    return *(const vf_any *)p;
}

SIMD_INLINE void vstore(float *p, vf v)
{
    *(vf_any *)p = v;
}

SIMD_INLINE vf v_of_bf16(vh h)
{
    return (vf)(__builtin_convertvector(h, vu) << 16);
}

SIMD_INLINE vh v_to_bf16(vf f)
{
    vu u = (vu)f, rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16, quiet = (u >> 16) | 0x40;
    vu nan = (vu)(f != f);
    return __builtin_convertvector((nan & quiet) | (~nan & rounded), vh);
}

/* Element i of f32 or (half) bf16 storage, and VL of them. `half` is a constant wherever speed matters. */
SIMD_INLINE float load1(const void *p, int64_t i, bool half)
{
    return half ? mu_bf16_to_f32(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

SIMD_INLINE void store1(void *p, int64_t i, bool half, float x)
{
    if (half)
        ((uint16_t *)p)[i] = mu_f32_to_bf16(x);
    else
        ((float *)p)[i] = x;
}

SIMD_INLINE vf load(const void *p, int64_t i, bool half)
{
    return half ? v_of_bf16(*(const vh_any *)((const uint16_t *)p + i)) : vload((const float *)p + i);
}

SIMD_INLINE void store(void *p, int64_t i, bool half, vf v)
{
    if (half)
        *(vh_any *)((uint16_t *)p + i) = v_to_bf16(v);
    else
        vstore((float *)p + i, v);
}

/* The first n < VL elements; the other lanes are `fill`, and are left alone in memory. */
SIMD_INLINE vf load_part(const void *p, int64_t i, int64_t n, bool half, float fill)
{
    float buf[VL];
    for (int l = 0; l < VL; l++)
        buf[l] = l < n ? load1(p, i + l, half) : fill;
    return vload(buf);
}

SIMD_INLINE void store_part(void *p, int64_t i, int64_t n, bool half, vf v)
{
    for (int l = 0; l < VL; l++)
        if (l < n)
            store1(p, i + l, half, v[l]);
}

/* VL elements from i on, or the `left` that there are. */
SIMD_INLINE vf get(const void *p, int64_t i, int64_t left, bool half, float fill)
{
    return left >= VL ? load(p, i, half) : load_part(p, i, left, half, fill);
}

SIMD_INLINE void put(void *p, int64_t i, int64_t left, bool half, vf v)
{
    if (left >= VL)
        store(p, i, half, v);
    else
        store_part(p, i, left, half, v);
}

#endif

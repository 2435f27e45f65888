/* exp, log, tanh, erfc and what is built of them, on vectors of f32: within 3 units in the last place, erfc
 * within 1.2e-7 of its value or 6 units, whichever is more.
 *
 * Range reductions and polynomial coefficients: S. L. Moshier, Cephes Mathematical Library, single precision (expf,
 * logf, tanhf, ndtrf), 1989. */
#ifndef MU_BACKEND_SIMD_VMATH_H
#define MU_BACKEND_SIMD_VMATH_H

#include "backend/simd/vec.h"

/* Denormal results are kept; beyond the range 0 and infinity; NaN gives NaN. */
SIMD_INLINE vf vexp(vf x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    vf clamped = vsel(x < -105.0f, vset(-105.0f), vsel(x > 89.0f, vset(89.0f), x));
    vf shifted = clamped * 1.44269504088896341f + magic;
    vf n = shifted - magic;
    vf r = clamped - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    vi k = (vi)shifted - 0x4b400000, half = k >> 1; /* 2^k in two factors, so that neither overflows */
    vf a = (vf)((half + 127) << 23), b = (vf)((k - half + 127) << 23);
    return vsel(x != x, x, p * a * b);
}

/* log 0 = -infinity, of negative numbers NaN. */
SIMD_INLINE vf vlog(vf x)
{
    vi tiny = x < 1.17549435e-38f;
    vf scaled = vsel(tiny, x * 8388608.0f, x);
    vi bits = (vi)scaled;
    vi e = ((bits >> 23) & 0xff) - 126;
    vf m = (vf)((bits & 0x007fffff) | 0x3f000000); /* [0.5, 1) */
    vi low = m < 0.707106781186547524f;
    e = e + low - (tiny & 23);
    m = m + vand(low, m) - 1.0f;
    vf z = m * m;
    vf p = m * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    vf n = __builtin_convertvector(e, vf);
    vf y = p * m * z + n * -2.12194440e-4f - z * 0.5f;
    y = m + y + n * 0.693359375f;
    y = vsel(x == 0.0f, vset(-__builtin_inff()), y);
    y = vsel(x < 0.0f, vset(__builtin_nanf("")), y);
    return vsel((x != x) | (x == __builtin_inff()), x, y);
}

SIMD_INLINE vf vtanh(vf x)
{
    vf a = vabs(x), z = x * x;
    vf p = z * -5.70498872745e-3f + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    vf small = p * z * x + x;
    vf big = 1.0f - 2.0f / (vexp(a + a) + 1.0f);
    big = (vf)((vi)big | ((vi)x & (int32_t)0x80000000));
    return vsel((a < 0.625f) | (x != x), small, big);
}

SIMD_INLINE vf vsigmoid(vf x)
{
    return 1.0f / (1.0f + vexp(-x));
}

/* exp(-f x^2), f a power of two: the square is split, so that its rounding error does not grow with x. */
SIMD_INLINE vf vexp_minus_square(vf x, float f)
{
    vf hi = (vf)((vi)x & (int32_t)0xfffff000), lo = x - hi;
    return vexp(-f * hi * hi) * vexp(-f * lo * (x + hi));
}

/* 1 - erf(x) without cancellation for large x. */
SIMD_INLINE vf verfc(vf x)
{
    vf a = vabs(x), z = x * x;
    a = vsel(a > 12.0f, vset(12.0f), a);
    vf t = z * 7.853861353153693e-5f - 8.010193625184903e-4f;
    t = t * z + 5.188327685732524e-3f;
    t = t * z - 2.685381193529856e-2f;
    t = t * z + 1.128358514861418e-1f;
    t = t * z - 3.761262582423300e-1f;
    t = t * z + 1.128379165726710e+0f;
    vf near = 1.0f - t * x;
    vf q = 1.0f / vsel(a < 1.0f, vset(1.0f), a), y = q * q;
    vf p = y * 2.326819970068386e-2f - 1.387039388740657e-1f;
    p = p * y + 3.687424674597105e-1f;
    p = p * y - 5.824733027278666e-1f;
    p = p * y + 6.210004621745983e-1f;
    p = p * y - 4.944515323274145e-1f;
    p = p * y + 3.404879937665872e-1f;
    p = p * y - 2.741127028184656e-1f;
    p = p * y + 5.638259427386472e-1f;
    vf r = y * -1.047766399936249e+1f + 1.297719955372516e+1f;
    r = r * y - 7.495518717768503e+0f;
    r = r * y + 2.921019019210786e+0f;
    r = r * y - 1.015265279202700e+0f;
    r = r * y + 4.218463358204948e-1f;
    r = r * y - 2.820767439740514e-1f;
    r = r * y + 5.641895067754075e-1f;
    vf far = vexp_minus_square(a, 1.0f) * q * vsel(a < 2.0f, p, r);
    far = vsel(x < 0.0f, 2.0f - far, far);
    return vsel((a < 1.0f) | (x != x), near, far);
}

#endif

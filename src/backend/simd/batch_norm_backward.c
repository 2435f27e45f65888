/* The sweeps of the gradient of batch norm. */
#include "backend/simd/batch_norm.h"

/* ---- sums of a unit ---- */

/* Where the first sweep of a gradient leaves d for the second: dresidual; with two addends dx, where that is not
 * wanted. */
static void *kept(const mu_simd_norm *s)
{
    void *const *out = s->base.base.out;
    return out[3] ? out[3] : mu_simd_address(&s->base.base, 6) ? out[0] : NULL;
}

SIMD_INLINE vf element(const void *p, int64_t at, int j, int64_t channels, int64_t rest, const bool part,
                       const bool half)
{
    return rest ? load_part(p, at, rest, half, 0) : load_at(p, at, j, channels, part, half);
}

typedef struct {
    const void *dy, *dy2, *y;
} source;

static source source_of(const mu_simd_norm *s)
{
    const mu_kernel *k = &s->base.base;
    return (source){.dy = k->in[0], .dy2 = mu_simd_address(k, 6), .y = mu_simd_address(k, 5)};
}

/* The output gradient behind the ReLU: d = dy (two: + dy2) where y > 0. */
SIMD_INLINE vf masked_at(source from, int64_t at, int j, int64_t channels, int64_t rest, const bool part,
                         const bool half, const bool relu, const bool two)
{
    vf d = element(from.dy, at, j, channels, rest, part, half);
    if (two) {
        d += element(from.dy2, at, j, channels, rest, part, half);
        d = half ? v_of_bf16(v_to_bf16(d)) : d;
    }
    return relu ? vand(element(from.y, at, j, channels, rest, part, half) > 0.0f, d) : d;
}

/* sums[0..lanes-1]: of d; sums[lanes..]: of d * (x - mean). Writes d to where it is kept. */
SIMD_INLINE void products(const mu_simd_norm *s, int64_t group, const mu_simd_unit *u, float *sums, const bool relu,
                          const bool two, const int nv, const bool part, const bool plane, const bool half)
{
    const void *x = s->base.base.in[1];
    const source from = source_of(s);
    void *masked = kept(s);
    const int pixels = nv == 1 ? 2 : 1;
    vf a[4] = {{0}}, b[4] = {{0}}, mean[4];
    for (int k = 0; k < nv; k++)
        mean[k] = coefficient(s, group, k, 0, plane);
    for (int64_t n = u->n0; n < u->n1; n++) {
        row r = row_of(s, group, u, n, plane);
        for (; r.steps >= pixels; r.steps -= pixels, r.at += pixels * r.step)
#pragma GCC unroll 4
            for (int k = 0; k < pixels * nv; k++) {
                int64_t at = r.at + k / nv * r.step;
                vf d = masked_at(from, at, k % nv, u->channels, 0, part, half, relu, two);
                vf v = load_at(x, at, k % nv, u->channels, part, half);
                if (masked)
                    store_at(masked, at, k % nv, u->channels, part, half, d);
                a[k] += d;
                b[k] += d * (v - mean[k % nv]);
            }
        for (; r.steps > 0; r.steps--, r.at += r.step)
#pragma GCC unroll 4
            for (int k = 0; k < nv; k++) {
                vf d = masked_at(from, r.at, k, u->channels, 0, part, half, relu, two);
                vf v = load_at(x, r.at, k, u->channels, part, half);
                if (masked)
                    store_at(masked, r.at, k, u->channels, part, half, d);
                a[k] += d;
                b[k] += d * (v - mean[k]);
            }
        if (r.rest) {
            vf d = masked_at(from, r.at, 0, 0, r.rest, part, half, relu, two);
            if (masked)
                store_part(masked, r.at, r.rest, half, d);
            a[0] += d;
            b[0] += d * (load_part(x, r.at, r.rest, half, 0) - mean[0]);
        }
    }
    for (int k = nv; k < pixels * nv; k++) {
        a[k % nv] += a[k];
        b[k % nv] += b[k];
    }
    if (plane) {
        sums[0] = vhsum(a[0]);
        sums[1] = vhsum(b[0]);
        return;
    }
    for (int k = 0; k < nv; k++) {
        vstore(sums + k * VL, a[k]);
        vstore(sums + s->lanes + k * VL, b[k]);
    }
}

static void sum_backward(const mu_simd_norm *s, int64_t group, const mu_simd_unit *u, float *sums)
{
    bool relu = ((const mu_batch_norm_attrs *)s->base.base.call.attrs)->relu, two = mu_simd_address(&s->base.base, 6);
    if (relu && two)
        BY_DTYPE(products, s, group, u, sums, true, true);
    else if (relu)
        BY_DTYPE(products, s, group, u, sums, true, false);
    else if (two)
        BY_DTYPE(products, s, group, u, sums, false, true);
    else
        BY_DTYPE(products, s, group, u, sums, false, false);
}

/* ---- values of a unit ---- */

/* dx = scale * d + slope * (x - mean) + shift */
SIMD_INLINE void spread(const mu_simd_norm *s, int64_t group, const mu_simd_unit *u, const bool relu, const int nv,
                        const bool part, const bool plane, const bool half)
{
    const void *x = s->base.base.in[1], *masked = kept(s);
    const source from = source_of(s);
    void *dx = s->base.base.out[0];
    vf mean[4], scale[4], slope[4], shift[4];
    for (int k = 0; k < nv; k++) {
        mean[k] = coefficient(s, group, k, 0, plane);
        scale[k] = coefficient(s, group, k, 1, plane);
        slope[k] = coefficient(s, group, k, 2, plane);
        shift[k] = coefficient(s, group, k, 3, plane);
    }
    for (int64_t n = u->n0; n < u->n1; n++) {
        row r = row_of(s, group, u, n, plane);
        for (; r.steps > 0; r.steps--, r.at += r.step)
#pragma GCC unroll 4
            for (int k = 0; k < nv; k++) {
                vf d = masked ? load_at(masked, r.at, k, u->channels, part, half)
                              : masked_at(from, r.at, k, u->channels, 0, part, half, relu, false);
                vf v = load_at(x, r.at, k, u->channels, part, half);
                store_at(dx, r.at, k, u->channels, part, half, d * scale[k] + (v - mean[k]) * slope[k] + shift[k]);
            }
        if (r.rest) {
            vf d = masked ? load_part(masked, r.at, r.rest, half, 0)
                          : masked_at(from, r.at, 0, 0, r.rest, part, half, relu, false);
            vf v = load_part(x, r.at, r.rest, half, 0);
            store_part(dx, r.at, r.rest, half, d * scale[0] + (v - mean[0]) * slope[0] + shift[0]);
        }
    }
}

static void write_backward(const mu_simd_norm *s, int64_t group, const mu_simd_unit *u)
{
    if (((const mu_batch_norm_attrs *)s->base.base.call.attrs)->relu)
        BY_DTYPE(spread, s, group, u, true);
    else
        BY_DTYPE(spread, s, group, u, false);
}

/* ---- joining the units of a group ---- */

/* sum[LANES] of dy, product[LANES] of dy * (x - mean). */
static void join_products(const mu_simd_norm *s, int64_t group, double *sum, double *product)
{
    for (int64_t l = 0; l < s->lanes; l++)
        sum[l] = product[l] = 0;
    for (int64_t i = 0; i < s->units; i++) {
        const float *sums = sums_of(s, group, i);
        for (int64_t l = 0; l < s->lanes; l++) {
            sum[l] += sums[l];
            product[l] += sums[s->lanes + l];
        }
    }
}

static void give_weight_gradients(const mu_simd_norm *s, int64_t group, const double *sum, const double *product)
{
    float *const *out = (float *const *)s->base.base.out;
    for (int64_t l = 0; l < s->lanes && group * s->lanes + l < s->base.x.c; l++) {
        int64_t c = group * s->lanes + l;
        out[1][c] = (float)(product[l] * at(s, 4, c, 1));
        out[2][c] = (float)sum[l];
    }
}

/* The sums over n values become the coefficients of dx. */
static void settle_backward(const mu_simd_norm *s, int64_t group, double n, const double *sum, const double *product)
{
    for (int64_t l = 0; l < s->lanes; l++) {
        int64_t c = group * s->lanes + l;
        if (c >= s->base.x.c) {
            set_coefficients(s, c, 0, 0, 0, 0);
            continue;
        }
        double rstd = at(s, 4, c, 1), scale = at(s, 2, c, 1) * rstd;
        if (n > 0)
            set_coefficients(s, c, at(s, 3, c, 0), scale, -scale * rstd * rstd * product[l] / n, -scale * sum[l] / n);
    }
}

static void load_means(const mu_simd_norm *s)
{
    float *mean = coefficients(s, 0);
    for (int64_t i = 0; i < s->groups * s->lanes; i++)
        mean[i] = i < s->base.x.c ? ((const float *)s->base.base.in[3])[i] : 0;
}

const mu_simd_sweeps SIMD(mu_simd_norm_backward) = {.begin = load_means,
                                                    .sum = sum_backward,
                                                    .join = join_products,
                                                    .own = give_weight_gradients,
                                                    .settle = settle_backward,
                                                    .write = write_backward};

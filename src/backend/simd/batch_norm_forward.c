/* The sweeps of batch norm: y = (x - mean) * rstd * gamma + beta (+ residual) (then ReLU). */
#include "backend/simd/batch_norm.h"

#include <math.h>

/* ---- sums of a unit ---- */

SIMD_INLINE vf add_moment(vf total, vf v, vf mean, const int pass)
{
    vf d = v - mean;
    return pass ? total + d * d : total + v;
}

SIMD_INLINE void moments_pass(const mu_simd_norm *s, int64_t group, const mu_simd_unit *u, const vf *mean, vf *total,
                              const int nv, const bool part, const bool plane, const bool half, const int pass)
{
    const void *x = s->base.base.in[0];
    const int pixels = 4 / nv;
    vf t[4] = {{0}};
    for (int64_t n = u->n0; n < u->n1; n++) {
        row r = row_of(s, group, u, n, plane);
        for (; r.steps >= pixels; r.steps -= pixels, r.at += pixels * r.step)
#pragma GCC unroll 4
            for (int k = 0; k < 4; k++) {
                if (pass) /* this pass finds its bytes in the cache: fetch the next unit's */
                    __builtin_prefetch(
                        (void *)((uintptr_t)x + (uintptr_t)(r.at + k / nv * r.step + UNIT_LANES) * (half ? 2 : 4)));
                t[k] = add_moment(t[k], load_at(x, r.at + k / nv * r.step, k % nv, u->channels, part, half),
                                  mean[k % nv], pass);
            }
        for (; r.steps > 0; r.steps--, r.at += r.step)
#pragma GCC unroll 4
            for (int k = 0; k < nv; k++)
                t[k] = add_moment(t[k], load_at(x, r.at, k, u->channels, part, half), mean[k], pass);
        if (r.rest)
            t[0] = add_moment(t[0], load_part(x, r.at, r.rest, half, pass ? mean[0][0] : 0), mean[0], pass);
    }
#pragma GCC unroll 4
    for (int k = nv; k < 4; k++)
        t[k % nv] += t[k];
#pragma GCC unroll 4
    for (int k = 0; k < nv; k++)
        total[k] = t[k];
}

/* sums[0..lanes-1]: mean; sums[lanes..]: sum of squared deviations from it. */
SIMD_INLINE void moments(const mu_simd_norm *s, int64_t group, const mu_simd_unit *u, float *sums, const int nv,
                         const bool part, const bool plane, const bool half)
{
    vf mean[4] = {{0}}, total[4];
    float count = (float)unit_count(u);
    moments_pass(s, group, u, mean, total, nv, part, plane, half, 0);
    for (int k = 0; k < nv; k++)
        mean[k] = plane ? vset(vhsum(total[k]) / count) : total[k] / count;
    moments_pass(s, group, u, mean, total, nv, part, plane, half, 1);
    if (plane) {
        sums[0] = mean[0][0];
        sums[1] = vhsum(total[0]);
        return;
    }
    for (int k = 0; k < nv; k++) {
        vstore(sums + k * VL, mean[k]);
        vstore(sums + s->lanes + k * VL, total[k]);
    }
}

static void sum_forward(const mu_simd_norm *s, int64_t group, const mu_simd_unit *u, float *sums)
{
    BY_DTYPE(moments, s, group, u, sums);
}

/* ---- values of a unit ---- */

SIMD_INLINE vf normal_value(vf x, vf mean, vf scale, vf shift, vf residual, vi linear)
{
    vf y = (x - mean) * scale + shift + residual;
    return vand(~(y <= 0.0f) | linear, y);
}

/* y = (x - mean) * scale + shift (+ residual) (then ReLU) */
SIMD_INLINE void normalise(const mu_simd_norm *s, int64_t group, const mu_simd_unit *u, const bool relu,
                           const bool has_residual, const int nv, const bool part, const bool plane, const bool half)
{
    const void *x = s->base.base.in[0], *residual = has_residual ? s->base.base.in[5] : NULL;
    void *y = s->base.base.out[0];
    vi linear = vseti(relu ? 0 : -1);
    vf mean[4], scale[4], shift[4], zero = {0};
    for (int k = 0; k < nv; k++) {
        mean[k] = coefficient(s, group, k, 0, plane);
        scale[k] = coefficient(s, group, k, 1, plane);
        shift[k] = coefficient(s, group, k, 2, plane);
    }
    for (int64_t n = u->n0; n < u->n1; n++) {
        row r = row_of(s, group, u, n, plane);
        for (; r.steps > 0; r.steps--, r.at += r.step)
#pragma GCC unroll 4
            for (int k = 0; k < nv; k++) {
                vf add = has_residual ? load_at(residual, r.at, k, u->channels, part, half) : zero;
                vf v = load_at(x, r.at, k, u->channels, part, half);
                store_at(y, r.at, k, u->channels, part, half,
                         normal_value(v, mean[k], scale[k], shift[k], add, linear));
            }
        if (r.rest) {
            vf add = has_residual ? load_part(residual, r.at, r.rest, half, 0) : zero;
            vf v = load_part(x, r.at, r.rest, half, 0);
            store_part(y, r.at, r.rest, half, normal_value(v, mean[0], scale[0], shift[0], add, linear));
        }
    }
}

static void write_forward(const mu_simd_norm *s, int64_t group, const mu_simd_unit *u)
{
    bool relu = ((const mu_batch_norm_attrs *)s->base.base.call.attrs)->relu;
    if (s->base.base.call.op != &mu_op_batch_norm_inference && mu_simd_address(&s->base.base, 5))
        BY_DTYPE(normalise, s, group, u, relu, true);
    else
        BY_DTYPE(normalise, s, group, u, relu, false);
}

/* ---- joining the units of a group ---- */

/* mean[LANES], square[LANES]: sums of squared deviations from it. */
static void join_moments(const mu_simd_norm *s, int64_t group, double *mean, double *square)
{
    double n = (double)(s->n * s->pixels);
    for (int64_t l = 0; l < s->lanes; l++)
        mean[l] = square[l] = 0;
    for (int64_t i = 0; i < s->units; i++) {
        mu_simd_unit u = unit_of(s, group, i);
        const float *sums = sums_of(s, group, i);
        for (int64_t l = 0; l < s->lanes; l++)
            mean[l] += (double)unit_count(&u) * sums[l];
    }
    for (int64_t l = 0; l < s->lanes; l++)
        mean[l] = n > 0 ? mean[l] / n : 0;
    for (int64_t i = 0; i < s->units; i++) {
        mu_simd_unit u = unit_of(s, group, i);
        const float *sums = sums_of(s, group, i);
        for (int64_t l = 0; l < s->lanes; l++) {
            double d = sums[l] - mean[l];
            square[l] += sums[s->lanes + l] + (double)unit_count(&u) * d * d;
        }
    }
}

/* The moments of n values become coefficients, outputs and running statistics. */
static void settle_forward(const mu_simd_norm *s, int64_t group, double n, const double *mean, const double *square)
{
    const mu_batch_norm_attrs *a = s->base.base.call.attrs;
    float *const *out = (float *const *)s->base.base.out;
    double keep = n > 0 ? 1 - a->momentum : 1;
    for (int64_t l = 0; l < s->lanes; l++) {
        int64_t c = group * s->lanes + l;
        if (c >= s->base.x.c) {
            set_coefficients(s, c, 0, 0, 0, 0);
            continue;
        }
        double rstd = 1 / sqrt((n > 0 ? square[l] / n : 0) + a->eps);
        set_coefficients(s, c, mean[l], rstd * at(s, 1, c, 1), at(s, 2, c, 0), 0);
        out[1][c] = (float)mean[l];
        out[2][c] = (float)rstd;
        out[3][c] = (float)(keep * at(s, 3, c, 0) + (1 - keep) * mean[l]);
        out[4][c] = (float)(keep * at(s, 4, c, 0) + (n > 1 ? (1 - keep) * square[l] / (n - 1) : 0));
    }
}

const mu_simd_sweeps SIMD(mu_simd_norm_forward) = {
    .sum = sum_forward, .join = join_moments, .settle = settle_forward, .write = write_forward};

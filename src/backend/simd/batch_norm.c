#include "backend/ranks.h"
#include "backend/simd/vec.h"
#include "core/mem.h"

#include <math.h>

/* Batch normalisation in two sweeps: sums, then values. Channels are taken in groups (one channel of a row-major
 * tensor, a block of a blocked one, 16 channels of channels last), groups in batches small enough for the second sweep
 * to find the first one's bytes in the cache. Units, pieces of a group that fit in the first-level cache, fix the order
 * of summation, whatever the number of threads: the moments of a unit are taken in two passes over it, and units are
 * joined in double (Chan, Golub, LeVeque 1983). With the statistics of all ranks there is one batch, and one message between
 * the sweeps. */

enum { LANES = 16, UNIT_LANES = 256 * LANES, CACHE_PER_THREAD = 768 << 10, N_COEFFICIENTS = 4 };

typedef struct {
    mu_simd_kernel base;
    bool half;
    int64_t n, groups, lanes, pixels, stride; /* stride: from pixel to pixel of a group */
    int64_t group_step, sample_step;          /* elements */
    int64_t unit_samples, unit_pixels, sample_parts, pixel_parts, units;
    int64_t batch;                            /* groups in a cache batch */
    int64_t bytes;
    size_t own_scratch; /* bytes before the message to other ranks */
} norm;

/* Samples [n0, n1), pixels [p0, p1) of a group. */
typedef struct {
    int64_t n0, n1, p0, p1, channels;
} unit;

static unit unit_of(const norm *s, int64_t group, int64_t u)
{
    unit r;
    mu_simd_part(s->n, s->sample_parts, u / s->pixel_parts, &r.n0, &r.n1);
    mu_simd_part(s->pixels, s->pixel_parts, u % s->pixel_parts, &r.p0, &r.p1);
    int64_t left = s->base.x.c - group * s->lanes;
    r.channels = s->base.x.kind == MU_LAYOUT_CHANNELS_BLOCKED || left > s->lanes ? s->lanes : left;
    return r;
}

static int64_t unit_count(const unit *u)
{
    return (u->n1 - u->n0) * (u->p1 - u->p0);
}

static int64_t unit_start(const norm *s, int64_t group, int64_t n, int64_t p)
{
    return group * s->group_step + n * s->sample_step + p * s->stride;
}

static void set_geometry(norm *s, mu_dtype dtype, int tensors)
{
    const mu_simd_view *x = &s->base.x;
    const mu_type *type = &s->base.base.call.in[0];
    s->half = dtype == MU_BF16;
    s->n = x->n;
    s->pixels = x->space;
    if (x->kind == MU_LAYOUT_CHANNELS_BLOCKED) {
        s->lanes = s->stride = x->width;
        s->groups = x->blocks;
        s->group_step = x->space * x->width;
        s->sample_step = x->blocks * s->group_step;
    } else if (x->kind == MU_LAYOUT_CHANNELS_LAST || type->ndim == 2) {
        s->n = 1;
        s->pixels = x->n * x->space;
        s->lanes = s->group_step = LANES;
        s->groups = (x->c + LANES - 1) / LANES;
        s->stride = x->c;
        s->sample_step = 0;
    } else {
        s->lanes = s->stride = 1;
        s->groups = x->c;
        s->group_step = x->space;
        s->sample_step = x->c * x->space;
    }
    int64_t most = UNIT_LANES / s->lanes;
    s->pixel_parts = (s->pixels + most - 1) / most;
    int64_t samples = s->pixel_parts > 1 || s->pixels == 0 ? 1 : most / s->pixels;
    s->sample_parts = (s->n + samples - 1) / samples;
    s->units = s->pixel_parts * s->sample_parts;
    int64_t element = s->half ? 2 : 4, group_bytes = s->n * s->pixels * s->lanes * element * tensors;
    s->bytes = s->groups * group_bytes;
    int64_t cache = (int64_t)CACHE_PER_THREAD * s->base.n_threads;
    bool interleaved = s->stride != s->lanes; /* channels last: groups share cache lines */
    s->batch = interleaved || group_bytes == 0 ? s->groups : cache / group_bytes;
    s->batch = s->batch < 1 ? 1 : s->batch;
}

/* Unit i of a batch of `groups` groups that starts at group g0. */
static void locate(const norm *s, int64_t g0, int64_t groups, int64_t i, int64_t *group, int64_t *u)
{
    bool interleaved = s->stride != s->lanes;
    *group = g0 + (interleaved ? i % groups : i / s->units);
    *u = interleaved ? i / groups : i % s->units;
}

/* ---- one vector of a pixel ----
 * nv vectors make a pixel of `channels` lanes; `part` when the last are not all there. */

SIMD_INLINE vf load_at(const void *p, int64_t i, int j, int64_t channels, bool part, bool half)
{
    int64_t left = channels - j * VL;
    if (part && left < VL)
        return load_part(p, i + j * VL, left > 0 ? left : 0, half, 0);
    return load(p, i + j * VL, half);
}

SIMD_INLINE void store_at(void *p, int64_t i, int j, int64_t channels, bool part, bool half, vf v)
{
    int64_t left = channels - j * VL;
    if (part && left < VL)
        store_part(p, i + j * VL, left > 0 ? left : 0, half, v);
    else
        store(p, i + j * VL, half, v);
}

/* A row is a piece of one sample: pixels of nv vectors, or (plane) consecutive elements of one channel, a vector at a
 * time. */

typedef struct {
    int64_t at, steps, step, rest; /* rest: elements of a plane beyond the last whole vector */
} row;

SIMD_INLINE row row_of(const norm *s, int64_t group, const unit *u, int64_t n, const bool plane)
{
    int64_t length = u->p1 - u->p0;
    row r = {
        .at = unit_start(s, group, n, u->p0), .steps = plane ? length / VL : length, .step = plane ? VL : s->stride};
    r.rest = plane ? length % VL : 0;
    return r;
}

/* ---- sums of a unit ---- */

SIMD_INLINE vf add_moment(vf total, vf v, vf mean, const int pass)
{
    vf d = v - mean;
    return pass ? total + d * d : total + v;
}

SIMD_INLINE void moments_pass(const norm *s, int64_t group, const unit *u, const vf *mean, vf *total, const int nv,
                              const bool part, const bool plane, const bool half, const int pass)
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
SIMD_INLINE void moments(const norm *s, int64_t group, const unit *u, float *sums, const int nv, const bool part,
                         const bool plane, const bool half)
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

/* Coefficient k of the lanes of a group, in scratch after the sums: [N_COEFFICIENTS][groups * lanes]. */
static float *coefficients(const norm *s, int k)
{
    return (float *)s->base.base.scratch + (s->units * 2 + k) * s->groups * s->lanes;
}

static float *sums_of(const norm *s, int64_t group, int64_t u)
{
    return (float *)s->base.base.scratch + (group * s->units + u) * 2 * s->lanes;
}

SIMD_INLINE vf coefficient(const norm *s, int64_t group, int j, const int k, const bool plane)
{
    const float *at = coefficients(s, k) + group * s->lanes;
    return plane ? vset(at[0]) : vload(at + j * VL);
}

/* Where the first sweep of a gradient leaves d for the second: dresidual; with two addends dx, where that is not wanted. */
static void *kept(const norm *s)
{
    void *const *out = s->base.base.out;
    return out[3] ? out[3] : mu_simd_address(&s->base.base, 6) ? out[0] : NULL;
}

SIMD_INLINE vf element(const void *p, int64_t at, int j, int64_t channels, int64_t rest, const bool part, const bool half)
{
    return rest ? load_part(p, at, rest, half, 0) : load_at(p, at, j, channels, part, half);
}

/* The output gradient behind the ReLU: d = dy (+ dy2, which may be NULL) where y > 0. */
SIMD_INLINE vf masked_at(const norm *s, const void *dy2, int64_t at, int j, int64_t channels, int64_t rest,
                         const bool part, const bool half, const bool relu)
{
    void *const *in = s->base.base.in;
    vf d = element(in[0], at, j, channels, rest, part, half);
    if (dy2) {
        d += element(dy2, at, j, channels, rest, part, half);
        d = half ? v_of_bf16(v_to_bf16(d)) : d;
    }
    return relu ? vand(element(in[5], at, j, channels, rest, part, half) > 0.0f, d) : d;
}

/* sums[0..lanes-1]: of d; sums[lanes..]: of d * (x - mean). Writes d to where it is kept. */
SIMD_INLINE void products(const norm *s, int64_t group, const unit *u, float *sums, const bool relu,
                          const int nv, const bool part, const bool plane, const bool half)
{
    const void *x = s->base.base.in[1];
    const void *dy2 = mu_simd_address(&s->base.base, 6);
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
                vf d = masked_at(s, dy2, at, k % nv, u->channels, 0, part, half, relu);
                vf v = load_at(x, at, k % nv, u->channels, part, half);
                if (masked)
                    store_at(masked, at, k % nv, u->channels, part, half, d);
                a[k] += d;
                b[k] += d * (v - mean[k % nv]);
            }
        for (; r.steps > 0; r.steps--, r.at += r.step)
#pragma GCC unroll 4
            for (int k = 0; k < nv; k++) {
                vf d = masked_at(s, dy2, r.at, k, u->channels, 0, part, half, relu);
                vf v = load_at(x, r.at, k, u->channels, part, half);
                if (masked)
                    store_at(masked, r.at, k, u->channels, part, half, d);
                a[k] += d;
                b[k] += d * (v - mean[k]);
            }
        if (r.rest) {
            vf d = masked_at(s, dy2, r.at, 0, 0, r.rest, part, half, relu);
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

/* ---- values of a unit ---- */

SIMD_INLINE vf normal_value(vf x, vf mean, vf scale, vf shift, vf residual, vi linear)
{
    vf y = (x - mean) * scale + shift + residual;
    return vand(~(y <= 0.0f) | linear, y);
}

/* y = (x - mean) * scale + shift (+ residual) (then ReLU) */
SIMD_INLINE void normalise(const norm *s, int64_t group, const unit *u, const bool relu, const bool has_residual,
                           const int nv, const bool part, const bool plane, const bool half)
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

/* dx = scale * d + slope * (x - mean) + shift */
SIMD_INLINE void spread(const norm *s, int64_t group, const unit *u, const bool relu, const int nv, const bool part,
                        const bool plane, const bool half)
{
    const void *x = s->base.base.in[1], *masked = kept(s);
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
                              : masked_at(s, NULL, r.at, k, u->channels, 0, part, half, relu);
                vf v = load_at(x, r.at, k, u->channels, part, half);
                store_at(dx, r.at, k, u->channels, part, half, d * scale[k] + (v - mean[k]) * slope[k] + shift[k]);
            }
        if (r.rest) {
            vf d = masked ? load_part(masked, r.at, r.rest, half, 0)
                          : masked_at(s, NULL, r.at, 0, 0, r.rest, part, half, relu);
            vf v = load_part(x, r.at, r.rest, half, 0);
            store_part(dx, r.at, r.rest, half, d * scale[0] + (v - mean[0]) * slope[0] + shift[0]);
        }
    }
}

/* ---- choosing the instance ---- */

/* fn(arguments..., nv, part, plane, half) with constants for the shape of a pixel. */
#define BY_SHAPE(fn, half, ...)                                  \
    do {                                                         \
        if (s->lanes == 1)                                       \
            fn(__VA_ARGS__, 1, false, true, half);               \
        else if (u->channels != s->lanes)                        \
            fn(__VA_ARGS__, LANES / VL, true, false, half);      \
        else if (s->lanes == VL)                                 \
            fn(__VA_ARGS__, 1, false, false, half);              \
        else if (VL < LANES && s->lanes == 2 * VL)               \
            fn(__VA_ARGS__, VL < LANES ? 2 : 1, false, false, half); \
        else if (VL == 4)                                        \
            fn(__VA_ARGS__, LANES / VL, false, false, half);     \
    } while (0)

#define BY_DTYPE(fn, ...)                      \
    do {                                       \
        if (s->half)                           \
            BY_SHAPE(fn, true, __VA_ARGS__);   \
        else                                   \
            BY_SHAPE(fn, false, __VA_ARGS__);  \
    } while (0)

static void sum_forward(const norm *s, int64_t group, const unit *u, float *sums)
{
    BY_DTYPE(moments, s, group, u, sums);
}

static void sum_backward(const norm *s, int64_t group, const unit *u, float *sums)
{
    if (((const mu_batch_norm_attrs *)s->base.base.call.attrs)->relu)
        BY_DTYPE(products, s, group, u, sums, true);
    else
        BY_DTYPE(products, s, group, u, sums, false);
}

static void write_forward(const norm *s, int64_t group, const unit *u)
{
    bool relu = ((const mu_batch_norm_attrs *)s->base.base.call.attrs)->relu;
    if (s->base.base.call.op != &mu_op_batch_norm_inference && mu_simd_address(&s->base.base, 5))
        BY_DTYPE(normalise, s, group, u, relu, true);
    else
        BY_DTYPE(normalise, s, group, u, relu, false);
}

static void write_backward(const norm *s, int64_t group, const unit *u)
{
    if (((const mu_batch_norm_attrs *)s->base.base.call.attrs)->relu)
        BY_DTYPE(spread, s, group, u, true);
    else
        BY_DTYPE(spread, s, group, u, false);
}

/* ---- joining the units of a group ---- */

static double at(const norm *s, int operand, int64_t channel, double otherwise)
{
    const float *p = mu_simd_address(&s->base.base, operand);
    return p ? p[channel] : otherwise;
}

static void set_coefficients(const norm *s, int64_t i, double mean, double a, double b, double c)
{
    coefficients(s, 0)[i] = (float)mean;
    coefficients(s, 1)[i] = (float)a;
    coefficients(s, 2)[i] = (float)b;
    coefficients(s, 3)[i] = (float)c;
}

/* mean[LANES], square[LANES]: sums of squared deviations from it. */
static void join_moments(const norm *s, int64_t group, double *mean, double *square)
{
    double n = (double)(s->n * s->pixels);
    for (int64_t l = 0; l < s->lanes; l++)
        mean[l] = square[l] = 0;
    for (int64_t i = 0; i < s->units; i++) {
        unit u = unit_of(s, group, i);
        const float *sums = sums_of(s, group, i);
        for (int64_t l = 0; l < s->lanes; l++)
            mean[l] += (double)unit_count(&u) * sums[l];
    }
    for (int64_t l = 0; l < s->lanes; l++)
        mean[l] = n > 0 ? mean[l] / n : 0;
    for (int64_t i = 0; i < s->units; i++) {
        unit u = unit_of(s, group, i);
        const float *sums = sums_of(s, group, i);
        for (int64_t l = 0; l < s->lanes; l++) {
            double d = sums[l] - mean[l];
            square[l] += sums[s->lanes + l] + (double)unit_count(&u) * d * d;
        }
    }
}

/* The moments of n values become coefficients, outputs and running statistics. */
static void settle_forward(const norm *s, int64_t group, double n, const double *mean, const double *square)
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

static void finish_forward(const norm *s, int64_t group)
{
    double mean[LANES], square[LANES];
    join_moments(s, group, mean, square);
    settle_forward(s, group, (double)(s->n * s->pixels), mean, square);
}

/* sum[LANES] of dy, product[LANES] of dy * (x - mean). */
static void join_products(const norm *s, int64_t group, double *sum, double *product)
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

static void give_weight_gradients(const norm *s, int64_t group, const double *sum, const double *product)
{
    float *const *out = (float *const *)s->base.base.out;
    for (int64_t l = 0; l < s->lanes && group * s->lanes + l < s->base.x.c; l++) {
        int64_t c = group * s->lanes + l;
        out[1][c] = (float)(product[l] * at(s, 4, c, 1));
        out[2][c] = (float)sum[l];
    }
}

/* The sums over n values become the coefficients of dx. */
static void settle_backward(const norm *s, int64_t group, double n, const double *sum, const double *product)
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

static void finish_backward(const norm *s, int64_t group)
{
    double sum[LANES], product[LANES];
    join_products(s, group, sum, product);
    give_weight_gradients(s, group, sum, product);
    settle_backward(s, group, (double)(s->n * s->pixels), sum, product);
}

/* ---- the two sweeps ---- */

typedef struct {
    void (*sum)(const norm *s, int64_t group, const unit *u, float *sums);
    void (*finish)(const norm *s, int64_t group);
    void (*write)(const norm *s, int64_t group, const unit *u);
} sweeps;

static void run_sweeps(const norm *s, const sweeps *f)
{
#pragma omp parallel num_threads(mu_simd_threads(&s->base, s->bytes))
    for (int64_t g0 = 0; g0 < s->groups; g0 += s->batch) {
        int64_t groups = s->groups - g0 < s->batch ? s->groups - g0 : s->batch;
        int64_t begin, end, group, u;
        mu_simd_part(groups * s->units, mu_simd_team(), mu_simd_member(), &begin, &end);
        for (int64_t i = begin; i < end; i++) {
            locate(s, g0, groups, i, &group, &u);
            unit of = unit_of(s, group, u);
            f->sum(s, group, &of, sums_of(s, group, u));
        }
#pragma omp barrier
#pragma omp for schedule(static)
        for (int64_t g = g0; g < g0 + groups; g++)
            f->finish(s, g);
        for (int64_t i = end - 1; i >= begin; i--) { /* backwards: the last bytes read are still near */
            locate(s, g0, groups, i, &group, &u);
            unit of = unit_of(s, group, u);
            f->write(s, group, &of);
        }
    }
}

static mu_err run_forward(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    run_sweeps((const norm *)kernel, &(sweeps){sum_forward, finish_forward, write_forward});
    return MU_OK;
}

static void load_means(const norm *s)
{
    float *mean = coefficients(s, 0);
    for (int64_t i = 0; i < s->groups * s->lanes; i++)
        mean[i] = i < s->base.x.c ? ((const float *)s->base.base.in[3])[i] : 0;
}

static mu_err run_backward(mu_kernel *kernel, const mu_run *run)
{
    const norm *s = (const norm *)kernel;
    (void)run;
    load_means(s);
    run_sweeps(s, &(sweeps){sum_backward, finish_backward, write_backward});
    return MU_OK;
}

/* ---- the two sweeps with a message to the other ranks between them ---- */

/* [1 + 2 * channels], in scratch after the coefficients; then room for those of all ranks. */
static double *message_of(const norm *s)
{
    return (double *)((char *)s->base.base.scratch + s->own_scratch);
}

/* The first sweep, and what it found in `message`. */
static void sum_all(const norm *s, void (*sum)(const norm *s, int64_t group, const unit *u, float *sums),
                    void (*join)(const norm *s, int64_t group, double *a, double *b), double *message)
{
    int64_t channels = s->base.x.c;
#pragma omp parallel num_threads(mu_simd_threads(&s->base, s->bytes))
    {
        int64_t begin, end, group, u;
        mu_simd_part(s->groups * s->units, mu_simd_team(), mu_simd_member(), &begin, &end);
        for (int64_t i = begin; i < end; i++) {
            locate(s, 0, s->groups, i, &group, &u);
            unit of = unit_of(s, group, u);
            sum(s, group, &of, sums_of(s, group, u));
        }
#pragma omp barrier
#pragma omp for schedule(static)
        for (int64_t g = 0; g < s->groups; g++) {
            double a[LANES], b[LANES];
            int64_t first = g * s->lanes, n = channels - first < s->lanes ? channels - first : s->lanes;
            join(s, g, a, b);
            memcpy(message + 1 + first, a, (size_t)n * sizeof *a);
            memcpy(message + 1 + channels + first, b, (size_t)n * sizeof *b);
        }
    }
    message[0] = (double)(s->n * s->pixels);
}

/* What the ranks agreed on becomes coefficients; then the second sweep. */
static void write_all(const norm *s,
                      void (*settle)(const norm *s, int64_t group, double n, const double *a, const double *b),
                      void (*write)(const norm *s, int64_t group, const unit *u), const double *message)
{
    int64_t channels = s->base.x.c;
    for (int64_t g = 0; g < s->groups; g++) {
        double a[LANES] = {0}, b[LANES] = {0};
        int64_t first = g * s->lanes, n = channels - first < s->lanes ? channels - first : s->lanes;
        memcpy(a, message + 1 + first, (size_t)n * sizeof *a);
        memcpy(b, message + 1 + channels + first, (size_t)n * sizeof *b);
        settle(s, g, message[0], a, b);
    }
#pragma omp parallel num_threads(mu_simd_threads(&s->base, s->bytes))
    {
        int64_t begin, end, group, u;
        mu_simd_part(s->groups * s->units, mu_simd_team(), mu_simd_member(), &begin, &end);
        for (int64_t i = end - 1; i >= begin; i--) { /* backwards: the last bytes read are still near */
            locate(s, 0, s->groups, i, &group, &u);
            unit of = unit_of(s, group, u);
            write(s, group, &of);
        }
    }
}

static mu_comm *comm_of(const norm *s)
{
    return ((const mu_batch_norm_attrs *)s->base.base.call.attrs)->comm;
}

static mu_err run_sync_forward(mu_kernel *kernel, const mu_run *run)
{
    const norm *s = (const norm *)kernel;
    int64_t channels = s->base.x.c;
    double *message = message_of(s);
    bool present = run->presence != MU_ABSENT;
    if (present)
        sum_all(s, sum_forward, join_moments, message);
    else
        memset(message, 0, (size_t)(1 + 2 * channels) * sizeof *message);
    MU_TRY(mu_ranks_join_moments(comm_of(s), run, channels, message));
    if (present)
        write_all(s, settle_forward, write_forward, message);
    return MU_OK;
}

static mu_err run_sync_backward(mu_kernel *kernel, const mu_run *run)
{
    const norm *s = (const norm *)kernel;
    int64_t channels = s->base.x.c;
    double *message = message_of(s);
    bool present = run->presence != MU_ABSENT;
    if (present) {
        load_means(s);
        sum_all(s, sum_backward, join_products, message);
        for (int64_t g = 0; g < s->groups; g++)
            give_weight_gradients(s, g, message + 1 + g * s->lanes, message + 1 + channels + g * s->lanes);
    } else {
        memset(message, 0, (size_t)(1 + 2 * channels) * sizeof *message);
    }
    MU_TRY(mu_ranks_join_sums(comm_of(s), run, channels, message));
    if (present)
        write_all(s, settle_backward, write_backward, message);
    return MU_OK;
}

/* With given statistics there is one sweep. */
static mu_err run_inference(mu_kernel *kernel, const mu_run *run)
{
    const norm *s = (const norm *)kernel;
    (void)run;
    for (int64_t c = 0; c < s->groups * s->lanes; c++) {
        if (c >= s->base.x.c) {
            set_coefficients(s, c, 0, 0, 0, 0);
            continue;
        }
        double rstd = 1 / sqrt(at(s, 4, c, 1) + ((const mu_batch_norm_attrs *)kernel->call.attrs)->eps);
        set_coefficients(s, c, at(s, 3, c, 0), rstd * at(s, 1, c, 1), at(s, 2, c, 0), 0);
    }
#pragma omp parallel for num_threads(mu_simd_threads(&s->base, s->bytes)) schedule(static)
    for (int64_t i = 0; i < s->groups * s->units; i++) {
        int64_t group, u;
        locate(s, 0, s->groups, i, &group, &u);
        unit of = unit_of(s, group, u);
        write_forward(s, group, &of);
    }
    return MU_OK;
}

static bool supports(const mu_call *call, const char **why)
{
    *why = "the vectorised kernel takes x in f32 or bf16";
    return call->in[0].dtype == MU_F32 || call->in[0].dtype == MU_BF16;
}

static mu_err setup(mu_simd_kernel *kernel)
{
    norm *s = (norm *)kernel;
    const mu_call *call = &kernel->base.call;
    bool sync = call->op->flags & MU_OP_COLLECTIVE;
    bool grad = call->op == &mu_op_batch_norm_grad || call->op == &mu_op_sync_batch_norm_grad;
    set_geometry(s, call->in[0].dtype, !grad ? 1 : mu_simd_in(call, 6) ? 4 : 3);
    s->own_scratch = mu_align_up((size_t)((s->units * 2 + N_COEFFICIENTS) * s->groups * s->lanes) * sizeof(float));
    kernel->base.scratch_bytes = s->own_scratch + (sync ? mu_ranks_bytes(comm_of(s), s->base.x.c) : 0);
    return MU_OK;
}

const mu_simd_impl SIMD(batch_norm) = {
    .layouts = MU_ALIKE_CHANNELS, .size = sizeof(norm), .supports = supports, .setup = setup, .run = run_forward};

const mu_simd_impl SIMD(batch_norm_grad) = {
    .layouts = MU_ALIKE_CHANNELS, .size = sizeof(norm), .supports = supports, .setup = setup, .run = run_backward};

const mu_simd_impl SIMD(batch_norm_inference) = {
    .layouts = MU_ALIKE_CHANNELS, .size = sizeof(norm), .supports = supports, .setup = setup, .run = run_inference};

const mu_simd_impl SIMD(sync_batch_norm) = {
    .layouts = MU_ALIKE_CHANNELS, .size = sizeof(norm), .supports = supports, .setup = setup, .run = run_sync_forward};

const mu_simd_impl SIMD(sync_batch_norm_grad) = {
    .layouts = MU_ALIKE_CHANNELS, .size = sizeof(norm), .supports = supports, .setup = setup, .run = run_sync_backward};

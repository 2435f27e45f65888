/* Batch normalisation in two sweeps: sums, then values. Channels are taken in groups (one channel of a row-major
 * tensor, a block of a blocked one, 16 channels of channels last), groups in batches small enough for the second sweep
 * to find the first one's bytes in the cache. Units, pieces of a group that fit in the first-level cache, fix the order
 * of summation, whatever the number of threads: the moments of a unit are taken in two passes over it, and units are
 * joined in double (Chan, Golub, LeVeque 1983). With the statistics of all ranks there is one batch, and one message
 * between the sweeps. */
#ifndef MU_BACKEND_SIMD_BATCH_NORM_H
#define MU_BACKEND_SIMD_BATCH_NORM_H

#include "backend/simd/vec.h"

enum { LANES = 16, UNIT_LANES = 256 * LANES };

typedef struct {
    mu_simd_kernel base;
    bool half;
    int64_t n, groups, lanes, pixels, stride; /* stride: from pixel to pixel of a group */
    int64_t group_step, sample_step;          /* elements */
    int64_t sample_parts, pixel_parts, units;
    int64_t batch; /* groups in a cache batch */
    int64_t bytes;
    size_t own_scratch; /* bytes before the message to other ranks */
} mu_simd_norm;

/* Samples [n0, n1), pixels [p0, p1) of a group. */
typedef struct {
    int64_t n0, n1, p0, p1, channels;
} mu_simd_unit;

static inline mu_simd_unit unit_of(const mu_simd_norm *s, int64_t group, int64_t u)
{
    mu_simd_unit r;
    mu_simd_part(s->n, s->sample_parts, u / s->pixel_parts, &r.n0, &r.n1);
    mu_simd_part(s->pixels, s->pixel_parts, u % s->pixel_parts, &r.p0, &r.p1);
    int64_t left = s->base.x.c - group * s->lanes;
    r.channels = s->base.x.kind == MU_LAYOUT_CHANNELS_BLOCKED || left > s->lanes ? s->lanes : left;
    return r;
}

static inline int64_t unit_count(const mu_simd_unit *u)
{
    return (u->n1 - u->n0) * (u->p1 - u->p0);
}

static inline int64_t unit_start(const mu_simd_norm *s, int64_t group, int64_t n, int64_t p)
{
    return group * s->group_step + n * s->sample_step + p * s->stride;
}

/* Unit i of a batch of `groups` groups that starts at group g0. */
static inline void locate(const mu_simd_norm *s, int64_t g0, int64_t groups, int64_t i, int64_t *group, int64_t *u)
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

SIMD_INLINE row row_of(const mu_simd_norm *s, int64_t group, const mu_simd_unit *u, int64_t n, const bool plane)
{
    int64_t length = u->p1 - u->p0;
    row r = {
        .at = unit_start(s, group, n, u->p0), .steps = plane ? length / VL : length, .step = plane ? VL : s->stride};
    r.rest = plane ? length % VL : 0;
    return r;
}

/* Coefficient k of the lanes of a group, in scratch after the sums: [N_COEFFICIENTS][groups * lanes]. */
static inline float *coefficients(const mu_simd_norm *s, int k)
{
    return (float *)s->base.base.scratch + (s->units * 2 + k) * s->groups * s->lanes;
}

static inline float *sums_of(const mu_simd_norm *s, int64_t group, int64_t u)
{
    return (float *)s->base.base.scratch + (group * s->units + u) * 2 * s->lanes;
}

SIMD_INLINE vf coefficient(const mu_simd_norm *s, int64_t group, int j, const int k, const bool plane)
{
    const float *at = coefficients(s, k) + group * s->lanes;
    return plane ? vset(at[0]) : vload(at + j * VL);
}

static inline double at(const mu_simd_norm *s, int operand, int64_t channel, double otherwise)
{
    const float *p = mu_simd_address(&s->base.base, operand);
    return p ? p[channel] : otherwise;
}

static inline void set_coefficients(const mu_simd_norm *s, int64_t i, double mean, double a, double b, double c)
{
    coefficients(s, 0)[i] = (float)mean;
    coefficients(s, 1)[i] = (float)a;
    coefficients(s, 2)[i] = (float)b;
    coefficients(s, 3)[i] = (float)c;
}

/* ---- choosing the instance ---- */

/* fn(arguments..., nv, part, plane, half) with constants for the shape of a pixel. */
#define BY_SHAPE(fn, half, ...)                                                                                        \
    do {                                                                                                               \
        if (s->lanes == 1)                                                                                             \
            fn(__VA_ARGS__, 1, false, true, half);                                                                     \
        else if (u->channels != s->lanes)                                                                              \
            fn(__VA_ARGS__, LANES / VL, true, false, half);                                                            \
        else if (s->lanes == VL)                                                                                       \
            fn(__VA_ARGS__, 1, false, false, half);                                                                    \
        else if (VL < LANES && s->lanes == 2 * VL)                                                                     \
            fn(__VA_ARGS__, VL < LANES ? 2 : 1, false, false, half);                                                   \
        else if (VL == 4)                                                                                              \
            fn(__VA_ARGS__, LANES / VL, false, false, half);                                                           \
    } while (0)

#define BY_DTYPE(fn, ...)                                                                                              \
    do {                                                                                                               \
        if (s->half)                                                                                                   \
            BY_SHAPE(fn, true, __VA_ARGS__);                                                                           \
        else                                                                                                           \
            BY_SHAPE(fn, false, __VA_ARGS__);                                                                          \
    } while (0)

/* ---- the sweeps of one direction ---- */

typedef struct {
    void (*begin)(const mu_simd_norm *s); /* may be NULL */
    /* The first sweep: two numbers of each lane of a unit. */
    void (*sum)(const mu_simd_norm *s, int64_t group, const mu_simd_unit *u, float *sums);
    /* The units of a group joined: a[LANES], b[LANES]. */
    void (*join)(const mu_simd_norm *s, int64_t group, double *a, double *b);
    /* What follows for this rank alone; may be NULL. */
    void (*own)(const mu_simd_norm *s, int64_t group, const double *a, const double *b);
    /* Those of n values become coefficients. */
    void (*settle)(const mu_simd_norm *s, int64_t group, double n, const double *a, const double *b);
    /* The second sweep. */
    void (*write)(const mu_simd_norm *s, int64_t group, const mu_simd_unit *u);
} mu_simd_sweeps;

extern const mu_simd_sweeps SIMD(mu_simd_norm_forward), SIMD(mu_simd_norm_backward);

bool SIMD(mu_simd_norm_supports)(const mu_call *call, const char **why);
mu_err SIMD(mu_simd_norm_setup)(mu_simd_kernel *kernel);

#endif

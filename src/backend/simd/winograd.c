#include "backend/simd/winograd.h"

#include "core/mem.h"
#include "core/type.h"

#include <omp.h>

#ifndef __AVX512F__
#error this file is compiled for AVX-512 only
#endif

enum {
    LANES = 16,
    TILE = 4,              /* outputs of a tile, per axis */
    WINDOW = 6,            /* inputs of a tile, per axis */
    POINTS = 36,           /* products of a tile */
    PANEL = 64,            /* output channels that a panel of the product covers */
    PANEL_VECTORS = 4,
    ROWS = 6,              /* rows of the register block */
    SKEW = 16,             /* keeps the 36 streams of a transform out of one cache set */
    FORWARD_TILES = 24,    /* tiles whose transforms are kept at a time */
    WEIGHT_BYTES = 4 << 20 /* transforms that the weight gradient keeps at a time, about */
};

typedef float vec __attribute__((vector_size(64)));
typedef int32_t ivec __attribute__((vector_size(64)));
typedef float vec_any __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t hvec __attribute__((vector_size(32)));
typedef uint16_t hvec_any __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint32_t uvec __attribute__((vector_size(64)));

#define INLINE static inline __attribute__((always_inline))

INLINE vec load(const void *p, int64_t i, bool half)
{
    if (half)
        return (vec)(__builtin_convertvector(*(const hvec_any *)((const uint16_t *)p + i), uvec) << 16);
    return *(const vec_any *)((const float *)p + i);
}

INLINE void store(void *p, int64_t i, bool half, vec v)
{
    if (!half) {
        *(vec_any *)((float *)p + i) = v;
        return;
    }
    uvec u = (uvec)v, rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16, nan = (uvec)(v != v);
    *(hvec_any *)((uint16_t *)p + i) = __builtin_convertvector((nan & ((u >> 16) | 0x40)) | (~nan & rounded), hvec);
}

/* The points and what follows from them. */
#define PA 0.625f
#define PB 1.5f
#define PA2 (PA * PA)
#define PB2 (PB * PB)
#define PA3 (PA2 * PA)
#define PB3 (PB2 * PB)
#define SUM2 (PA2 + PB2)
#define PROD2 (PA2 * PB2)
#define NORM_A (1.0f / (2.0f * PA2 * (PA2 - PB2)))
#define NORM_B (1.0f / (2.0f * PB2 * (PB2 - PA2)))
#define NORM_0 (1.0f / PROD2)

/* One axis of each transform; the strides are in vectors. */

/* 6 inputs to 6 points. */
INLINE void input_axis(vec *to, int to_step, const vec *x, int step)
{
    vec x0 = x[0], x1 = x[step], x2 = x[2 * step], x3 = x[3 * step], x4 = x[4 * step], x5 = x[5 * step];
    vec even_a = x4 - PB2 * x2, odd_a = x3 - PB2 * x1, even_b = x4 - PA2 * x2, odd_b = x3 - PA2 * x1;
    to[0] = x4 - SUM2 * x2 + PROD2 * x0;
    to[to_step] = even_a + PA * odd_a;
    to[2 * to_step] = even_a - PA * odd_a;
    to[3 * to_step] = even_b + PB * odd_b;
    to[4 * to_step] = even_b - PB * odd_b;
    to[5 * to_step] = x5 - SUM2 * x3 + PROD2 * x1;
}

/* 6 points to 4 outputs. */
INLINE void output_axis(vec *to, int to_step, const vec *m, int step)
{
    vec sum_a = m[step] + m[2 * step], diff_a = m[step] - m[2 * step];
    vec sum_b = m[3 * step] + m[4 * step], diff_b = m[3 * step] - m[4 * step];
    to[0] = m[0] + sum_a + sum_b;
    to[to_step] = PA * diff_a + PB * diff_b;
    to[2 * to_step] = PA2 * sum_a + PB2 * sum_b;
    to[3 * to_step] = PA3 * diff_a + PB3 * diff_b + m[5 * step];
}

/* The transpose of output_axis: 4 gradients to 6 points. */
INLINE void gradient_axis(vec *to, int to_step, const vec *y, int step)
{
    vec y0 = y[0], y1 = y[step], y2 = y[2 * step], y3 = y[3 * step];
    vec even_a = y0 + PA2 * y2, odd_a = PA * y1 + PA3 * y3, even_b = y0 + PB2 * y2, odd_b = PB * y1 + PB3 * y3;
    to[0] = y0;
    to[to_step] = even_a + odd_a;
    to[2 * to_step] = even_a - odd_a;
    to[3 * to_step] = even_b + odd_b;
    to[4 * to_step] = even_b - odd_b;
    to[5 * to_step] = y3;
}

/* 3 taps to 6 points. */
INLINE void weight_axis(vec *to, int to_step, const vec *w, int step)
{
    vec w0 = w[0], w1 = w[step], w2 = w[2 * step];
    vec even_a = NORM_A * w0 + (NORM_A * PA2) * w2, odd_a = (NORM_A * PA) * w1;
    vec even_b = NORM_B * w0 + (NORM_B * PB2) * w2, odd_b = (NORM_B * PB) * w1;
    to[0] = NORM_0 * w0;
    to[to_step] = even_a + odd_a;
    to[2 * to_step] = even_a - odd_a;
    to[3 * to_step] = even_b + odd_b;
    to[4 * to_step] = even_b - odd_b;
    to[5 * to_step] = w2;
}

/* The transpose of weight_axis: 6 points to 3 taps. */
INLINE void tap_axis(vec *to, int to_step, const vec *u, int step)
{
    vec sum_a = u[step] + u[2 * step], diff_a = u[step] - u[2 * step];
    vec sum_b = u[3 * step] + u[4 * step], diff_b = u[3 * step] - u[4 * step];
    to[0] = NORM_0 * u[0] + NORM_A * sum_a + NORM_B * sum_b;
    to[to_step] = (NORM_A * PA) * diff_a + (NORM_B * PB) * diff_b;
    to[2 * to_step] = (NORM_A * PA2) * sum_a + (NORM_B * PB2) * sum_b + u[5 * step];
}

/* One side of a convolution as the tiles see it: `in` is transformed by 6x6 windows, `out` by 4x4 tiles. */
typedef struct {
    int64_t n, c, k;    /* channels of in and of out */
    int64_t h, w;       /* of in */
    int64_t oh, ow;     /* of out */
    int64_t top, left;  /* padding */
    int64_t th, tw, tiles;
    bool half;
} geometry;

static geometry geometry_of(const mu_winograd_shape *s, mu_winograd_product product)
{
    geometry g = {.n = s->n, .c = s->c, .k = s->k, .h = s->h, .w = s->w, .oh = s->oh, .ow = s->ow, .top = s->pad_top,
                  .left = s->pad_left, .half = s->half};
    if (product == MU_WINOGRAD_GRAD_INPUT)
        g = (geometry){.n = s->n, .c = s->k, .k = s->c, .h = s->oh, .w = s->ow, .oh = s->h, .ow = s->w,
                       .top = 2 - s->pad_top, .left = 2 - s->pad_left, .half = s->half};
    g.th = (g.oh + TILE - 1) / TILE;
    g.tw = (g.ow + TILE - 1) / TILE;
    g.tiles = g.n * g.th * g.tw;
    return g;
}

static void place_of(const geometry *g, int64_t tile, int64_t *n, int64_t *h, int64_t *w)
{
    *n = tile / (g->th * g->tw);
    *h = tile / g->tw % g->th * TILE;
    *w = tile % g->tw * TILE;
}

/* The `size` x `size` vectors at (h, w) of a plane of H x W, zeros outside. */
INLINE void gather(const char *plane, int64_t H, int64_t W, int64_t h, int64_t w, int size, bool half, vec *d)
{
    if (h >= 0 && w >= 0 && h + size <= H && w + size <= W) {
        for (int i = 0; i < size; i++)
            for (int j = 0; j < size; j++)
                d[i * size + j] = load(plane, ((h + i) * W + w + j) * LANES, half);
        return;
    }
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            bool inside = h + i >= 0 && h + i < H && w + j >= 0 && w + j < W;
            d[i * size + j] = inside ? load(plane, ((h + i) * W + w + j) * LANES, half) : (vec){0};
        }
}

INLINE const char *plane_of(const void *image, int64_t plane, int64_t hw, bool half)
{
    return (const char *)image + (size_t)(plane * hw * LANES) * (half ? 2 : 4);
}

/* Inputs of tiles first..first+count-1 to V [36][count][c]; `step` is the distance between points. */
INLINE void transform_input(const geometry *g, const void *x, int64_t first, int64_t count, float *v, int64_t step,
                            bool half)
{
    int64_t blocks = g->c / LANES;
    for (int64_t p = 0; p < count; p++) {
        int64_t n, h, w;
        place_of(g, first + p, &n, &h, &w);
        for (int64_t b = 0; b < blocks; b++) {
            vec d[POINTS], t[POINTS];
            gather(plane_of(x, n * blocks + b, g->h * g->w, half), g->h, g->w, h - g->top, w - g->left, WINDOW, half, d);
            for (int j = 0; j < WINDOW; j++)
                input_axis(t + j, WINDOW, d + j, WINDOW);
            for (int i = 0; i < WINDOW; i++)
                input_axis(d + i * WINDOW, 1, t + i * WINDOW, 1);
            float *to = v + p * g->c + b * LANES;
            for (int i = 0; i < POINTS; i++)
                *(vec *)(to + i * step) = d[i];
        }
    }
}

/* Gradients of tiles to D [36][count][k]. */
INLINE void transform_gradient(const geometry *g, const void *dy, int64_t first, int64_t count, float *to_all,
                               int64_t step, bool half)
{
    int64_t blocks = g->k / LANES;
    for (int64_t p = 0; p < count; p++) {
        int64_t n, h, w;
        place_of(g, first + p, &n, &h, &w);
        for (int64_t b = 0; b < blocks; b++) {
            vec y[TILE * TILE], t[WINDOW * TILE], d[POINTS];
            gather(plane_of(dy, n * blocks + b, g->oh * g->ow, half), g->oh, g->ow, h, w, TILE, half, y);
            for (int j = 0; j < TILE; j++)
                gradient_axis(t + j, TILE, y + j, TILE);
            for (int i = 0; i < WINDOW; i++)
                gradient_axis(d + i * WINDOW, 1, t + i * TILE, 1);
            float *to = to_all + p * g->k + b * LANES;
            for (int i = 0; i < POINTS; i++)
                *(vec *)(to + i * step) = d[i];
        }
    }
}

/* M [36][count][PANEL], `vectors` of each panel used, to the outputs of channels 16*first_block... */
INLINE void transform_output(const geometry *g, const float *m, int64_t step, int64_t first, int64_t count,
                             int64_t first_block, int vectors, const mu_winograd_tail *tail, void *y, bool half)
{
    int64_t blocks = g->k / LANES;
    for (int64_t p = 0; p < count; p++) {
        int64_t n, h, w;
        place_of(g, first + p, &n, &h, &w);
        int rows = g->oh - h < TILE ? (int)(g->oh - h) : TILE, columns = g->ow - w < TILE ? (int)(g->ow - w) : TILE;
        for (int b = 0; b < vectors; b++) {
            vec d[POINTS], t[TILE * WINDOW], out[TILE * TILE];
            const float *from = m + p * PANEL + b * LANES;
            for (int i = 0; i < POINTS; i++)
                d[i] = *(const vec *)(from + i * step);
            for (int j = 0; j < WINDOW; j++)
                output_axis(t + j, WINDOW, d + j, WINDOW);
            for (int i = 0; i < TILE; i++)
                output_axis(out + i * TILE, 1, t + i * WINDOW, 1);
            int64_t at = (((n * blocks + first_block + b) * g->oh + h) * g->ow + w) * LANES;
            vec bias = {0};
            if (tail && tail->bias)
                bias = load(tail->bias, (first_block + b) * LANES, tail->half_bias);
            for (int i = 0; i < rows; i++)
                for (int j = 0; j < columns; j++) {
                    int64_t o = at + (i * g->ow + j) * LANES;
                    vec v = out[i * TILE + j];
                    if (tail) {
                        v += bias;
                        if (tail->residual)
                            v += load(tail->residual, o, half);
                        if (tail->relu)
                            v = (vec)((ivec)v & ~(ivec)(v < (vec){0}));
                    }
                    store(y, o, half, v);
                }
        }
    }
}

/* Rows and columns of a 16x16 block change places. */
INLINE void transpose(vec r[LANES])
{
#define SWAP(s, lo, hi)                                                     \
    for (int i = 0; i < LANES; i++)                                         \
        if (!(i & s)) {                                                     \
            vec a = r[i], b = r[i + s];                                     \
            r[i] = __builtin_shuffle(a, b, lo);                             \
            r[i + s] = __builtin_shuffle(a, b, hi);                         \
        }
    SWAP(8, ((ivec){0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23}),
         ((ivec){8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31}))
    SWAP(4, ((ivec){0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27}),
         ((ivec){4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31}))
    SWAP(2, ((ivec){0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29}),
         ((ivec){2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31}))
    SWAP(1, ((ivec){0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30}),
         ((ivec){1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31}))
#undef SWAP
}

enum { TAPS = 9 };

INLINE void transform_taps(const vec w[TAPS], float *to, int64_t step)
{
    vec t[WINDOW * 3], u[POINTS];
    for (int j = 0; j < 3; j++)
        weight_axis(t + j, 3, w + j, 3);
    for (int i = 0; i < WINDOW; i++)
        weight_axis(u + i * WINDOW, 1, t + i * 3, 1);
    for (int i = 0; i < POINTS; i++)
        *(vec *)(to + i * step) = u[i];
}

/* Distance between points in a panel of U: [36][c][16*vectors]. */
static int64_t panel_step(const geometry *g, int vectors)
{
    return g->c * vectors * LANES + SKEW;
}

/* Weights of the 16 outputs of vector `b` of a panel to U. `flip`: outputs are the weights' input channels, taps reversed. */
INLINE void transform_weights(const geometry *g, const void *w, int64_t block, int b, int vectors, bool flip, float *u,
                              bool half)
{
    int64_t step = panel_step(g, vectors), in_blocks = g->c / LANES, out_blocks = g->k / LANES;
    for (int64_t c = 0; c < in_blocks; c++) {
        int64_t at = (flip ? c * out_blocks + block : block * in_blocks + c) * TAPS * LANES * LANES;
        vec r[TAPS][LANES];
        for (int tap = 0; tap < TAPS; tap++) {
            for (int i = 0; i < LANES; i++)
                r[tap][i] = load(w, at + (tap * LANES + i) * LANES, half);
            if (flip)
                transpose(r[tap]);
        }
        for (int i = 0; i < LANES; i++) {
            vec taps[TAPS];
            for (int tap = 0; tap < TAPS; tap++)
                taps[tap] = r[flip ? TAPS - 1 - tap : tap][i];
            transform_taps(taps, u + (c * LANES + i) * vectors * LANES + b * LANES, step);
        }
    }
}

/* out[r][v] (+)= sum over steps of a[r*a_row + s*a_step] * b[s*b_step + v*16]; rows and vectors are constants. */
INLINE void block(int rows, int vectors, const float *a, int64_t a_row, int64_t a_step, const float *b, int64_t b_step,
                  float *out, int64_t out_row, int64_t steps, bool add)
{
    vec sum[ROWS][PANEL_VECTORS];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[r][v] = add ? *(const vec *)(out + r * out_row + v * LANES) : (vec){0};
    for (int64_t s = 0; s < steps; s++, a += a_step, b += b_step) {
        vec right[PANEL_VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            right[v] = *(const vec *)(b + v * LANES);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            vec left = a[r * a_row] - (vec){0};
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                sum[r][v] += left * right[v];
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            *(vec *)(out + r * out_row + v * LANES) = sum[r][v];
}

typedef void panel_fn(const float *a, int64_t a_row, int64_t a_step, const float *b, int64_t b_step, float *out,
                      int64_t out_row, int64_t rows, int64_t steps, bool add);

#define PANEL_FN(vectors)                                                                                              \
    static void panel_##vectors(const float *a, int64_t a_row, int64_t a_step, const float *b, int64_t b_step,         \
                                float *out, int64_t out_row, int64_t rows, int64_t steps, bool add)                    \
    {                                                                                                                  \
        int64_t r = 0;                                                                                                 \
        for (; r + ROWS <= rows; r += ROWS)                                                                            \
            block(ROWS, vectors, a + r * a_row, a_row, a_step, b, b_step, out + r * out_row, out_row, steps, add);     \
        a += r * a_row;                                                                                                \
        out += r * out_row;                                                                                            \
        switch (rows - r) {                                                                                            \
        case 1: block(1, vectors, a, a_row, a_step, b, b_step, out, out_row, steps, add); break;                       \
        case 2: block(2, vectors, a, a_row, a_step, b, b_step, out, out_row, steps, add); break;                       \
        case 3: block(3, vectors, a, a_row, a_step, b, b_step, out, out_row, steps, add); break;                       \
        case 4: block(4, vectors, a, a_row, a_step, b, b_step, out, out_row, steps, add); break;                       \
        case 5: block(5, vectors, a, a_row, a_step, b, b_step, out, out_row, steps, add); break;                       \
        default: break;                                                                                                \
        }                                                                                                              \
    }
PANEL_FN(1)
PANEL_FN(2)
PANEL_FN(3)
PANEL_FN(4)

static panel_fn *const panels[PANEL_VECTORS + 1] = {NULL, panel_1, panel_2, panel_3, panel_4};

static int64_t n_panels(const geometry *g)
{
    return (g->k + PANEL - 1) / PANEL;
}

static int panel_vectors(const geometry *g, int64_t panel)
{
    int64_t left = g->k / LANES - panel * PANEL_VECTORS;
    return left < PANEL_VECTORS ? (int)left : PANEL_VECTORS;
}

static int64_t panel_floats(const geometry *g)
{
    return POINTS * (g->c * PANEL + SKEW);
}

/* ---- forward and input gradient: in -> out ---- */

/* With more channels than tiles the transformed weights outweigh the images: then a panel of them is made, used on all tiles
 * and forgotten. Otherwise all are made first, and the tiles go by in groups. */
typedef struct {
    geometry g;
    bool flip, deep;
    int64_t group;                      /* tiles at a time */
    int64_t n_groups;
    int64_t v_step, v_floats, m_floats; /* of one group */
    int n_threads;
} forward_plan;

static forward_plan plan_forward(const mu_winograd_shape *s, bool gradient)
{
    forward_plan p = {.g = geometry_of(s, gradient ? MU_WINOGRAD_GRAD_INPUT : MU_WINOGRAD_FORWARD), .flip = gradient,
                      .n_threads = s->n_threads};
    p.deep = p.g.k > p.g.tiles && n_panels(&p.g) >= p.n_threads;
    int64_t each = (p.g.tiles + p.n_threads - 1) / p.n_threads;
    p.group = p.deep ? p.g.tiles : each < FORWARD_TILES ? each : FORWARD_TILES;
    p.n_groups = (p.g.tiles + p.group - 1) / p.group;
    p.v_step = p.group * p.g.c + SKEW;
    p.v_floats = POINTS * p.v_step;
    p.m_floats = POINTS * ((p.group < FORWARD_TILES ? p.group : FORWARD_TILES) * PANEL + SKEW);
    return p;
}

static size_t forward_floats(const forward_plan *p)
{
    int64_t threads = p->n_threads;
    if (p->deep)
        return (size_t)(p->v_floats + threads * (panel_floats(&p->g) + p->m_floats));
    return (size_t)(n_panels(&p->g) * panel_floats(&p->g) + threads * (p->v_floats + p->m_floats));
}

/* Tiles `begin`.. of a group through one panel. */
static void run_panel(const forward_plan *p, const float *v, const float *u, float *m, int64_t first, int64_t begin,
                      int64_t count, int64_t panel, const mu_winograd_tail *tail, void *y)
{
    const geometry *g = &p->g;
    int vectors = panel_vectors(g, panel);
    int64_t m_step = count * PANEL + SKEW, u_step = panel_step(g, vectors);
    for (int t = 0; t < POINTS; t++)
        panels[vectors](v + t * p->v_step + begin * g->c, g->c, 1, u + t * u_step, vectors * LANES, m + t * m_step, PANEL,
                        count, g->c, false);
    if (g->half)
        transform_output(g, m, m_step, first + begin, count, panel * PANEL_VECTORS, vectors, tail, y, true);
    else
        transform_output(g, m, m_step, first + begin, count, panel * PANEL_VECTORS, vectors, tail, y, false);
}

static void make_input(const forward_plan *p, const void *x, int64_t first, int64_t count, float *v)
{
    if (p->g.half)
        transform_input(&p->g, x, first, count, v, p->v_step, true);
    else
        transform_input(&p->g, x, first, count, v, p->v_step, false);
}

static void make_weights(const forward_plan *p, const void *w, int64_t panel, int b, float *u)
{
    int vectors = panel_vectors(&p->g, panel);
    int64_t block_at = panel * PANEL_VECTORS + b;
    if (p->flip && p->g.half)
        transform_weights(&p->g, w, block_at, b, vectors, true, u, true);
    else if (p->flip)
        transform_weights(&p->g, w, block_at, b, vectors, true, u, false);
    else if (p->g.half)
        transform_weights(&p->g, w, block_at, b, vectors, false, u, true);
    else
        transform_weights(&p->g, w, block_at, b, vectors, false, u, false);
}

static void run_deep(const forward_plan *p, const void *x, const void *w, const mu_winograd_tail *tail, void *y,
                     float *scratch)
{
    const geometry *g = &p->g;
#pragma omp parallel num_threads(p->n_threads)
    {
        float *u = scratch + p->v_floats + omp_get_thread_num() * (panel_floats(g) + p->m_floats);
        float *m = u + panel_floats(g);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < g->tiles; i++)
            make_input(p, x, i, 1, scratch + i * g->c);
#pragma omp for schedule(static)
        for (int64_t panel = 0; panel < n_panels(g); panel++) {
            for (int b = 0; b < panel_vectors(g, panel); b++)
                make_weights(p, w, panel, b, u);
            for (int64_t i = 0; i < g->tiles; i += FORWARD_TILES)
                run_panel(p, scratch, u, m, 0, i, g->tiles - i < FORWARD_TILES ? g->tiles - i : FORWARD_TILES, panel, tail,
                          y);
        }
    }
}

static void run_wide(const forward_plan *p, const void *x, const void *w, const mu_winograd_tail *tail, void *y,
                     float *scratch)
{
    const geometry *g = &p->g;
    float *u = scratch, *own = u + n_panels(g) * panel_floats(g);
#pragma omp parallel num_threads(p->n_threads)
    {
        float *v = own + omp_get_thread_num() * (p->v_floats + p->m_floats), *m = v + p->v_floats;
#pragma omp for schedule(static)
        for (int64_t b = 0; b < g->k / LANES; b++)
            make_weights(p, w, b / PANEL_VECTORS, (int)(b % PANEL_VECTORS), u + b / PANEL_VECTORS * panel_floats(g));
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < p->n_groups; i++) {
            int64_t first = i * p->group, count = g->tiles - first < p->group ? g->tiles - first : p->group;
            make_input(p, x, first, count, v);
            for (int64_t panel = 0; panel < n_panels(g); panel++)
                run_panel(p, v, u + panel * panel_floats(g), m, first, 0, count, panel, tail, y);
        }
    }
}

static void run_forward(const forward_plan *p, const void *x, const void *w, const mu_winograd_tail *tail, void *y,
                        float *scratch)
{
    if (p->deep)
        run_deep(p, x, w, tail, y, scratch);
    else
        run_wide(p, x, w, tail, y, scratch);
}

/* ---- weight gradient ---- */

typedef struct {
    geometry g;
    bool half_weight;
    int64_t group, v_step, d_step;
    int n_threads;
} weight_plan;

static weight_plan plan_weight(const mu_winograd_shape *s)
{
    weight_plan p = {.g = geometry_of(s, MU_WINOGRAD_GRAD_WEIGHT), .half_weight = s->half_weight, .n_threads = s->n_threads};
    /* Sums of products are kept from group to group: few groups when they are large. */
    int64_t per_tile = POINTS * (p.g.c + p.g.k) * 4, group = WEIGHT_BYTES / per_tile;
    if (group < p.g.c)
        group = p.g.c;
    p.group = group < p.g.tiles ? group : p.g.tiles;
    p.v_step = p.group * p.g.c + SKEW;
    p.d_step = p.group * p.g.k + SKEW;
    return p;
}

static bool one_group(const weight_plan *p)
{
    return p->group >= p->g.tiles;
}

static size_t weight_floats(const weight_plan *p)
{
    int64_t sums = (one_group(p) ? p->n_threads : n_panels(&p->g)) * panel_floats(&p->g);
    return (size_t)(POINTS * (p->v_step + p->d_step) + sums);
}

/* Sums [36][c][16*vectors] of a panel to the taps of the weights. */
INLINE void transform_sums(const geometry *g, const float *u, int64_t panel, void *dw, bool half)
{
    int vectors = panel_vectors(g, panel);
    int64_t step = panel_step(g, vectors), in_blocks = g->c / LANES;
    for (int b = 0; b < vectors; b++)
        for (int64_t c = 0; c < g->c; c++) {
            vec d[POINTS], t[3 * WINDOW], w[TAPS];
            const float *from = u + (c * vectors + b) * LANES;
            for (int i = 0; i < POINTS; i++)
                d[i] = *(const vec *)(from + i * step);
            for (int j = 0; j < WINDOW; j++)
                tap_axis(t + j, WINDOW, d + j, WINDOW);
            for (int i = 0; i < 3; i++)
                tap_axis(w + i * 3, 1, t + i * WINDOW, 1);
            int64_t at = ((panel * PANEL_VECTORS + b) * in_blocks + c / LANES) * TAPS * LANES * LANES + c % LANES * LANES;
            for (int tap = 0; tap < TAPS; tap++)
                store(dw, at + tap * LANES * LANES, half, w[tap]);
        }
}

static void make_taps(const weight_plan *p, const float *u, int64_t panel, void *dw)
{
    if (p->half_weight)
        transform_sums(&p->g, u, panel, dw, true);
    else
        transform_sums(&p->g, u, panel, dw, false);
}

static void add_products(const weight_plan *p, const float *v, const float *d, int64_t panel, int t, int64_t count,
                         bool add, float *u)
{
    const geometry *g = &p->g;
    int vectors = panel_vectors(g, panel);
    panels[vectors](v + t * p->v_step, 1, g->c, d + t * p->d_step + panel * PANEL, g->k, u + t * panel_step(g, vectors),
                    vectors * LANES, g->c, count, add);
}

static void make_pair(const weight_plan *p, const void *x, const void *dy, int64_t tile, float *v, float *d)
{
    if (p->g.half) {
        transform_input(&p->g, x, tile, 1, v, p->v_step, true);
        transform_gradient(&p->g, dy, tile, 1, d, p->d_step, true);
    } else {
        transform_input(&p->g, x, tile, 1, v, p->v_step, false);
        transform_gradient(&p->g, dy, tile, 1, d, p->d_step, false);
    }
}

static void run_weight(const weight_plan *p, const void *x, const void *dy, void *dw, float *scratch)
{
    const geometry *g = &p->g;
    float *v = scratch, *d = v + POINTS * p->v_step, *u = d + POINTS * p->d_step;
#pragma omp parallel num_threads(p->n_threads)
    for (int64_t first = 0; first < g->tiles; first += p->group) {
        int64_t count = g->tiles - first < p->group ? g->tiles - first : p->group;
#pragma omp for schedule(static)
        for (int64_t i = 0; i < count; i++)
            make_pair(p, x, dy, first + i, v + i * g->c, d + i * g->k);
        if (one_group(p)) {
            float *own = u + omp_get_thread_num() * panel_floats(g);
#pragma omp for schedule(dynamic)
            for (int64_t panel = 0; panel < n_panels(g); panel++) {
                for (int t = 0; t < POINTS; t++)
                    add_products(p, v, d, panel, t, count, false, own);
                make_taps(p, own, panel, dw);
            }
            continue;
        }
#pragma omp for collapse(2) schedule(static)
        for (int t = 0; t < POINTS; t++)
            for (int64_t panel = 0; panel < n_panels(g); panel++)
                add_products(p, v, d, panel, t, count, first > 0, u + panel * panel_floats(g));
        if (first + count == g->tiles) {
#pragma omp for schedule(static)
            for (int64_t panel = 0; panel < n_panels(g); panel++)
                make_taps(p, u + panel * panel_floats(g), panel, dw);
        }
    }
}

/* ---- entries ---- */

bool mu_winograd_available(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
}

size_t mu_winograd_scratch(const mu_winograd_shape *shape, mu_winograd_product product)
{
    if (product == MU_WINOGRAD_GRAD_WEIGHT) {
        weight_plan p = plan_weight(shape);
        return weight_floats(&p) * sizeof(float);
    }
    forward_plan p = plan_forward(shape, product == MU_WINOGRAD_GRAD_INPUT);
    return forward_floats(&p) * sizeof(float);
}

void mu_winograd_forward(const mu_winograd_shape *shape, const void *x, const void *w, const mu_winograd_tail *tail, void *y,
                         void *scratch)
{
    forward_plan p = plan_forward(shape, false);
    run_forward(&p, x, w, tail, y, scratch);
}

void mu_winograd_grad_input(const mu_winograd_shape *shape, const void *dy, const void *w, void *dx, void *scratch)
{
    forward_plan p = plan_forward(shape, true);
    run_forward(&p, dy, w, NULL, dx, scratch);
}

void mu_winograd_grad_weight(const mu_winograd_shape *shape, const void *x, const void *dy, void *dw, void *scratch)
{
    weight_plan p = plan_weight(shape);
    run_weight(&p, x, dy, dw, scratch);
}

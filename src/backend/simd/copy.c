#include "backend/simd/copy.h"

#include "backend/simd/vec.h"

/* A copy has four loops: over the outer dimensions, over tiles of the second last, over tiles of the last, and inside a
 * tile. After planning the last dimension is the one with the smallest step in the destination, the second last the one
 * with the smallest step in the source. */

enum { TILE = 32, ITEM_BYTES = 1 << 15 };

typedef uint32_t quad __attribute__((vector_size(16)));
typedef uint32_t quad_any __attribute__((vector_size(16), aligned(4), may_alias));

static void drop(mu_simd_copy *c, int d)
{
    c->ndim--;
    for (; d < c->ndim; d++) {
        c->dim[d] = c->dim[d + 1];
        c->from[d] = c->from[d + 1];
        c->to[d] = c->to[d + 1];
    }
}

static void swap(int64_t *a, int i, int j)
{
    int64_t t = a[i];
    a[i] = a[j];
    a[j] = t;
}

static void exchange(mu_simd_copy *c, int i, int j)
{
    swap(c->dim, i, j);
    swap(c->from, i, j);
    swap(c->to, i, j);
}

static int smallest(const int64_t *stride, int n)
{
    int best = n - 1;
    for (int d = 0; d < n; d++)
        if (stride[d] < stride[best])
            best = d;
    return best;
}

/* Merges neighbours that are one run in both arrays. */
static void merge(mu_simd_copy *c)
{
    for (int d = c->ndim - 1; d >= 0; d--)
        if (c->dim[d] == 1)
            drop(c, d);
    for (int d = c->ndim - 2; d >= 0; d--)
        if (c->from[d] == c->from[d + 1] * c->dim[d + 1] && c->to[d] == c->to[d + 1] * c->dim[d + 1]) {
            c->dim[d + 1] *= c->dim[d];
            drop(c, d);
        }
}

void SIMD(mu_simd_copy_plan)(mu_simd_copy *c)
{
    for (int d = 0; d < c->ndim; d++)
        if (c->dim[d] == 0) { /* nothing to copy */
            c->ndim = 2;
            memset(c->dim, 0, sizeof c->dim);
            return;
        }
    merge(c);
    while (c->ndim < 2) {
        int d = c->ndim++;
        c->dim[d] = 1;
        c->from[d] = c->to[d] = INT64_MAX;
    }
    exchange(c, smallest(c->to, c->ndim), c->ndim - 1);
    exchange(c, smallest(c->from, c->ndim - 1), c->ndim - 2);
    for (int d = 0; d < c->ndim; d++)
        if (c->dim[d] == 1)
            c->from[d] = c->to[d] = d == c->ndim - 1;
}

/* Elements of one size, `n` by `m` of them: steps f0 and t0 along m, f1 and t1 along n. */
#define TILE_OF(type)                                                                                                  \
    static void tile_##type(const void *from, void *to, int64_t n, int64_t m, int64_t f1, int64_t t1, int64_t f0,      \
                            int64_t t0)                                                                                \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const type *s = (const type *)from + i * f1;                                                               \
            type *d = (type *)to + i * t1;                                                                             \
            if (f0 == 0 && t0 == 1)                                                                                    \
                for (int64_t j = 0; j < m; j++)                                                                        \
                    d[j] = *s;                                                                                         \
            else if (t0 == 1)                                                                                          \
                for (int64_t j = 0; j < m; j++)                                                                        \
                    d[j] = s[j * f0];                                                                                  \
            else                                                                                                       \
                for (int64_t j = 0; j < m; j++)                                                                        \
                    d[j * t0] = s[j * f0];                                                                             \
        }                                                                                                              \
    }

typedef void tile_fn(const void *from, void *to, int64_t n, int64_t m, int64_t f1, int64_t t1, int64_t f0, int64_t t0);

TILE_OF(uint8_t)
TILE_OF(uint16_t)
TILE_OF(uint32_t)
TILE_OF(uint64_t)

/* A transpose of 4-byte elements (f1 and t0 are 1), four by four. */
static void tile_transpose(const void *from, void *to, int64_t n, int64_t m, int64_t f1, int64_t t1, int64_t f0,
                           int64_t t0)
{
    const uint32_t *s = from;
    uint32_t *d = to;
    int64_t i = 0, whole = m & ~(int64_t)3;
    for (; i + 4 <= n; i += 4)
        for (int64_t j = 0; j < whole; j += 4) {
            quad a = *(const quad_any *)(s + i + j * f0), b = *(const quad_any *)(s + i + (j + 1) * f0);
            quad c = *(const quad_any *)(s + i + (j + 2) * f0), e = *(const quad_any *)(s + i + (j + 3) * f0);
            quad ab = __builtin_shuffle(a, b, (quad){0, 4, 1, 5}), ab2 = __builtin_shuffle(a, b, (quad){2, 6, 3, 7});
            quad ce = __builtin_shuffle(c, e, (quad){0, 4, 1, 5}), ce2 = __builtin_shuffle(c, e, (quad){2, 6, 3, 7});
            *(quad_any *)(d + i * t1 + j) = __builtin_shuffle(ab, ce, (quad){0, 1, 4, 5});
            *(quad_any *)(d + (i + 1) * t1 + j) = __builtin_shuffle(ab, ce, (quad){2, 3, 6, 7});
            *(quad_any *)(d + (i + 2) * t1 + j) = __builtin_shuffle(ab2, ce2, (quad){0, 1, 4, 5});
            *(quad_any *)(d + (i + 3) * t1 + j) = __builtin_shuffle(ab2, ce2, (quad){2, 3, 6, 7});
        }
    tile_uint32_t(s + whole * f0, d + whole, i, m - whole, f1, t1, f0, t0);
    tile_uint32_t(s + i, d + i * t1, n - i, m, f1, t1, f0, t0);
}

static tile_fn *tile_for(const mu_simd_copy *c)
{
    int last = c->ndim - 1;
    switch (c->size) {
    case 1: return tile_uint8_t;
    case 2: return tile_uint16_t;
    case 4: return c->from[last - 1] == 1 && c->to[last] == 1 && c->from[last] > 1 ? tile_transpose : tile_uint32_t;
    default: return tile_uint64_t;
    }
}

/* Offsets of outer element i. */
static void outer_at(const mu_simd_copy *c, int64_t i, int64_t *from, int64_t *to)
{
    *from = c->from_start;
    *to = c->to_start;
    for (int d = c->ndim - 3; d >= 0; d--) {
        *from += i % c->dim[d] * c->from[d];
        *to += i % c->dim[d] * c->to[d];
        i /= c->dim[d];
    }
}

static int64_t at_least_one(int64_t n)
{
    return n > 0 ? n : 1;
}

void SIMD(mu_simd_copy_run)(const mu_simd_copy *c, const void *from, void *to, int threads)
{
    int last = c->ndim - 1;
    int64_t size = (int64_t)c->size, n = c->dim[last - 1], m = c->dim[last], outer = 1;
    int64_t f1 = c->from[last - 1], t1 = c->to[last - 1], f0 = c->from[last], t0 = c->to[last];
    for (int d = 0; d < last - 1; d++)
        outer *= c->dim[d];
    bool run = f0 == 1 && t0 == 1, repeated = f0 == 0;
    int64_t wide = run || repeated ? ITEM_BYTES / size : TILE, piece = m < wide ? at_least_one(m) : wide;
    int64_t tall = run || repeated ? at_least_one(ITEM_BYTES / (piece * size)) : TILE;
    int64_t pieces = (m + piece - 1) / piece, stacks = (n + tall - 1) / tall;
    tile_fn *tile = tile_for(c);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t item = 0; item < outer * stacks * pieces; item++) {
        int64_t source, target, stack = item / pieces % stacks * tall, start = item % pieces * piece;
        int64_t rows = n - stack < tall ? n - stack : tall, columns = m - start < piece ? m - start : piece;
        outer_at(c, item / pieces / stacks, &source, &target);
        const char *s = (const char *)from + (source + stack * f1 + start * f0) * size;
        char *d = (char *)to + (target + stack * t1 + start * t0) * size;
        if (!run) {
            tile(s, d, rows, columns, f1, t1, f0, t0);
            continue;
        }
        for (int64_t i = 0; i < rows; i++)
            memcpy(d + i * t1 * size, s + i * f1 * size, (size_t)(columns * size));
    }
}

void SIMD(mu_simd_zero)(void *to, size_t bytes, int threads)
{
    int64_t pieces = ((int64_t)bytes + ITEM_BYTES - 1) / ITEM_BYTES;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < pieces; i++) {
        size_t start = (size_t)(i * ITEM_BYTES), left = bytes - start;
        memset((char *)to + start, 0, left < ITEM_BYTES ? left : ITEM_BYTES);
    }
}

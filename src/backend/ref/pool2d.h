/* What the poolings share: windows along one axis, and the maximum over a window. */
#ifndef MU_BACKEND_REF_POOL2D_H
#define MU_BACKEND_REF_POOL2D_H

#include "backend/ref/ref.h"

#include "ops/pool2d.h"

/* The elements begin, begin + step, ... < end of an axis; divisor: how many an average counts. */
typedef struct {
    int64_t begin, end, step, divisor;
} ref_window;

/* Window o of axis i (0: height) over `size` elements. */
static inline ref_window ref_window_of(const mu_pool2d_attrs *a, int i, int64_t o, int64_t size)
{
    int64_t begin = o * a->stride[i] - a->padding[i], step = a->dilation[i];
    int64_t end = begin + (a->kernel[i] - 1) * step + 1, limit = size + a->padding[i + 2];
    int64_t with_padding = (end < limit ? end : limit) - begin;
    if (begin < 0)
        begin += (-begin + step - 1) / step * step;
    if (end > size)
        end = size;
    return (ref_window){begin, end, step, a->count_include_pad ? with_padding : end - begin};
}

static inline ref_window ref_adaptive_window(int64_t o, int64_t in, int64_t out)
{
    int64_t begin = mu_adaptive_start(o, in, out), end = mu_adaptive_end(o, in, out);
    return (ref_window){begin, end, 1, end - begin};
}

/* The winner's value; *index is its place in the plane of `width`, -1 when the window is empty. */
static inline real REF(window_max)(const real *plane, int64_t width, const ref_window *h, const ref_window *w,
                                   int32_t *index)
{
    real best = (real)-INFINITY;
    *index = -1;
    for (int64_t i = h->begin; i < h->end; i += h->step)
        for (int64_t j = w->begin; j < w->end; j += w->step) {
            real v = plane[i * width + j];
            if (*index < 0 || v > best || v != v) {
                best = v;
                *index = (int32_t)(i * width + j);
            }
        }
    return best;
}

static inline real REF(window_mean)(const real *plane, int64_t width, const ref_window *h, const ref_window *w)
{
    double sum = 0;
    for (int64_t i = h->begin; i < h->end; i += h->step)
        for (int64_t j = w->begin; j < w->end; j += w->step)
            sum += plane[i * width + j];
    return (real)(sum / (double)(h->divisor * w->divisor));
}

/* Gives each element of the window its share of dy. */
static inline void REF(window_spread)(real *plane, int64_t width, const ref_window *h, const ref_window *w, real dy)
{
    real share = dy / (real)(h->divisor * w->divisor);
    for (int64_t i = h->begin; i < h->end; i += h->step)
        for (int64_t j = w->begin; j < w->end; j += w->step)
            plane[i * width + j] += share;
}

/* Where element i of y [N,C,OH,OW] is pooled from: its plane of x and its row and column. */
typedef struct {
    int64_t plane, row, column;
} ref_pooled;

static inline ref_pooled ref_pooled_at(const mu_type *x, const mu_type *y, int64_t i)
{
    int64_t area = y->dim[2] * y->dim[3];
    return (ref_pooled){i / area * x->dim[2] * x->dim[3], i % area / y->dim[3], i % y->dim[3]};
}

#endif

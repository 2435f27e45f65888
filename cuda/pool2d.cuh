/* What the poolings of images [N,C,H,W] share: windows, and the walk over pixels. A thread takes V neighbours in memory: of one pixel's
 * channels in channels last, one place of a plane in row-major images. */
#ifndef MU_CUDA_POOL2D_CUH
#define MU_CUDA_POOL2D_CUH

#include "device.cuh"

#include "ops/pool2d.h"

/* One axis: windows of y over x. adaptive: step, padding and dilation are not used. */
struct pool_axis {
    int32_t x, y, kernel, stride, dilation, before, after;
    bool adaptive, include_pad;
};

/* Elements begin, begin + step, ... < end; divisor: how many an average counts. */
struct pool_window {
    int32_t begin, end, step, divisor;
};

__device__ inline pool_window pool_window_of(const pool_axis &a, int32_t o)
{
    if (a.adaptive) {
        int32_t begin = (int32_t)((int64_t)o * a.x / a.y), end = (int32_t)((((int64_t)o + 1) * a.x + a.y - 1) / a.y);
        return pool_window{begin, end, 1, end - begin};
    }
    int32_t begin = o * a.stride - a.before, end = begin + (a.kernel - 1) * a.dilation + 1, limit = a.x + a.after;
    int32_t counted = (end < limit ? end : limit) - begin;
    if (begin < 0)
        begin += (-begin + a.dilation - 1) / a.dilation * a.dilation;
    end = end < a.x ? end : a.x;
    return pool_window{begin, end, a.dilation, a.include_pad ? counted : end - begin};
}

/* The windows first..last-1 hold all that cover element i, and maybe others. */
struct pool_cover {
    int32_t first, last;
};

__device__ inline pool_cover pool_cover_of(const pool_axis &a, int32_t i)
{
    int32_t first, last;
    if (a.adaptive) {
        first = (int32_t)((int64_t)i * a.y / a.x) - 1;
        last = (int32_t)(((int64_t)i + 1) * a.y / a.x) + 1;
    } else {
        int32_t behind = i + a.before - (a.kernel - 1) * a.dilation; /* where the first begins, padding counted */
        first = behind > 0 ? (behind + a.stride - 1) / a.stride : 0;
        last = (i + a.before) / a.stride + 1;
    }
    return pool_cover{first > 0 ? first : 0, last < a.y ? last : a.y};
}

__device__ inline bool pool_covers(const pool_window &w, int32_t i)
{
    return i >= w.begin && i < w.end && (i - w.begin) % w.step == 0;
}

struct pool_images {
    pool_axis h, w;
    int64_t n, c;
    bool last;
};

/* Packs of the larger (x) or the smaller (y) images, and where in them one begins. */
__device__ inline int64_t pool_at(const pool_images &p, int64_t image, int64_t c, int64_t place, int64_t space)
{
    return p.last ? (image * space + place) * p.c + c : (image * p.c + c) * space + place;
}

struct pool_spot {
    int64_t n, c;
    int32_t i, j; /* row and column */
};

/* i % d; i becomes i / d. */
__device__ inline int64_t pool_split(int64_t *i, int64_t d)
{
    int64_t rest;
    if ((*i | d) >> 32) {
        rest = *i % d;
        *i /= d;
    } else { /* much faster */
        rest = (uint32_t)*i % (uint32_t)d;
        *i = (uint32_t)*i / (uint32_t)d;
    }
    return rest;
}

/* Pack i of images of `height` and `width`, V channels each. */
template <int V> __device__ inline pool_spot pool_spot_of(const pool_images &p, int64_t i, int32_t height, int32_t width)
{
    pool_spot s;
    if (p.last)
        s.c = pool_split(&i, p.c / V) * V;
    s.j = (int32_t)pool_split(&i, width);
    s.i = (int32_t)pool_split(&i, height);
    if (!p.last)
        s.c = pool_split(&i, p.c);
    s.n = i;
    return s;
}

/* ---- host ---- */

struct pool_kernel {
    mu_cuda_kernel base;
    pool_images images;
    bool wide; /* threads take 16 bytes */
};

static inline pool_axis pool_axis_of(const mu_pool2d_attrs *a, int axis, bool adaptive, int64_t x, int64_t y)
{
    return pool_axis{(int32_t)x,
                     (int32_t)y,
                     (int32_t)a->kernel[axis],
                     (int32_t)a->stride[axis],
                     (int32_t)a->dilation[axis],
                     (int32_t)a->padding[axis],
                     (int32_t)a->padding[axis + 2],
                     adaptive,
                     a->count_include_pad};
}

/* A gradient has dx, the larger images, for output 0. */
static inline mu_err pool_setup(mu_cuda_kernel *kernel, bool adaptive, bool gradient)
{
    pool_kernel *s = (pool_kernel *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_type *x = gradient ? &call->out[0] : &call->in[0], *y = gradient ? &call->in[0] : &call->out[0];
    const mu_pool2d_attrs *a = (const mu_pool2d_attrs *)call->attrs;
    s->images = pool_images{pool_axis_of(a, 0, adaptive, x->dim[2], y->dim[2]), pool_axis_of(a, 1, adaptive, x->dim[3], y->dim[3]),
                            x->dim[0], x->dim[1], kernel->x.last};
    s->wide = kernel->x.last && x->dim[1] % (16 / (int64_t)mu_dtype_size(x->dtype)) == 0;
    return MU_OK;
}

/* launch(kernel of packs or of single elements, the images, the number of packs of `type`, args...) */
template <class T, class... Wanted, class... Given>
mu_err pool_launch(const pool_kernel *s, void (*wide)(Wanted...), void (*narrow)(Wanted...), const mu_type *type, Given... args)
{
    int64_t packs = mu_type_count(type) / (s->wide ? 16 / (int64_t)sizeof(T) : 1);
    return launch(s->base.self, s->wide ? wide : narrow, blocks_for(s->base.self, packs), BLOCK, s->images, packs, args...);
}

#endif

#include "backend/simd/vec.h"

#include "ops/pool2d.h"

/* Poolings of images [N,C,H,W]. Interleaved layouts take a vector of channels at a time, row-major ones a plane at a time. The
 * windows of both axes are tabulated in scratch at each run: that costs O(H + W). */

/* Output o reads begin, begin + step, ... < end and counts for `divisor`; input i is read by outputs first..last-1. */
typedef struct {
    int32_t begin, end, step, divisor;
} window;

typedef struct {
    int32_t first, last;
} cover;

typedef struct {
    mu_simd_kernel base;
    bool half, adaptive;
    mu_simd_view x, y; /* the larger and the smaller images */
} pool;

static window *windows(const pool *p, int axis)
{
    return (window *)p->base.base.scratch + (axis ? p->y.h : 0);
}

static cover *covers(const pool *p, int axis)
{
    return (cover *)((window *)p->base.base.scratch + p->y.h + p->y.w) + (axis ? p->x.h : 0);
}

static window window_of(const pool *p, int axis, int64_t o)
{
    const mu_pool2d_attrs *a = p->base.base.call.attrs;
    int64_t in = axis ? p->x.w : p->x.h, out = axis ? p->y.w : p->y.h;
    if (p->adaptive) {
        int64_t begin = mu_adaptive_start(o, in, out), end = mu_adaptive_end(o, in, out);
        return (window){(int32_t)begin, (int32_t)end, 1, (int32_t)(end - begin)};
    }
    int64_t begin = o * a->stride[axis] - a->padding[axis], step = a->dilation[axis];
    int64_t end = begin + (a->kernel[axis] - 1) * step + 1, limit = in + a->padding[axis + 2];
    int64_t counted = (end < limit ? end : limit) - begin;
    if (begin < 0)
        begin += (-begin + step - 1) / step * step;
    end = end < in ? end : in;
    return (window){(int32_t)begin, (int32_t)end, (int32_t)step, (int32_t)(a->count_include_pad ? counted : end - begin)};
}

static void tabulate(const pool *p, bool with_covers)
{
    for (int axis = 0; axis < 2; axis++) {
        int64_t in = axis ? p->x.w : p->x.h, out = axis ? p->y.w : p->y.h;
        cover *c = covers(p, axis);
        for (int64_t i = 0; with_covers && i < in; i++)
            c[i] = (cover){INT32_MAX, 0};
        for (int64_t o = 0; o < out; o++) {
            window w = windows(p, axis)[o] = window_of(p, axis, o);
            for (int32_t i = w.begin; with_covers && i < w.end; i++) {
                c[i].first = c[i].first < o ? c[i].first : (int32_t)o;
                c[i].last = (int32_t)o + 1;
            }
        }
    }
}

/* A vector of channels at pixel 0 of an image: `there` of its lanes are stored, `real` are channels and not padding. */
typedef struct {
    int64_t x, y; /* element offsets */
    int64_t there, real;
} channels;

static channels channels_of(const pool *p, int64_t image, int64_t c)
{
    int64_t block = image % p->x.blocks, left = p->x.width - c, real = p->x.c - block * p->x.width - c;
    return (channels){.x = image * p->x.space * p->x.width + c, .y = image * p->y.space * p->y.width + c,
                      .there = left < VL ? left : VL, .real = real < 0 ? 0 : real < VL ? real : VL};
}

SIMD_INLINE vf load_channels(const void *p, int64_t at, const channels *c, const bool half)
{
    return c->there == VL ? load(p, at, half) : load_part(p, at, c->there, half, 0);
}

SIMD_INLINE void store_channels(void *p, int64_t at, const channels *c, const bool half, vf v)
{
    if (c->there == VL)
        store(p, at, half, v);
    else
        store_part(p, at, c->there, half, v);
}

static vi lanes_below(int64_t n)
{
    vi m;
    for (int l = 0; l < VL; l++)
        m[l] = l < n ? -1 : 0;
    return m;
}

SIMD_INLINE void max_at(const pool *p, const channels *c, int64_t oh, int64_t ow, vi real, const bool half)
{
    const void *x = p->base.base.in[0];
    int32_t *index = p->base.base.out[1];
    window h = windows(p, 0)[oh], w = windows(p, 1)[ow];
    vf best = vset(-__builtin_inff());
    vi winner = vseti(-1);
    for (int32_t i = h.begin; i < h.end; i += h.step)
        for (int32_t j = w.begin; j < w.end; j += w.step) {
            int32_t place = i * (int32_t)p->x.w + j;
            vf v = load_channels(x, c->x + place * p->x.width, c, half);
            vi take = (v > best) | (v != v) | (winner < 0);
            best = vsel(take, v, best);
            winner = (take & place) | (~take & winner);
        }
    int64_t at = c->y + (oh * p->y.w + ow) * p->y.width;
    store_channels(p->base.base.out[0], at, c, half, vand(real, best));
    winner &= real;
    if (!index)
        return;
    if (c->there == VL)
        *(vi_any *)(index + at) = winner;
    else
        for (int l = 0; l < VL; l++)
            if (l < c->there)
                index[at + l] = winner[l];
}

SIMD_INLINE void mean_at(const pool *p, const channels *c, int64_t oh, int64_t ow, vi real, const bool half)
{
    const void *x = p->base.base.in[0];
    window h = windows(p, 0)[oh], w = windows(p, 1)[ow];
    vf sum = {0};
    for (int32_t i = h.begin; i < h.end; i += h.step) {
        vf row = {0};
        for (int32_t j = w.begin; j < w.end; j += w.step)
            row += load_channels(x, c->x + (i * p->x.w + j) * p->x.width, c, half);
        sum += row;
    }
    sum = vand(real, sum / ((float)h.divisor * (float)w.divisor));
    store_channels(p->base.base.out[0], c->y + (oh * p->y.w + ow) * p->y.width, c, half, sum);
}

/* Element (i, j) of dx gathers its shares. */
SIMD_INLINE void share_at(const pool *p, const channels *c, int64_t i, int64_t j, vi real, const bool half)
{
    const void *dy = p->base.base.in[0];
    cover h = covers(p, 0)[i], w = covers(p, 1)[j];
    vf sum = {0};
    for (int32_t oh = h.first; oh < h.last; oh++)
        for (int32_t ow = w.first; ow < w.last; ow++) {
            float divisor = (float)windows(p, 0)[oh].divisor * (float)windows(p, 1)[ow].divisor;
            sum += load_channels(dy, c->y + (oh * p->y.w + ow) * p->y.width, c, half) / divisor;
        }
    store_channels(p->base.base.out[0], c->x + (i * p->x.w + j) * p->x.width, c, half, vand(real, sum));
}

/* at(p, channels, row, column, ...) for every vector of channels and pixel of `to`. */
#define SWEEP(at, to, half_)                                                                \
    _Pragma("omp parallel for collapse(2) num_threads(threads) schedule(static)")           \
    for (int64_t image = 0; image < p->x.n * p->x.blocks; image++)                          \
        for (int64_t row = 0; row < (to).h; row++)                                          \
            for (int64_t c = 0; c < p->x.width; c += VL) {                                  \
                channels ch = channels_of(p, image, c);                                     \
                vi real = lanes_below(ch.real);                                             \
                for (int64_t column = 0; column < (to).w; column++)                         \
                    at(p, &ch, row, column, real, half_);                                   \
            }

#define SWEEP_BOTH(at, to)           \
    do {                             \
        if (p->half) {               \
            SWEEP(at, to, true)      \
        } else {                     \
            SWEEP(at, to, false)     \
        }                            \
    } while (0)

/* ---- row-major planes ---- */

static void max_plane(const pool *p, int64_t plane)
{
    const void *x = p->base.base.in[0];
    int32_t *index = p->base.base.out[1];
    for (int64_t oh = 0; oh < p->y.h; oh++)
        for (int64_t ow = 0; ow < p->y.w; ow++) {
            window h = windows(p, 0)[oh], w = windows(p, 1)[ow];
            float best = -__builtin_inff();
            int32_t winner = -1;
            for (int32_t i = h.begin; i < h.end; i += h.step)
                for (int32_t j = w.begin; j < w.end; j += w.step) {
                    int32_t place = i * (int32_t)p->x.w + j;
                    float v = load1(x, plane * p->x.space + place, p->half);
                    bool take = v > best || v != v || winner < 0;
                    best = take ? v : best;
                    winner = take ? place : winner;
                }
            int64_t at = plane * p->y.space + oh * p->y.w + ow;
            store1(p->base.base.out[0], at, p->half, best);
            if (index)
                index[at] = winner;
        }
}

static void mean_plane(const pool *p, int64_t plane)
{
    for (int64_t oh = 0; oh < p->y.h; oh++)
        for (int64_t ow = 0; ow < p->y.w; ow++) {
            window h = windows(p, 0)[oh], w = windows(p, 1)[ow];
            double sum = 0;
            for (int32_t i = h.begin; i < h.end; i += h.step) {
                int64_t at = plane * p->x.space + i * p->x.w;
                int32_t j = w.begin;
                if (w.end - j >= VL) {
                    vf row = {0};
                    for (; j + VL <= w.end; j += VL)
                        row += load(p->base.base.in[0], at + j, p->half);
                    sum += vhsum(row);
                }
                for (; j < w.end; j++)
                    sum += load1(p->base.base.in[0], at + j, p->half);
            }
            store1(p->base.base.out[0], plane * p->y.space + oh * p->y.w + ow, p->half,
                   (float)(sum / ((double)h.divisor * w.divisor)));
        }
}

static void share_plane(const pool *p, int64_t plane)
{
    for (int64_t i = 0; i < p->x.h; i++)
        for (int64_t j = 0; j < p->x.w; j++) {
            cover h = covers(p, 0)[i], w = covers(p, 1)[j];
            float sum = 0;
            for (int32_t oh = h.first; oh < h.last; oh++)
                for (int32_t ow = w.first; ow < w.last; ow++)
                    sum += load1(p->base.base.in[0], plane * p->y.space + oh * p->y.w + ow, p->half) /
                           ((float)windows(p, 0)[oh].divisor * (float)windows(p, 1)[ow].divisor);
            store1(p->base.base.out[0], plane * p->x.space + i * p->x.w + j, p->half, sum);
        }
}

#define PLANES(fn)                                                            \
    _Pragma("omp parallel for num_threads(threads) schedule(static)")         \
    for (int64_t plane = 0; plane < p->x.n * p->x.c; plane++)                 \
        fn(p, plane);

static int threads_of(const pool *p)
{
    return mu_simd_threads(&p->base, (mu_simd_view_count(&p->x) + mu_simd_view_count(&p->y)) * (p->half ? 2 : 4));
}

static mu_err run_max(mu_kernel *kernel, const mu_run *run)
{
    const pool *p = (const pool *)kernel;
    (void)run;
    int threads = threads_of(p);
    tabulate(p, false);
    if (p->x.width == 1)
        PLANES(max_plane)
    else
        SWEEP_BOTH(max_at, p->y);
    return MU_OK;
}

static mu_err run_mean(mu_kernel *kernel, const mu_run *run)
{
    const pool *p = (const pool *)kernel;
    (void)run;
    int threads = threads_of(p);
    tabulate(p, false);
    if (p->x.width == 1)
        PLANES(mean_plane)
    else
        SWEEP_BOTH(mean_at, p->y);
    return MU_OK;
}

static mu_err run_share(mu_kernel *kernel, const mu_run *run)
{
    const pool *p = (const pool *)kernel;
    (void)run;
    int threads = threads_of(p);
    tabulate(p, true);
    if (p->x.width == 1)
        PLANES(share_plane)
    else
        SWEEP_BOTH(share_at, p->x);
    return MU_OK;
}

/* Adds one image's dy to the winners; false when an index lies outside of the plane. */
static bool scatter_image(const pool *p, int64_t image)
{
    const void *dy = p->base.base.in[0];
    const int32_t *index = p->base.base.in[1];
    void *dx = p->base.base.out[0];
    int64_t width = p->x.width, from = image * p->y.space * width, to = image * p->x.space * width;
    bool good = true;
    /* bf16 adds up in a plane of f32 per thread: windows overlap */
    float *sum = p->half ? (float *)p->base.base.scratch + mu_simd_member() * p->x.space * width : (float *)dx + to;
    memset(sum, 0, (size_t)(p->x.space * width) * sizeof *sum);
    for (int64_t i = 0; i < p->y.space; i++)
        for (int64_t c = 0; c < width; c++) {
            int64_t place = index[from + i * width + c], at = place * width + c;
            if (place < 0 || place >= p->x.space)
                good &= place == -1;
            else
                sum[at] += load1(dy, from + i * width + c, p->half);
        }
    for (int64_t i = 0; p->half && i < p->x.space * width; i++)
        store1(dx, to + i, true, sum[i]);
    return good;
}

static mu_err run_scatter(mu_kernel *kernel, const mu_run *run)
{
    const pool *p = (const pool *)kernel;
    (void)run;
    bool good = true;
#pragma omp parallel for num_threads(threads_of(p)) schedule(static) reduction(&& : good)
    for (int64_t image = 0; image < p->x.n * p->x.blocks; image++)
        good = scatter_image(p, image) && good;
    if (!good)
        return MU_FAIL(MU_ERR_FORMAT, "%s \"%s\": an index is outside of its plane of %lld elements", kernel->call.op->name,
                       kernel->call.name ? kernel->call.name : "", (long long)p->x.space);
    return MU_OK;
}

static mu_err setup(mu_simd_kernel *kernel)
{
    pool *p = (pool *)kernel;
    const mu_call *call = &kernel->base.call;
    mu_simd_view in = mu_simd_view_of(&call->in[0], kernel->base.in_layout[0]);
    mu_simd_view out = mu_simd_view_of(&call->out[0], kernel->base.out_layout[0]);
    bool backward = call->op == &mu_op_max_pool2d_grad || call->op == &mu_op_avg_pool2d_grad ||
                    call->op == &mu_op_adaptive_avg_pool2d_grad;
    p->x = backward ? out : in;
    p->y = backward ? in : out;
    p->half = call->in[0].dtype == MU_BF16;
    p->adaptive = call->op == &mu_op_adaptive_avg_pool2d || call->op == &mu_op_adaptive_avg_pool2d_grad ||
                  call->op == &mu_op_adaptive_max_pool2d;
    if (call->op != &mu_op_max_pool2d_grad)
        kernel->base.scratch_bytes = (size_t)(p->y.h + p->y.w) * sizeof(window) + (size_t)(p->x.h + p->x.w) * sizeof(cover);
    else if (p->half)
        kernel->base.scratch_bytes = (size_t)(kernel->n_threads * p->x.space * p->x.width) * sizeof(float);
    return MU_OK;
}

const mu_simd_impl SIMD(max_pool2d) = {.layouts = MU_ALIKE_CHANNELS, .size = sizeof(pool), .setup = setup, .run = run_max};
const mu_simd_impl SIMD(max_pool2d_grad) = {.layouts = MU_ALIKE_CHANNELS, .size = sizeof(pool), .setup = setup, .run = run_scatter};
const mu_simd_impl SIMD(avg_pool2d) = {.layouts = MU_ALIKE_CHANNELS, .size = sizeof(pool), .setup = setup, .run = run_mean};
const mu_simd_impl SIMD(avg_pool2d_grad) = {.layouts = MU_ALIKE_CHANNELS, .size = sizeof(pool), .setup = setup, .run = run_share};

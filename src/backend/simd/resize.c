#include "backend/simd/vec.h"

#include "ops/resize.h"

/* Nearest and bilinear resizing. Lines of `lanes` channels (1 row-major) that lie together are taken as one: bilinear
 * row-major blends two rows of x into one, then that one along itself. */

enum { LANES = 16 };

typedef struct {
    mu_simd_kernel base;
    bool half, bilinear;
    int64_t ih, iw, oh, ow;       /* of x and y, also in the gradient */
    int64_t units, chunks, width; /* units: planes of `width` channels, taken in chunks of LANES */
    int64_t line;                 /* floats that a thread needs in scratch */
} resize;

static mu_resize_tap tap_of(const resize *s, int64_t o, int64_t in, int64_t out)
{
    if (s->bilinear)
        return mu_resize_linear(o, in, out, ((const mu_resize_attrs *)s->base.base.call.attrs)->align_corners);
    int64_t i = mu_resize_nearest(o, in, out);
    return (mu_resize_tap){i, i, 0};
}

/* Scratch: the taps of a row of y, then the line of each thread. */
static mu_resize_tap *row_taps(const resize *s)
{
    mu_resize_tap *tap = s->base.base.scratch;
    for (int64_t o = 0; o < s->ow; o++)
        tap[o] = tap_of(s, o, s->iw, s->ow);
    return tap;
}

static float *own_line(const resize *s)
{
    return (float *)((mu_resize_tap *)s->base.base.scratch + s->ow) + mu_simd_member() * s->line;
}

/* line = (1 - w) * x[low] + w * x[high], rows of n. */
SIMD_INLINE void blend_rows(const void *x, int64_t low, int64_t high, float w, float *line, int64_t n, bool half)
{
    for (int64_t i = 0; i < n; i += VL)
        put(line, i, n - i, false, get(x, low + i, n - i, half, 0) * (1 - w) + get(x, high + i, n - i, half, 0) * w);
}

SIMD_INLINE void plane_rows(const resize *s, const mu_resize_tap *tap, int64_t unit, bool half)
{
    const void *x = s->base.base.in[0];
    void *y = s->base.base.out[0];
    float *line = own_line(s);
    for (int64_t h = 0; h < s->oh; h++) {
        mu_resize_tap v = tap_of(s, h, s->ih, s->oh);
        int64_t low = (unit * s->ih + v.low) * s->iw, high = (unit * s->ih + v.high) * s->iw;
        int64_t to = (unit * s->oh + h) * s->ow;
        if (!s->bilinear) {
            for (int64_t o = 0; o < s->ow; o++)
                store1(y, to + o, half, load1(x, low + tap[o].low, half));
            continue;
        }
        blend_rows(x, low, high, (float)v.weight, line, s->iw, half);
        for (int64_t o = 0; o < s->ow; o++) {
            float w = (float)tap[o].weight;
            store1(y, to + o, half, line[tap[o].low] * (1 - w) + line[tap[o].high] * w);
        }
    }
}

/* Offset of the first of `lanes` channels of pixel p of a plane of `space` pixels. */
static int64_t pixel(const resize *s, int64_t item, int64_t space, int64_t p)
{
    return (item / s->chunks * space + p) * s->width + item % s->chunks * LANES;
}

static int64_t lanes_of(const resize *s, int64_t item)
{
    int64_t left = s->width - item % s->chunks * LANES;
    return left < LANES ? left : LANES;
}

SIMD_INLINE void plane_channels(const resize *s, const mu_resize_tap *tap, int64_t item, bool half)
{
    const void *x = s->base.base.in[0];
    void *y = s->base.base.out[0];
    int64_t n = lanes_of(s, item), in = s->ih * s->iw, out = s->oh * s->ow;
    for (int64_t h = 0; h < s->oh; h++) {
        mu_resize_tap v = tap_of(s, h, s->ih, s->oh);
        float b = (float)v.weight;
        for (int64_t o = 0; o < s->ow; o++) {
            int64_t to = pixel(s, item, out, h * s->ow + o);
            int64_t p0 = pixel(s, item, in, v.low * s->iw + tap[o].low),
                    p1 = pixel(s, item, in, v.low * s->iw + tap[o].high);
            int64_t p2 = pixel(s, item, in, v.high * s->iw + tap[o].low),
                    p3 = pixel(s, item, in, v.high * s->iw + tap[o].high);
            float a = (float)tap[o].weight;
            for (int64_t c = 0; c < n; c += VL) {
                vf r = get(x, p0 + c, n - c, half, 0);
                if (s->bilinear) {
                    vf low = r * (1 - a) + get(x, p1 + c, n - c, half, 0) * a;
                    vf high = get(x, p2 + c, n - c, half, 0) * (1 - a) + get(x, p3 + c, n - c, half, 0) * a;
                    r = low * (1 - b) + high * b;
                }
                put(y, to + c, n - c, half, r);
            }
        }
    }
}

static mu_err run_resize(mu_kernel *kernel, const mu_run *run)
{
    const resize *s = (const resize *)kernel;
    const mu_resize_tap *tap = row_taps(s);
    int threads = mu_simd_threads(&s->base, s->units * s->oh * s->ow * s->width * 4);
    (void)run;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < s->units * s->chunks; i++)
        if (s->width == 1 && s->half)
            plane_rows(s, tap, i, true);
        else if (s->width == 1)
            plane_rows(s, tap, i, false);
        else if (s->half)
            plane_channels(s, tap, i, true);
        else
            plane_channels(s, tap, i, false);
    return MU_OK;
}

/* ---- gradient: planes add in the order of y, in f32 ---- */

SIMD_INLINE void add_row(float *to, const float *line, int64_t n, float w)
{
    if (w == 0) /* what does not count is not added, be it infinite */
        return;
    for (int64_t i = 0; i < n; i += VL)
        put(to, i, n - i, false, get(to, i, n - i, false, 0) + get(line, i, n - i, false, 0) * w);
}

/* line [iw] then, of bf16, the plane's sums. */
SIMD_INLINE void plane_rows_grad(const resize *s, const mu_resize_tap *tap, int64_t unit, bool half)
{
    const void *dy = s->base.base.in[0];
    int64_t space = s->ih * s->iw;
    float *line = own_line(s), *sum = half ? line + s->iw : (float *)s->base.base.out[0] + unit * space;
    memset(sum, 0, (size_t)space * sizeof *sum);
    for (int64_t h = 0; h < s->oh; h++) {
        mu_resize_tap v = tap_of(s, h, s->ih, s->oh);
        int64_t from = (unit * s->oh + h) * s->ow;
        memset(line, 0, (size_t)s->iw * sizeof *line);
        for (int64_t o = 0; o < s->ow; o++) {
            float d = load1(dy, from + o, half), w = (float)tap[o].weight;
            line[tap[o].low] += (1 - w) * d;
            if (w != 0)
                line[tap[o].high] += w * d;
        }
        add_row(sum + v.low * s->iw, line, s->iw, 1 - (float)v.weight);
        add_row(sum + v.high * s->iw, line, s->iw, (float)v.weight);
    }
    for (int64_t i = 0; half && i < space; i++)
        store1(s->base.base.out[0], unit * space + i, true, sum[i]);
}

SIMD_INLINE void add_pixel(float *to, vf d, int64_t left, float w)
{
    if (w != 0)
        put(to, 0, left, false, get(to, 0, left, false, 0) + d * w);
}

SIMD_INLINE void plane_channels_grad(const resize *s, const mu_resize_tap *tap, int64_t item, bool half)
{
    const void *dy = s->base.base.in[0];
    int64_t n = lanes_of(s, item), in = s->ih * s->iw, out = s->oh * s->ow, step = half ? LANES : s->width;
    float *sum = half ? own_line(s) : (float *)s->base.base.out[0] + pixel(s, item, in, 0);
    for (int64_t p = 0; p < in; p++)
        memset(sum + p * step, 0, (size_t)n * sizeof *sum);
    for (int64_t h = 0; h < s->oh; h++) {
        mu_resize_tap v = tap_of(s, h, s->ih, s->oh);
        float *low = sum + v.low * s->iw * step, *high = sum + v.high * s->iw * step, b = (float)v.weight;
        for (int64_t o = 0; o < s->ow; o++) {
            int64_t from = pixel(s, item, out, h * s->ow + o), left = tap[o].low * step, right = tap[o].high * step;
            float a = (float)tap[o].weight;
            for (int64_t c = 0; c < n; c += VL) {
                vf d = get(dy, from + c, n - c, half, 0);
                add_pixel(low + left + c, d, n - c, (1 - b) * (1 - a));
                add_pixel(low + right + c, d, n - c, (1 - b) * a);
                add_pixel(high + left + c, d, n - c, b * (1 - a));
                add_pixel(high + right + c, d, n - c, b * a);
            }
        }
    }
    for (int64_t p = 0; half && p < in; p++)
        for (int64_t c = 0; c < n; c++)
            store1(s->base.base.out[0], pixel(s, item, in, p) + c, true, sum[p * step + c]);
}

static mu_err run_resize_grad(mu_kernel *kernel, const mu_run *run)
{
    const resize *s = (const resize *)kernel;
    const mu_resize_tap *tap = row_taps(s);
    int threads = mu_simd_threads(&s->base, s->units * s->oh * s->ow * s->width * 4);
    (void)run;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < s->units * s->chunks; i++)
        if (s->width == 1 && s->half)
            plane_rows_grad(s, tap, i, true);
        else if (s->width == 1)
            plane_rows_grad(s, tap, i, false);
        else if (s->half)
            plane_channels_grad(s, tap, i, true);
        else
            plane_channels_grad(s, tap, i, false);
    return MU_OK;
}

static mu_err setup(mu_simd_kernel *kernel)
{
    resize *s = (resize *)kernel;
    const mu_call *call = &kernel->base.call;
    bool forward = call->op == &mu_op_resize;
    const mu_type *x = forward ? &call->in[0] : &call->out[0], *y = forward ? &call->out[0] : &call->in[0];
    s->half = x->dtype == MU_BF16;
    s->bilinear = ((const mu_resize_attrs *)call->attrs)->mode == MU_RESIZE_BILINEAR;
    s->ih = x->dim[2];
    s->iw = x->dim[3];
    s->oh = y->dim[2];
    s->ow = y->dim[3];
    s->width = kernel->x.width;
    s->units = kernel->x.n * kernel->x.blocks;
    s->chunks = (s->width + LANES - 1) / LANES;
    s->line = s->width == 1 ? s->iw : 0;
    if (!forward && s->half)
        s->line += s->ih * s->iw * (s->width == 1 ? 1 : LANES);
    kernel->base.scratch_bytes =
        (size_t)s->ow * sizeof(mu_resize_tap) + (size_t)(s->line * kernel->n_threads) * sizeof(float);
    return MU_OK;
}

const mu_simd_impl SIMD(resize) = {
    .layouts = MU_ALIKE_CHANNELS, .size = sizeof(resize), .setup = setup, .run = run_resize};
const mu_simd_impl SIMD(resize_grad) = {
    .layouts = MU_ALIKE_CHANNELS, .size = sizeof(resize), .setup = setup, .run = run_resize_grad};

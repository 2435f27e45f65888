#include "device.cuh"

/* Images [n,c,ih,iw] and [n,c,oh,ow] in one layout; taps by the rules of ops/resize.h, in f64 as there. */
typedef struct {
    int64_t in, out;
    double scale; /* bilinear: elements of x that a step in y covers */
    bool bilinear, corners;
} axis;

typedef struct {
    mu_cuda_kernel base;
    axis h, w;
} resize;

/* Output o is low_weight * x[low] + high_weight * x[high]. */
typedef struct {
    int64_t low, high;
    float low_weight, high_weight;
} tap;

__device__ static inline tap tap_of(const axis &a, int64_t o)
{
    if (!a.bilinear) {
        int64_t i = a.in == a.out ? o : a.out == 2 * a.in ? o / 2 : (int64_t)floorf((float)o * ((float)a.in / (float)a.out));
        i = i < a.in - 1 ? i : a.in - 1;
        return tap{i, i, 1, 0};
    }
    double at = a.corners ? a.scale * (double)o : a.scale * ((double)o + 0.5) - 0.5;
    at = at < 0 ? 0 : at;
    int64_t low = (int64_t)at;
    low = low > a.in - 1 ? a.in - 1 : low;
    double weight = at - (double)low;
    return tap{low, low < a.in - 1 ? low + 1 : low, (float)(1 - weight), (float)weight};
}

/* A pack of N channels of one place of y; row-major images have N = 1. dn, dc, ds: steps from a sample, a pack, a place to the next, in packs. */
typedef struct {
    int64_t packs, x_dn, x_dc, y_dn, y_dc, ds;
    bool last;
} walk;

/* Element i in the order of storage: its image and channels' offsets, and its place. */
__device__ static inline int64_t place_of(const walk &s, int64_t i, int64_t space, int64_t *n, int64_t *c)
{
    int64_t outer = s.last ? i / s.packs : i / space, place = s.last ? outer % space : i % space;
    *c = s.last ? i % s.packs : outer % s.packs;
    *n = s.last ? outer / space : outer / s.packs;
    return place;
}

template <class T, int N> __global__ void forward(walk s, axis h, axis w, const pack<T, N> *__restrict__ x, pack<T, N> *__restrict__ y, int64_t count)
{
    FOR_EACH(i, count)
    {
        int64_t n, c, place = place_of(s, i, h.out * w.out, &n, &c);
        tap v = tap_of(h, place / w.out), u = tap_of(w, place % w.out);
        const pack<T, N> *image = x + n * s.x_dn + c * s.x_dc;
        pack<T, N> a = image[(v.low * w.in + u.low) * s.ds];
        if (h.bilinear) {
            pack<T, N> b = image[(v.low * w.in + u.high) * s.ds], d = image[(v.high * w.in + u.low) * s.ds];
            pack<T, N> e = image[(v.high * w.in + u.high) * s.ds];
            for (int j = 0; j < N; j++)
                a.v[j] = store<T>(v.low_weight * (u.low_weight * load(a.v[j]) + u.high_weight * load(b.v[j])) +
                                  v.high_weight * (u.low_weight * load(d.v[j]) + u.high_weight * load(e.v[j])));
        }
        y[i] = a;
    }
}

/* The outputs begin..end that may read element i; tap_of decides. */
__device__ static inline void readers_of(const axis &a, int64_t i, int64_t *begin, int64_t *end)
{
    double step = a.bilinear ? a.scale : (double)a.in / (double)a.out, shift = a.bilinear && !a.corners ? 0.5 : 0;
    double first = ((double)i - 1 + shift) / step - shift - 1, past = ((double)i + 1 + shift) / step - shift + 2;
    *begin = i == 0 || step == 0 || first < 0 ? 0 : (int64_t)first;
    *end = i == a.in - 1 || step == 0 || past > (double)a.out ? a.out : (int64_t)past;
}

/* How much of output o goes to element i. */
__device__ static inline float share(const tap &t, int64_t i)
{
    return (t.low == i ? t.low_weight : 0) + (t.high == i ? t.high_weight : 0);
}

/* Every element of dx gathers from the outputs that read it. What has no share is left out, be it infinite. */
template <class T, int N>
__global__ void backward(walk s, axis h, axis w, const pack<T, N> *__restrict__ dy, pack<T, N> *__restrict__ dx, int64_t count)
{
    FOR_EACH(i, count)
    {
        int64_t n, c, place = place_of(s, i, h.in * w.in, &n, &c), row = place / w.in, column = place % w.in, top, bottom, left, right;
        const pack<T, N> *image = dy + n * s.y_dn + c * s.y_dc;
        float sum[N] = {};
        readers_of(h, row, &top, &bottom);
        readers_of(w, column, &left, &right);
        for (int64_t p = top; p < bottom; p++) {
            float v = share(tap_of(h, p), row);
            for (int64_t q = left; v != 0 && q < right; q++) {
                float u = share(tap_of(w, q), column);
                if (u == 0)
                    continue;
                pack<T, N> from = image[(p * w.out + q) * s.ds];
                for (int j = 0; j < N; j++)
                    sum[j] += v * u * load(from.v[j]);
            }
        }
        pack<T, N> to;
        for (int j = 0; j < N; j++)
            to.v[j] = store<T>(sum[j]);
        dx[i] = to;
    }
}

template <class T, int N> static mu_err run_packs(mu_kernel *kernel, bool is_forward)
{
    const resize *r = (const resize *)kernel;
    const mu_cuda *self = r->base.self;
    const mu_cuda_view *x = &r->base.x;
    int64_t packs = x->c / N, small = r->h.in * r->w.in, large = r->h.out * r->w.out;
    int64_t count = x->n * packs * (is_forward ? large : small);
    walk s = {packs, packs * small, x->last ? 1 : small, packs * large, x->last ? 1 : large, x->last ? packs : 1, x->last};
    const pack<T, N> *from = (const pack<T, N> *)kernel->in[0];
    pack<T, N> *to = (pack<T, N> *)kernel->out[0];
    if (is_forward)
        return launch(self, forward<T, N>, blocks_for(self, count), BLOCK, s, r->h, r->w, from, to, count);
    return launch(self, backward<T, N>, blocks_for(self, count), BLOCK, s, r->h, r->w, from, to, count);
}

static mu_err run_resize(mu_kernel *kernel, const mu_run *run)
{
    const mu_cuda_view *x = &((const resize *)kernel)->base.x;
    bool is_forward = kernel->call.op == &mu_op_resize;
    (void)run;
    return visit_float(kernel->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        enum { WIDE = 16 / sizeof(T) };
        return x->last && x->c % WIDE == 0 ? run_packs<T, WIDE>(kernel, is_forward) : run_packs<T, 1>(kernel, is_forward);
    });
}

static axis axis_of(const mu_resize_attrs *a, int64_t in, int64_t out)
{
    axis x = {in, out, (double)in / (double)out, a->mode == MU_RESIZE_BILINEAR, a->align_corners};
    if (a->align_corners)
        x.scale = out > 1 ? (double)(in - 1) / (double)(out - 1) : 0;
    return x;
}

static mu_err setup(mu_cuda_kernel *kernel)
{
    resize *r = (resize *)kernel;
    const mu_call *call = &kernel->base.call;
    bool is_forward = call->op == &mu_op_resize;
    const mu_type *x = is_forward ? &call->in[0] : &call->out[0], *y = is_forward ? &call->out[0] : &call->in[0];
    const mu_resize_attrs *a = (const mu_resize_attrs *)call->attrs;
    r->h = axis_of(a, x->dim[2], y->dim[2]);
    r->w = axis_of(a, x->dim[3], y->dim[3]);
    return MU_OK;
}

extern "C" const mu_cuda_impl resize_cuda = {MU_CUDA_CHANNELS, sizeof(resize), NULL, NULL, setup, run_resize, NULL};
extern "C" const mu_cuda_impl resize_grad_cuda = {MU_CUDA_CHANNELS, sizeof(resize), NULL, NULL, setup, run_resize, NULL};

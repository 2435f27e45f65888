#include "device.cuh"

#include "copy.h"

/* Dimensions in the order of storage, the fastest last. `large` is the padded tensor. */
typedef struct {
    int ndim, mode;
    int64_t small[MU_MAX_NDIM], large[MU_MAX_NDIM], before[MU_MAX_NDIM], stride[MU_MAX_NDIM];
} borders;

typedef struct {
    mu_cuda_kernel base;
    borders b;
    mu_cuda_copy copy; /* the gradient of a constant border, which is cut off */
    alignas(double) char value[sizeof(double)];
} pad;

/* mu_pad_source on the device. */
__device__ static inline int64_t source(int mode, int64_t i, int64_t n)
{
    if (i >= 0 && i < n)
        return i;
    if (mode == MU_PAD_REFLECT)
        return i < 0 ? -i : 2 * (n - 1) - i;
    return mode == MU_PAD_REPLICATE ? (i < 0 ? 0 : n - 1) : -1;
}

/* Every element of y takes its own; stride is that of x. */
template <class U> __global__ void put_borders(borders b, const U *__restrict__ x, U value, U *__restrict__ y, int64_t n)
{
    FOR_EACH(i, n)
    {
        int64_t left = i, at = 0;
        bool inside = true;
        for (int d = b.ndim - 1; d >= 0; d--) {
            int64_t k = source(b.mode, left % b.large[d] - b.before[d], b.small[d]);
            inside = inside && k >= 0;
            at += k * b.stride[d];
            left /= b.large[d];
        }
        y[i] = inside ? x[at] : value;
    }
}

/* Where along an axis of `large` elements element k was put, one place after the other: `count` in all. */
typedef struct {
    int64_t first, second, third; /* reflected */
    int64_t count;
} places;

__device__ static inline places places_of(int mode, int64_t k, int64_t before, int64_t small, int64_t large)
{
    places p = {before + k, 0, 0, 1};
    if (mode == MU_PAD_REFLECT) {
        int64_t left = before - k, right = before + 2 * (small - 1) - k;
        if (k > 0 && left >= 0)
            p.second = left, p.count = 2;
        if (k < small - 1 && right < large) {
            *(p.count == 1 ? &p.second : &p.third) = right;
            p.count++;
        }
        return p;
    }
    int64_t end = k == small - 1 ? large : before + k + 1;
    if (k == 0)
        p.first = 0;
    p.count = end - p.first;
    return p;
}

__device__ static inline int64_t place_at(const places &p, int mode, int64_t i)
{
    return mode == MU_PAD_REPLICATE ? p.first + i : i == 0 ? p.first : i == 1 ? p.second : p.third;
}

/* Every element of dx gathers what was made of it; stride is that of dy. */
template <class T> __global__ void add_borders(borders b, const T *__restrict__ dy, T *__restrict__ dx, int64_t n)
{
    FOR_EACH(i, n)
    {
        places p[MU_MAX_NDIM];
        int64_t left = i, all = 1;
        for (int d = b.ndim - 1; d >= 0; d--) {
            p[d] = places_of(b.mode, left % b.small[d], b.before[d], b.small[d], b.large[d]);
            all *= p[d].count;
            left /= b.small[d];
        }
        float sum = 0;
        for (int64_t j = 0; j < all; j++) {
            int64_t at = 0, rest = j;
            for (int d = b.ndim - 1; d >= 0; d--) {
                at += place_at(p[d], b.mode, rest % p[d].count) * b.stride[d];
                rest /= p[d].count;
            }
            sum += load(dy[at]);
        }
        dx[i] = store<T>(sum);
    }
}

static mu_err run_pad(mu_kernel *kernel, const mu_run *run)
{
    const pad *s = (const pad *)kernel;
    const mu_cuda *self = s->base.self;
    const mu_pad_attrs *a = (const mu_pad_attrs *)kernel->call.attrs;
    mu_dtype dtype = kernel->call.out[0].dtype;
    int64_t n = mu_type_count(&kernel->call.out[0]);
    const void *x = kernel->in[0];
    void *y = kernel->out[0];
    (void)run;
    if (a->gradient && a->mode == MU_PAD_CONSTANT)
        return mu_cuda_copy_run(self, &s->copy, x, y);
    if (a->gradient)
        return visit_float(dtype, [&](auto zero) {
            typedef decltype(zero) T;
            return launch(self, add_borders<T>, blocks_for(self, n), BLOCK, s->b, (const T *)x, (T *)y, n);
        });
    return visit_width(dtype, [&](auto zero) {
        typedef decltype(zero) U;
        U value;
        memcpy(&value, s->value, sizeof value);
        return launch(self, put_borders<U>, blocks_for(self, n), BLOCK, s->b, (const U *)x, value, (U *)y, n);
    });
}

/* Moves are of any dtype, sums of one that is computed. */
static bool supports(const mu_call *call, const char **why)
{
    const mu_pad_attrs *a = (const mu_pad_attrs *)call->attrs;
    return a->gradient && a->mode != MU_PAD_CONSTANT ? mu_cuda_one_float(call, why) : true;
}

/* Joins an axis without a border with the next one inwards that has none. */
static void join(borders *b)
{
    for (int d = b->ndim - 2; d >= 0; d--) {
        bool plain = b->small[d] == b->large[d] && b->small[d + 1] == b->large[d + 1];
        if (!plain || b->stride[d] != b->stride[d + 1] * b->small[d + 1])
            continue;
        b->small[d] = b->large[d] = b->small[d] * b->small[d + 1];
        b->stride[d] = b->stride[d + 1];
        b->ndim--;
        for (int e = d + 1; e < b->ndim; e++) {
            b->small[e] = b->small[e + 1];
            b->large[e] = b->large[e + 1];
            b->before[e] = b->before[e + 1];
            b->stride[e] = b->stride[e + 1];
        }
    }
}

static mu_err setup(mu_cuda_kernel *kernel)
{
    pad *s = (pad *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_pad_attrs *a = (const mu_pad_attrs *)call->attrs;
    const mu_type *x = &call->in[0], *y = &call->out[0], *small = a->gradient ? y : x, *large = a->gradient ? x : y;
    mu_cuda_copy *c = &s->copy;
    mu_cuda_strides(x, kernel->base.in_layout[0], c->from);
    mu_cuda_strides(y, kernel->base.out_layout[0], c->to);
    bool last = kernel->x.last && x->ndim > 2;
    s->b.ndim = x->ndim;
    s->b.mode = a->mode;
    for (int d = 0; d < x->ndim; d++) {
        int at = !last || d == 0 ? d : d == 1 ? x->ndim - 1 : d - 1; /* in storage */
        s->b.small[at] = small->dim[d];
        s->b.large[at] = large->dim[d];
        s->b.before[at] = a->before[d];
        s->b.stride[at] = c->from[d];
        c->from_start += a->before[d] * c->from[d];
    }
    join(&s->b);
    c->ndim = y->ndim;
    c->size = mu_dtype_size(y->dtype);
    memcpy(c->dim, y->dim, sizeof c->dim);
    mu_cuda_copy_plan(c);
    mu_convert(s->value, x->dtype, &a->value, MU_F64, 1);
    return MU_OK;
}

extern "C" const mu_cuda_impl pad_cuda = {MU_CUDA_STORED, sizeof(pad), supports, mu_cuda_copy_fits, setup, run_pad, NULL};

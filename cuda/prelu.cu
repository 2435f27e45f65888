#include "reduce.cuh"

/* y = x > 0 ? x : slope * x; dx = x > 0 ? dy : slope * dy; dslope = the sum of dy * x where x > 0 is false. One slope, or one for each channel. */

/* Element i has slope i / space % c. */
typedef struct {
    int64_t count, space, c;
    bool small, whole;
} mu_cuda_slopes;

template <class I> static __device__ inline int64_t slope_place(const mu_cuda_slopes &s, I i)
{
    return (int64_t)(i / (I)s.space % (I)s.c);
}

/* Forward d is x. */
template <class T> static __global__ void prelu_kernel(const T *d, const T *x, const T *slope, T *y, mu_cuda_slopes s)
{
    const int N = packed<T>;
    FOR_EACH(k, (s.count + N - 1) / N) {
        float v[N], w[N];
        read_pack<N>(x, k * N, s.count, s.whole, v);
        read_pack<N>(d, k * N, s.count, s.whole, w);
        for (int j = 0; j < N; j++) {
            int64_t i = k * N + j;
            float a = load(slope[s.small ? slope_place<uint32_t>(s, (uint32_t)i) : slope_place<int64_t>(s, i)]);
            w[j] = v[j] > 0 ? w[j] : a * w[j];
        }
        write_pack<N>(y, k * N, s.count, s.whole, w);
    }
}

template <class T> struct term_slope {
    typedef float result;
    const T *dy, *x;
    template <int N> __device__ void get(int64_t at, float *v) const
    {
        float w[N];
        read_pack<N>(x, at, at + N, N > 1, w);
        read_pack<N>(dy, at, at + N, N > 1, v);
        for (int j = 0; j < N; j++)
            v[j] = w[j] > 0 ? 0.0f : v[j] * w[j];
    }
};

typedef struct {
    mu_cuda_kernel base;
    mu_cuda_slopes slopes;
    mu_cuda_reduce_plan plan; /* of dslope */
} mu_cuda_prelu;

static mu_err prelu_setup(mu_cuda_kernel *kernel)
{
    mu_cuda_prelu *self = (mu_cuda_prelu *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_type *x = &call->in[0];
    bool forward = call->op == &mu_op_prelu, one = mu_type_count(&call->in[forward ? 1 : 2]) == 1;
    self->slopes.count = mu_type_count(x);
    self->slopes.small = self->slopes.count < INT64_C(0x7fffffff);
    self->slopes.c = one ? 1 : kernel->x.c;
    self->slopes.space = one || kernel->x.last ? 1 : kernel->x.space;
    if (forward || self->slopes.c == 0)
        return MU_OK;
    int64_t all = ((int64_t)1 << x->ndim) - 1, to[MU_MAX_NDIM] = {};
    if (!one)
        to[1] = 1;
    mu_cuda_reduction r = reduction_of(x, kernel->base.in_layout[0], one ? all : all & ~2, to);
    self->plan = reduce_plan_of(kernel->self, r, 16 / (int)mu_dtype_size(x->dtype));
    kernel->base.scratch_bytes = reduce_scratch(&self->plan, sizeof(float));
    return MU_OK;
}

static mu_err prelu_run(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    const mu_cuda_prelu *self = (const mu_cuda_prelu *)kernel;
    const mu_cuda *cuda = self->base.self;
    bool forward = kernel->call.op == &mu_op_prelu;
    const void *d = kernel->in[0], *x = kernel->in[forward ? 0 : 1], *slope = kernel->in[forward ? 1 : 2];
    void *y = kernel->out[0], *dslope = forward ? NULL : kernel->out[1], *scratch = kernel->scratch;
    mu_cuda_slopes s = self->slopes;
    bool whole = lies_whole(d, 16) && lies_whole(x, 16);
    s.whole = whole && lies_whole(y, 16);
    if (s.c == 0) /* no channels: no elements either */
        return MU_OK;
    return visit_float(kernel->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        if (dslope) { /* first: y may be in the place of dy */
            term_slope<T> term = {(const T *)d, (const T *)x};
            last_quotient<T> last = {1};
            MU_TRY((reduce_all<packed<T>>(cuda, &self->plan, term, op_sum(), last, whole, scratch, (T *)dslope)));
        }
        if (!y)
            return MU_OK;
        return launch(cuda, prelu_kernel<T>, blocks_for(cuda, s.count, packed<T>), BLOCK, (const T *)d, (const T *)x, (const T *)slope, (T *)y, s);
    });
}

extern "C" const mu_cuda_impl prelu_cuda = {MU_CUDA_CHANNELS, sizeof(mu_cuda_prelu), NULL, NULL, prelu_setup, prelu_run, NULL};

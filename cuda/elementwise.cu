#include "element.cuh"

/* Element-wise operations, memory-bound: one kernel serves all of a dtype. */

typedef struct {
    int64_t count;
    element_code code;
    int n_in;
    float alpha, beta;
    bool whole;
    bool truth[3], out_truth; /* booleans */
    mu_cuda_seen in[3];
    void *out;
} mu_cuda_single;

template <int N, class T> static __device__ inline void single_fetch(const mu_cuda_single &s, int i, int64_t at, float *x)
{
    if (i >= s.n_in)
        return;
    if (!s.truth[i]) {
        read_seen<N, T>(s.in[i], at, s.count, s.whole, x);
        return;
    }
    uint8_t b[N] = {};
    read_seen<N, uint8_t>(s.in[i], at, s.count, s.whole, b);
    for (int j = 0; j < N; j++)
        x[j] = b[j];
}

template <class T> static __global__ void single_kernel(mu_cuda_single s)
{
    const int N = packed<T>;
    FOR_EACH(k, (s.count + N - 1) / N) {
        float a[N] = {}, b[N] = {}, c[N] = {}, y[N] = {};
        single_fetch<N, T>(s, 0, k * N, a);
        single_fetch<N, T>(s, 1, k * N, b);
        single_fetch<N, T>(s, 2, k * N, c);
        element_step<N>(s.code, s.alpha, s.beta, a, b, c, y);
        if (s.out_truth)
            write_truth<N>(s.out, k * N, s.count, s.whole, y);
        else
            write_pack<N>((T *)s.out, k * N, s.count, s.whole, y);
    }
}

/* ---- integers and f64: what needs no formula ---- */

static __device__ inline double plain_number(int code, double a, double b)
{
    switch (code) {
    case CODE_ADD: return a + b;
    case CODE_SUB: return a - b;
    case CODE_MUL: return a * b;
    case CODE_DIV: return a / b;
    case CODE_MAXIMUM: return a > b || a != a ? a : b;
    default: return a < b || a != a ? a : b;
    }
}

/* Integers wrap. */
static __device__ inline int64_t plain_number(int code, int64_t a, int64_t b)
{
    uint64_t u = (uint64_t)a, v = (uint64_t)b;
    switch (code) {
    case CODE_ADD: return (int64_t)(u + v);
    case CODE_SUB: return (int64_t)(u - v);
    case CODE_MUL: return (int64_t)(u * v);
    case CODE_MAXIMUM: return a > b ? a : b;
    default: return a < b ? a : b;
    }
}

template <class Wide> static __device__ inline bool plain_truth(int code, Wide a, Wide b)
{
    switch (code) {
    case CODE_EQUAL: return a == b;
    case CODE_NOT_EQUAL: return a != b;
    case CODE_LESS: return a < b;
    case CODE_LESS_EQUAL: return a <= b;
    case CODE_GREATER: return a > b;
    default: return a >= b;
    }
}

template <class T, class Wide> static __global__ void plain_kernel(mu_cuda_single s)
{
    FOR_EACH(i, s.count) {
        if (s.code == CODE_WHERE) {
            uint8_t condition = 0;
            T x[2] = {};
            read_seen<1, uint8_t>(s.in[0], i, s.count, false, &condition);
            read_seen<1, T>(s.in[1], i, s.count, false, &x[0]);
            read_seen<1, T>(s.in[2], i, s.count, false, &x[1]);
            ((T *)s.out)[i] = condition ? x[0] : x[1];
            continue;
        }
        T a = 0, b = 0;
        read_seen<1, T>(s.in[0], i, s.count, false, &a);
        read_seen<1, T>(s.in[1], i, s.count, false, &b);
        if (s.out_truth)
            ((uint8_t *)s.out)[i] = plain_truth<Wide>(s.code, (Wide)a, (Wide)b);
        else
            ((T *)s.out)[i] = (T)plain_number(s.code, (Wide)a, (Wide)b);
    }
}

/* ---- the host's side ---- */

typedef struct {
    mu_cuda_kernel base;
    mu_dtype dtype; /* of the floats; else of the numbers */
    mu_cuda_single single;
} mu_cuda_elementwise;

static bool elementwise_supports(const mu_call *call, const char **why)
{
    mu_dtype dtype = computed(call);
    const element_row *row = find_element(call->op);
    *why = "the CUDA kernels compute f32, bf16 and f16";
    return row && (is_short_float(dtype) || (row->any && !(call->op == &mu_op_div && !mu_dtype_is_float(dtype))));
}

static mu_err elementwise_setup(mu_cuda_kernel *kernel)
{
    mu_cuda_elementwise *self = (mu_cuda_elementwise *)kernel;
    const mu_call *call = &kernel->base.call;
    mu_cuda_single *s = &self->single;
    const element_row *row = find_element(call->op);
    bool attrs = call->op->attrs_size == sizeof(mu_unary_attrs) && call->attrs;
    const mu_unary_attrs none = {0, 0}, *a = attrs ? (const mu_unary_attrs *)call->attrs : &none;
    self->dtype = computed(call);
    int each = is_short_float(self->dtype) ? 16 / (int)mu_dtype_size(self->dtype) : 1;
    s->count = mu_type_count(&call->out[0]);
    s->code = code_of(row, a->alpha);
    s->alpha = (float)a->alpha;
    s->beta = (float)a->beta;
    s->n_in = call->n_in;
    s->out_truth = call->out[0].dtype == MU_BOOL;
    for (int i = 0; i < call->n_in; i++) {
        s->truth[i] = call->in[i].dtype == MU_BOOL;
        s->in[i] = seen_by(&call->in[i], &call->out[0], kernel->base.out_layout[0], each);
    }
    return MU_OK;
}

static mu_err elementwise_run(mu_kernel *k, const mu_run *run)
{
    mu_cuda_elementwise *self = (mu_cuda_elementwise *)k;
    const mu_cuda *cuda = self->base.self;
    mu_cuda_single *s = &self->single;
    (void)run;
    if (s->count == 0)
        return MU_OK;
    s->whole = all_whole(k);
    for (int i = 0; i < k->call.n_in; i++)
        s->in[i].at = k->in[i];
    s->out = k->out[0];
    unsigned blocks = blocks_for(cuda, s->count);
    switch (self->dtype) {
    case MU_F64: return launch(cuda, plain_kernel<double, double>, blocks, BLOCK, *s);
    case MU_I64: return launch(cuda, plain_kernel<int64_t, int64_t>, blocks, BLOCK, *s);
    case MU_I32: return launch(cuda, plain_kernel<int32_t, int64_t>, blocks, BLOCK, *s);
    case MU_U8:
    case MU_BOOL: return launch(cuda, plain_kernel<uint8_t, int64_t>, blocks, BLOCK, *s);
    default: break;
    }
    return visit_float(self->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return launch(cuda, single_kernel<T>, blocks_for(cuda, s->count, packed<T>), BLOCK, *s);
    });
}

extern "C" const mu_cuda_impl elementwise_cuda = {
    MU_CUDA_FLAT, sizeof(mu_cuda_elementwise), elementwise_supports, NULL, elementwise_setup, elementwise_run, NULL};

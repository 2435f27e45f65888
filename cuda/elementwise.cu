#include "flat.cuh"

#include <math.h>

/* Element-wise operations and chains of them, memory-bound: one kernel serves all operations of a dtype; what to do with a pack of elements is looked
 * up once for the pack, in f32. Formulas: backend/ref/scalar.h. */

enum element_code {
    CODE_ABS, CODE_ABS_GRAD, CODE_ADD, CODE_CLAMP, CODE_CLAMP_GRAD, CODE_DIV, CODE_EQUAL, CODE_EXP, CODE_GELU, CODE_GELU_GRAD, CODE_GELU_TANH,
    CODE_GELU_TANH_GRAD, CODE_GREATER, CODE_GREATER_EQUAL, CODE_HARD_SIGMOID, CODE_HARD_SIGMOID_GRAD, CODE_HARD_SWISH, CODE_HARD_SWISH_GRAD,
    CODE_LEAKY_RELU, CODE_LEAKY_RELU_GRAD, CODE_LESS, CODE_LESS_EQUAL, CODE_LOG, CODE_MAXIMUM, CODE_MINIMUM, CODE_MUL, CODE_NEG, CODE_NOT_EQUAL,
    CODE_POWER, CODE_RELU, CODE_RELU6, CODE_RELU6_GRAD, CODE_RELU_GRAD, CODE_SIGMOID, CODE_SIGMOID_GRAD, CODE_SILU, CODE_SILU_GRAD, CODE_SQRT,
    CODE_SUB, CODE_TANH, CODE_TANH_GRAD, CODE_WHERE
};

/* `any`: also of integers and f64. */
static const struct element_row {
    const mu_op *op;
    element_code code;
    bool any;
} element_table[] = {
    {&mu_op_abs, CODE_ABS, false},
    {&mu_op_abs_grad, CODE_ABS_GRAD, false},
    {&mu_op_add, CODE_ADD, true},
    {&mu_op_clamp, CODE_CLAMP, false},
    {&mu_op_clamp_grad, CODE_CLAMP_GRAD, false},
    {&mu_op_div, CODE_DIV, true},
    {&mu_op_equal, CODE_EQUAL, true},
    {&mu_op_exp, CODE_EXP, false},
    {&mu_op_gelu, CODE_GELU, false},
    {&mu_op_gelu_grad, CODE_GELU_GRAD, false},
    {&mu_op_greater, CODE_GREATER, true},
    {&mu_op_greater_equal, CODE_GREATER_EQUAL, true},
    {&mu_op_hard_sigmoid, CODE_HARD_SIGMOID, false},
    {&mu_op_hard_sigmoid_grad, CODE_HARD_SIGMOID_GRAD, false},
    {&mu_op_hard_swish, CODE_HARD_SWISH, false},
    {&mu_op_hard_swish_grad, CODE_HARD_SWISH_GRAD, false},
    {&mu_op_leaky_relu, CODE_LEAKY_RELU, false},
    {&mu_op_leaky_relu_grad, CODE_LEAKY_RELU_GRAD, false},
    {&mu_op_less, CODE_LESS, true},
    {&mu_op_less_equal, CODE_LESS_EQUAL, true},
    {&mu_op_log, CODE_LOG, false},
    {&mu_op_maximum, CODE_MAXIMUM, true},
    {&mu_op_minimum, CODE_MINIMUM, true},
    {&mu_op_mul, CODE_MUL, true},
    {&mu_op_neg, CODE_NEG, false},
    {&mu_op_not_equal, CODE_NOT_EQUAL, true},
    {&mu_op_power, CODE_POWER, false},
    {&mu_op_relu, CODE_RELU, false},
    {&mu_op_relu6, CODE_RELU6, false},
    {&mu_op_relu6_grad, CODE_RELU6_GRAD, false},
    {&mu_op_relu_grad, CODE_RELU_GRAD, false},
    {&mu_op_sigmoid, CODE_SIGMOID, false},
    {&mu_op_sigmoid_grad, CODE_SIGMOID_GRAD, false},
    {&mu_op_silu, CODE_SILU, false},
    {&mu_op_silu_grad, CODE_SILU_GRAD, false},
    {&mu_op_sqrt, CODE_SQRT, false},
    {&mu_op_sub, CODE_SUB, true},
    {&mu_op_tanh, CODE_TANH, false},
    {&mu_op_tanh_grad, CODE_TANH_GRAD, false},
    {&mu_op_where, CODE_WHERE, true},
};

static const element_row *find_element(const mu_op *op)
{
    for (size_t i = 0; i < sizeof element_table / sizeof *element_table; i++)
        if (element_table[i].op == op)
            return &element_table[i];
    return NULL;
}

/* gelu's attribute chooses between two formulas. */
static element_code code_of(const element_row *row, double alpha)
{
    if (row->code == CODE_GELU && alpha != 0)
        return CODE_GELU_TANH;
    if (row->code == CODE_GELU_GRAD && alpha != 0)
        return CODE_GELU_TANH_GRAD;
    return row->code;
}

/* ---- formulas; neither tail of a sigmoid cancels or overflows ---- */

static __device__ inline float sigmoid(float x)
{
    float e = expf(-fabsf(x)), r = 1.0f / (1.0f + e);
    return x >= 0 ? r : e * r;
}

static __device__ inline float silu_slope(float x)
{
    float e = expf(-fabsf(x)), r = 1.0f / (1.0f + e), s = x >= 0 ? r : e * r, rest = x >= 0 ? e * r : r;
    return s * (1.0f + x * rest);
}

static __device__ inline float gelu_inner(float x)
{
    return 0.79788456080286536f * (x + 0.044715f * x * x * x);
}

static __device__ inline float gelu_erf(float x)
{
    return 0.5f * x * erfcf(x * -0.70710678118654752f);
}

/* x within a range beyond which the factors of the slopes are 0; an infinity becomes NaN, as 0 times it is. */
static __device__ inline float bounded(float x)
{
    if (fabsf(x) > 3.402823466e38f)
        return x * 0.0f;
    return x > 40.0f ? 40.0f : x < -40.0f ? -40.0f : x;
}

static __device__ inline float gelu_erf_slope(float x)
{
    float b = bounded(x);
    return 0.5f * erfcf(x * -0.70710678118654752f) + b * expf(-0.5f * b * b) * 0.39894228040143268f;
}

static __device__ inline float gelu_tanh_slope(float x)
{
    float b = bounded(x), u = 2.0f * gelu_inner(b), s = sigmoid(u);
    return s + b * s * sigmoid(-u) * 1.59576912160573072f * (1.0f + 0.134145f * b * b);
}

/* y[j] = code(a[j], b[j], c[j]) */
#define EACH(...)                       \
    UNROLL for (int j = 0; j < N; j++) { \
        float p = a[j], q = b[j];       \
        (void)q;                        \
        y[j] = __VA_ARGS__;             \
    }                                   \
    return
template <int N>
static __device__ inline void element_step(int code, float alpha, float beta, const float *a, const float *b, const float *c, float *y)
{
    switch (code) {
    case CODE_ABS: EACH(fabsf(p));
    case CODE_ABS_GRAD: EACH(q > 0 ? p : q < 0 ? -p : q * p);
    case CODE_ADD: EACH(p + q);
    case CODE_CLAMP: EACH(p < alpha ? alpha : p > beta ? beta : p);
    case CODE_CLAMP_GRAD: EACH(q > alpha && q < beta ? p : 0.0f);
    case CODE_DIV: EACH(p / q);
    case CODE_EQUAL: EACH(p == q ? 1.0f : 0.0f);
    case CODE_EXP: EACH(expf(p));
    case CODE_GELU: EACH(gelu_erf(p));
    case CODE_GELU_GRAD: EACH(p * gelu_erf_slope(q));
    case CODE_GELU_TANH: EACH(p * sigmoid(2.0f * gelu_inner(p)));
    case CODE_GELU_TANH_GRAD: EACH(p * gelu_tanh_slope(q));
    case CODE_GREATER: EACH(p > q ? 1.0f : 0.0f);
    case CODE_GREATER_EQUAL: EACH(p >= q ? 1.0f : 0.0f);
    case CODE_HARD_SIGMOID: EACH(p <= -3.0f ? 0.0f : p >= 3.0f ? 1.0f : p / 6.0f + 0.5f);
    case CODE_HARD_SIGMOID_GRAD: EACH(q > -3.0f && q < 3.0f ? p / 6.0f : 0.0f);
    case CODE_HARD_SWISH: EACH(p <= -3.0f ? 0.0f : p >= 3.0f ? p : p * (p + 3.0f) / 6.0f);
    case CODE_HARD_SWISH_GRAD: EACH(q <= -3.0f ? 0.0f : q >= 3.0f ? p : p * (q / 3.0f + 0.5f));
    case CODE_LEAKY_RELU: EACH(p > 0 ? p : alpha * p);
    case CODE_LEAKY_RELU_GRAD: EACH(q > 0 ? p : alpha * p);
    case CODE_LESS: EACH(p < q ? 1.0f : 0.0f);
    case CODE_LESS_EQUAL: EACH(p <= q ? 1.0f : 0.0f);
    case CODE_LOG: EACH(logf(p));
    case CODE_MAXIMUM: EACH(p > q || p != p ? p : q);
    case CODE_MINIMUM: EACH(p < q || p != p ? p : q);
    case CODE_MUL: EACH(p * q);
    case CODE_NEG: EACH(-p);
    case CODE_NOT_EQUAL: EACH(p != q ? 1.0f : 0.0f);
    case CODE_POWER: EACH(q == 2.0f ? p * p : powf(p, q));
    case CODE_RELU: EACH(p > 0 || p != p ? p : 0.0f);
    case CODE_RELU6: EACH(p > 6.0f ? 6.0f : p > 0 || p != p ? p : 0.0f);
    case CODE_RELU6_GRAD: EACH(q > 0 && q < 6.0f ? p : 0.0f);
    case CODE_RELU_GRAD: EACH(q > 0 ? p : 0.0f);
    case CODE_SIGMOID: EACH(sigmoid(p));
    case CODE_SIGMOID_GRAD: EACH(p * q * (1.0f - q));
    case CODE_SILU: EACH(p * sigmoid(p));
    case CODE_SILU_GRAD: EACH(p * silu_slope(q));
    case CODE_SQRT: EACH(sqrtf(p));
    case CODE_SUB: EACH(p - q);
    case CODE_TANH: EACH(tanhf(p));
    case CODE_TANH_GRAD: EACH(p * (1.0f - q * q));
    case CODE_WHERE: EACH(p != 0 ? q : c[j]);
    default: return;
    }
}
#undef EACH

/* ---- one operation ---- */

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

/* ---- casts, as mu_convert does them: through double, but integers among themselves wrap ---- */

template <class To> struct cast_to {
    static __device__ To of(double x) { return (To)x; }
    static __device__ To of(float x) { return (To)x; }
    static __device__ To of(int64_t x) { return (To)x; }
};
template <> struct cast_to<float> {
    static __device__ float of(double x) { return (float)x; }
    static __device__ float of(float x) { return x; }
    static __device__ float of(int64_t x) { return (float)(double)x; }
};
template <> struct cast_to<bf16> {
    template <class From> static __device__ bf16 of(From x) { return store<bf16>(cast_to<float>::of(x)); }
};
template <> struct cast_to<f16> {
    template <class From> static __device__ f16 of(From x) { return store<f16>(cast_to<float>::of(x)); }
};

/* What an element is computed with: double, float or int64_t. */
template <class From> struct cast_wide {
    typedef int64_t type;
};
template <> struct cast_wide<double> {
    typedef double type;
};
template <> struct cast_wide<float> {
    typedef float type;
};
template <> struct cast_wide<bf16> {
    typedef float type;
};
template <> struct cast_wide<f16> {
    typedef float type;
};

template <class From, class To>
static __global__ void cast_kernel(const From *from, To *to, int64_t count, bool whole, bool truth)
{
    const int N = 16 / (int)(sizeof(From) > sizeof(To) ? sizeof(From) : sizeof(To));
    FOR_EACH(k, (count + N - 1) / N) {
        int64_t i = k * N;
        pack<From, N> x;
        pack<To, N> y;
        bool all = whole && i + N <= count;
        if (all)
            x = *(const pack<From, N> *)(from + i);
        for (int j = 0; j < N; j++)
            if (all || i + j < count) {
                auto wide = (typename cast_wide<From>::type)load(all ? x.v[j] : from[i + j]);
                y.v[j] = truth ? cast_to<To>::of((int64_t)(wide != 0)) : cast_to<To>::of(wide);
                if (!all)
                    to[i + j] = y.v[j];
            }
        if (all)
            *(pack<To, N> *)(to + i) = y;
    }
}

/* ---- chains: a program that every thread interprets for its pack ---- */

enum { CHAIN_PACK = 4, CHAIN_BEFORE = 127 }; /* CHAIN_BEFORE as an argument: the result of the step before */

typedef struct {
    float alpha, beta;
    unsigned char code;
    signed char arg[3]; /* an operand, MU_CHAIN_MAX_IN + a slot, CHAIN_BEFORE, or -1 */
    signed char slot;   /* where the result is kept for later; -1: only the next step wants it */
} mu_cuda_chain_step;

typedef struct {
    int64_t count;
    bool whole;
    int n_steps, n_out;
    bool truth[MU_CHAIN_MAX_IN], one[MU_CHAIN_MAX_IN], out_truth[MU_CHAIN_MAX_OUT];
    const void *in[MU_CHAIN_MAX_IN];
    void *out[MU_CHAIN_MAX_OUT];
    signed char from[MU_CHAIN_MAX_OUT]; /* outputs, as arguments */
    mu_cuda_chain_step step[MU_CHAIN_MAX];
} mu_cuda_chain;

template <class T, int SLOTS>
static __device__ inline void chain_fetch(const mu_cuda_chain &c, int arg, int64_t i, const float (*slot)[CHAIN_PACK], const float *before, float *x)
{
    const int N = CHAIN_PACK;
    if (arg < 0)
        return;
    if (arg == CHAIN_BEFORE || arg >= MU_CHAIN_MAX_IN) {
        for (int j = 0; j < N; j++)
            x[j] = arg == CHAIN_BEFORE ? before[j] : slot[arg - MU_CHAIN_MAX_IN][j];
    } else if (c.one[arg]) {
        float all = c.truth[arg] ? (float)*(const uint8_t *)c.in[arg] : load(*(const T *)c.in[arg]);
        for (int j = 0; j < N; j++)
            x[j] = all;
    } else if (c.truth[arg]) {
        read_truth<N>(c.in[arg], i, c.count, c.whole, x);
    } else {
        read_pack<N>((const T *)c.in[arg], i, c.count, c.whole, x);
    }
}

template <class T, int SLOTS> static __global__ void chain_kernel(mu_cuda_chain c)
{
    const int N = CHAIN_PACK;
    float slot[SLOTS][N];
    FOR_EACH(k, (c.count + N - 1) / N) {
        float before[N] = {}, x[3][N] = {}, y[N];
        for (int s = 0; s < c.n_steps; s++) {
            const mu_cuda_chain_step &step = c.step[s];
            for (int a = 0; a < 3; a++)
                chain_fetch<T, SLOTS>(c, step.arg[a], k * N, slot, before, x[a]);
            element_step<N>(step.code, step.alpha, step.beta, x[0], x[1], x[2], y);
            for (int j = 0; j < N; j++) {
                before[j] = y[j];
                if (step.slot >= 0)
                    slot[step.slot][j] = y[j];
            }
        }
        for (int o = c.n_out - 1; o >= 0; o--) { /* output 0 may be in operand 0: it is written last */
            chain_fetch<T, SLOTS>(c, c.from[o], k * N, slot, before, y);
            if (c.out_truth[o])
                write_truth<N>(c.out[o], k * N, c.count, c.whole, y);
            else
                write_pack<N>((T *)c.out[o], k * N, c.count, c.whole, y);
        }
    }
}

/* ---- the host's side ---- */

typedef struct {
    mu_cuda_kernel base;
    mu_dtype dtype; /* of the floats; else of the numbers */
    int n_slots;
    mu_cuda_single single;
    mu_cuda_chain chain;
} mu_cuda_elementwise;

/* The dtype that the kernel computes: the first float; else that of the last operand. */
static mu_dtype computed(const mu_call *call)
{
    for (int i = 0; i < call->n_in; i++)
        if (mu_dtype_is_float(call->in[i].dtype))
            return call->in[i].dtype;
    return call->in[call->n_in - 1].dtype;
}

static bool is_short_float(mu_dtype dtype)
{
    return dtype == MU_F32 || dtype == MU_BF16 || dtype == MU_F16;
}

static bool elementwise_supports(const mu_call *call, const char **why)
{
    mu_dtype dtype = computed(call);
    if (call->op == &mu_op_cast)
        return true;
    *why = "the CUDA kernels compute f32, bf16 and f16";
    if (call->op == &mu_op_chain) {
        const mu_chain_attrs *a = (const mu_chain_attrs *)call->attrs;
        if (!is_short_float(dtype) && dtype != MU_BOOL)
            return false;
        *why = "a step of the chain has no element-wise CUDA kernel";
        for (int64_t s = 0; s < a->n_steps; s++)
            if (!find_element(a->step[s].op))
                return false;
        return true;
    }
    const element_row *row = find_element(call->op);
    return row && (is_short_float(dtype) || (row->any && !(call->op == &mu_op_div && !mu_dtype_is_float(dtype))));
}

/* Which steps come last to read each register; outputs are read after all steps. */
static void last_readers(const mu_chain_attrs *a, int n_in, int last[MU_CHAIN_MAX_IN + MU_CHAIN_MAX])
{
    for (int r = 0; r < n_in + (int)a->n_steps; r++)
        last[r] = -1;
    for (int s = 0; s < (int)a->n_steps; s++)
        for (int k = 0; k < 3; k++)
            if (a->step[s].arg[k] >= 0)
                last[(int)a->step[s].arg[k]] = s;
    for (int o = 0; o < (int)a->n_out; o++)
        last[(int)a->out[o]] = (int)a->n_steps;
}

/* Gives results that a later step wants a slot, which is free again after its last reader; results that only the next step wants need none. */
static void set_chain(mu_cuda_elementwise *self)
{
    const mu_call *call = &self->base.base.call;
    const mu_chain_attrs *a = (const mu_chain_attrs *)call->attrs;
    mu_cuda_chain *c = &self->chain;
    int n_in = call->n_in, last[MU_CHAIN_MAX_IN + MU_CHAIN_MAX], slot_of[MU_CHAIN_MAX_IN + MU_CHAIN_MAX], until[MU_CHAIN_MAX] = {};
    last_readers(a, n_in, last);
    c->n_steps = (int)a->n_steps;
    c->n_out = (int)a->n_out;
    for (int s = 0; s < c->n_steps; s++) {
        mu_cuda_chain_step *to = &c->step[s];
        const mu_chain_step *from = &a->step[s];
        to->alpha = (float)from->alpha;
        to->beta = (float)from->beta;
        to->code = (unsigned char)code_of(find_element(from->op), from->alpha);
        for (int k = 0; k < 3; k++) {
            int r = from->arg[k];
            to->arg[k] = (signed char)(r < n_in ? r : r == n_in + s - 1 ? (int)CHAIN_BEFORE : MU_CHAIN_MAX_IN + slot_of[r]);
        }
        to->slot = -1;
        if (last[n_in + s] > s + 1) {
            int free_slot = 0;
            while (until[free_slot] > s)
                free_slot++;
            until[free_slot] = last[n_in + s];
            to->slot = (signed char)free_slot;
            self->n_slots = self->n_slots > free_slot + 1 ? self->n_slots : free_slot + 1;
        }
        slot_of[n_in + s] = to->slot;
    }
    for (int o = 0; o < c->n_out; o++) {
        int r = a->out[o];
        c->from[o] = (signed char)(r < n_in ? r : r == n_in + c->n_steps - 1 ? (int)CHAIN_BEFORE : MU_CHAIN_MAX_IN + slot_of[r]);
        c->out_truth[o] = call->out[o].dtype == MU_BOOL;
    }
    for (int i = 0; i < n_in; i++) {
        c->truth[i] = call->in[i].dtype == MU_BOOL;
        c->one[i] = mu_type_count(&call->in[i]) == 1;
    }
}

static void set_single(mu_cuda_elementwise *self)
{
    const mu_call *call = &self->base.base.call;
    mu_cuda_single *s = &self->single;
    const element_row *row = find_element(call->op);
    bool attrs = call->op->attrs_size == sizeof(mu_unary_attrs) && call->attrs;
    const mu_unary_attrs none = {0, 0}, *a = attrs ? (const mu_unary_attrs *)call->attrs : &none;
    int each = is_short_float(self->dtype) ? 16 / (int)mu_dtype_size(self->dtype) : 1;
    s->code = code_of(row, a->alpha);
    s->alpha = (float)a->alpha;
    s->beta = (float)a->beta;
    s->n_in = call->n_in;
    s->out_truth = call->out[0].dtype == MU_BOOL;
    for (int i = 0; i < call->n_in; i++) {
        s->truth[i] = call->in[i].dtype == MU_BOOL;
        s->in[i] = seen_by(&call->in[i], &call->out[0], self->base.base.out_layout[0], each);
    }
}

static mu_err elementwise_setup(mu_cuda_kernel *kernel)
{
    mu_cuda_elementwise *self = (mu_cuda_elementwise *)kernel;
    const mu_call *call = &kernel->base.call;
    self->dtype = computed(call);
    self->single.count = self->chain.count = mu_type_count(&call->out[0]);
    if (call->op == &mu_op_chain) {
        if (self->dtype == MU_BOOL) /* truths alone: numbers are 0 and 1 */
            self->dtype = MU_F32;
        set_chain(self);
    } else if (call->op != &mu_op_cast) {
        set_single(self);
    }
    return MU_OK;
}

/* Do all addresses let 16 bytes be moved at once? */
static bool all_whole(const mu_kernel *kernel)
{
    bool whole = true;
    for (int i = 0; i < kernel->call.n_in; i++)
        whole &= lies_whole(kernel->in[i], 16);
    for (int o = 0; o < kernel->call.n_out; o++)
        whole &= lies_whole(kernel->out[o], 16);
    return whole;
}

static mu_err run_cast(mu_cuda_elementwise *self)
{
    const mu_kernel *k = &self->base.base;
    const mu_cuda *cuda = self->base.self;
    int64_t count = self->single.count;
    mu_dtype from = k->call.in[0].dtype, to = k->call.out[0].dtype;
    bool whole = all_whole(k), truth = to == MU_BOOL;
    const void *x = k->in[0];
    void *y = k->out[0];
    return visit_any(from, [&](auto zero) {
        typedef decltype(zero) From;
        return visit_any(to, [&](auto nought) {
            typedef decltype(nought) To;
            unsigned blocks = blocks_for(cuda, count, 16 / (int64_t)(sizeof(From) > sizeof(To) ? sizeof(From) : sizeof(To)));
            return launch(cuda, cast_kernel<From, To>, blocks, BLOCK, (const From *)x, (To *)y, count, whole, truth);
        });
    });
}

static mu_err run_chain(mu_cuda_elementwise *self)
{
    mu_kernel *k = &self->base.base;
    const mu_cuda *cuda = self->base.self;
    mu_cuda_chain *c = &self->chain;
    c->whole = all_whole(k);
    for (int i = 0; i < k->call.n_in; i++)
        c->in[i] = k->in[i];
    for (int o = 0; o < c->n_out; o++)
        c->out[o] = k->out[o];
    unsigned blocks = blocks_for(cuda, c->count, CHAIN_PACK);
    return visit_float(self->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        if (self->n_slots <= 4)
            return launch(cuda, chain_kernel<T, 4>, blocks, BLOCK, *c);
        return launch(cuda, chain_kernel<T, MU_CHAIN_MAX>, blocks, BLOCK, *c);
    });
}

static mu_err run_single(mu_cuda_elementwise *self)
{
    mu_kernel *k = &self->base.base;
    const mu_cuda *cuda = self->base.self;
    mu_cuda_single *s = &self->single;
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

static mu_err elementwise_run(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    mu_cuda_elementwise *self = (mu_cuda_elementwise *)kernel;
    if (self->single.count == 0)
        return MU_OK;
    return kernel->call.op == &mu_op_cast    ? run_cast(self)
           : kernel->call.op == &mu_op_chain ? run_chain(self)
                                             : run_single(self);
}

extern "C" const mu_cuda_impl elementwise_cuda = {
    MU_CUDA_FLAT, sizeof(mu_cuda_elementwise), elementwise_supports, NULL, elementwise_setup, elementwise_run, NULL};

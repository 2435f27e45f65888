/* What element-wise operations compute, by themselves and as steps of a chain. Formulas: backend/ref/scalar.h. */
#ifndef MU_CUDA_ELEMENT_CUH
#define MU_CUDA_ELEMENT_CUH

#include "flat.cuh"

#include <math.h>

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

static inline const element_row *find_element(const mu_op *op)
{
    for (size_t i = 0; i < sizeof element_table / sizeof *element_table; i++)
        if (element_table[i].op == op)
            return &element_table[i];
    return NULL;
}

/* gelu's attribute chooses between two formulas. */
static inline element_code code_of(const element_row *row, double alpha)
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

/* y[j] = code(a[j], b[j], c[j]); what to do is looked up once for a pack, in f32. */
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

/* ---- dtypes ---- */

/* The dtype that the kernel computes: the first float; else that of the last operand. */
static inline mu_dtype computed(const mu_call *call)
{
    for (int i = 0; i < call->n_in; i++)
        if (mu_dtype_is_float(call->in[i].dtype))
            return call->in[i].dtype;
    return call->in[call->n_in - 1].dtype;
}

static inline bool is_short_float(mu_dtype dtype)
{
    return dtype == MU_F32 || dtype == MU_BF16 || dtype == MU_F16;
}

#endif

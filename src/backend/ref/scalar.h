/* The element-wise operations as scalar functions, each once: for their own kernels, for chains, and for the activations that
 * fused operations end with. They compute in double and are rounded by who stores them. */
#ifndef MU_BACKEND_REF_SCALAR_H
#define MU_BACKEND_REF_SCALAR_H

#include <math.h>
#include <stdint.h>

/* Integers wrap. */
#define REF_WRAP(a, op, b) (int64_t)((uint64_t)(a) op (uint64_t)(b))

/* X(name, of x; alpha and beta are the attributes) */
#define REF_UNARY_MAP(X)                                                                      \
    X(abs, fabs(x))                                                                           \
    X(clamp, x < alpha ? alpha : x > beta ? beta : x)                                         \
    X(exp, exp(x))                                                                            \
    X(gelu, alpha != 0 ? x / (1 + exp(-2 * ref_gelu_inner(x))) : 0.5 * x * erfc(-x * M_SQRT1_2)) \
    X(hard_sigmoid, x <= -3 ? 0 : x >= 3 ? 1 : x / 6 + 0.5)                                   \
    X(hard_swish, x <= -3 ? 0 : x >= 3 ? x : x * (x + 3) / 6)                                 \
    X(leaky_relu, x > 0 ? x : alpha * x)                                                      \
    X(log, log(x))                                                                            \
    X(neg, -x)                                                                                \
    X(relu, x > 0 || x != x ? x : 0)                                                          \
    X(relu6, x > 6 ? 6 : x > 0 || x != x ? x : 0)                                             \
    X(sigmoid, 1 / (1 + exp(-x)))                                                             \
    X(silu, x / (1 + exp(-x)))                                                                \
    X(sqrt, sqrt(x))                                                                          \
    X(tanh, tanh(x))

/* X(name, of dy and z: the operand x or the result y, as the operation's file says) */
#define REF_UNARY_GRAD_MAP(X)                                                                 \
    X(abs_grad, z > 0 ? dy : z < 0 ? -dy : z * dy)                                            \
    X(clamp_grad, z > alpha && z < beta ? dy : 0)                                             \
    X(gelu_grad, dy * (alpha != 0 ? ref_gelu_tanh_slope(z) : ref_gelu_erf_slope(z)))          \
    X(hard_sigmoid_grad, z > -3 && z < 3 ? dy / 6 : 0)                                        \
    X(hard_swish_grad, z <= -3 ? 0 : z >= 3 ? dy : dy * (z / 3 + 0.5))                        \
    X(leaky_relu_grad, z > 0 ? dy : alpha * dy)                                               \
    X(relu_grad, z > 0 ? dy : 0)                                                              \
    X(relu6_grad, z > 0 && z < 6 ? dy : 0)                                                    \
    X(sigmoid_grad, dy * z * (1 - z))                                                         \
    X(silu_grad, dy * ref_silu_slope(z))                                                      \
    X(tanh_grad, dy * (1 - z * z))

/* X(name, of doubles, of integers) */
#define REF_BINARY_MAP(X)                                                                     \
    X(add, a + b, REF_WRAP(a, +, b))                                                          \
    X(sub, a - b, REF_WRAP(a, -, b))                                                          \
    X(mul, a * b, REF_WRAP(a, *, b))                                                           \
    X(div, a / b, 0)                                                                          \
    X(power, pow(a, b), 0)                                                                    \
    X(maximum, a > b || a != a ? a : b, a > b ? a : b)                                        \
    X(minimum, a < b || a != a ? a : b, a < b ? a : b)

/* X(name, operator) */
#define REF_COMPARE_MAP(X) \
    X(equal, ==)           \
    X(not_equal, !=)       \
    X(less, <)             \
    X(less_equal, <=)      \
    X(greater, >)          \
    X(greater_equal, >=)

/* Hendrycks and Gimpel 2016, the tanh form: tanh's argument and the slope of the whole. */
static inline double ref_gelu_inner(double x)
{
    return M_2_SQRTPI * M_SQRT1_2 * (x + 0.044715 * x * x * x);
}

static inline double ref_gelu_tanh_slope(double x)
{
    double s = 1 / (1 + exp(-2 * ref_gelu_inner(x))); /* (1 + tanh) / 2 without cancellation */
    return s + 2 * x * s * (1 - s) * M_2_SQRTPI * M_SQRT1_2 * (1 + 3 * 0.044715 * x * x);
}

static inline double ref_gelu_erf_slope(double x)
{
    return 0.5 * erfc(-x * M_SQRT1_2) + x * exp(-0.5 * x * x) * 0.5 * M_2_SQRTPI * M_SQRT1_2;
}

static inline double ref_silu_slope(double x)
{
    double s = 1 / (1 + exp(-x));
    return s * (1 + x * (1 - s));
}

#define X(name, of_x)                                                       \
    static inline double ref_##name(double x, double alpha, double beta)    \
    {                                                                       \
        (void)alpha, (void)beta;                                            \
        return of_x;                                                        \
    }
REF_UNARY_MAP(X)
#undef X

#define X(name, of_dy_z)                                                            \
    static inline double ref_##name(double dy, double z, double alpha, double beta) \
    {                                                                               \
        (void)alpha, (void)beta;                                                    \
        return of_dy_z;                                                             \
    }
REF_UNARY_GRAD_MAP(X)
#undef X

#define X(name, of_float, of_int)                              \
    static inline double ref_##name(double a, double b)        \
    {                                                          \
        return of_float;                                       \
    }                                                          \
    static inline int64_t ref_##name##_int(int64_t a, int64_t b) \
    {                                                          \
        (void)a, (void)b;                                      \
        return of_int;                                         \
    }
REF_BINARY_MAP(X)
#undef X

#define X(name, op)                                            \
    static inline double ref_##name(double a, double b)        \
    {                                                          \
        return a op b;                                         \
    }                                                          \
    static inline int64_t ref_##name##_int(int64_t a, int64_t b) \
    {                                                          \
        return a op b;                                         \
    }
REF_COMPARE_MAP(X)
#undef X

#endif

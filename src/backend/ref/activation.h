/* The activations that fused operations end with, as scalar functions: the element-wise operations use them too. */
#ifndef MU_BACKEND_REF_ACTIVATION_H
#define MU_BACKEND_REF_ACTIVATION_H

#include "backend/ref/ref.h"

static inline real REF(activation)(int activation, double alpha, real x)
{
    switch ((mu_activation)activation) {
    case MU_ACT_NONE: return x;
    case MU_ACT_RELU: return x > 0 || x != x ? x : 0;
    case MU_ACT_RELU6: return x > 6 ? 6 : x > 0 || x != x ? x : 0;
    case MU_ACT_LEAKY_RELU: return x > 0 ? x : (real)alpha * x;
    case MU_ACT_SILU: return x / (1 + (real)exp(-(double)x));
    case MU_ACT_GELU: return (real)0.5 * x * (1 + (real)erf((double)x * M_SQRT1_2));
    case MU_ACT_GELU_TANH:
        return (real)0.5 * x * (1 + (real)tanh(M_2_SQRTPI * M_SQRT1_2 * ((double)x + 0.044715 * (double)x * x * x)));
    case MU_ACT_SIGMOID: return 1 / (1 + (real)exp(-(double)x));
    case MU_ACT_HARD_SIGMOID: return x <= -3 ? 0 : x >= 3 ? 1 : x / 6 + (real)0.5;
    case MU_ACT_HARD_SWISH: return x <= -3 ? 0 : x >= 3 ? x : x * (x + 3) / 6;
    case MU_ACT_TANH: return (real)tanh((double)x);
    }
    return x;
}

#endif

/* The activations that fused operations end with. */
#ifndef MU_BACKEND_REF_ACTIVATION_H
#define MU_BACKEND_REF_ACTIVATION_H

#include "backend/ref/ref.h"
#include "backend/ref/scalar.h"

static inline real REF(activation)(int activation, double alpha, real x)
{
    switch ((mu_activation)activation) {
    case MU_ACT_NONE: return x;
    case MU_ACT_RELU: return (real)ref_relu(x, 0, 0);
    case MU_ACT_RELU6: return (real)ref_relu6(x, 0, 0);
    case MU_ACT_LEAKY_RELU: return (real)ref_leaky_relu(x, (real)alpha, 0);
    case MU_ACT_SILU: return (real)ref_silu(x, 0, 0);
    case MU_ACT_GELU: return (real)ref_gelu(x, 0, 0);
    case MU_ACT_GELU_TANH: return (real)ref_gelu(x, 1, 0);
    case MU_ACT_SIGMOID: return (real)ref_sigmoid(x, 0, 0);
    case MU_ACT_HARD_SIGMOID: return (real)ref_hard_sigmoid(x, 0, 0);
    case MU_ACT_HARD_SWISH: return (real)ref_hard_swish(x, 0, 0);
    case MU_ACT_TANH: return (real)ref_tanh(x, 0, 0);
    }
    return x;
}

#endif

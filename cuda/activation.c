#include "activation.h"

static const mu_op *operation(int activation)
{
    switch ((mu_activation)activation) {
    case MU_ACT_NONE: return NULL;
    case MU_ACT_RELU: return &mu_op_relu;
    case MU_ACT_RELU6: return &mu_op_relu6;
    case MU_ACT_LEAKY_RELU: return &mu_op_leaky_relu;
    case MU_ACT_SILU: return &mu_op_silu;
    case MU_ACT_GELU:
    case MU_ACT_GELU_TANH: return &mu_op_gelu;
    case MU_ACT_SIGMOID: return &mu_op_sigmoid;
    case MU_ACT_HARD_SIGMOID: return &mu_op_hard_sigmoid;
    case MU_ACT_HARD_SWISH: return &mu_op_hard_swish;
    case MU_ACT_TANH: return &mu_op_tanh;
    }
    return NULL;
}

bool mu_cuda_activation_supports(mu_dtype dtype, int activation, const char **why)
{
    *why = "products in half types end with no activation other than ReLU on CUDA devices";
    return dtype == MU_F32 || activation == MU_ACT_NONE || activation == MU_ACT_RELU;
}

mu_err mu_cuda_activation_prepare(mu_cuda *self, int activation, double alpha, const mu_type *type, const mu_layout *layout, mu_kernel **out)
{
    mu_unary_attrs attrs = {.alpha = activation == MU_ACT_GELU_TANH ? 1 : activation == MU_ACT_LEAKY_RELU ? alpha : 0};
    const mu_layout *wish[1] = {layout};
    mu_call call = {.op = operation(activation), .attrs = &attrs, .n_in = 1, .n_out = 1, .in = type, .out = type};
    *out = NULL;
    if (call.op)
        MU_TRY(mu_cuda_prepare(&self->base, &call, wish, wish, out));
    return MU_OK;
}

mu_err mu_cuda_activation_run(mu_kernel *activation, void *y, const mu_run *run)
{
    if (!activation)
        return MU_OK;
    if (activation->in[0] != y)
        MU_TRY(mu_kernel_bind(activation, &y, &y, NULL));
    MU_TRY(mu_kernel_run(activation, run));
    return MU_OK;
}

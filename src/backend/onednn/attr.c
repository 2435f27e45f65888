#include "backend/onednn/onednn.h"

static dnnl_status_t append_activation(dnnl_post_ops_t ops, int activation, double alpha)
{
    switch ((mu_activation)activation) {
    case MU_ACT_NONE: return dnnl_success;
    case MU_ACT_RELU: return mu_dnn_append_eltwise(ops, dnnl_eltwise_relu, 0.0f, 0.0f);
    case MU_ACT_RELU6: return mu_dnn_append_eltwise(ops, dnnl_eltwise_clip, 0.0f, 6.0f);
    case MU_ACT_LEAKY_RELU: return mu_dnn_append_eltwise(ops, dnnl_eltwise_relu, (float)alpha, 0.0f);
    case MU_ACT_SILU: return mu_dnn_append_eltwise(ops, dnnl_eltwise_swish, 1.0f, 0.0f);
    case MU_ACT_GELU: return mu_dnn_append_eltwise(ops, dnnl_eltwise_gelu_erf, 0.0f, 0.0f);
    case MU_ACT_GELU_TANH: return mu_dnn_append_eltwise(ops, dnnl_eltwise_gelu_tanh, 0.0f, 0.0f);
    case MU_ACT_SIGMOID: return mu_dnn_append_eltwise(ops, dnnl_eltwise_logistic, 0.0f, 0.0f);
    case MU_ACT_HARD_SIGMOID: {
        dnnl_status_t status = mu_dnn_append_eltwise(ops, dnnl_eltwise_linear, 1.0f / 6.0f, 0.5f);
        return status != dnnl_success ? status : mu_dnn_append_eltwise(ops, dnnl_eltwise_clip, 0.0f, 1.0f);
    }
    case MU_ACT_HARD_SWISH: return mu_dnn_append_hard_swish(ops);
    case MU_ACT_TANH: return mu_dnn_append_eltwise(ops, dnnl_eltwise_tanh, 0.0f, 0.0f);
    }
    return dnnl_unimplemented;
}

mu_err mu_onednn_attr(bool sum, int activation, double alpha, dnnl_primitive_attr_t *out)
{
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    mu_err err = MU_OK;
    MU_TRY_DNN_GOTO(err, dnnl_primitive_attr_create(&attr), done);
    MU_TRY_DNN_GOTO(err, dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user), done);
    MU_TRY_DNN_GOTO(err, dnnl_post_ops_create(&ops), done);
    if (sum)
        MU_TRY_DNN_GOTO(err, mu_dnn_append_sum(ops), done);
    MU_TRY_DNN_GOTO(err, append_activation(ops, activation, alpha), done);
    MU_TRY_DNN_GOTO(err, dnnl_primitive_attr_set_post_ops(attr, ops), done);
    *out = attr;
    attr = NULL;
done:
    if (ops)
        dnnl_post_ops_destroy(ops);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return err;
}

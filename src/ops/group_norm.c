#include "ops/norm.h"

static mu_err split_channels(const mu_call *call, const mu_type *x, mu_type *param, mu_type *stat)
{
    int64_t groups = ((const mu_norm_attrs *)call->attrs)->groups;
    char text[MU_TYPE_TEXT];
    MU_TRY(mu_operand_float(x, "input", 2, MU_MAX_NDIM));
    if (groups < 1 || x->dim[1] % groups != 0) {
        MU_FAIL(MU_ERR_SHAPE, "the channels of %s cannot be divided into %lld groups", mu_type_format(x, text),
                (long long)groups);
        return mu_error_hint("num_groups must divide num_channels");
    }
    *param = MU_TYPE(mu_stat_dtype(x->dtype), x->dim[1]);
    *stat = MU_TYPE(mu_stat_dtype(x->dtype), x->dim[0], groups);
    return MU_OK;
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    mu_type param, stat;
    MU_TRY(split_channels(call, &call->in[MU_NORM_X], &param, &stat));
    return mu_norm_infer(call, &param, &stat, out);
}

static mu_err grad_infer(const mu_call *call, mu_type *out)
{
    mu_type param, stat;
    MU_TRY(split_channels(call, &call->in[MU_NORM_GRAD_X], &param, &stat));
    return mu_norm_grad_infer(call, &param, &stat, out);
}

static void gradient(mu_grad *grad)
{
    mu_norm_gradient(grad, &mu_op_group_norm_grad);
    if (mu_grad_in(grad, MU_NORM_BETA).id && grad->need[MU_NORM_BETA] && mu_grad_in(grad, MU_NORM_GAMMA).id == 0) {
        const mu_type *x = mu_graph_type(grad->graph, mu_grad_in(grad, MU_NORM_X));
        mu_value dy = mu_cast(grad->graph, grad->dout[0], mu_stat_dtype(x->dtype));
        grad->din[MU_NORM_BETA] = mu_sum(grad->graph, dy, (((int64_t)1 << x->ndim) - 1) & ~2, false);
    }
}

const mu_op mu_op_group_norm = {
    .name = "group_norm",
    .doc = "Normalisation over groups of channels of each sample (Wu and He 2018); one channel a group is instance norm. x "
           "[N,C,...], gamma, beta [C] or none -> y = (x - mean) * rstd * gamma + beta, mean, rstd [N,groups]. Parameters of "
           "half types are f32.",
    .n_in_min = 1, .n_in_max = 3, .n_out = 3,
    .attrs_size = sizeof(mu_norm_attrs), .attrs = mu_norm_attr_table,
    .infer = infer, .gradient = gradient, .flops = mu_norm_flops,
};

const mu_op mu_op_group_norm_grad = {
    .name = "group_norm_grad",
    .doc = "The gradient of group_norm; (dy, x, gamma or none, mean, rstd) -> dx, and with gamma dgamma, dbeta.",
    .n_in_min = 2, .n_in_max = 5, .n_out = 3,
    .attrs_size = sizeof(mu_norm_attrs), .attrs = mu_norm_attr_table, .inplace = {MU_NORM_GRAD_DY + 1},
    .infer = grad_infer, .flops = mu_norm_grad_flops,
};

mu_value mu_group_norm(mu_graph *g, mu_value x, mu_value gamma, mu_value beta, int64_t groups, double eps)
{
    mu_norm_attrs a = {.eps = eps, .groups = groups};
    return mu_graph_apply1(g, &mu_op_group_norm, &a, (mu_value[]){x, gamma, beta}, 3);
}

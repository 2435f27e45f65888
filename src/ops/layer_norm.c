#include "ops/norm.h"

/* The normalised dimensions of x as the type of the parameters, the others as that of the statistics. */
static mu_err split_dims(const mu_call *call, const mu_type *x, mu_type *param, mu_type *stat)
{
    int64_t n = ((const mu_norm_attrs *)call->attrs)->normalized_ndim;
    char text[MU_TYPE_TEXT];
    MU_TRY(mu_operand_float(x, "input", 1, MU_MAX_NDIM));
    if (n < 1 || n > x->ndim)
        return MU_FAIL(MU_ERR_SHAPE, "the last %lld dimensions of %s cannot be normalised", (long long)n,
                       mu_type_format(x, text));
    int lead = x->ndim - (int)n;
    MU_TRY(mu_type_init(param, mu_stat_dtype(x->dtype), (int)n, x->dim + lead));
    MU_TRY(mu_type_init(stat, mu_stat_dtype(x->dtype), lead, x->dim));
    return MU_OK;
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    mu_type param, stat;
    MU_TRY(split_dims(call, &call->in[MU_NORM_X], &param, &stat));
    return mu_norm_infer(call, &param, &stat, out);
}

static mu_err grad_infer(const mu_call *call, mu_type *out)
{
    mu_type param, stat;
    MU_TRY(split_dims(call, &call->in[MU_NORM_GRAD_X], &param, &stat));
    return mu_norm_grad_infer(call, &param, &stat, out);
}

static void gradient(mu_grad *grad)
{
    mu_value beta = mu_grad_in(grad, MU_NORM_BETA);
    mu_norm_gradient(grad, &mu_op_layer_norm_grad);
    if (beta.id && grad->need[MU_NORM_BETA] && mu_grad_in(grad, MU_NORM_GAMMA).id == 0)
        grad->din[MU_NORM_BETA] = mu_sum_like(
            grad->graph, mu_cast(grad->graph, grad->dout[0], mu_graph_type(grad->graph, beta)->dtype), beta);
}

const mu_op mu_op_layer_norm = {
    .name = "layer_norm",
    .doc = "Normalisation over the last dimensions (Ba, Kiros and Hinton 2016). x [...,D...], gamma, beta [D...] or none -> "
           "y = (x - mean) * rstd * gamma + beta, mean [...], rstd [...]. Parameters of half types are f32.",
    .n_in_min = 1, .n_in_max = 3, .n_out = 3,
    .attrs_size = sizeof(mu_norm_attrs), .attrs = mu_norm_attr_table,
    .infer = infer, .gradient = gradient, .flops = mu_norm_flops,
};

const mu_op mu_op_layer_norm_grad = {
    .name = "layer_norm_grad",
    .doc = "The gradient of layer_norm; (dy, x, gamma or none, mean, rstd) -> dx, and with gamma dgamma, dbeta.",
    .n_in_min = 2, .n_in_max = 5, .n_out = 3,
    .attrs_size = sizeof(mu_norm_attrs), .attrs = mu_norm_attr_table, .inplace = {MU_NORM_GRAD_DY + 1},
    .infer = grad_infer, .flops = mu_norm_grad_flops,
};

mu_value mu_layer_norm(mu_graph *g, mu_value x, mu_value gamma, mu_value beta, int64_t normalized_ndim, double eps)
{
    mu_norm_attrs a = {.eps = eps, .normalized_ndim = normalized_ndim};
    return mu_graph_apply1(g, &mu_op_layer_norm, &a, (mu_value[]){x, gamma, beta}, 3);
}

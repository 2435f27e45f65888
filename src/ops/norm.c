#include "ops/norm.h"

const mu_attr mu_norm_attr_table[] = {MU_ATTR_REAL(mu_norm_attrs, eps), MU_ATTR_INT(mu_norm_attrs, normalized_ndim),
                                      MU_ATTR_INT(mu_norm_attrs, groups), MU_ATTR_END};

mu_err mu_norm_infer(const mu_call *call, const mu_type *param, const mu_type *stat, mu_type *out)
{
    double eps = ((const mu_norm_attrs *)call->attrs)->eps;
    if (!(eps >= 0))
        return MU_FAIL(MU_ERR_SHAPE, "eps is not negative, got %g", eps);
    MU_TRY(mu_operand_matches(call, MU_NORM_GAMMA, "weight (gamma)", param));
    MU_TRY(mu_operand_matches(call, MU_NORM_BETA, "bias (beta)", param));
    out[0] = call->in[MU_NORM_X];
    out[1] = out[2] = *stat;
    return MU_OK;
}

mu_err mu_norm_grad_infer(const mu_call *call, const mu_type *param, const mu_type *stat, mu_type *out)
{
    const mu_type *x = &call->in[MU_NORM_GRAD_X];
    MU_TRY(mu_operand_matches(call, MU_NORM_GRAD_DY, "output gradient", x));
    MU_TRY(mu_operand_matches(call, MU_NORM_GRAD_GAMMA, "weight (gamma)", param));
    MU_TRY(mu_operand_required(call, MU_NORM_GRAD_MEAN, "mean"));
    MU_TRY(mu_operand_required(call, MU_NORM_GRAD_RSTD, "1/deviation"));
    MU_TRY(mu_operand_matches(call, MU_NORM_GRAD_MEAN, "mean", stat));
    MU_TRY(mu_operand_matches(call, MU_NORM_GRAD_RSTD, "1/deviation", stat));
    out[0] = *x;
    if (mu_operand(call, MU_NORM_GRAD_GAMMA))
        out[1] = out[2] = *param;
    return MU_OK;
}

void mu_norm_gradient(mu_grad *grad, const mu_op *op_grad)
{
    mu_value out[3], in[] = {grad->dout[0], mu_grad_in(grad, MU_NORM_X), mu_grad_in(grad, MU_NORM_GAMMA),
                             mu_grad_out(grad, 1), mu_grad_out(grad, 2)};
    if (grad->dout[0].id == 0)
        return;
    mu_graph_apply(grad->graph, op_grad, grad->node->attrs, in, 5, out);
    for (int i = 0; i < grad->node->n_in; i++)
        if (grad->need[i])
            grad->din[i] = out[i];
}

int64_t mu_norm_flops(const mu_call *call)
{
    return mu_cost_per_element(&call->in[MU_NORM_X], 7);
}

int64_t mu_norm_grad_flops(const mu_call *call)
{
    return mu_cost_per_element(&call->in[MU_NORM_GRAD_X], 11);
}

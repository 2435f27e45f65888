#include "ops/operand.h"

static const mu_attr attr_table[] = {MU_ATTR_REAL(mu_batch_norm_attrs, eps), MU_ATTR_FLAG(mu_batch_norm_attrs, relu),
                                     MU_ATTR_END};

enum { X, GAMMA, BETA, MEAN, VAR };

static mu_err infer(const mu_call *call, mu_type *out)
{
    static const char *const what[] = {"input", "weight (gamma)", "bias (beta)", "mean", "variance"};
    const mu_batch_norm_attrs *a = call->attrs;
    const mu_type *x = &call->in[X];
    char text[MU_TYPE_TEXT];
    if (!(a->eps >= 0))
        return MU_FAIL(MU_ERR_SHAPE, "eps is not negative, got %g", a->eps);
    MU_TRY(mu_operand_float(x, what[X], 2, MU_MAX_NDIM));
    MU_TRY(mu_operand_required(call, MEAN, what[MEAN]));
    MU_TRY(mu_operand_required(call, VAR, what[VAR]));
    mu_type c = MU_TYPE(mu_stat_dtype(x->dtype), x->dim[1]);
    for (int i = GAMMA; i <= VAR; i++)
        if (mu_operand_matches(call, i, what[i], &c) != MU_OK)
            return mu_error_hint("num_features of this layer must be the %lld channels of its input %s",
                                 (long long)x->dim[1], mu_type_format(x, text));
    out[0] = *x;
    return MU_OK;
}

static mu_value normalise(mu_grad *grad, mu_value x, mu_value gamma, mu_value mean)
{
    mu_batch_norm_attrs a = {.eps = ((const mu_batch_norm_attrs *)grad->node->attrs)->eps};
    return mu_graph_apply1(grad->graph, &mu_op_batch_norm_inference, &a,
                           (mu_value[]){x, gamma, MU_NO_VALUE, mean, mu_grad_in(grad, VAR)}, 5);
}

static mu_value sum_per_channel(mu_graph *g, mu_value x)
{
    mu_type t = *mu_graph_type(g, x);
    return mu_sum(g, mu_cast(g, x, mu_stat_dtype(t.dtype)), (((int64_t)1 << t.ndim) - 1) & ~(int64_t)2, false);
}

static void gradient(mu_grad *grad)
{
    mu_graph *g = grad->graph;
    mu_value dy = grad->dout[0], x = mu_grad_in(grad, X);
    if (((const mu_batch_norm_attrs *)grad->node->attrs)->relu)
        dy = mu_graph_apply1(g, &mu_op_relu_grad, &(mu_unary_attrs){0}, (mu_value[]){dy, mu_grad_out(grad, 0)}, 2);
    if (grad->need[X]) {
        const mu_type *c = mu_graph_type(g, mu_grad_in(grad, MEAN));
        mu_value zero = mu_broadcast_to(g, mu_graph_scalar(g, c->dtype, 0), 1, c->dim);
        grad->din[X] = normalise(grad, dy, mu_grad_in(grad, GAMMA), zero);
    }
    if (grad->need[GAMMA])
        grad->din[GAMMA] = sum_per_channel(g, mu_mul(g, dy, normalise(grad, x, MU_NO_VALUE, mu_grad_in(grad, MEAN))));
    if (grad->need[BETA])
        grad->din[BETA] = sum_per_channel(g, dy);
}

static int64_t flops(const mu_call *call)
{
    return mu_cost_per_element(&call->in[X], 2);
}

const mu_op mu_op_batch_norm_inference = {
    .name = "batch_norm_inference",
    .doc = "Batch normalisation with given statistics. x [N,C,...], gamma, beta [C] or none, mean, var [C] -> y = (x - mean) / "
           "sqrt(var + eps) * gamma + beta (then ReLU). No gradient flows to mean and var. Parameters of half types are f32.",
    .n_in_min = 1, .n_in_max = 5, .n_out = 1,
    .attrs_size = sizeof(mu_batch_norm_attrs), .attrs = attr_table, .inplace = {X + 1},
    .infer = infer, .gradient = gradient, .flops = flops,
};

mu_value mu_batch_norm_inference(mu_graph *g, mu_value x, mu_value gamma, mu_value beta, mu_value mean, mu_value var, double eps)
{
    return mu_graph_apply1(g, &mu_op_batch_norm_inference, &(mu_batch_norm_attrs){.eps = eps},
                           (mu_value[]){x, gamma, beta, mean, var}, 5);
}

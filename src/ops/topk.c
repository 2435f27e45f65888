#include "ops/operand.h"

static const mu_attr attr_table[] = {MU_ATTR_INT(mu_topk_attrs, dim), MU_ATTR_INT(mu_topk_attrs, k),
                                     MU_ATTR_FLAG(mu_topk_attrs, largest), MU_ATTR_FLAG(mu_topk_attrs, sorted),
                                     MU_ATTR_END};

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_topk_attrs *a = call->attrs;
    const mu_type *x = &call->in[0];
    char text[MU_TYPE_TEXT];
    MU_TRY(mu_operand_float(x, "input", 1, MU_MAX_NDIM));
    MU_TRY(mu_operand_dim(x, a->dim));
    if (a->k < 0 || a->k > x->dim[a->dim])
        return MU_FAIL(MU_ERR_SHAPE, "k is %lld, dimension %lld of %s has %lld elements", (long long)a->k, (long long)a->dim,
                       mu_type_format(x, text), (long long)x->dim[a->dim]);
    out[0] = *x;
    out[0].dim[a->dim] = a->k;
    out[1] = out[0];
    out[1].dtype = MU_I64;
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    int64_t dim = ((const mu_topk_attrs *)grad->node->attrs)->dim;
    mu_gather_attrs a = {.dim = dim, .size = mu_graph_type(grad->graph, mu_grad_in(grad, 0))->dim[dim]};
    if (grad->dout[0].id)
        grad->din[0] = mu_graph_apply1(grad->graph, &mu_op_gather_grad, &a,
                                       (mu_value[]){grad->dout[0], mu_grad_out(grad, 1)}, 2);
}

static int64_t flops(const mu_call *call)
{
    return mu_type_count(&call->in[0]);
}

const mu_op mu_op_topk = {
    .name = "topk",
    .doc = "The k largest or smallest elements along dim in order, and their indices (i64). NaN counts as largest; of equals "
           "the first comes first.",
    .n_in_min = 1, .n_in_max = 1, .n_out = 2,
    .attrs_size = sizeof(mu_topk_attrs), .attrs = attr_table,
    .infer = infer, .gradient = gradient, .flops = flops,
};

void mu_topk(mu_graph *g, mu_value x, int64_t k, int64_t dim, bool largest, mu_value *values, mu_value *indices)
{
    mu_topk_attrs a = {.dim = mu_operand_wrap(g, x, dim), .k = k, .largest = largest, .sorted = true};
    mu_value out[2];
    mu_graph_apply(g, &mu_op_topk, &a, &x, 1, out);
    *values = out[0];
    *indices = out[1];
}

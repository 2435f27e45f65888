#include "ops/operand.h"

static const mu_attr attr_table[] = {MU_ATTR_INT(mu_dim_attrs, dim), MU_ATTR_FLAG(mu_dim_attrs, keepdim), MU_ATTR_END};

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_dim_attrs *a = call->attrs;
    const mu_type *x = &call->in[0];
    char text[MU_TYPE_TEXT];
    MU_TRY(mu_operand_float(x, "input", 1, MU_MAX_NDIM));
    MU_TRY(mu_operand_dim(x, a->dim));
    if (x->dim[a->dim] == 0)
        return MU_FAIL(MU_ERR_SHAPE, "dimension %lld of %s is empty: there is no largest element", (long long)a->dim,
                       mu_type_format(x, text));
    mu_type y = {.dtype = MU_I64};
    for (int d = 0; d < x->ndim; d++)
        if (d != a->dim)
            y.dim[y.ndim++] = x->dim[d];
        else if (a->keepdim)
            y.dim[y.ndim++] = 1;
    out[0] = y;
    return MU_OK;
}

static int64_t flops(const mu_call *call)
{
    return mu_type_count(&call->in[0]);
}

const mu_op mu_op_argmax = {
    .name = "argmax",
    .doc = "The index (i64) of the largest element along dim; the first of equals; NaN counts as largest.",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1,
    .attrs_size = sizeof(mu_dim_attrs), .attrs = attr_table,
    .infer = infer, .flops = flops,
};

mu_value mu_argmax(mu_graph *g, mu_value x, int64_t dim, bool keepdim)
{
    mu_dim_attrs a = {.dim = mu_operand_wrap(g, x, dim), .keepdim = keepdim};
    return mu_graph_apply1(g, &mu_op_argmax, &a, &x, 1);
}

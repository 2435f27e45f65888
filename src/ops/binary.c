#include "ops/binary.h"

static mu_err broadcast(const mu_call *call, mu_type *out)
{
    char a[MU_TYPE_TEXT], b[MU_TYPE_TEXT];
    if (call->in[0].dtype != call->in[1].dtype) {
        MU_FAIL(MU_ERR_SHAPE, "operands %s and %s are of different dtypes", mu_type_format(&call->in[0], a),
                mu_type_format(&call->in[1], b));
        return mu_error_hint("cast one of them (mu_cast)");
    }
    MU_TRY(mu_type_broadcast(&call->in[0], &call->in[1], out));
    return MU_OK;
}

mu_err mu_binary_infer(const mu_call *call, mu_type *out)
{
    char a[MU_TYPE_TEXT];
    if (call->in[0].dtype == MU_BOOL)
        return MU_FAIL(MU_ERR_SHAPE, "needs numbers, got %s", mu_type_format(&call->in[0], a));
    return broadcast(call, out);
}

mu_err mu_binary_infer_float(const mu_call *call, mu_type *out)
{
    char a[MU_TYPE_TEXT];
    if (!mu_dtype_is_float(call->in[0].dtype))
        return MU_FAIL(MU_ERR_SHAPE, "needs floating-point operands, got %s", mu_type_format(&call->in[0], a));
    return broadcast(call, out);
}

mu_err mu_binary_infer_compare(const mu_call *call, mu_type *out)
{
    MU_TRY(broadcast(call, out));
    out[0].dtype = MU_BOOL;
    return MU_OK;
}

mu_value mu_binary_apply(mu_graph *g, const mu_op *op, mu_value a, mu_value b)
{
    return mu_graph_apply1(g, op, NULL, (mu_value[]){a, b}, 2);
}

mu_value mu_constant_like(mu_graph *g, mu_value x, double c)
{
    return x.id ? mu_graph_scalar(g, mu_graph_type(g, x)->dtype, c) : MU_NO_VALUE;
}

bool mu_constant_value(const mu_graph *g, mu_value x, double *c)
{
    const mu_value_info *info = mu_graph_value(g, x);
    if (info->kind != MU_VALUE_CONST || mu_type_count(&info->type) != 1)
        return false;
    mu_convert(c, MU_F64, info->constant, info->type.dtype, 1);
    return true;
}

void mu_binary_set_gradient(mu_grad *grad, int i, mu_value d)
{
    grad->din[i] = mu_sum_like(grad->graph, d, mu_grad_in(grad, i));
}

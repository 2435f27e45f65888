#include "ops/reduce.h"

const mu_attr mu_reduce_attr_table[] = {MU_ATTR_INT(mu_reduce_attrs, dims), MU_ATTR_FLAG(mu_reduce_attrs, keepdim), MU_ATTR_END};

mu_err mu_reduce_infer(const mu_call *call, mu_type *out)
{
    const mu_type *x = &call->in[0];
    const mu_reduce_attrs *a = call->attrs;
    char text[MU_TYPE_TEXT];
    if (x->dtype == MU_BOOL || x->dtype == MU_U8) {
        MU_FAIL(MU_ERR_SHAPE, "needs floats, i64 or i32, got %s", mu_type_format(x, text));
        return mu_error_hint("cast it first (mu_cast)");
    }
    int64_t dims = mu_reduce_dims(a, x);
    if (dims >> x->ndim)
        return MU_FAIL(MU_ERR_SHAPE, "the mask of dimensions %#llx reaches beyond %d dimensions", (unsigned long long)dims,
                       x->ndim);
    out[0] = (mu_type){.dtype = x->dtype};
    for (int i = 0; i < x->ndim; i++)
        if (!(dims >> i & 1))
            out[0].dim[out[0].ndim++] = x->dim[i];
        else if (a->keepdim)
            out[0].dim[out[0].ndim++] = 1;
    return MU_OK;
}

mu_err mu_reduce_infer_extreme(const mu_call *call, mu_type *out)
{
    char text[MU_TYPE_TEXT];
    mu_type y;
    MU_TRY(mu_reduce_infer(call, &y));
    if (mu_type_count(&call->in[0]) == 0 && mu_type_count(&y) > 0)
        return MU_FAIL(MU_ERR_SHAPE, "there is no element to choose from in %s", mu_type_format(&call->in[0], text));
    out[0] = y;
    return MU_OK;
}

mu_value mu_reduce_apply(mu_graph *g, const mu_op *op, mu_value x, int64_t dims, bool keepdim)
{
    return mu_graph_apply1(g, op, &(mu_reduce_attrs){.dims = dims, .keepdim = keepdim}, &x, 1);
}

mu_value mu_reduce_expand(mu_graph *g, const mu_reduce_attrs *attrs, mu_value reduced, mu_value x)
{
    const mu_type *t = mu_graph_type(g, x);
    int64_t dims = mu_reduce_dims(attrs, t), kept[MU_MAX_NDIM];
    for (int i = 0; i < t->ndim; i++)
        kept[i] = dims >> i & 1 ? 1 : t->dim[i];
    return mu_broadcast_to(g, mu_reshape(g, reduced, t->ndim, kept), t->ndim, t->dim);
}

void mu_reduce_gradient_of_extreme(mu_grad *grad)
{
    mu_graph *g = grad->graph;
    const mu_reduce_attrs *a = grad->node->attrs;
    mu_value x = mu_grad_in(grad, 0);
    mu_value hit = mu_equal(g, x, mu_reduce_expand(g, a, mu_grad_out(grad, 0), x));
    mu_value share = mu_cast(g, hit, mu_graph_type(g, x)->dtype);
    mu_value each = mu_div(g, grad->dout[0], mu_sum(g, share, a->dims, a->keepdim));
    grad->din[0] = mu_mul(g, share, mu_reduce_expand(g, a, each, x));
}

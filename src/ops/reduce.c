#include "ops/reduce.h"

const mu_attr mu_reduce_attr_table[] = {MU_ATTR_INT(mu_reduce_attrs, dims), MU_ATTR_FLAG(mu_reduce_attrs, keepdim), MU_ATTR_END};

mu_err mu_reduce_infer(const mu_call *call, mu_type *out)
{
    const mu_type *x = &call->in[0];
    const mu_reduce_attrs *a = call->attrs;
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

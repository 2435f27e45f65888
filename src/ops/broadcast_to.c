#include "ops/ops.h"

static const mu_attr attr_table[] = {MU_ATTR_INT(mu_shape_attrs, ndim), MU_ATTR_INTS(mu_shape_attrs, dim, MU_MAX_NDIM),
                                     MU_ATTR_END};

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_shape_attrs *a = call->attrs;
    mu_type want, got;
    MU_TRY(mu_type_init(&want, call->in[0].dtype, (int)a->ndim, a->dim));
    MU_TRY(mu_type_broadcast(&call->in[0], &want, &got));
    if (!mu_type_same_shape(&want, &got)) {
        char from[MU_TYPE_TEXT], to[MU_TYPE_TEXT];
        return MU_FAIL(MU_ERR_SHAPE, "%s cannot be broadcast to %s", mu_type_format(&call->in[0], from),
                       mu_shape_format(&want, to));
    }
    out[0] = want;
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    grad->din[0] = mu_sum_like(grad->graph, grad->dout[0], mu_grad_in(grad, 0));
}

const mu_op mu_op_broadcast_to = {
    .name = "broadcast_to",
    .doc = "x repeated along new and size-1 dimensions to a shape (NumPy's rule).",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_shape_attrs), .attrs = attr_table,
    .infer = infer, .gradient = gradient,
};

mu_value mu_broadcast_to(mu_graph *g, mu_value x, int ndim, const int64_t *dim)
{
    mu_shape_attrs a = {.ndim = ndim};
    mu_type same = {.ndim = ndim};
    for (int i = 0; i < ndim && i < MU_MAX_NDIM; i++)
        a.dim[i] = same.dim[i] = dim[i];
    if (x.id && mu_type_same_shape(mu_graph_type(g, x), &same))
        return x;
    return mu_graph_apply1(g, &mu_op_broadcast_to, &a, &x, 1);
}

mu_value mu_sum_like(mu_graph *g, mu_value x, mu_value like)
{
    if (x.id == 0 || like.id == 0)
        return MU_NO_VALUE;
    const mu_type *from = mu_graph_type(g, x), *to = mu_graph_type(g, like);
    int64_t dims = 0;
    for (int i = 0; i < from->ndim; i++) {
        int j = i - (from->ndim - to->ndim);
        if (j < 0 || (to->dim[j] == 1 && from->dim[i] != 1))
            dims |= (int64_t)1 << i;
    }
    return mu_reshape(g, dims ? mu_sum(g, x, dims, true) : x, to->ndim, to->dim);
}

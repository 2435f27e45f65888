#include "core/mem.h"
#include "ops/ops.h"

static const mu_attr attr_table[] = {MU_ATTR_INT(mu_shape_attrs, ndim), MU_ATTR_INTS(mu_shape_attrs, dim, MU_MAX_NDIM),
                                     MU_ATTR_END};

/* Replaces one -1 by what is left over. */
static mu_err fill_in(const mu_type *x, mu_type *y)
{
    int64_t known = 1;
    int open = -1;
    for (int i = 0; i < y->ndim; i++) {
        if (y->dim[i] == -1 && open < 0)
            open = i;
        else if (y->dim[i] < 0)
            return MU_FAIL(MU_ERR_SHAPE, "only one dimension may be -1, and none below");
        else
            MU_TRY(mu_mul_i64(known, y->dim[i], &known));
    }
    if (open >= 0 && known > 0)
        y->dim[open] = mu_type_count(x) / known;
    if (open >= 0 && known == 0)
        y->dim[open] = 0;
    return MU_OK;
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_shape_attrs *a = call->attrs;
    if (a->ndim < 0 || a->ndim > MU_MAX_NDIM)
        return MU_FAIL(MU_ERR_SHAPE, "a tensor has 0 to %d dimensions, not %lld", MU_MAX_NDIM, (long long)a->ndim);
    mu_type y = {.dtype = call->in[0].dtype, .ndim = (int)a->ndim}, checked;
    memcpy(y.dim, a->dim, (size_t)y.ndim * sizeof *y.dim);
    MU_TRY(fill_in(&call->in[0], &y));
    MU_TRY(mu_type_init(&checked, y.dtype, y.ndim, y.dim));
    if (mu_type_count(&checked) != mu_type_count(&call->in[0])) {
        char from[MU_TYPE_TEXT], to[MU_TYPE_TEXT];
        return MU_FAIL(MU_ERR_SHAPE, "%s has not the %lld elements of %s", mu_type_format(&call->in[0], from),
                       (long long)mu_type_count(&checked), mu_shape_format(&checked, to));
    }
    out[0] = checked;
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    const mu_type *x = mu_graph_type(grad->graph, mu_grad_in(grad, 0));
    grad->din[0] = mu_reshape(grad->graph, grad->dout[0], x->ndim, x->dim);
}

const mu_op mu_op_reshape = {
    .name = "reshape",
    .doc = "The same elements in row-major order under another shape; one dimension may be -1.",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_VIEW | MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_shape_attrs), .attrs = attr_table,
    .infer = infer, .gradient = gradient,
};

mu_value mu_reshape(mu_graph *g, mu_value x, int ndim, const int64_t *dim)
{
    mu_shape_attrs a = {.ndim = ndim};
    for (int i = 0; i < ndim && i < MU_MAX_NDIM; i++)
        a.dim[i] = dim[i];
    mu_type same = {.ndim = ndim};
    memcpy(same.dim, a.dim, sizeof same.dim);
    if (x.id && ndim <= MU_MAX_NDIM && mu_type_same_shape(mu_graph_type(g, x), &same))
        return x;
    return mu_graph_apply1(g, &mu_op_reshape, &a, &x, 1);
}

mu_value mu_flatten(mu_graph *g, mu_value x, int start)
{
    const mu_type *t = mu_graph_type(g, x);
    int64_t dim[MU_MAX_NDIM], rest = 1;
    for (int i = start; i < t->ndim; i++)
        rest *= t->dim[i];
    memcpy(dim, t->dim, sizeof dim);
    dim[start] = rest;
    return mu_reshape(g, x, start + 1, dim);
}

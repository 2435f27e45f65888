#include "ops/operand.h"

static const mu_attr attr_table[] = {MU_ATTR_INT(mu_shape_attrs, ndim), MU_ATTR_INTS(mu_shape_attrs, dim, MU_MAX_NDIM),
                                     MU_ATTR_END};

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_shape_attrs *a = call->attrs;
    const mu_type *x = &call->in[0];
    char text[MU_TYPE_TEXT];
    unsigned seen = 0;
    if (a->ndim != x->ndim)
        return MU_FAIL(MU_ERR_SHAPE, "a permutation of %lld dimensions of %s", (long long)a->ndim, mu_type_format(x, text));
    mu_type y = *x;
    for (int d = 0; d < x->ndim; d++) {
        if (a->dim[d] < 0 || a->dim[d] >= x->ndim || seen >> a->dim[d] & 1)
            return MU_FAIL(MU_ERR_SHAPE, "the permutation must name each of the %d dimensions of %s once, not %lld at %d",
                           x->ndim, mu_type_format(x, text), (long long)a->dim[d], d);
        seen |= 1u << a->dim[d];
        y.dim[d] = x->dim[a->dim[d]];
    }
    out[0] = y;
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    const mu_shape_attrs *a = grad->node->attrs;
    int inverse[MU_MAX_NDIM] = {0};
    for (int d = 0; d < a->ndim; d++)
        inverse[a->dim[d]] = d;
    grad->din[0] = mu_transpose(grad->graph, grad->dout[0], inverse);
}

const mu_op mu_op_transpose = {
    .name = "transpose",
    .doc = "Dimensions in another order: dimension i of y is dimension perm[i] of x.",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_shape_attrs), .attrs = attr_table,
    .infer = infer, .gradient = gradient, .flops = mu_flops_none,
};

mu_value mu_transpose(mu_graph *g, mu_value x, const int *perm)
{
    mu_shape_attrs a = {.ndim = mu_graph_type(g, x)->ndim};
    bool same = true;
    for (int d = 0; d < a.ndim; d++) {
        a.dim[d] = perm[d];
        same &= perm[d] == d;
    }
    return same ? x : mu_graph_apply1(g, &mu_op_transpose, &a, &x, 1);
}

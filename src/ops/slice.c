#include "ops/operand.h"

static const mu_attr attr_table[] = {MU_ATTR_INT(mu_slice_attrs, ndim),
                                     MU_ATTR_INTS(mu_slice_attrs, start, MU_MAX_NDIM),
                                     MU_ATTR_INTS(mu_slice_attrs, size, MU_MAX_NDIM),
                                     MU_ATTR_INTS(mu_slice_attrs, step, MU_MAX_NDIM),
                                     MU_ATTR_INTS(mu_slice_attrs, full, MU_MAX_NDIM),
                                     MU_ATTR_END};

/* The slice lies inside of x. */
static mu_err check(const mu_slice_attrs *a, const mu_type *x)
{
    char text[MU_TYPE_TEXT];
    if (a->ndim != x->ndim)
        return MU_FAIL(MU_ERR_SHAPE, "a slice in %lld dimensions of %s", (long long)a->ndim, mu_type_format(x, text));
    for (int d = 0; d < x->ndim; d++) {
        if (a->start[d] < 0 || a->size[d] < 0 || a->step[d] < 1)
            return MU_FAIL(MU_ERR_SHAPE, "start and size are 0 or more and step is at least 1; got %lld, %lld and %lld",
                           (long long)a->start[d], (long long)a->size[d], (long long)a->step[d]);
        int64_t reach = 0;
        if (a->size[d] > 0)
            MU_TRY(mu_mul_i64(a->size[d] - 1, a->step[d], &reach));
        if (a->start[d] > x->dim[d] - (a->size[d] > 0) - reach)
            return MU_FAIL(MU_ERR_SHAPE, "%lld elements from %lld in steps of %lld reach beyond dimension %d of %s",
                           (long long)a->size[d], (long long)a->start[d], (long long)a->step[d], d,
                           mu_type_format(x, text));
    }
    return MU_OK;
}

static mu_type sliced(const mu_slice_attrs *a, const mu_type *x)
{
    mu_type y = *x;
    memcpy(y.dim, a->size, (size_t)y.ndim * sizeof *y.dim);
    return y;
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    MU_TRY(check(call->attrs, &call->in[0]));
    out[0] = sliced(call->attrs, &call->in[0]);
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    mu_slice_attrs a = *(const mu_slice_attrs *)grad->node->attrs;
    memcpy(a.full, mu_graph_type(grad->graph, mu_grad_in(grad, 0))->dim, sizeof a.full);
    grad->din[0] = mu_graph_apply1(grad->graph, &mu_op_slice_grad, &a, &grad->dout[0], 1);
}

const mu_op mu_op_slice = {
    .name = "slice",
    .doc = "y[i] = x[start + i*step] in every dimension, size elements.",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_slice_attrs), .attrs = attr_table,
    .infer = infer, .gradient = gradient, .flops = mu_flops_none, .bytes = mu_bytes_picked,
};

static mu_err grad_infer(const mu_call *call, mu_type *out)
{
    const mu_slice_attrs *a = call->attrs;
    mu_type x;
    MU_TRY(mu_type_init(&x, call->in[0].dtype, (int)a->ndim, a->full));
    MU_TRY(check(a, &x));
    mu_type y = sliced(a, &x);
    MU_TRY(mu_operand_matches(call, 0, "output gradient", &y));
    out[0] = x;
    return MU_OK;
}

static void grad_gradient(mu_grad *grad)
{
    mu_slice_attrs a = *(const mu_slice_attrs *)grad->node->attrs;
    memset(a.full, 0, sizeof a.full);
    grad->din[0] = mu_graph_apply1(grad->graph, &mu_op_slice, &a, &grad->dout[0], 1);
}

const mu_op mu_op_slice_grad = {
    .name = "slice_grad",
    .doc = "The gradient of slice: zeros of the shape `full` with dy at the places of the slice.",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_slice_attrs), .attrs = attr_table,
    .infer = grad_infer, .gradient = grad_gradient, .flops = mu_flops_none,
};

mu_value mu_slice(mu_graph *g, mu_value x, const int64_t *start, const int64_t *size, const int64_t *step)
{
    mu_slice_attrs a = {.ndim = mu_graph_type(g, x)->ndim};
    for (int64_t d = 0; d < a.ndim; d++) {
        a.start[d] = start[d];
        a.size[d] = size[d];
        a.step[d] = step ? step[d] : 1;
    }
    return mu_graph_apply1(g, &mu_op_slice, &a, &x, 1);
}

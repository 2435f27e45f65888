#include "ops/operand.h"

static const mu_attr attr_table[] = {MU_ATTR_INT(mu_gather_attrs, dim), MU_ATTR_INT(mu_gather_attrs, size), MU_ATTR_END};

/* t has the shape of the index, except along dim. */
static mu_err check_index(const mu_type *t, const mu_type *index, int64_t dim)
{
    char st[MU_TYPE_TEXT], si[MU_TYPE_TEXT];
    MU_TRY(mu_operand_index(index, "index"));
    bool fits = t->ndim == index->ndim;
    for (int d = 0; fits && d < t->ndim; d++)
        fits = d == dim || t->dim[d] == index->dim[d];
    if (fits)
        return MU_OK;
    return MU_FAIL(MU_ERR_SHAPE, "index %s does not fit %s along dimension %lld", mu_type_format(index, si),
                   mu_type_format(t, st), (long long)dim);
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_gather_attrs *a = call->attrs;
    MU_TRY(mu_operand_dim(&call->in[0], a->dim));
    MU_TRY(check_index(&call->in[0], &call->in[1], a->dim));
    out[0] = call->in[1];
    out[0].dtype = call->in[0].dtype;
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    mu_gather_attrs a = *(const mu_gather_attrs *)grad->node->attrs;
    a.size = mu_graph_type(grad->graph, mu_grad_in(grad, 0))->dim[a.dim];
    if (grad->need[0])
        grad->din[0] = mu_graph_apply1(grad->graph, &mu_op_gather_grad, &a,
                                       (mu_value[]){grad->dout[0], mu_grad_in(grad, 1)}, 2);
}

const mu_op mu_op_gather = {
    .name = "gather",
    .doc = "Elements picked along one dimension; for dim 0 y[i][j] = x[index[i][j]][j]. index i64 or i32 has the shape of x "
           "except along dim; an index outside of x is an error of the run.",
    .n_in_min = 2, .n_in_max = 2, .n_out = 1,
    .attrs_size = sizeof(mu_gather_attrs), .attrs = attr_table,
    .infer = infer, .gradient = gradient, .flops = mu_flops_none, .bytes = mu_bytes_picked,
};

static mu_err grad_infer(const mu_call *call, mu_type *out)
{
    const mu_gather_attrs *a = call->attrs;
    const mu_type *dy = &call->in[0];
    char text[MU_TYPE_TEXT];
    MU_TRY(mu_operand_float(dy, "output gradient", 1, MU_MAX_NDIM));
    MU_TRY(mu_operand_dim(dy, a->dim));
    MU_TRY(check_index(dy, &call->in[1], a->dim));
    if (!mu_type_same_shape(dy, &call->in[1]))
        return MU_FAIL(MU_ERR_SHAPE, "index must have the shape of the output gradient %s", mu_type_format(dy, text));
    out[0] = *dy;
    out[0].dim[a->dim] = a->size;
    return MU_OK;
}

static int64_t grad_flops(const mu_call *call)
{
    return mu_type_count(&call->in[0]);
}

const mu_op mu_op_gather_grad = {
    .name = "gather_grad",
    .doc = "The gradient of gather: adds each element of dy to the one that it came from; (dy, index) -> dx with `size` "
           "elements along dim.",
    .n_in_min = 2, .n_in_max = 2, .n_out = 1,
    .attrs_size = sizeof(mu_gather_attrs), .attrs = attr_table,
    .infer = grad_infer, .flops = grad_flops,
};

/* An index that is smaller than x in other dimensions sees the first elements of x there. */
static mu_value cut_to_index(mu_graph *g, mu_value x, mu_value index, int64_t dim)
{
    mu_type t = *mu_graph_type(g, x), i = *mu_graph_type(g, index);
    int64_t zero[MU_MAX_NDIM] = {0};
    bool smaller = false;
    if (t.ndim != i.ndim)
        return x;
    for (int d = 0; d < t.ndim; d++)
        if (d != dim && i.dim[d] < t.dim[d]) {
            t.dim[d] = i.dim[d];
            smaller = true;
        }
    return smaller ? mu_slice(g, x, zero, t.dim, NULL) : x;
}

mu_value mu_gather(mu_graph *g, mu_value x, mu_value index, int64_t dim)
{
    mu_gather_attrs a = {.dim = mu_operand_wrap(g, x, dim)};
    return mu_graph_apply1(g, &mu_op_gather, &a, (mu_value[]){cut_to_index(g, x, index, a.dim), index}, 2);
}

#include "ops/operand.h"

static const mu_attr attr_table[] = {MU_ATTR_INT(mu_dim_attrs, dim), MU_ATTR_END};

static mu_err infer(const mu_call *call, mu_type *out)
{
    int64_t dim = ((const mu_dim_attrs *)call->attrs)->dim;
    mu_type y = call->in[0];
    MU_TRY(mu_operand_dim(&y, dim));
    for (int i = 1; i < call->n_in; i++) {
        MU_TRY(mu_operand_required(call, i, "next piece"));
        mu_type piece = call->in[i];
        int64_t size = piece.dim[dim];
        piece.dim[dim] = y.dim[dim];
        if (!mu_type_equal(&piece, &y)) {
            char a[MU_TYPE_TEXT], b[MU_TYPE_TEXT];
            return MU_FAIL(MU_ERR_SHAPE, "operand %d, %s, does not fit %s along dimension %lld", i,
                           mu_type_format(&call->in[i], a), mu_type_format(&call->in[0], b), (long long)dim);
        }
        if (__builtin_add_overflow(y.dim[dim], size, &y.dim[dim]))
            return MU_FAIL(MU_ERR_OVERFLOW, "the joined dimension does not fit in 64 bits");
    }
    out[0] = y;
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    int64_t dim = ((const mu_dim_attrs *)grad->node->attrs)->dim, start[MU_MAX_NDIM] = {0};
    for (int i = 0; i < grad->node->n_in; i++) {
        mu_type t = *mu_graph_type(grad->graph, mu_grad_in(grad, i));
        if (grad->need[i])
            grad->din[i] = mu_slice(grad->graph, grad->dout[0], start, t.dim, NULL);
        start[dim] += t.dim[dim];
    }
}

const mu_op mu_op_concat = {
    .name = "concat",
    .doc = "Tensors joined along dimension dim, in order; they are alike in the others.",
    .n_in_min = 1, .n_in_max = MU_OP_VARIADIC, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_dim_attrs), .attrs = attr_table,
    .infer = infer, .gradient = gradient, .flops = mu_flops_none,
};

mu_value mu_concat(mu_graph *g, const mu_value *x, int n, int64_t dim)
{
    mu_dim_attrs a = {.dim = n > 0 ? mu_operand_wrap(g, x[0], dim) : dim};
    return mu_graph_apply1(g, &mu_op_concat, &a, x, n);
}

#include "ops/operand.h"

static const mu_attr attr_table[] = {MU_ATTR_FLAG(mu_matmul_attrs, trans_a), MU_ATTR_FLAG(mu_matmul_attrs, trans_b),
                                     MU_ATTR_END};

/* Size of the matrix's dimension i (0: rows, 1: columns) after the optional transpose. */
static int64_t size_of(const mu_type *t, bool transposed, int i)
{
    return t->dim[t->ndim - 2 + (transposed ? 1 - i : i)];
}

static mu_type without_matrix(const mu_type *t)
{
    mu_type batch = *t;
    batch.ndim -= 2;
    return batch;
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_matmul_attrs *at = call->attrs;
    const mu_type *a = &call->in[0], *b = &call->in[1];
    char sa[MU_TYPE_TEXT], sb[MU_TYPE_TEXT];
    MU_TRY(mu_operand_float(a, "left operand", 2, MU_MAX_NDIM));
    MU_TRY(mu_operand_float(b, "right operand", 2, MU_MAX_NDIM));
    if (a->dtype != b->dtype || size_of(a, at->trans_a, 1) != size_of(b, at->trans_b, 0))
        return MU_FAIL(MU_ERR_SHAPE, "%s%s and %s%s cannot be multiplied: %lld columns against %lld rows",
                       mu_type_format(a, sa), at->trans_a ? " (transposed)" : "", mu_type_format(b, sb),
                       at->trans_b ? " (transposed)" : "", (long long)size_of(a, at->trans_a, 1),
                       (long long)size_of(b, at->trans_b, 0));
    mu_type batch_a = without_matrix(a), batch_b = without_matrix(b), y;
    MU_TRY(mu_type_broadcast(&batch_a, &batch_b, &y));
    y.dim[y.ndim++] = size_of(a, at->trans_a, 0);
    y.dim[y.ndim++] = size_of(b, at->trans_b, 1);
    out[0] = y;
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    mu_graph *g = grad->graph;
    const mu_matmul_attrs *at = grad->node->attrs;
    mu_value a = mu_grad_in(grad, 0), b = mu_grad_in(grad, 1), dy = grad->dout[0];
    if (grad->need[0]) {
        mu_value da = at->trans_a ? mu_matmul(g, b, dy, at->trans_b, true) : mu_matmul(g, dy, b, false, !at->trans_b);
        grad->din[0] = mu_sum_like(g, da, a);
    }
    if (grad->need[1]) {
        mu_value db = at->trans_b ? mu_matmul(g, dy, a, true, at->trans_a) : mu_matmul(g, a, dy, !at->trans_a, false);
        grad->din[1] = mu_sum_like(g, db, b);
    }
}

static int64_t flops(const mu_call *call)
{
    const mu_matmul_attrs *at = call->attrs;
    return mu_cost_per_element(&call->out[0], mu_cost_mul(2, size_of(&call->in[0], at->trans_a, 1)));
}

const mu_op mu_op_matmul = {
    .name = "matmul",
    .doc = "Batched matrix product. a [...,m,k], b [...,k,n] (each optionally transposed) -> [...,m,n]; leading dimensions "
           "broadcast.",
    .n_in_min = 2, .n_in_max = 2, .n_out = 1,
    .attrs_size = sizeof(mu_matmul_attrs), .attrs = attr_table,
    .infer = infer, .gradient = gradient, .flops = flops,
};

mu_value mu_matmul(mu_graph *g, mu_value a, mu_value b, bool trans_a, bool trans_b)
{
    return mu_graph_apply1(g, &mu_op_matmul, &(mu_matmul_attrs){.trans_a = trans_a, .trans_b = trans_b},
                           (mu_value[]){a, b}, 2);
}

#include "ops/operand.h"

static const mu_attr attr_table[] = {MU_ATTR_INT(mu_gather_attrs, dim), MU_ATTR_INT(mu_gather_attrs, size), MU_ATTR_END};

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_type *table = &call->in[0], *index = &call->in[1];
    char text[MU_TYPE_TEXT];
    MU_TRY(mu_operand_float(table, "table", 2, 2));
    MU_TRY(mu_operand_index(index, "index"));
    if (index->ndim >= MU_MAX_NDIM)
        return MU_FAIL(MU_ERR_SHAPE, "index has at most %d dimensions, got %s", MU_MAX_NDIM - 1, mu_type_format(index, text));
    out[0] = *index;
    out[0].dtype = table->dtype;
    out[0].dim[out[0].ndim++] = table->dim[1];
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    mu_gather_attrs a = {.size = mu_graph_type(grad->graph, mu_grad_in(grad, 0))->dim[0]};
    if (grad->need[0])
        grad->din[0] = mu_graph_apply1(grad->graph, &mu_op_embedding_grad, &a,
                                       (mu_value[]){grad->dout[0], mu_grad_in(grad, 1)}, 2);
}

const mu_op mu_op_embedding = {
    .name = "embedding",
    .doc = "Rows of a table. table [rows,width], index i64 or i32 [...] -> [...,width]; an index outside of the table is an "
           "error of the run.",
    .n_in_min = 2, .n_in_max = 2, .n_out = 1,
    .attrs_size = sizeof(mu_gather_attrs), .attrs = attr_table,
    .infer = infer, .gradient = gradient, .flops = mu_flops_none, .bytes = mu_bytes_picked,
};

static mu_err grad_infer(const mu_call *call, mu_type *out)
{
    const mu_type *dy = &call->in[0], *index = &call->in[1];
    int64_t rows = ((const mu_gather_attrs *)call->attrs)->size;
    MU_TRY(mu_operand_float(dy, "output gradient", 1, MU_MAX_NDIM));
    MU_TRY(mu_operand_index(index, "index"));
    mu_type want = *dy, got = *index;
    want.dtype = got.dtype = MU_I64;
    want.dim[--want.ndim] = 0;
    if (!mu_type_equal(&want, &got)) {
        char sd[MU_TYPE_TEXT], si[MU_TYPE_TEXT];
        return MU_FAIL(MU_ERR_SHAPE, "output gradient %s does not belong to index %s", mu_type_format(dy, sd),
                       mu_type_format(index, si));
    }
    return mu_type_init(&out[0], dy->dtype, 2, (int64_t[]){rows, dy->dim[dy->ndim - 1]});
}

static int64_t grad_flops(const mu_call *call)
{
    return mu_type_count(&call->in[0]);
}

const mu_op mu_op_embedding_grad = {
    .name = "embedding_grad",
    .doc = "The gradient of embedding: adds each row of dy to the row of the table that it came from. dy [...,width], index "
           "[...] -> dtable [size,width].",
    .n_in_min = 2, .n_in_max = 2, .n_out = 1,
    .attrs_size = sizeof(mu_gather_attrs), .attrs = attr_table,
    .infer = grad_infer, .flops = grad_flops,
};

mu_value mu_embedding(mu_graph *g, mu_value table, mu_value index)
{
    return mu_graph_apply1(g, &mu_op_embedding, &(mu_gather_attrs){0}, (mu_value[]){table, index}, 2);
}

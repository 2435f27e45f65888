#include "backend/ref/ref.h"

#include "backend/ref/index.h"

/* Strides of an operand for every dimension of the output: 0 where it repeats; and *along_k, the step of the summed one. */
static void operand_strides(const mu_type *t, bool transposed, int own, const mu_type *y, int64_t stride[MU_MAX_NDIM],
                            int64_t *along_k)
{
    mu_type batch = *t, y_batch = *y;
    int64_t columns = t->dim[t->ndim - 1], matrix = t->dim[t->ndim - 2] * columns;
    batch.ndim -= 2;
    y_batch.ndim -= 2;
    ref_broadcast_strides(&batch, &y_batch, stride);
    for (int d = 0; d < y_batch.ndim; d++)
        stride[d] *= matrix;
    bool own_is_row = (own == 0) != transposed;
    stride[y->ndim - 2 + own] = own_is_row ? columns : 1;
    stride[y->ndim - 2 + !own] = 0;
    *along_k = own_is_row ? 1 : columns;
}

mu_err REF(matmul)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_matmul_attrs *at = call->attrs;
    const mu_type *ta = &call->in[0], *y_type = &call->out[0];
    int64_t stride_a[MU_MAX_NDIM], stride_b[MU_MAX_NDIM], step_a, step_b;
    operand_strides(ta, at->trans_a, 0, y_type, stride_a, &step_a);
    operand_strides(&call->in[1], at->trans_b, 1, y_type, stride_b, &step_b);
    int64_t depth = ta->dim[ta->ndim - (at->trans_a ? 2 : 1)], count = mu_type_count(y_type);
    real *y = out[0];
    for (int64_t i = 0; i < count; i++) {
        const real *a = (const real *)in[0] + ref_offset(y_type, i, stride_a);
        const real *b = (const real *)in[1] + ref_offset(y_type, i, stride_b);
        double sum = 0;
        for (int64_t k = 0; k < depth; k++)
            sum += (double)a[k * step_a] * b[k * step_b];
        y[i] = (real)sum;
    }
    return MU_OK;
}

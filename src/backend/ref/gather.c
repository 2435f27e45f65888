#include "backend/ref/ref.h"

#include "backend/ref/index.h"

/* Offset in x of the element that element i of the index picks; both are alike except along the lines. */
static mu_err picked(const mu_call *call, void *const *in, const ref_lines *x, const ref_lines *index, int64_t i, int64_t *at)
{
    int64_t pick;
    MU_TRY(ref_index_at(call, in, i, x->n, &pick));
    *at = (i / (index->n * index->inner) * x->n + pick) * x->inner + i % x->inner;
    return MU_OK;
}

mu_err REF(gather)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    int64_t dim = ((const mu_gather_attrs *)call->attrs)->dim, at;
    ref_lines x = ref_lines_along(&call->in[0], dim), index = ref_lines_along(&call->in[1], dim);
    size_t size = mu_dtype_size(call->in[0].dtype);
    for (int64_t i = 0; i < mu_type_count(&call->in[1]); i++) {
        MU_TRY(picked(call, in, &x, &index, i, &at));
        memcpy((char *)out[0] + (size_t)i * size, (const char *)in[0] + (size_t)at * size, size);
    }
    return MU_OK;
}

mu_err REF(gather_grad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    int64_t dim = ((const mu_gather_attrs *)call->attrs)->dim, at;
    ref_lines x = ref_lines_along(&call->out[0], dim), index = ref_lines_along(&call->in[1], dim);
    memset(out[0], 0, mu_type_bytes(&call->out[0]));
    for (int64_t i = 0; i < mu_type_count(&call->in[1]); i++) {
        MU_TRY(picked(call, in, &x, &index, i, &at));
        ((real *)out[0])[at] += ((const real *)in[0])[i];
    }
    return MU_OK;
}

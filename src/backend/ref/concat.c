#include "backend/ref/ref.h"

#include "backend/ref/index.h"

mu_err REF(concat)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    int64_t dim = ((const mu_dim_attrs *)call->attrs)->dim;
    ref_lines y = ref_lines_along(&call->out[0], dim);
    size_t size = mu_dtype_size(call->out[0].dtype), row = (size_t)(y.n * y.inner) * size, at = 0;
    for (int p = 0; p < call->n_in; p++) {
        size_t piece = (size_t)(call->in[p].dim[dim] * y.inner) * size;
        for (int64_t r = 0; piece > 0 && r < y.lines / y.inner; r++)
            memcpy((char *)out[0] + (size_t)r * row + at, (const char *)in[p] + (size_t)r * piece, piece);
        at += piece;
    }
    return MU_OK;
}

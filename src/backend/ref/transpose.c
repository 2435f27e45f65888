#include "backend/ref/ref.h"

#include "backend/ref/index.h"

mu_err REF(transpose)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_shape_attrs *a = call->attrs;
    size_t size = mu_dtype_size(call->in[0].dtype);
    int64_t own[MU_MAX_NDIM], stride[MU_MAX_NDIM];
    mu_type_strides(&call->in[0], own);
    for (int64_t d = 0; d < a->ndim; d++)
        stride[d] = own[a->dim[d]];
    for (int64_t i = 0; i < mu_type_count(&call->out[0]); i++)
        memcpy((char *)out[0] + (size_t)i * size,
               (const char *)in[0] + (size_t)ref_offset(&call->out[0], i, stride) * size, size);
    return MU_OK;
}

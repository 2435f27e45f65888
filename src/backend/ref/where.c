#include "backend/ref/ref.h"

#include "backend/ref/index.h"

mu_err REF(where)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_type *y = &call->out[0];
    size_t size = mu_dtype_size(y->dtype);
    int64_t stride[3][MU_MAX_NDIM];
    for (int k = 0; k < 3; k++)
        ref_broadcast_strides(&call->in[k], y, stride[k]);
    for (int64_t i = 0; i < mu_type_count(y); i++) {
        int from = ((const uint8_t *)in[0])[ref_offset(y, i, stride[0])] ? 1 : 2;
        memmove((char *)out[0] + (size_t)i * size,
                (const char *)in[from] + (size_t)ref_offset(y, i, stride[from]) * size, size);
    }
    return MU_OK;
}

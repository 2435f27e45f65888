#include "backend/ref/ref.h"

#include "backend/ref/index.h"

mu_err REF(broadcast_to)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    size_t size = mu_dtype_size(call->in[0].dtype);
    int64_t stride[MU_MAX_NDIM];
    ref_broadcast_strides(&call->in[0], &call->out[0], stride);
    for (int64_t i = 0; i < mu_type_count(&call->out[0]); i++)
        memcpy((char *)out[0] + (size_t)i * size,
               (const char *)in[0] + (size_t)ref_offset(&call->out[0], i, stride) * size, size);
    return MU_OK;
}

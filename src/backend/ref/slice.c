#include "backend/ref/ref.h"

#include "backend/ref/index.h"

/* A slice of x: the offset of its first element and its strides. */
static int64_t slice_strides(const mu_slice_attrs *a, const mu_type *x, int64_t stride[MU_MAX_NDIM])
{
    int64_t base = 0;
    mu_type_strides(x, stride);
    for (int d = 0; d < x->ndim; d++) {
        base += a->start[d] * stride[d];
        stride[d] *= a->step[d];
    }
    return base;
}

mu_err REF(slice)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    int64_t stride[MU_MAX_NDIM], base = slice_strides(call->attrs, &call->in[0], stride);
    size_t size = mu_dtype_size(call->in[0].dtype);
    for (int64_t i = 0; i < mu_type_count(&call->out[0]); i++)
        memcpy((char *)out[0] + (size_t)i * size,
               (const char *)in[0] + (size_t)(base + ref_offset(&call->out[0], i, stride)) * size, size);
    return MU_OK;
}

mu_err REF(slice_grad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    int64_t stride[MU_MAX_NDIM], base = slice_strides(call->attrs, &call->out[0], stride);
    size_t size = mu_dtype_size(call->in[0].dtype);
    memset(out[0], 0, mu_type_bytes(&call->out[0]));
    for (int64_t i = 0; i < mu_type_count(&call->in[0]); i++)
        memcpy((char *)out[0] + (size_t)(base + ref_offset(&call->in[0], i, stride)) * size,
               (const char *)in[0] + (size_t)i * size, size);
    return MU_OK;
}

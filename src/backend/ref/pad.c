#include "backend/ref/ref.h"

#include "ops/pad.h"

/* The element of `inner` that stands at element i of `padded`; -1 in a constant border. */
static int64_t source_of(const mu_pad_attrs *a, const mu_type *padded, const mu_type *inner, int64_t i)
{
    int64_t offset = 0, stride = 1;
    for (int d = padded->ndim - 1; d >= 0; d--) {
        int64_t at = mu_pad_source(a->mode, i % padded->dim[d] - a->before[d], inner->dim[d]);
        if (at < 0)
            return -1;
        offset += at * stride;
        stride *= inner->dim[d];
        i /= padded->dim[d];
    }
    return offset;
}

static void add_back(const mu_pad_attrs *a, const mu_type *padded, const mu_type *inner, const real *dy, real *dx)
{
    memset(dx, 0, mu_type_bytes(inner));
    for (int64_t i = 0; i < mu_type_count(padded); i++) {
        int64_t at = source_of(a, padded, inner, i);
        if (at >= 0)
            dx[at] += dy[i];
    }
}

mu_err REF(pad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_pad_attrs *a = call->attrs;
    if (a->gradient) {
        add_back(a, &call->in[0], &call->out[0], in[0], out[0]);
        return MU_OK;
    }
    char value[sizeof(double)];
    size_t size = mu_dtype_size(call->in[0].dtype);
    mu_convert(value, call->in[0].dtype, &a->value, MU_F64, 1);
    for (int64_t i = 0; i < mu_type_count(&call->out[0]); i++) {
        int64_t at = source_of(a, &call->out[0], &call->in[0], i);
        memcpy((char *)out[0] + (size_t)i * size, at < 0 ? value : (const char *)in[0] + (size_t)at * size, size);
    }
    return MU_OK;
}

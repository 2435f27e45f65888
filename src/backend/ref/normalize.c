#include "backend/ref/ref.h"

/* Element c of [C] or [1]; absent: `none`. */
static real of_channel(const mu_call *call, void *const *in, int i, int64_t c, real none)
{
    const real *v = ref_in(call, in, i);
    return v ? v[call->in[i].dim[0] > 1 ? c : 0] : none;
}

mu_err REF(normalize)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_normalize_attrs *a = call->attrs;
    const mu_type *x = &call->in[0], *y = &call->out[0];
    int64_t channels = y->dim[1], height = x->dim[x->ndim - 2], width = x->dim[x->ndim - 1];
    size_t size = mu_dtype_size(y->dtype);
    for (int64_t i = 0; i < mu_type_count(y); i++) {
        int64_t col = i % y->dim[3], row = i / y->dim[3] % y->dim[2], plane = i / y->dim[3] / y->dim[2];
        int64_t c = plane % channels, from = a->reverse ? plane - c + channels - 1 - c : plane;
        real value = (real)a->value;
        if (row < height && col < width) {
            int64_t at = (from * height + row) * width + col;
            value = x->dtype == MU_U8 ? (real)((const uint8_t *)in[0])[at] : ((const real *)in[0])[at];
            value = (value - of_channel(call, in, 1, c, 0)) / of_channel(call, in, 2, c, 1);
        }
        mu_convert((char *)out[0] + (size_t)i * size, y->dtype, &value, REF_DTYPE, 1);
    }
    return MU_OK;
}

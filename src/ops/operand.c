#include "ops/operand.h"

const char *const mu_operand_dtypes[] = {"-",
#define X(code, text, bytes, is_float) text,
                                         MU_DTYPE_MAP(X)
#undef X
                                             NULL};

mu_err mu_operand_required(const mu_call *call, int i, const char *what)
{
    return mu_operand(call, i) ? MU_OK : MU_FAIL(MU_ERR_SHAPE, "operand %d, the %s, is missing", i, what);
}

mu_err mu_operand_float(const mu_type *t, const char *what, int ndim_min, int ndim_max)
{
    char text[MU_TYPE_TEXT];
    if (mu_dtype_is_float(t->dtype) && t->ndim >= ndim_min && t->ndim <= ndim_max)
        return MU_OK;
    if (ndim_min == ndim_max)
        return MU_FAIL(MU_ERR_SHAPE, "%s must be floating point with %d dimensions, got %s", what, ndim_min,
                       mu_type_format(t, text));
    return MU_FAIL(MU_ERR_SHAPE, "%s must be floating point with %d to %d dimensions, got %s", what, ndim_min, ndim_max,
                   mu_type_format(t, text));
}

mu_err mu_operand_matches(const mu_call *call, int i, const char *what, const mu_type *want)
{
    const mu_type *t = mu_operand(call, i);
    char expected[MU_TYPE_TEXT], found[MU_TYPE_TEXT];
    if (!t || mu_type_equal(t, want))
        return MU_OK;
    return MU_FAIL(MU_ERR_SHAPE, "%s must be %s, got %s", what, mu_type_format(want, expected), mu_type_format(t, found));
}

mu_err mu_operand_index(const mu_type *t, const char *what)
{
    char text[MU_TYPE_TEXT];
    if (t->dtype == MU_I64 || t->dtype == MU_I32)
        return MU_OK;
    MU_FAIL(MU_ERR_SHAPE, "%s must be i64 or i32, got %s", what, mu_type_format(t, text));
    return mu_error_hint("cast it");
}

mu_err mu_operand_dim(const mu_type *t, int64_t dim)
{
    char text[MU_TYPE_TEXT];
    if (dim >= 0 && dim < t->ndim)
        return MU_OK;
    return MU_FAIL(MU_ERR_SHAPE, "dimension %lld is outside of %s", (long long)dim, mu_type_format(t, text));
}

int64_t mu_flops_none(const mu_call *call)
{
    (void)call;
    return 0;
}

int64_t mu_bytes_picked(const mu_call *call)
{
    int64_t bytes = 2 * (int64_t)mu_type_bytes(&call->out[0]);
    return call->n_in > 1 ? bytes + (int64_t)mu_type_bytes(&call->in[1]) : bytes;
}

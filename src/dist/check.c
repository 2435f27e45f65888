#include "dist/check.h"

#include "core/mem.h"

mu_err mu_check_buffer(const char *call, int64_t count, mu_dtype dtype, int ranks, size_t *bytes)
{
    size_t total;
    if (count < 0)
        return MU_FAIL(MU_ERR_USAGE, "%s: %lld elements: expected 0 or more", call, (long long)count);
    if (dtype <= MU_NONE || dtype >= MU_DTYPE_COUNT)
        return MU_FAIL(MU_ERR_USAGE, "%s: %d is no dtype", call, (int)dtype);
    MU_TRY(mu_mul_size((size_t)count, mu_dtype_size(dtype), bytes));
    MU_TRY(mu_mul_size(*bytes, (size_t)ranks, &total));
    return MU_OK;
}

mu_err mu_check_reduction(const char *call, mu_dtype *dtype, mu_comm_op *op)
{
    if ((unsigned)*op >= MU_COMM_OP_COUNT)
        return MU_FAIL(MU_ERR_USAGE, "%s: %d is no operation", call, (int)*op);
    bool bits = *op == MU_COMM_BAND || *op == MU_COMM_BOR || *op == MU_COMM_BXOR;
    if (bits && mu_dtype_is_float(*dtype))
        return MU_FAIL(MU_ERR_UNSUPPORTED, "%s: %s of %s: bit operations are for integers and bool", call,
                       mu_comm_op_name(*op), mu_dtype_name(*dtype));
    if (*op == MU_COMM_MEAN && !mu_dtype_is_float(*dtype)) {
        MU_FAIL(MU_ERR_UNSUPPORTED, "%s: mean of %s: a mean is for floats", call, mu_dtype_name(*dtype));
        return mu_error_hint("take the sum, or convert to f64 first");
    }
    if (*op == MU_COMM_MEAN)
        *op = MU_COMM_SUM;
    if (*dtype == MU_BOOL) {
        *dtype = MU_U8;
        if (!bits)
            *op = *op == MU_COMM_SUM || *op == MU_COMM_MAX ? MU_COMM_BOR : MU_COMM_BAND;
    }
    return MU_OK;
}

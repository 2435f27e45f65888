/* Values that tell who sent them, and what reductions must make of them. */
#include "mpi/comm_checks.h"


#include <math.h>

/* Small whole numbers that every dtype holds; for u8 large enough that sums wrap around. */
double value(int rank, int64_t i, mu_dtype dtype)
{
    int v = (int)((i * 7 + rank * 5) % 5);
    if (dtype == MU_BOOL)
        return (i + rank) % 3 == 0;
    return dtype == MU_U8 ? v * 50 : v - 2;
}

double combine(double a, double b, mu_dtype dtype, mu_comm_op op)
{
    switch (op) {
    case MU_COMM_SUM:
    case MU_COMM_MEAN: return dtype == MU_BOOL ? a || b : a + b;
    case MU_COMM_PRODUCT: return a * b;
    case MU_COMM_MIN: return fmin(a, b);
    case MU_COMM_MAX: return fmax(a, b);
    case MU_COMM_BAND: return (double)((int64_t)a & (int64_t)b);
    case MU_COMM_BOR: return (double)((int64_t)a | (int64_t)b);
    case MU_COMM_BXOR: return (double)((int64_t)a ^ (int64_t)b);
    default: return NAN;
    }
}

double expected(int64_t i, mu_dtype dtype, mu_comm_op op)
{
    double v = value(0, i, dtype);
    for (int r = 1; r < world->size; r++) {
        v = combine(v, value(r, i, dtype), dtype, op);
        if (dtype == MU_U8)
            v = fmod(v, 256);
    }
    return op == MU_COMM_MEAN ? v / world->size : v;
}

bool allowed(mu_dtype dtype, mu_comm_op op)
{
    bool bits = op == MU_COMM_BAND || op == MU_COMM_BOR || op == MU_COMM_BXOR;
    return mu_dtype_is_float(dtype) ? !bits : op != MU_COMM_MEAN;
}

void fill(void *data, int rank, int64_t count, mu_dtype dtype)
{
    double wide[MAX_COUNT];
    for (int64_t i = 0; i < count; i++)
        wide[i] = value(rank, i, dtype);
    mu_convert(data, dtype, wide, MU_F64, count);
}

/* The largest relative error of a mean; sums of small whole numbers are exact. */
double rounding(mu_dtype dtype)
{
    return dtype == MU_BF16 ? 1.0 / 256 : dtype == MU_F16 ? 1.0 / 2048 : dtype == MU_F32 ? 6e-8 : 2e-16;
}

void compare(const void *data, int64_t count, mu_dtype dtype, mu_comm_op op)
{
    double got[MAX_COUNT];
    mu_convert(got, MU_F64, data, dtype, count);
    for (int64_t i = 0; i < count; i++) {
        double want = expected(i, dtype, op), allow = op == MU_COMM_MEAN ? fabs(want) * rounding(dtype) : 0;
        CHECK(fabs(got[i] - want) <= allow, "%s of %s, element %lld of %lld: %g instead of %g", mu_comm_op_name(op),
              mu_dtype_name(dtype), (long long)i, (long long)count, got[i], want);
    }
}

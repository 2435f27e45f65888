#include "backend/ref/ref.h"

mu_err REF(square_sum)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const real *x = in[0];
    long double sum = 0; /* the result of others is f64, too: rounded once, this one judges it */
    for (int64_t i = 0; i < mu_type_count(&call->in[0]); i++)
        sum += (long double)x[i] * x[i];
    *(double *)out[0] = (double)sum;
    return MU_OK;
}

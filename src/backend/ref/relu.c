#include "backend/ref/ref.h"

mu_err REF(relu)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const real *x = in[0];
    real *y = out[0];
    for (int64_t i = 0; i < mu_type_count(&call->out[0]); i++)
        y[i] = x[i] > 0 || x[i] != x[i] ? x[i] : 0;
    return MU_OK;
}

mu_err REF(relu_grad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const real *dy = in[0], *y = in[1];
    real *dx = out[0];
    for (int64_t i = 0; i < mu_type_count(&call->out[0]); i++)
        dx[i] = y[i] > 0 ? dy[i] : 0;
    return MU_OK;
}

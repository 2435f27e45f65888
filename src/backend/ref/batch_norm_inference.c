#include "backend/ref/ref.h"

mu_err REF(batch_norm_inference)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_batch_norm_attrs *a = call->attrs;
    const mu_type *t = &call->in[0];
    const real *x = in[0], *gamma = in[1], *beta = in[2], *mean = in[3], *var = in[4];
    real *y = out[0];
    int64_t plane = 1;
    for (int d = 2; d < t->ndim; d++)
        plane *= t->dim[d];
    for (int64_t i = 0; i < mu_type_count(t); i++) {
        int64_t c = i / plane % t->dim[1];
        double v = ((double)x[i] - mean[c]) / sqrt(var[c] + a->eps) * (gamma ? gamma[c] : 1) + (beta ? beta[c] : 0);
        y[i] = (real)(a->relu && v <= 0 ? 0 : v);
    }
    return MU_OK;
}

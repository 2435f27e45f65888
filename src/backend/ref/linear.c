#include "backend/ref/ref.h"

#include "backend/ref/activation.h"

mu_err REF(linear)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_linear_attrs *a = call->attrs;
    const real *x = in[0], *w = in[1], *bias = ref_in(call, in, 2);
    real *y = out[0];
    int64_t n_out = call->in[1].dim[0], n_in = call->in[1].dim[1], count = mu_type_count(&call->out[0]);
    for (int64_t i = 0; i < count; i++) {
        const real *row = x + i / n_out * n_in, *weight = w + i % n_out * n_in;
        double sum = bias ? bias[i % n_out] : 0;
        for (int64_t k = 0; k < n_in; k++)
            sum += (double)row[k] * weight[k];
        y[i] = REF(activation)(a->activation, a->alpha, (real)sum);
    }
    return MU_OK;
}

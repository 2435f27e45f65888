#include "backend/ref/update.h"

mu_err REF(adam)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_update_attrs *a = call->attrs;
    const double *s = in[5], lr = s[0], weight_decay = s[1], beta1 = s[2], beta2 = s[3], eps = s[4];
    const double step_size = lr / s[6], root = sqrt(s[7]);
    const real *old = in[0], *gradient = in[1], *old_m = in[2], *old_v = in[3], *old_vmax = in[4];
    real *param = out[0], *m = out[1], *v = out[2], *vmax = out[3];
    if (ref_update_skipped(call, in, out))
        return MU_OK;
    for (int64_t i = 0; i < mu_type_count(&call->in[0]); i++) {
        double p = old[i], g = ref_update_gradient(s, a->maximize, gradient[i]);
        if (a->decoupled)
            p *= 1 - lr * weight_decay;
        else
            g += weight_decay * p;
        m[i] = (real)(old_m[i] + (1 - beta1) * (g - old_m[i]));
        v[i] = (real)(beta2 * old_v[i] + (1 - beta2) * g * g);
        if (vmax)
            vmax[i] = old_vmax[i] > v[i] ? old_vmax[i] : v[i];
        param[i] = (real)(p - step_size * m[i] / (sqrt(vmax ? vmax[i] : v[i]) / root + eps));
    }
    return MU_OK;
}

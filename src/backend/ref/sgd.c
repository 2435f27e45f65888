#include "backend/ref/update.h"

mu_err REF(sgd)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_update_attrs *a = call->attrs;
    const double *s = in[3], lr = s[0], weight_decay = s[1], momentum = s[2], dampening = s[3];
    const real *old = in[0], *gradient = in[1], *old_buffer = in[2];
    real *param = out[0], *buffer = out[1];
    if (ref_update_skipped(call, in, out))
        return MU_OK;
    for (int64_t i = 0; i < mu_type_count(&call->in[0]); i++) {
        double g = ref_update_gradient(s, a->maximize, gradient[i]) + weight_decay * old[i];
        if (buffer) {
            buffer[i] = (real)(s[MU_UPDATE_FIRST] != 0 ? g : momentum * old_buffer[i] + (1 - dampening) * g);
            g = a->nesterov ? g + momentum * buffer[i] : buffer[i];
        }
        param[i] = (real)(old[i] - lr * g);
    }
    return MU_OK;
}

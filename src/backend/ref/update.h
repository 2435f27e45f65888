/* What the updates of the reference share. */
#ifndef MU_BACKEND_REF_UPDATE_H
#define MU_BACKEND_REF_UPDATE_H

#include "backend/ref/ref.h"

/* Is this step skipped? Outputs that are not in place are copies then. */
static inline bool ref_update_skipped(const mu_call *call, void *const *in, void *const *out)
{
    const double *scalars = in[call->n_in - 1];
    if (scalars[MU_UPDATE_SKIP] == 0)
        return false;
    for (int o = 0; o < call->n_out; o++) {
        int from = call->op->updates[o] - 1;
        if (out[o] && out[o] != in[from])
            memcpy(out[o], in[from], mu_type_bytes(&call->out[o]));
    }
    return true;
}

/* NaN stays. */
static inline double ref_update_gradient(const double *scalars, bool maximize, double gradient)
{
    double g = (maximize ? -scalars[MU_UPDATE_GRADIENT_SCALE] : scalars[MU_UPDATE_GRADIENT_SCALE]) * gradient;
    double most = scalars[MU_UPDATE_MAX_VALUE];
    return most > 0 && g > most ? most : most > 0 && g < -most ? -most : g;
}

#endif

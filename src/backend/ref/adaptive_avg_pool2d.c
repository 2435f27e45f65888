#include "backend/ref/ref.h"

#include "backend/ref/pool2d.h"

mu_err REF(adaptive_avg_pool2d)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_type *x = &call->in[0], *y = &call->out[0];
    for (int64_t i = 0; i < mu_type_count(y); i++) {
        ref_pooled at = ref_pooled_at(x, y, i);
        ref_window h = ref_adaptive_window(at.row, x->dim[2], y->dim[2]);
        ref_window w = ref_adaptive_window(at.column, x->dim[3], y->dim[3]);
        ((real *)out[0])[i] = REF(window_mean)((const real *)in[0] + at.plane, x->dim[3], &h, &w);
    }
    return MU_OK;
}

mu_err REF(adaptive_avg_pool2d_grad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_type *x = &call->out[0], *y = &call->in[0];
    memset(out[0], 0, mu_type_bytes(x));
    for (int64_t i = 0; i < mu_type_count(y); i++) {
        ref_pooled at = ref_pooled_at(x, y, i);
        ref_window h = ref_adaptive_window(at.row, x->dim[2], y->dim[2]);
        ref_window w = ref_adaptive_window(at.column, x->dim[3], y->dim[3]);
        REF(window_spread)((real *)out[0] + at.plane, x->dim[3], &h, &w, ((const real *)in[0])[i]);
    }
    return MU_OK;
}

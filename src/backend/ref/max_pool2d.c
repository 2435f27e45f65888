#include "backend/ref/ref.h"

#include "backend/ref/pool2d.h"

mu_err REF(max_pool2d)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_type *x = &call->in[0], *y = &call->out[0];
    for (int64_t i = 0; i < mu_type_count(y); i++) {
        ref_pooled at = ref_pooled_at(x, y, i);
        ref_window h = ref_window_of(call->attrs, 0, at.row, x->dim[2]), w = ref_window_of(call->attrs, 1, at.column, x->dim[3]);
        int32_t index;
        ((real *)out[0])[i] = REF(window_max)((const real *)in[0] + at.plane, x->dim[3], &h, &w, &index);
        if (out[1])
            ((int32_t *)out[1])[i] = index;
    }
    return MU_OK;
}

mu_err REF(max_pool2d_grad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const real *dy = in[0];
    const int32_t *index = in[1];
    int64_t plane = call->out[0].dim[2] * call->out[0].dim[3];
    memset(out[0], 0, mu_type_bytes(&call->out[0]));
    for (int64_t i = 0; i < mu_type_count(&call->in[0]); i++) {
        if (index[i] < -1 || index[i] >= plane)
            return MU_FAIL(MU_ERR_FORMAT, "%s \"%s\": index %d at element %lld is outside of planes of %lld elements",
                           call->op->name, call->name ? call->name : "", index[i], (long long)i, (long long)plane);
        if (index[i] >= 0)
            ((real *)out[0])[ref_pooled_at(&call->out[0], &call->in[0], i).plane + index[i]] += dy[i];
    }
    return MU_OK;
}

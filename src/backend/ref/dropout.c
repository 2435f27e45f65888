#include "backend/ref/ref.h"

#include "core/philox.h"

mu_err REF(dropout)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    const mu_dropout_attrs *a = call->attrs;
    const mu_type *t = &call->in[0];
    const real *x = in[0];
    real *y = out[0];
    int64_t n = mu_type_count(t), inner = t->ndim > 0 && t->dim[0] > 0 ? n / t->dim[0] : n;
    int64_t stride = run->sample_stride ? run->sample_stride : 1;
    mu_philox stream = mu_philox_key(run->seed, MU_RNG_DROPOUT, (uint64_t)a->key, (uint64_t)run->step);
    for (int64_t i = 0; i < n; i++) {
        int64_t sample = run->sample_offset + i / inner * stride;
        bool kept = mu_philox_uniform_f32(&stream, (uint64_t)(sample * inner + i % inner)) >= a->p;
        y[i] = kept ? (real)(x[i] / (1 - a->p)) : 0;
    }
    return MU_OK;
}

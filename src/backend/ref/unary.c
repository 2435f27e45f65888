#include "backend/ref/ref.h"

#include "backend/ref/scalar.h"

/* alpha and beta as the operands hold numbers: a clamp to 0.1 in f32 is one to 0.1f. */
#define X(name, ...)                                                                                  \
    mu_err REF(name)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)       \
    {                                                                                                 \
        (void)run;                                                                                    \
        const mu_unary_attrs *a = call->attrs;                                                        \
        const real *x = in[0], alpha = (real)a->alpha, beta = (real)a->beta;                          \
        real *y = out[0];                                                                             \
        for (int64_t i = 0; i < mu_type_count(&call->out[0]); i++)                                    \
            y[i] = (real)ref_##name(x[i], alpha, beta);                                               \
        return MU_OK;                                                                                 \
    }
REF_UNARY_MAP(X)
#undef X

#define X(name, ...)                                                                                  \
    mu_err REF(name)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)       \
    {                                                                                                 \
        (void)run;                                                                                    \
        const mu_unary_attrs *a = call->attrs;                                                        \
        const real *dy = in[0], *z = in[1], alpha = (real)a->alpha, beta = (real)a->beta;             \
        real *dx = out[0];                                                                            \
        for (int64_t i = 0; i < mu_type_count(&call->out[0]); i++)                                    \
            dx[i] = (real)ref_##name(dy[i], z[i], alpha, beta);                                       \
        return MU_OK;                                                                                 \
    }
REF_UNARY_GRAD_MAP(X)
#undef X

#include "backend/ref/ref.h"

#include "backend/ref/index.h"

mu_err REF(argmax)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    ref_lines l = ref_lines_along(&call->in[0], ((const mu_dim_attrs *)call->attrs)->dim);
    for (int64_t line = 0; line < l.lines; line++) {
        const real *x = (const real *)in[0] + ref_line_start(&l, line);
        int64_t best = 0;
        for (int64_t i = 1; i < l.n; i++) {
            real v = x[i * l.inner], most = x[best * l.inner];
            if (v > most || (v != v && most == most))
                best = i;
        }
        ((int64_t *)out[0])[line] = best;
    }
    return MU_OK;
}

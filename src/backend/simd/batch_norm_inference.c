#include "backend/simd/batch_norm.h"

#include <math.h>

/* With given statistics there is one sweep. */
static mu_err run_inference(mu_kernel *kernel, const mu_run *run)
{
    const mu_simd_norm *s = (const mu_simd_norm *)kernel;
    (void)run;
    for (int64_t c = 0; c < s->groups * s->lanes; c++) {
        if (c >= s->base.x.c) {
            set_coefficients(s, c, 0, 0, 0, 0);
            continue;
        }
        double rstd = 1 / sqrt(at(s, 4, c, 1) + ((const mu_batch_norm_attrs *)kernel->call.attrs)->eps);
        set_coefficients(s, c, at(s, 3, c, 0), rstd * at(s, 1, c, 1), at(s, 2, c, 0), 0);
    }
#pragma omp parallel for num_threads(mu_simd_threads(&s->base, s->bytes)) schedule(static)
    for (int64_t i = 0; i < s->groups * s->units; i++) {
        int64_t group, u;
        locate(s, 0, s->groups, i, &group, &u);
        mu_simd_unit of = unit_of(s, group, u);
        SIMD(mu_simd_norm_forward).write(s, group, &of);
    }
    return MU_OK;
}

const mu_simd_impl SIMD(batch_norm_inference) = {.layouts = MU_ALIKE_CHANNELS,
                                                 .size = sizeof(mu_simd_norm),
                                                 .supports = SIMD(mu_simd_norm_supports),
                                                 .setup = SIMD(mu_simd_norm_setup),
                                                 .run = run_inference};

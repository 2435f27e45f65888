/* What softmax and cross-entropy share. */
#ifndef MU_BACKEND_REF_SOFTMAX_H
#define MU_BACKEND_REF_SOFTMAX_H

#include "backend/ref/ref.h"

/* y = log-softmax of n > 0 numbers, `stride` apart; x and y may be the same. */
static inline void ref_log_softmax(const real *x, real *y, int64_t n, int64_t stride)
{
    double most = x[0], sum = 0;
    for (int64_t c = 1; c < n; c++)
        most = fmax(most, x[c * stride]);
    for (int64_t c = 0; c < n; c++)
        sum += exp(x[c * stride] - most);
    for (int64_t c = 0; c < n; c++)
        y[c * stride] = (real)(x[c * stride] - most - log(sum));
}

#endif

/* What the norms share: the two-pass mean and variance of a strided block, in double. */
#ifndef MU_BACKEND_REF_NORM_H
#define MU_BACKEND_REF_NORM_H

#include "backend/ref/ref.h"

/* x is n_outer runs of n_inner consecutive elements, `stride` elements apart. Biased variance; both 0 when empty. */
typedef struct {
    int64_t n_outer, n_inner, stride;
} ref_block;

static inline int64_t ref_block_at(const ref_block *block, int64_t i)
{
    return i / block->n_inner * block->stride + i % block->n_inner;
}

static inline void REF(moments)(const real *x, const ref_block *block, double *mean, double *var)
{
    int64_t n = block->n_outer * block->n_inner;
    *mean = *var = 0;
    if (n == 0)
        return;
    for (int64_t i = 0; i < n; i++)
        *mean += x[ref_block_at(block, i)];
    *mean /= (double)n;
    for (int64_t i = 0; i < n; i++) {
        double d = x[ref_block_at(block, i)] - *mean;
        *var += d * d;
    }
    *var /= (double)n;
}

#endif

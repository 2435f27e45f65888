/* Indices that are operand 1 of gather and embedding. */
#ifndef MU_BACKEND_SIMD_INDEX_H
#define MU_BACKEND_SIMD_INDEX_H

#include "backend/simd/kernel.h"

static inline int64_t mu_simd_index(const mu_kernel *k, int64_t i)
{
    switch (k->call.in[1].dtype) {
    case MU_I64: return ((const int64_t *)k->in[1])[i];
    case MU_I32: return ((const int32_t *)k->in[1])[i];
    default: return ((const uint8_t *)k->in[1])[i];
    }
}

/* MU_ERR_FORMAT names the first index that is not in 0..limit-1. */
static inline mu_err mu_simd_check_indices(const mu_kernel *k, int64_t limit, int threads)
{
    int64_t n = mu_type_count(&k->call.in[1]), bad = n;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(min : bad) if (threads > 1)
    for (int64_t i = 0; i < n; i++) {
        int64_t at = mu_simd_index(k, i);
        if ((at < 0 || at >= limit) && i < bad)
            bad = i;
    }
    if (bad == n)
        return MU_OK;
    return MU_FAIL(MU_ERR_FORMAT, "%s \"%s\": index %lld at element %lld is outside of [0, %lld)", k->call.op->name,
                   k->call.name ? k->call.name : "", (long long)mu_simd_index(k, bad), (long long)bad,
                   (long long)limit);
}

#endif

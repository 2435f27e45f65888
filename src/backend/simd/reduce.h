/* What reductions share. */
#ifndef MU_BACKEND_SIMD_REDUCE_H
#define MU_BACKEND_SIMD_REDUCE_H

#include "backend/simd/kernel.h"
#include "ops/reduce.h"

/* x as [outer][n][inner], reduced along n. */
typedef struct {
    int64_t outer, n, inner;
} mu_simd_lines;

/* False when kept dimensions lie between reduced ones. */
static inline bool mu_simd_lines_of(const mu_call *call, mu_simd_lines *l)
{
    const mu_type *x = &call->in[0];
    int64_t dims = mu_reduce_dims(call->attrs, x);
    int state = 0; /* 0: before, 1: in, 2: after the reduced dimensions */
    *l = (mu_simd_lines){1, 1, 1};
    for (int d = 0; d < x->ndim; d++) {
        bool reduced = dims >> d & 1;
        if (x->dim[d] == 1)
            continue;
        if (reduced && state == 2)
            return false;
        state = reduced ? 1 : state == 1 ? 2 : state;
        *(state == 0 ? &l->outer : state == 1 ? &l->n : &l->inner) *= x->dim[d];
    }
    return true;
}

#endif

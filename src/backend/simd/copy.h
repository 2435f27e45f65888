/* Copies of strided arrays of elements of any size: what the operations that only move data are made of. */
#ifndef MU_BACKEND_SIMD_COPY_H
#define MU_BACKEND_SIMD_COPY_H

#include "backend/simd/kernel.h"

enum { MU_SIMD_COPY_NDIM = MU_MAX_NDIM + 2 };

/* Strides in elements; 0 in `from` repeats. No two elements of the destination may be one. */
typedef struct {
    size_t size; /* bytes of an element */
    int ndim;
    int64_t dim[MU_SIMD_COPY_NDIM], from[MU_SIMD_COPY_NDIM], to[MU_SIMD_COPY_NDIM];
    int64_t from_start, to_start; /* offset of the first element */
} mu_simd_copy;

/* Brings a copy into the form that runs fastest: dimensions merged and put in order. */
void SIMD(mu_simd_copy_plan)(mu_simd_copy *copy);
/* Runs a planned copy on at most this many threads. */
void SIMD(mu_simd_copy_run)(const mu_simd_copy *copy, const void *from, void *to, int threads);
/* Sets memory to zero. */
void SIMD(mu_simd_zero)(void *to, size_t bytes, int threads);

/* The array that a tensor is in its layout: [N][blocks][spatial...][width]; row-major it is the tensor itself. Returns
 * the number of dimensions. */
int mu_simd_storage(const mu_type *type, const mu_layout *layout, int64_t dim[MU_SIMD_COPY_NDIM]);

static inline void mu_simd_strides(const int64_t *dim, int ndim, int64_t *stride)
{
    int64_t n = 1;
    for (int d = ndim - 1; d >= 0; d--) {
        stride[d] = n;
        n *= dim[d];
    }
}

#endif

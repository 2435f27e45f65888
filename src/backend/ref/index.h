/* Index arithmetic of the reference kernels: element i of one tensor, seen through the strides of another. */
#ifndef MU_BACKEND_REF_INDEX_H
#define MU_BACKEND_REF_INDEX_H

#include "ops/reduce.h"

/* Offset that the i-th element (row-major) of a tensor of this shape has under `stride` (elements; 0 repeats). */
static inline int64_t ref_offset(const mu_type *shape, int64_t i, const int64_t stride[MU_MAX_NDIM])
{
    int64_t offset = 0;
    for (int d = shape->ndim - 1; d >= 0; d--) {
        offset += i % shape->dim[d] * stride[d];
        i /= shape->dim[d];
    }
    return offset;
}

/* Strides that make `small` look like `large` (broadcasting). */
static inline void ref_broadcast_strides(const mu_type *small, const mu_type *large, int64_t stride[MU_MAX_NDIM])
{
    int64_t own[MU_MAX_NDIM];
    mu_type_strides(small, own);
    for (int d = 0; d < large->ndim; d++) {
        int s = d - (large->ndim - small->ndim);
        stride[d] = s < 0 || small->dim[s] == 1 ? 0 : own[s];
    }
}

/* Strides that send each element of x to its place in the reduced output. */
static inline void ref_reduced_strides(const mu_reduce_attrs *attrs, const mu_type *x, int64_t stride[MU_MAX_NDIM])
{
    int64_t dims = mu_reduce_dims(attrs, x), step = 1;
    for (int d = x->ndim - 1; d >= 0; d--) {
        stride[d] = dims >> d & 1 ? 0 : step;
        step *= dims >> d & 1 ? 1 : x->dim[d];
    }
}

#endif

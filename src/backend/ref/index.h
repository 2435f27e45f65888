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

/* A reduction as two nested walks: over the outputs, and over the elements of x that each of them covers. */
typedef struct {
    mu_type kept, reduced; /* shapes of the walks */
    int64_t kept_stride[MU_MAX_NDIM], reduced_stride[MU_MAX_NDIM]; /* in x, elements */
    int64_t n_out, n_each;
} ref_reduction;

static inline ref_reduction ref_reduction_of(const mu_reduce_attrs *attrs, const mu_type *x)
{
    ref_reduction r = {.kept = {.dtype = x->dtype}, .reduced = {.dtype = x->dtype}};
    int64_t dims = mu_reduce_dims(attrs, x), stride[MU_MAX_NDIM];
    mu_type_strides(x, stride);
    for (int d = 0; d < x->ndim; d++) {
        mu_type *walk = dims >> d & 1 ? &r.reduced : &r.kept;
        (dims >> d & 1 ? r.reduced_stride : r.kept_stride)[walk->ndim] = stride[d];
        walk->dim[walk->ndim++] = x->dim[d];
    }
    r.n_out = mu_type_count(&r.kept);
    r.n_each = mu_type_count(&r.reduced);
    return r;
}

/* Offset in x of element i of those that output o covers. */
static inline int64_t ref_reduction_at(const ref_reduction *r, int64_t o, int64_t i)
{
    return ref_offset(&r->kept, o, r->kept_stride) + ref_offset(&r->reduced, i, r->reduced_stride);
}

#endif

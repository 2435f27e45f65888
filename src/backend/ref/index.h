/* Index arithmetic of the reference kernels: element i of one tensor, seen through the strides of another. */
#ifndef MU_BACKEND_REF_INDEX_H
#define MU_BACKEND_REF_INDEX_H

#include "backend/ref/element.h"
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

/* x seen as lines along one dimension: `lines` of n elements, `inner` apart. */
typedef struct {
    int64_t lines, n, inner;
} ref_lines;

static inline ref_lines ref_lines_along(const mu_type *x, int64_t dim)
{
    ref_lines l = {.lines = 1, .n = x->dim[dim], .inner = 1};
    for (int d = 0; d < x->ndim; d++)
        if (d != dim)
            l.lines *= x->dim[d];
    for (int64_t d = dim + 1; d < x->ndim; d++)
        l.inner *= x->dim[d];
    return l;
}

/* Offset of the first element of a line. */
static inline int64_t ref_line_start(const ref_lines *l, int64_t line)
{
    return line / l->inner * l->n * l->inner + line % l->inner;
}

/* Element i of the indices that are operand 1; it must be in 0..limit-1. */
static inline mu_err ref_index_at(const mu_call *call, void *const *in, int64_t i, int64_t limit, int64_t *out)
{
    *out = ref_load_int(in[1], call->in[1].dtype, i);
    if (*out >= 0 && *out < limit)
        return MU_OK;
    return MU_FAIL(MU_ERR_FORMAT, "%s \"%s\": index %lld at element %lld is outside of [0, %lld)",
                   call->op->name, call->name ? call->name : "", (long long)*out, (long long)i, (long long)limit);
}

#endif

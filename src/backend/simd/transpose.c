#include "backend/simd/copy.h"

typedef struct {
    mu_simd_kernel base;
    mu_simd_copy copy;
} strided;

/* transpose and broadcast_to: one copy with other strides. */
static mu_err run_copy(mu_kernel *kernel, const mu_run *run)
{
    const strided *s = (const strided *)kernel;
    int threads = mu_simd_threads(&s->base, 2 * (int64_t)mu_type_bytes(&kernel->call.out[0]));
    (void)run;
    SIMD(mu_simd_copy_run)(&s->copy, kernel->in[0], kernel->out[0], threads);
    return MU_OK;
}

static mu_simd_copy *copy_to(mu_simd_kernel *kernel)
{
    mu_simd_copy *c = &((strided *)kernel)->copy;
    const mu_type *y = &kernel->base.call.out[0];
    c->size = mu_dtype_size(y->dtype);
    c->ndim = mu_simd_storage(y, NULL, c->dim);
    mu_simd_strides(c->dim, c->ndim, c->to);
    return c;
}

static mu_err setup_transpose(mu_simd_kernel *kernel)
{
    const mu_shape_attrs *a = kernel->base.call.attrs;
    const mu_type *x = &kernel->base.call.in[0];
    mu_simd_copy *c = copy_to(kernel);
    int64_t stride[MU_SIMD_COPY_NDIM];
    mu_simd_strides(x->dim, x->ndim, stride);
    for (int d = 0; d < x->ndim; d++)
        c->from[d] = stride[a->dim[d]];
    SIMD(mu_simd_copy_plan)(c);
    return MU_OK;
}

static mu_err setup_broadcast_to(mu_simd_kernel *kernel)
{
    const mu_type *x = &kernel->base.call.in[0];
    mu_simd_copy *c = copy_to(kernel);
    int64_t stride[MU_SIMD_COPY_NDIM];
    int first = c->ndim - x->ndim;
    mu_simd_strides(x->dim, x->ndim, stride);
    for (int d = 0; d < c->ndim; d++)
        c->from[d] = d < first || x->dim[d - first] == 1 ? 0 : stride[d - first];
    SIMD(mu_simd_copy_plan)(c);
    return MU_OK;
}

#define IMPL(name)                                                                                                     \
    const mu_simd_impl SIMD(name) = {                                                                                  \
        .size = sizeof(strided), .supports = mu_simd_any_dtype, .setup = setup_##name, .run = run_copy}

IMPL(transpose);
IMPL(broadcast_to);

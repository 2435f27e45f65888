#include "copy.h"

typedef struct {
    mu_cuda_kernel base;
    mu_cuda_copy copy;
} transpose;

static mu_err run_transpose(mu_kernel *kernel, const mu_run *run)
{
    const transpose *s = (const transpose *)kernel;
    (void)run;
    MU_TRY(mu_cuda_copy_run(s->base.self, &s->copy, kernel->in[0], kernel->out[0]));
    return MU_OK;
}

/* Dimension d of y is dimension perm[d] of x. */
static mu_err setup(mu_cuda_kernel *kernel)
{
    const mu_call *call = &kernel->base.call;
    const mu_shape_attrs *a = call->attrs;
    mu_cuda_copy *c = &((transpose *)kernel)->copy;
    int64_t own[MU_MAX_NDIM];
    mu_type_strides(&call->in[0], own);
    mu_type_strides(&call->out[0], c->to);
    c->ndim = call->out[0].ndim;
    c->size = mu_dtype_size(call->out[0].dtype);
    memcpy(c->dim, call->out[0].dim, sizeof c->dim);
    for (int64_t d = 0; d < a->ndim; d++)
        c->from[d] = own[a->dim[d]];
    mu_cuda_copy_plan(c);
    return MU_OK;
}

const mu_cuda_impl transpose_cuda = {
    .layouts = MU_CUDA_ROWS, .size = sizeof(transpose), .supports = mu_cuda_any_dtype, .setup = setup, .run = run_transpose};

#include "copy.h"

typedef struct {
    mu_cuda_kernel base;
    mu_cuda_copy copy;
} slice;

static mu_err run_slice(mu_kernel *kernel, const mu_run *run)
{
    const slice *s = (const slice *)kernel;
    (void)run;
    MU_TRY(mu_cuda_copy_run(s->base.self, &s->copy, kernel->in[0], kernel->out[0]));
    return MU_OK;
}

/* What the slice left out has no part in y. */
static mu_err run_slice_grad(mu_kernel *kernel, const mu_run *run)
{
    const slice *s = (const slice *)kernel;
    size_t bytes = mu_type_bytes(&kernel->call.out[0]);
    (void)run;
    if (bytes > mu_type_bytes(&kernel->call.in[0]))
        MU_TRY_CUDA(cudaMemsetAsync(kernel->out[0], 0, bytes, s->base.self->stream));
    MU_TRY(mu_cuda_copy_run(s->base.self, &s->copy, kernel->in[0], kernel->out[0]));
    return MU_OK;
}

static mu_err setup(mu_cuda_kernel *kernel)
{
    const mu_call *call = &kernel->base.call;
    const mu_slice_attrs *a = call->attrs;
    mu_cuda_copy *c = &((slice *)kernel)->copy;
    bool forward = call->op == &mu_op_slice;
    const mu_type *part = forward ? &call->out[0] : &call->in[0];
    int64_t *of_whole = forward ? c->from : c->to, start = 0;
    mu_cuda_strides(&call->in[0], kernel->base.in_layout[0], c->from);
    mu_cuda_strides(&call->out[0], kernel->base.out_layout[0], c->to);
    c->ndim = part->ndim;
    c->size = mu_dtype_size(part->dtype);
    memcpy(c->dim, part->dim, sizeof c->dim);
    for (int d = 0; d < part->ndim; d++) {
        start += a->start[d] * of_whole[d];
        of_whole[d] *= a->step[d];
    }
    *(forward ? &c->from_start : &c->to_start) = start;
    mu_cuda_copy_plan(c);
    return MU_OK;
}

const mu_cuda_impl slice_cuda = {.layouts = MU_CUDA_STORED,
                                 .size = sizeof(slice),
                                 .supports = mu_cuda_any_dtype,
                                 .fits = mu_cuda_copy_fits,
                                 .setup = setup,
                                 .run = run_slice};
const mu_cuda_impl slice_grad_cuda = {.layouts = MU_CUDA_STORED,
                                      .size = sizeof(slice),
                                      .supports = mu_cuda_any_dtype,
                                      .fits = mu_cuda_copy_fits,
                                      .setup = setup,
                                      .run = run_slice_grad};

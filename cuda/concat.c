#include "copy.h"

typedef struct {
    mu_cuda_kernel base;
    mu_cuda_copy *piece; /* [n_in] */
} concat;

static mu_err run_concat(mu_kernel *kernel, const mu_run *run)
{
    const concat *s = (const concat *)kernel;
    (void)run;
    for (int i = 0; i < kernel->call.n_in; i++)
        MU_TRY(mu_cuda_copy_run(s->base.self, &s->piece[i], kernel->in[i], kernel->out[0]));
    return MU_OK;
}

static mu_err setup(mu_cuda_kernel *kernel)
{
    concat *s = (concat *)kernel;
    const mu_call *call = &kernel->base.call;
    int64_t dim = ((const mu_dim_attrs *)call->attrs)->dim, start = 0;
    MU_TRY(mu_calloc(&s->piece, (size_t)call->n_in, sizeof *s->piece));
    for (int i = 0; i < call->n_in; i++) {
        mu_cuda_copy *c = &s->piece[i];
        const mu_type *x = &call->in[i];
        c->ndim = x->ndim;
        c->size = mu_dtype_size(x->dtype);
        memcpy(c->dim, x->dim, sizeof c->dim);
        mu_cuda_strides(x, kernel->base.in_layout[i], c->from);
        mu_cuda_strides(&call->out[0], kernel->base.out_layout[0], c->to);
        c->to_start = start * c->to[dim];
        start += x->dim[dim];
        mu_cuda_copy_plan(c);
    }
    return MU_OK;
}

static void release(mu_kernel *kernel)
{
    mu_free(((concat *)kernel)->piece);
}

const mu_cuda_impl concat_cuda = {.layouts = MU_CUDA_STORED,
                                  .size = sizeof(concat),
                                  .supports = mu_cuda_any_dtype,
                                  .fits = mu_cuda_copy_fits,
                                  .setup = setup,
                                  .run = run_concat,
                                  .release = release};

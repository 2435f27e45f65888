#include "backend/simd/copy.h"

typedef struct {
    mu_simd_kernel base;
    mu_simd_copy copy;
} slice;

static mu_err run_slice(mu_kernel *kernel, const mu_run *run)
{
    const slice *s = (const slice *)kernel;
    int threads = mu_simd_threads(&s->base, 2 * (int64_t)mu_type_bytes(&kernel->call.out[0]));
    (void)run;
    SIMD(mu_simd_copy_run)(&s->copy, kernel->in[0], kernel->out[0], threads);
    return MU_OK;
}

static mu_err run_slice_grad(mu_kernel *kernel, const mu_run *run)
{
    const slice *s = (const slice *)kernel;
    const mu_layout *layout = kernel->out_layout[0];
    int threads = mu_simd_threads(&s->base, 2 * (int64_t)mu_type_bytes(&kernel->call.out[0]));
    (void)run;
    SIMD(mu_simd_zero)(kernel->out[0], mu_layout_bytes(layout, &kernel->call.out[0]), threads);
    SIMD(mu_simd_copy_run)(&s->copy, kernel->in[0], kernel->out[0], threads);
    return MU_OK;
}

/* Channels of blocked tensors come in whole blocks; channels last takes any. */
static bool fits(const mu_call *call, const mu_layout *layout)
{
    const mu_slice_attrs *a = call->attrs;
    const mu_type *x = call->op == &mu_op_slice ? &call->in[0] : &call->out[0];
    if (layout->kind == MU_LAYOUT_CHANNELS_LAST)
        return true;
    return a->step[1] == 1 && a->start[1] % layout->block == 0 &&
           (a->size[1] % layout->block == 0 || a->start[1] + a->size[1] == x->dim[1]);
}

static mu_err setup(mu_simd_kernel *kernel)
{
    slice *s = (slice *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_slice_attrs *a = call->attrs;
    bool forward = call->op == &mu_op_slice;
    const mu_type *whole = forward ? &call->in[0] : &call->out[0];
    const mu_layout *layout = kernel->base.in_layout[0];
    mu_simd_copy *c = &s->copy;
    int64_t dim[MU_SIMD_COPY_NDIM], start = 0;
    int64_t *of_whole = forward ? c->from : c->to, *of_part = forward ? c->to : c->from;
    c->size = mu_dtype_size(whole->dtype);
    c->ndim = mu_simd_storage(whole, forward ? layout : kernel->base.out_layout[0], dim);
    mu_simd_strides(dim, c->ndim, of_whole);
    c->ndim =
        mu_simd_storage(forward ? &call->out[0] : &call->in[0], forward ? kernel->base.out_layout[0] : layout, c->dim);
    mu_simd_strides(c->dim, c->ndim, of_part);
    for (int d = 0; d < whole->ndim; d++) {
        /* Where dimension d stands in storage, and the elements that a step of 1 there skips. */
        bool last = layout && layout->kind == MU_LAYOUT_CHANNELS_LAST && d == 1;
        int at = last ? c->ndim - 1 : d;
        int64_t block = layout && layout->kind == MU_LAYOUT_CHANNELS_BLOCKED && d == 1 ? layout->block : 1;
        start += a->start[d] / block * of_whole[at];
        of_whole[at] *= a->step[d];
    }
    *(forward ? &c->from_start : &c->to_start) = start;
    SIMD(mu_simd_copy_plan)(c);
    return MU_OK;
}

const mu_simd_impl SIMD(slice) = {.layouts = MU_ALIKE_STORED,
                                  .size = sizeof(slice),
                                  .supports = mu_simd_any_dtype,
                                  .fits = fits,
                                  .setup = setup,
                                  .run = run_slice};
const mu_simd_impl SIMD(slice_grad) = {.layouts = MU_ALIKE_STORED,
                                       .size = sizeof(slice),
                                       .supports = mu_simd_any_dtype,
                                       .fits = fits,
                                       .setup = setup,
                                       .run = run_slice_grad};

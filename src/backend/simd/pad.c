#include "backend/simd/copy.h"

/* A constant border and its gradient, which cuts it off. Reflected and replicated borders are ref's. */

typedef struct {
    mu_simd_kernel base;
    mu_simd_copy copy, fill;
    _Alignas(double) char value[sizeof(double)];
} pad;

static mu_err run_pad(mu_kernel *kernel, const mu_run *run)
{
    const pad *s = (const pad *)kernel;
    bool forward = !((const mu_pad_attrs *)kernel->call.attrs)->gradient;
    int threads = mu_simd_threads(&s->base, 2 * (int64_t)mu_type_bytes(&kernel->call.out[0]));
    (void)run;
    if (forward)
        SIMD(mu_simd_copy_run)(&s->fill, s->value, kernel->out[0], threads);
    SIMD(mu_simd_copy_run)(&s->copy, kernel->in[0], kernel->out[0], threads);
    return MU_OK;
}

static bool constant(const mu_call *call, const char **why)
{
    const mu_pad_attrs *a = call->attrs;
    *why = "the vectorised kernel pads with a constant";
    if (a->mode != MU_PAD_CONSTANT)
        return false;
    for (int d = 0; d < call->in[0].ndim; d++)
        if (a->before[d] < 0 || a->after[d] < 0)
            return false;
    return true;
}

static bool fits(const mu_call *call, const mu_layout *layout)
{
    const mu_pad_attrs *a = call->attrs;
    return a->before[1] == 0 && a->after[1] == 0 && (a->value == 0 || !layout->padded);
}

static mu_err setup(mu_simd_kernel *kernel)
{
    pad *s = (pad *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_pad_attrs *a = call->attrs;
    const mu_type *x = &call->in[0], *y = &call->out[0];
    const mu_layout *x_layout = kernel->base.in_layout[0], *y_layout = kernel->base.out_layout[0];
    mu_simd_copy *c = &s->copy, *fill = &s->fill;
    int64_t small[MU_SIMD_COPY_NDIM], large[MU_SIMD_COPY_NDIM];
    int64_t *of_large = a->gradient ? c->from : c->to, start = 0;
    c->size = mu_dtype_size(x->dtype);
    c->ndim = mu_simd_storage(a->gradient ? y : x, a->gradient ? y_layout : x_layout, small);
    mu_simd_storage(a->gradient ? x : y, a->gradient ? x_layout : y_layout, large);
    memcpy(c->dim, small, sizeof small);
    mu_simd_strides(small, c->ndim, a->gradient ? c->to : c->from);
    mu_simd_strides(large, c->ndim, of_large);
    for (int d = 0; d < x->ndim; d++)
        start += a->before[d] * of_large[d];
    *(a->gradient ? &c->from_start : &c->to_start) = start;
    *fill = (mu_simd_copy){.size = c->size, .ndim = 1, .dim = {1}, .to = {1}};
    for (int d = 0; d < c->ndim; d++)
        fill->dim[0] *= large[d];
    mu_convert(s->value, x->dtype, &a->value, MU_F64, 1);
    SIMD(mu_simd_copy_plan)(c);
    SIMD(mu_simd_copy_plan)(fill);
    return MU_OK;
}

const mu_simd_impl SIMD(pad) = {
    .layouts = MU_ALIKE_STORED, .size = sizeof(pad), .supports = constant, .fits = fits, .setup = setup, .run = run_pad};

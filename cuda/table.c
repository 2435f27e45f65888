#include "backend/fallback.h"
#include "cuda.h"

typedef struct {
    const mu_op *op;
    const mu_cuda_impl *impl;
} entry;

static const entry table[] = {
#define CUDA_KERNEL(op, impl) {&mu_op_##op, &impl##_cuda},
#include "cuda.def"
#undef CUDA_KERNEL
    {NULL, NULL},
};

/* ---- dtypes ---- */

static mu_dtype dtype_at(const mu_call *call, int i)
{
    return i < call->n_in ? call->in[i].dtype : call->out[i - call->n_in].dtype;
}

static bool is_computed(mu_dtype dtype)
{
    return dtype == MU_F32 || dtype == MU_BF16 || dtype == MU_F16;
}

/* `beside`: a dtype that may stand beside the one. */
static bool one_float(const mu_call *call, mu_dtype beside)
{
    mu_dtype one = MU_NONE;
    for (int i = 0; i < call->n_in + call->n_out; i++) {
        mu_dtype dtype = dtype_at(call, i);
        if (!mu_dtype_is_float(dtype) || dtype == beside)
            continue;
        if (!is_computed(dtype) || (one != MU_NONE && dtype != one))
            return false;
        one = dtype;
    }
    return true;
}

bool mu_cuda_one_float(const mu_call *call, const char **why)
{
    *why = "the kernels compute f32, bf16 and f16, one of them for all operands";
    return one_float(call, MU_NONE);
}

bool mu_cuda_half_with_f32(const mu_call *call, const char **why)
{
    *why = "the kernels compute f32, bf16 and f16, one of them for all operands but parameters in f32";
    return one_float(call, MU_F32);
}

bool mu_cuda_any_dtype(const mu_call *call, const char **why)
{
    (void)call, (void)why;
    return true;
}

/* ---- kernels ---- */

static const mu_cuda_impl *find(const mu_call *call, const char **why)
{
    *why = "there is no kernel for it on CUDA devices";
    for (const entry *e = table; e->op; e++)
        if (e->op == call->op)
            return (e->impl->supports ? e->impl->supports : mu_cuda_one_float)(call, why) ? e->impl : NULL;
    return NULL;
}

/* A form that only fusion makes: what the device lacks of it stays apart, and need not run on the host. */
static bool is_fused(const mu_call *call)
{
    if (call->op == &mu_op_linear)
        return ((const mu_linear_attrs *)call->attrs)->activation != MU_ACT_NONE;
    return call->op == &mu_op_conv2d && (((const mu_conv2d_attrs *)call->attrs)->activation != MU_ACT_NONE || mu_cuda_in(call, 3));
}

bool mu_cuda_supports(mu_backend *backend, const mu_call *call, const char **why)
{
    const char *not_on_host;
    return find(call, why) || (!is_fused(call) && mu_fallback_supports(backend, call, &not_on_host));
}

static bool readable(const mu_layout *layout)
{
    return layout && layout->kind == MU_LAYOUT_CHANNELS_LAST;
}

static mu_err choose(mu_cuda_kernel *kernel, const mu_layout *const *in_layout, const mu_layout *const *want_out)
{
    const mu_cuda_impl *impl = kernel->impl;
    const mu_call *call = &kernel->base.call;
    const mu_alike_rule rule = {.kind = (mu_alike)impl->layouts, .readable = readable, .fits = impl->fits};
    if (impl->layouts != MU_CUDA_OWN) {
        MU_TRY(mu_alike_choose(&kernel->base, &kernel->self->base, in_layout, &rule));
        return MU_OK;
    }
    for (int i = 0; in_layout && i < call->n_in; i++)
        kernel->base.in_layout[i] = in_layout[i];
    for (int o = 0; want_out && o < call->n_out; o++)
        kernel->base.out_layout[o] = want_out[o];
    return MU_OK;
}

static mu_err prepare(mu_cuda_kernel *kernel, const mu_layout *const *in_layout, const mu_layout *const *want_out)
{
    const mu_call *call = &kernel->base.call;
    MU_TRY(choose(kernel, in_layout, want_out));
    if (kernel->impl->layouts == MU_CUDA_FLAT || call->n_in == 0)
        kernel->x = mu_cuda_view_of(&call->out[0], kernel->base.out_layout[0]);
    else
        kernel->x = mu_cuda_view_of(&call->in[0], kernel->base.in_layout[0]);
    if (kernel->impl->setup)
        MU_TRY(kernel->impl->setup(kernel));
    return MU_OK;
}

mu_err mu_cuda_prepare(mu_backend *backend, const mu_call *call, const mu_layout *const *in_layout,
                       const mu_layout *const *want_out, mu_kernel **out)
{
    static const mu_kernel_ops unset;
    const char *why;
    const mu_cuda_impl *impl = find(call, &why);
    mu_kernel *kernel;
    if (!impl) {
        MU_TRY(mu_fallback_prepare(backend, call, why, out));
        return MU_OK;
    }
    MU_TRY(mu_kernel_new(impl->size ? impl->size : sizeof(mu_cuda_kernel), &unset, call, &kernel));
    mu_cuda_kernel *own = (mu_cuda_kernel *)kernel;
    own->ops = (mu_kernel_ops){.run = impl->run, .release = impl->release};
    own->impl = impl;
    own->self = mu_cuda_of(backend);
    kernel->ops = &own->ops;
    kernel->impl = "cuda";
    mu_err err = prepare(own, in_layout, want_out);
    if (err) {
        mu_kernel_release(kernel);
        return err;
    }
    *out = kernel;
    return MU_OK;
}

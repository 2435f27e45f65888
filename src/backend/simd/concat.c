#include "backend/simd/copy.h"

/* Where dimension d of a tensor stands in storage of ndim dimensions. */
static int storage_dim(const mu_layout *layout, int64_t d, int ndim)
{
    return layout && layout->kind == MU_LAYOUT_CHANNELS_LAST && d == 1 ? ndim - 1 : (int)d;
}

static mu_err run_concat(mu_kernel *kernel, const mu_run *run)
{
    const mu_simd_kernel *self = (const mu_simd_kernel *)kernel;
    const mu_call *call = &kernel->call;
    int64_t y[MU_SIMD_COPY_NDIM], stride[MU_SIMD_COPY_NDIM], at = 0;
    int ndim = mu_simd_storage(&call->out[0], kernel->out_layout[0], y);
    int dim = storage_dim(kernel->out_layout[0], ((const mu_dim_attrs *)call->attrs)->dim, ndim);
    (void)run;
    mu_simd_strides(y, ndim, stride);
    for (int i = 0; i < call->n_in; i++) {
        mu_simd_copy c = {.size = mu_dtype_size(call->out[0].dtype), .to_start = at * stride[dim]};
        c.ndim = mu_simd_storage(&call->in[i], kernel->in_layout[i], c.dim);
        mu_simd_strides(c.dim, c.ndim, c.from);
        memcpy(c.to, stride, sizeof stride);
        at += c.dim[dim];
        SIMD(mu_simd_copy_plan)(&c);
        SIMD(mu_simd_copy_run)
        (&c, kernel->in[i], kernel->out[0], mu_simd_threads(self, 2 * (int64_t)mu_type_bytes(&call->in[i])));
    }
    return MU_OK;
}

/* Channels of blocked pieces must fill their blocks; only the last piece may be padded. */
static bool fits(const mu_call *call, const mu_layout *layout)
{
    if (((const mu_dim_attrs *)call->attrs)->dim != 1 || layout->kind == MU_LAYOUT_CHANNELS_LAST)
        return true;
    for (int i = 0; i < call->n_in - 1; i++)
        if (call->in[i].dim[1] % layout->block != 0)
            return false;
    return true;
}

const mu_simd_impl SIMD(concat) = {
    .layouts = MU_ALIKE_STORED, .supports = mu_simd_any_dtype, .fits = fits, .run = run_concat};

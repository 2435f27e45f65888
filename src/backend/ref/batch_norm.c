#include "backend/ref/ref.h"

#include "backend/ref/norm.h"

/* The values of one channel of x [N,C,...]; a channel's block starts at c * n_inner. */
static ref_block channel_block(const mu_type *x)
{
    int64_t plane = 1;
    for (int d = 2; d < x->ndim; d++)
        plane *= x->dim[d];
    return (ref_block){.n_outer = x->dim[0], .n_inner = plane, .stride = x->dim[1] * plane};
}

mu_err REF(batch_norm)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_batch_norm_attrs *a = call->attrs;
    const real *gamma = in[1], *beta = in[2], *old_mean = in[3], *old_var = in[4], *all_residual = ref_in(call, in, 5);
    real *mean = out[1], *rstd = out[2], *new_mean = out[3], *new_var = out[4];
    ref_block block = channel_block(&call->in[0]);
    int64_t n = block.n_outer * block.n_inner;
    for (int64_t c = 0; c < call->in[0].dim[1]; c++) {
        const real *x = (const real *)in[0] + c * block.n_inner;
        const real *residual = all_residual ? all_residual + c * block.n_inner : NULL;
        real *y = (real *)out[0] + c * block.n_inner;
        double m, v;
        REF(moments)(x, &block, &m, &v);
        double scale = 1 / sqrt(v + a->eps);
        for (int64_t i = 0; i < n; i++) {
            int64_t at = ref_block_at(&block, i);
            double t = (x[at] - m) * scale * gamma[c] + beta[c] + (residual ? residual[at] : 0);
            y[at] = (real)(a->relu && t <= 0 ? 0 : t);
        }
        mean[c] = (real)m;
        rstd[c] = (real)scale;
        double keep = n > 0 ? 1 - a->momentum : 1; /* an empty batch leaves the running statistics alone */
        new_mean[c] = (real)(keep * old_mean[c] + (1 - keep) * m);
        new_var[c] = (real)(keep * old_var[c] + (n > 1 ? (1 - keep) * v * (double)n / (double)(n - 1) : 0));
    }
    return MU_OK;
}

mu_err REF(batch_norm_grad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_batch_norm_attrs *a = call->attrs;
    const real *gamma = in[2], *mean = in[3], *rstd = in[4];
    real *dgamma = out[1], *dbeta = out[2];
    ref_block block = channel_block(&call->in[1]);
    int64_t n = block.n_outer * block.n_inner;
    for (int64_t c = 0; c < call->in[1].dim[1]; c++) {
        int64_t start = c * block.n_inner;
        const real *dy = (const real *)in[0] + start, *x = (const real *)in[1] + start;
        const real *y = a->relu ? (const real *)in[5] + start : NULL;
        real *dx = (real *)out[0] + start, *dresidual = out[3] ? (real *)out[3] + start : NULL;
        double sum = 0, sum_x = 0; /* of dy, and of dy times the normalised x */
        for (int64_t i = 0; i < n; i++) {
            int64_t at = ref_block_at(&block, i);
            double d = y && !(y[at] > 0) ? 0 : dy[at];
            sum += d;
            sum_x += d * ((double)x[at] - mean[c]) * rstd[c];
        }
        for (int64_t i = 0; i < n; i++) {
            int64_t at = ref_block_at(&block, i);
            double d = y && !(y[at] > 0) ? 0 : dy[at], normal = ((double)x[at] - mean[c]) * rstd[c];
            dx[at] = (real)(gamma[c] * (double)rstd[c] * (d - sum / (double)n - normal * sum_x / (double)n));
            if (dresidual)
                dresidual[at] = (real)d;
        }
        dgamma[c] = (real)sum_x;
        dbeta[c] = (real)sum;
    }
    return MU_OK;
}

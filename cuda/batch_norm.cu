#include "batch_norm.cuh"

static __global__ void settle_forward(channel_grid g, const channel_part *part, batch_norm_state state)
{
    int64_t c = warp_index();
    if (c >= g.c)
        return;
    moments<double> m = join_chunks(g, part, c, 1);
    if (threadIdx.x % WARP == 0)
        settle_channel(state, c, m.n, m.mean, m.square);
}

static mu_err run_forward(mu_kernel *kernel, const mu_run *run)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)kernel;
    (void)run;
    MU_TRY(batch_norm_sum_forward(kernel));
    MU_TRY(launch(s->base.self, settle_forward, warp_blocks(s->grid.c), BLOCK, s->grid, batch_norm_parts(kernel),
                  batch_norm_state_of(kernel)));
    return batch_norm_write_forward(kernel);
}

static __global__ void settle_backward(channel_grid g, const channel_part *part, channel_stats stats, double n, float *dgamma,
                                       float *dbeta, channel_slope *slope)
{
    int64_t c = warp_index();
    double a, b;
    if (c >= g.c)
        return;
    join_sums(g, part, c, &a, &b);
    if (threadIdx.x % WARP == 0) {
        double rstd = stats.rstd[c], gamma = stats.gamma[c];
        dgamma[c] = (float)(b * rstd);
        dbeta[c] = (float)a;
        slope[c] = slope_of(n, gamma * a, gamma * b, rstd);
    }
}

static mu_err run_backward(mu_kernel *kernel, const mu_run *run)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)kernel;
    (void)run;
    MU_TRY(batch_norm_sum_backward(kernel));
    MU_TRY(launch(s->base.self, settle_backward, warp_blocks(s->grid.c), BLOCK, s->grid, batch_norm_parts(kernel),
                  batch_norm_stats_of(kernel, &s->grid), (double)(s->base.x.n * s->base.x.space), kernel->out[1], kernel->out[2],
                  batch_norm_slopes(kernel)));
    return batch_norm_write_backward(kernel);
}

extern "C" const mu_cuda_impl batch_norm_cuda = {
    MU_CUDA_CHANNELS, sizeof(batch_norm_kernel), mu_cuda_half_with_f32, NULL, batch_norm_setup, run_forward, NULL};
extern "C" const mu_cuda_impl batch_norm_grad_cuda = {
    MU_CUDA_CHANNELS, sizeof(batch_norm_kernel), mu_cuda_half_with_f32, NULL, batch_norm_setup, run_backward, NULL};

#include "channels.cuh"

struct group_norm_kernel {
    mu_cuda_kernel base;
    channel_grid grid;
    int64_t groups, channels; /* channels: of a group */
    size_t parts_bytes;       /* scratch: parts, then (backward) slopes */
};

static __global__ void settle_forward(channel_grid g, const channel_part *part, int64_t groups, int64_t channels, double eps, float *mean,
                                      float *rstd)
{
    int64_t i = warp_index();
    if (i >= g.samples * groups)
        return;
    moments<double> m = join_chunks(g, part, i * channels, channels);
    if (threadIdx.x % WARP == 0) {
        mean[i] = (float)m.mean;
        rstd[i] = (float)(1 / sqrt((m.n > 0 ? m.square / m.n : 0) + eps));
    }
}

/* (x, gamma?, beta?) -> y, mean, rstd */
static mu_err run_forward(mu_kernel *k, const mu_run *run)
{
    const group_norm_kernel *s = (const group_norm_kernel *)k;
    const mu_cuda *self = s->base.self;
    channel_part *part = (channel_part *)k->scratch;
    channel_stats stats = {(const float *)k->out[1], (const float *)k->out[2], (const float *)mu_cuda_address(k, 1), s->groups, s->channels};
    channel_normal normal = {stats, (const float *)mu_cuda_address(k, 2)};
    double eps = ((const mu_norm_attrs *)k->call.attrs)->eps;
    (void)run;
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        MU_TRY(launch_moments<T>(self, s->grid, k->in[0], part));
        MU_TRY(launch(self, settle_forward, warp_blocks(s->base.x.n * s->groups), BLOCK, s->grid, part, s->groups, s->channels, eps,
                      k->out[1], k->out[2]));
        return launch_normal<T>(self, s->grid, k->in[0], NULL, k->out[0], false, normal);
    });
}

/* The slope of a group, from the sums of its channels. */
static __global__ void settle_backward(channel_grid g, const channel_part *part, channel_stats stats, double n, channel_slope *slope)
{
    int64_t i = warp_index();
    double a = 0, b = 0;
    if (i >= g.samples * stats.groups)
        return;
    for (int64_t j = threadIdx.x % WARP; j < stats.channels * g.chunks; j += WARP) {
        channel_part p = part[i * stats.channels * g.chunks + j];
        double gamma = stats.weight(i % stats.groups * stats.channels + j / g.chunks);
        a += gamma * p.a;
        b += gamma * p.b;
    }
    a = warp_reduce(a, add());
    b = warp_reduce(b, add());
    if (threadIdx.x % WARP == 0)
        slope[i] = slope_of(n, a, b, stats.rstd[i]);
}

/* The gradients of a channel's weights, over all samples. */
static __global__ void sum_weights(channel_grid g, const channel_part *part, channel_stats stats, float *dgamma, float *dbeta)
{
    int64_t c = warp_index();
    double a = 0, b = 0;
    if (c >= g.c)
        return;
    for (int64_t j = threadIdx.x % WARP; j < g.samples * g.chunks; j += WARP) {
        int64_t sample = j / g.chunks;
        channel_part p = part[(sample * g.c + c) * g.chunks + j % g.chunks];
        a += p.a;
        b += (double)p.b * stats.rstd[stats.at(sample, c)];
    }
    a = warp_reduce(a, add());
    b = warp_reduce(b, add());
    if (threadIdx.x % WARP == 0) {
        dgamma[c] = (float)b;
        dbeta[c] = (float)a;
    }
}

/* (dy, x, gamma?, mean, rstd) -> dx, dgamma?, dbeta? */
static mu_err run_backward(mu_kernel *k, const mu_run *run)
{
    const group_norm_kernel *s = (const group_norm_kernel *)k;
    const mu_cuda *self = s->base.self;
    channel_part *part = (channel_part *)k->scratch;
    channel_slope *slope = (channel_slope *)((char *)k->scratch + s->parts_bytes);
    channel_stats stats = {(const float *)k->in[3], (const float *)k->in[4], (const float *)k->in[2], s->groups, s->channels};
    double n = (double)(s->channels * s->base.x.space);
    (void)run;
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        MU_TRY(launch_products<T>(self, s->grid, k->in[0], NULL, k->in[1], NULL, NULL, stats, part));
        MU_TRY(launch(self, settle_backward, warp_blocks(s->base.x.n * s->groups), BLOCK, s->grid, part, stats, n, slope));
        if (k->out[1])
            MU_TRY(launch(self, sum_weights, warp_blocks(s->grid.c), BLOCK, s->grid, part, stats, k->out[1], k->out[2]));
        return launch_gradient<T>(self, s->grid, k->in[0], k->in[1], NULL, k->out[0], stats, slope);
    });
}

static mu_err setup(mu_cuda_kernel *kernel)
{
    group_norm_kernel *s = (group_norm_kernel *)kernel;
    s->grid = channel_grid_of(kernel, kernel->base.call.in[0].dtype, true);
    s->groups = ((const mu_norm_attrs *)kernel->base.call.attrs)->groups;
    s->channels = s->grid.c / s->groups;
    s->parts_bytes = mu_align_up(channel_parts_bytes(&s->grid));
    kernel->base.scratch_bytes = s->parts_bytes + (size_t)(kernel->x.n * s->groups) * sizeof(channel_slope);
    return MU_OK;
}

extern "C" const mu_cuda_impl group_norm_cuda = {
    MU_CUDA_CHANNELS, sizeof(group_norm_kernel), mu_cuda_half_with_f32, NULL, setup, run_forward, NULL};
extern "C" const mu_cuda_impl group_norm_grad_cuda = {
    MU_CUDA_CHANNELS, sizeof(group_norm_kernel), mu_cuda_half_with_f32, NULL, setup, run_backward, NULL};

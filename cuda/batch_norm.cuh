/* Batch norm with the statistics of the batch, on one rank or, between its two passes, on all of them. */
#ifndef MU_CUDA_BATCH_NORM_CUH
#define MU_CUDA_BATCH_NORM_CUH

#include "channels.cuh"

struct batch_norm_kernel {
    mu_cuda_kernel base;
    channel_grid grid;
    size_t parts_bytes; /* scratch: parts, then slopes (backward), then a message to other ranks and theirs (sync) */
    mu_device_comm *ranks; /* sync; borrowed. NULL: there is no other */
    int n_ranks;
};

static inline const mu_batch_norm_attrs *batch_norm_attrs(const mu_kernel *kernel)
{
    return (const mu_batch_norm_attrs *)kernel->call.attrs;
}

/* (x, gamma, beta, running mean, running variance, residual?) -> y, mean, rstd, and the new running statistics */
struct batch_norm_state {
    const float *old_mean, *old_var;
    float *mean, *rstd, *new_mean, *new_var;
    double eps, momentum;
};

static inline batch_norm_state batch_norm_state_of(const mu_kernel *k)
{
    const mu_batch_norm_attrs *a = batch_norm_attrs(k);
    return batch_norm_state{(const float *)k->in[3], (const float *)k->in[4], (float *)k->out[1], (float *)k->out[2],
                            (float *)k->out[3],      (float *)k->out[4],      a->eps,             a->momentum};
}

/* The moments of channel c. An empty batch leaves the running statistics alone. */
__device__ inline void settle_channel(const batch_norm_state &s, int64_t c, double n, double mean, double square)
{
    double keep = n > 0 ? 1 - s.momentum : 1, old_mean = s.old_mean[c], old_var = s.old_var[c];
    s.mean[c] = (float)mean;
    s.rstd[c] = (float)(1 / sqrt((n > 0 ? square / n : 0) + s.eps));
    s.new_mean[c] = (float)(keep * old_mean + (1 - keep) * mean);
    s.new_var[c] = (float)(keep * old_var + (n > 1 ? (1 - keep) * square / (n - 1) : 0));
}

/* (dy, x, gamma, mean, rstd, y?, dy2?) -> dx, dgamma, dbeta, dresidual? */
static inline channel_stats batch_norm_stats_of(const mu_kernel *k, const channel_grid *g)
{
    return channel_stats{(const float *)k->in[3], (const float *)k->in[4], (const float *)k->in[2], g->c, 1};
}

/* A channel's sums of d and d * (x - mean) over its chunks, by a warp; all its threads get them. */
__device__ inline void join_sums(const channel_grid &g, const channel_part *part, int64_t c, double *a, double *b)
{
    *a = *b = 0;
    for (int64_t i = threadIdx.x % WARP; i < g.chunks; i += WARP) {
        channel_part p = part[c * g.chunks + i];
        *a += p.a;
        *b += p.b;
    }
    *a = warp_reduce(*a, add());
    *b = warp_reduce(*b, add());
}

static inline channel_part *batch_norm_parts(const mu_kernel *kernel)
{
    return (channel_part *)kernel->scratch;
}

static inline channel_slope *batch_norm_slopes(const mu_kernel *kernel)
{
    return (channel_slope *)((char *)kernel->scratch + ((const batch_norm_kernel *)kernel)->parts_bytes);
}

/* On the device: [1 + 2 * channels], as backend/ranks.h has it. */
static inline double *batch_norm_message(const mu_kernel *kernel)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)kernel;
    return (double *)((char *)kernel->scratch + s->parts_bytes + mu_align_up((size_t)s->grid.c * sizeof(channel_slope)));
}

static inline mu_err batch_norm_setup(mu_cuda_kernel *kernel)
{
    batch_norm_kernel *s = (batch_norm_kernel *)kernel;
    s->grid = channel_grid_of(kernel, kernel->base.call.in[0].dtype, false);
    s->parts_bytes = mu_align_up(channel_parts_bytes(&s->grid));
    kernel->base.scratch_bytes = s->parts_bytes + mu_align_up((size_t)s->grid.c * sizeof(channel_slope)) +
                                 (size_t)(1 + 2 * s->grid.c) * sizeof(double);
    return MU_OK;
}

/* ---- the passes ---- */

static inline mu_err batch_norm_sum_forward(const mu_kernel *k)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        return launch_moments<decltype(zero)>(s->base.self, s->grid, k->in[0], batch_norm_parts(k));
    });
}

static inline mu_err batch_norm_write_forward(const mu_kernel *k)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    channel_stats stats = {(const float *)k->out[1], (const float *)k->out[2], (const float *)k->in[1], s->grid.c, 1};
    channel_normal normal = {stats, (const float *)k->in[2]};
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        return launch_normal<decltype(zero)>(s->base.self, s->grid, k->in[0], mu_cuda_address(k, 5), k->out[0], batch_norm_attrs(k)->relu,
                                             normal);
    });
}

/* Where the first pass of a gradient leaves d for the second: dresidual; with two addends dx, where that is not wanted. */
static inline void *batch_norm_kept(const mu_kernel *k)
{
    return k->out[3] ? k->out[3] : mu_cuda_address(k, 6) ? k->out[0] : NULL;
}

static inline mu_err batch_norm_sum_backward(const mu_kernel *k)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    const void *y = batch_norm_attrs(k)->relu ? k->in[5] : NULL;
    channel_stats stats = batch_norm_stats_of(k, &s->grid);
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        return launch_products<decltype(zero)>(s->base.self, s->grid, k->in[0], mu_cuda_address(k, 6), k->in[1], y, batch_norm_kept(k),
                                               stats, batch_norm_parts(k));
    });
}

static inline mu_err batch_norm_write_backward(const mu_kernel *k)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    const void *d = batch_norm_kept(k), *y = batch_norm_attrs(k)->relu && !d ? k->in[5] : NULL;
    channel_stats stats = batch_norm_stats_of(k, &s->grid);
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        return launch_gradient<decltype(zero)>(s->base.self, s->grid, d ? d : k->in[0], k->in[1], y, k->out[0], stats,
                                               batch_norm_slopes(k));
    });
}

#endif

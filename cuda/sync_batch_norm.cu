/* The two passes of batch_norm with a message to the other ranks between them, which the host exchanges: the stream is waited for, so that this
 * is never part of a recording. */
#include "batch_norm.cuh"

extern "C" {
#include "backend/ranks.h"
}

static __global__ void message_forward(channel_grid g, const channel_part *part, double n, double *message)
{
    int64_t c = warp_index();
    if (c >= g.c)
        return;
    moments<double> m = join_chunks(g, part, c, 1);
    if (threadIdx.x % WARP == 0) {
        message[0] = n;
        message[1 + c] = m.mean;
        message[1 + g.c + c] = m.square;
    }
}

static __global__ void settle_forward(int64_t channels, const double *message, batch_norm_state state)
{
    FOR_EACH(c, channels)
        settle_channel(state, c, message[0], message[1 + c], message[1 + channels + c]);
}

static __global__ void message_backward(channel_grid g, const channel_part *part, double n, const float *rstd, float *dgamma, float *dbeta,
                                        double *message)
{
    int64_t c = warp_index();
    double a, b;
    if (c >= g.c)
        return;
    join_sums(g, part, c, &a, &b);
    if (threadIdx.x % WARP == 0) {
        dgamma[c] = (float)(b * rstd[c]); /* this rank's part */
        dbeta[c] = (float)a;
        message[0] = n;
        message[1 + c] = a;
        message[1 + g.c + c] = b;
    }
}

static __global__ void settle_backward(int64_t channels, const double *message, channel_stats stats, channel_slope *slope)
{
    FOR_EACH(c, channels) {
        double gamma = stats.gamma[c];
        slope[c] = slope_of(message[0], gamma * message[1 + c], gamma * message[1 + channels + c], stats.rstd[c]);
    }
}

typedef mu_err join_fn(mu_comm *comm, const mu_run *run, int64_t channels, double *message);

/* The message of this rank, zeros when it is absent, becomes that of all. */
static mu_err exchange(const mu_kernel *k, const mu_run *run, join_fn *join)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    cudaStream_t stream = s->base.self->stream;
    size_t bytes = (size_t)(1 + 2 * s->grid.c) * sizeof(double);
    bool present = run->presence != MU_ABSENT;
    cudaError_t status = cudaSuccess;
    if (present && s->grid.c > 0) {
        status = cudaMemcpyAsync(s->message, batch_norm_message(k), bytes, cudaMemcpyDeviceToHost, stream);
        if (status == cudaSuccess)
            status = cudaStreamSynchronize(stream);
    }
    if (!present || s->grid.c == 0 || status != cudaSuccess)
        memset(s->message, 0, bytes); /* takes part all the same: the others must not wait */
    MU_TRY(join(batch_norm_attrs(k)->comm, run, s->grid.c, s->message));
    MU_TRY_CUDA(status);
    if (present)
        MU_TRY_CUDA(cudaMemcpyAsync(batch_norm_message(k), s->message, bytes, cudaMemcpyHostToDevice, stream));
    return MU_OK;
}

static double values_of(const batch_norm_kernel *s)
{
    return (double)(s->base.x.n * s->base.x.space);
}

/* What comes before the message; it is not waited for. */
static mu_err prepare_forward(const mu_kernel *k)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    MU_TRY(batch_norm_sum_forward(k));
    return launch(s->base.self, message_forward, warp_blocks(s->grid.c), BLOCK, s->grid, batch_norm_parts(k), values_of(s),
                  batch_norm_message(k));
}

static mu_err prepare_backward(const mu_kernel *k)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    MU_TRY(batch_norm_sum_backward(k));
    return launch(s->base.self, message_backward, warp_blocks(s->grid.c), BLOCK, s->grid, batch_norm_parts(k), values_of(s), k->in[4],
                  k->out[1], k->out[2], batch_norm_message(k));
}

/* A failure before the message is told after it: a kernel that returns an error has taken part. */
static mu_err prepare_and_exchange(const mu_kernel *k, const mu_run *run, mu_err (*prepare)(const mu_kernel *k), join_fn *join)
{
    mu_run absent = *run;
    absent.presence = run->presence == MU_ALONE ? MU_ALONE : MU_ABSENT;
    if (run->presence == MU_ABSENT)
        return exchange(k, run, join);
    mu_err err = prepare(k);
    if (err == MU_OK)
        return exchange(k, run, join);
    mu_error first = *mu_error_last();
    (void)!exchange(k, &absent, join);
    return mu_error_restore(&first);
}

static mu_err run_forward(mu_kernel *k, const mu_run *run)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    MU_TRY(prepare_and_exchange(k, run, prepare_forward, mu_ranks_join_moments));
    if (run->presence == MU_ABSENT)
        return MU_OK;
    MU_TRY(launch(s->base.self, settle_forward, blocks_for(s->base.self, s->grid.c), BLOCK, s->grid.c, batch_norm_message(k),
                  batch_norm_state_of(k)));
    return batch_norm_write_forward(k);
}

static mu_err run_backward(mu_kernel *k, const mu_run *run)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    MU_TRY(prepare_and_exchange(k, run, prepare_backward, mu_ranks_join_sums));
    if (run->presence == MU_ABSENT)
        return MU_OK;
    MU_TRY(launch(s->base.self, settle_backward, blocks_for(s->base.self, s->grid.c), BLOCK, s->grid.c, batch_norm_message(k),
                  batch_norm_stats_of(k, &s->grid), batch_norm_slopes(k)));
    return batch_norm_write_backward(k);
}

static mu_err setup(mu_cuda_kernel *kernel)
{
    batch_norm_kernel *s = (batch_norm_kernel *)kernel;
    mu_backend *backend = &kernel->self->base;
    MU_TRY(batch_norm_setup(kernel));
    size_t bytes = mu_ranks_bytes(batch_norm_attrs(&kernel->base)->comm, s->grid.c);
    MU_TRY(backend->ops->alloc_host(backend, bytes, (void **)&s->message));
    return MU_OK;
}

static void release(mu_kernel *kernel)
{
    batch_norm_kernel *s = (batch_norm_kernel *)kernel;
    mu_backend *backend = &s->base.self->base;
    if (s->message)
        backend->ops->dealloc_host(backend, s->message);
}

extern "C" const mu_cuda_impl sync_batch_norm_cuda = {
    MU_CUDA_CHANNELS, sizeof(batch_norm_kernel), mu_cuda_half_with_f32, NULL, setup, run_forward, release};
extern "C" const mu_cuda_impl sync_batch_norm_grad_cuda = {
    MU_CUDA_CHANNELS, sizeof(batch_norm_kernel), mu_cuda_half_with_f32, NULL, setup, run_backward, release};

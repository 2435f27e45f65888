/* The two passes of batch_norm with a message to the other ranks between them, as backend/ranks.h has it, that goes from device to device among the
 * kernels: nothing waits, and a recording takes it in. */
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
        if (c == 0)
            message[0] = n;
        message[1 + c] = m.mean;
        message[1 + g.c + c] = m.square;
    }
}

/* The messages of `size` ranks, joined in their order: the same bits everywhere. One value has no variance: an error cannot be told from here, so that the
 * outputs become NaN, and the running statistics stay. */
static __global__ void settle_forward(int64_t channels, int size, const double *messages, batch_norm_state state)
{
    FOR_EACH(c, channels) {
        moments<double> all = {};
        for (int r = 0; r < size; r++) {
            const double *m = messages + r * (1 + 2 * channels);
            all = join_moments()(all, moments<double>{m[0], m[1 + c], m[1 + channels + c]});
        }
        if (all.n != 1) {
            settle_channel(state, c, all.n, all.mean, all.square);
            continue;
        }
        state.mean[c] = state.rstd[c] = NAN;
        state.new_mean[c] = state.old_mean[c];
        state.new_var[c] = state.old_var[c];
    }
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
        if (c == 0)
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

static int64_t message_length(const batch_norm_kernel *s)
{
    return 1 + 2 * s->grid.c;
}

/* Where the messages of all ranks come together, behind that of this one. */
static double *all_messages(const mu_kernel *k)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    return batch_norm_message(k) + message_length(s);
}

static bool is_alone(const batch_norm_kernel *s, const mu_run *run)
{
    return !s->ranks || run->presence == MU_ALONE;
}

static mu_err exchange(const mu_kernel *k, mu_request_kind kind)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    mu_backend *backend = &s->base.self->base;
    mu_collective what = {};
    what.kind = kind;
    what.send = batch_norm_message(k);
    what.data = kind == MU_REQUEST_ALL_GATHER ? all_messages(k) : batch_norm_message(k);
    what.count = message_length(s);
    what.dtype = MU_F64;
    what.op = MU_COMM_SUM;
    return backend->ops->collect(backend, s->ranks, MU_LANE_KERNELS, &what);
}

/* Takes part with no values: the others must not wait. */
static mu_err exchange_nothing(const mu_kernel *k, mu_request_kind kind)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    cudaError_t status =
        cudaMemsetAsync(batch_norm_message(k), 0, (size_t)message_length(s) * sizeof(double), s->base.self->stream);
    MU_TRY(exchange(k, kind));
    MU_TRY_CUDA(status);
    return MU_OK;
}

static double values_of(const batch_norm_kernel *s)
{
    return (double)(s->base.x.n * s->base.x.space);
}

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
static mu_err prepare_and_exchange(const mu_kernel *k, const mu_run *run, mu_err (*prepare)(const mu_kernel *k), mu_request_kind kind)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    mu_err err = prepare(k);
    if (is_alone(s, run))
        return err;
    if (err == MU_OK)
        return exchange(k, kind);
    mu_error first = *mu_error_last();
    (void)!exchange_nothing(k, kind);
    return mu_error_restore(&first);
}

static mu_err run_forward(mu_kernel *k, const mu_run *run)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    bool alone = is_alone(s, run);
    if (run->presence == MU_ABSENT)
        return alone ? MU_OK : exchange_nothing(k, MU_REQUEST_ALL_GATHER);
    MU_TRY(prepare_and_exchange(k, run, prepare_forward, MU_REQUEST_ALL_GATHER));
    MU_TRY(launch(s->base.self, settle_forward, blocks_for(s->base.self, s->grid.c), BLOCK, s->grid.c, alone ? 1 : s->n_ranks,
                  alone ? batch_norm_message(k) : all_messages(k), batch_norm_state_of(k)));
    return batch_norm_write_forward(k);
}

static mu_err run_backward(mu_kernel *k, const mu_run *run)
{
    const batch_norm_kernel *s = (const batch_norm_kernel *)k;
    if (run->presence == MU_ABSENT)
        return is_alone(s, run) ? MU_OK : exchange_nothing(k, MU_REQUEST_ALL_REDUCE);
    MU_TRY(prepare_and_exchange(k, run, prepare_backward, MU_REQUEST_ALL_REDUCE));
    MU_TRY(launch(s->base.self, settle_backward, blocks_for(s->base.self, s->grid.c), BLOCK, s->grid.c, batch_norm_message(k),
                  batch_norm_stats_of(k, &s->grid), batch_norm_slopes(k)));
    return batch_norm_write_backward(k);
}

static mu_err setup(mu_cuda_kernel *kernel)
{
    batch_norm_kernel *s = (batch_norm_kernel *)kernel;
    const mu_comm *comm = batch_norm_attrs(&kernel->base)->comm;
    MU_TRY(batch_norm_setup(kernel));
    s->n_ranks = mu_ranks_count(comm);
    if (s->n_ranks == 1)
        return MU_OK;
    s->ranks = mu_cuda_comm_of(kernel->self, comm);
    if (!s->ranks)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "SyncBN: the devices of the %d ranks have not been brought together (comm_open)", s->n_ranks);
    kernel->base.scratch_bytes += (size_t)(s->n_ranks * message_length(s)) * sizeof(double);
    return MU_OK;
}

extern "C" const mu_cuda_impl sync_batch_norm_cuda = {
    MU_CUDA_CHANNELS, sizeof(batch_norm_kernel), mu_cuda_half_with_f32, NULL, setup, run_forward, NULL};
extern "C" const mu_cuda_impl sync_batch_norm_grad_cuda = {
    MU_CUDA_CHANNELS, sizeof(batch_norm_kernel), mu_cuda_half_with_f32, NULL, setup, run_backward, NULL};

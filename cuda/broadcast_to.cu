#include "flat.cuh"

/* y[i] = x[i, seen through strides of 0 along repeated dimensions] */
typedef struct {
    mu_cuda_kernel base;
    mu_cuda_seen x;
} mu_cuda_broadcast;

template <class T> static __global__ void broadcast_kernel(mu_cuda_seen x, T *y, int64_t count, bool whole)
{
    const int N = packed<T>;
    FOR_EACH(k, (count + N - 1) / N) {
        T v[N] = {};
        read_seen<N, T>(x, k * N, count, whole, v);
        write_pack<N>(y, k * N, count, whole, v);
    }
}

static mu_err broadcast_setup(mu_cuda_kernel *kernel)
{
    const mu_call *call = &kernel->base.call;
    ((mu_cuda_broadcast *)kernel)->x = seen_by(&call->in[0], &call->out[0], NULL, 16 / (int)mu_dtype_size(call->in[0].dtype));
    return MU_OK;
}

static mu_err broadcast_run(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    mu_cuda_broadcast *self = (mu_cuda_broadcast *)kernel;
    const mu_cuda *cuda = self->base.self;
    void *y = kernel->out[0];
    int64_t count = mu_type_count(&kernel->call.out[0]);
    bool whole = lies_whole(kernel->in[0], 16) && lies_whole(y, 16);
    self->x.at = kernel->in[0];
    return visit_width(kernel->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return launch(cuda, broadcast_kernel<T>, blocks_for(cuda, count, packed<T>), BLOCK, self->x, (T *)y, count, whole);
    });
}

extern "C" const mu_cuda_impl broadcast_to_cuda = {
    MU_CUDA_ROWS, sizeof(mu_cuda_broadcast), mu_cuda_any_dtype, NULL, broadcast_setup, broadcast_run, NULL};

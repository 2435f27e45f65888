/* Lanes are streams, marks are events. Those of a lane that captures beside the kernels are part of the recording. */
#include "cuda.h"

struct mu_mark {
    cudaEvent_t event;
};

mu_err mu_cuda_lane(mu_cuda *self, mu_lane lane, cudaStream_t *out)
{
    MU_TRY(mu_cuda_enter(self));
    if (lane == MU_LANE_KERNELS) {
        *out = self->stream;
        return MU_OK;
    }
    if (!self->lane[lane])
        MU_TRY_CUDA(cudaStreamCreateWithFlags(&self->lane[lane], cudaStreamNonBlocking));
    *out = self->lane[lane];
    return MU_OK;
}

/* The first failure. */
cudaError_t mu_cuda_lanes_finish(mu_cuda *self)
{
    cudaError_t first = self->stream ? cudaStreamSynchronize(self->stream) : cudaSuccess;
    for (int i = 0; i < MU_N_LANES; i++) {
        cudaError_t status = self->lane[i] ? cudaStreamSynchronize(self->lane[i]) : cudaSuccess;
        first = first == cudaSuccess ? status : first;
    }
    return first;
}

void mu_cuda_lanes_close(mu_cuda *self)
{
    for (int i = 0; i < MU_N_LANES; i++)
        if (self->lane[i])
            (void)cudaStreamDestroy(self->lane[i]);
}

/* ---- marks ---- */

mu_err mu_cuda_mark_new(mu_backend *backend, mu_mark **out)
{
    mu_mark *mark;
    MU_TRY(mu_cuda_enter(mu_cuda_of(backend)));
    MU_TRY(mu_calloc(&mark, 1, sizeof *mark));
    cudaError_t status = cudaEventCreateWithFlags(&mark->event, cudaEventDisableTiming);
    if (status != cudaSuccess) {
        mu_free(mark);
        return mu_cuda_fail(status, "cudaEventCreateWithFlags", __FILE__, __LINE__, __func__);
    }
    *out = mark;
    return MU_OK;
}

void mu_cuda_mark_release(mu_backend *backend, mu_mark *mark)
{
    if (!mark)
        return;
    (void)cudaSetDevice(mu_cuda_of(backend)->device);
    (void)cudaEventDestroy(mark->event);
    mu_free(mark);
}

mu_err mu_cuda_mark(mu_backend *backend, mu_mark *mark, mu_lane lane)
{
    cudaStream_t stream;
    MU_TRY(mu_cuda_lane(mu_cuda_of(backend), lane, &stream));
    MU_TRY_CUDA(cudaEventRecord(mark->event, stream));
    return MU_OK;
}

mu_err mu_cuda_follow(mu_backend *backend, mu_lane lane, const mu_mark *mark)
{
    cudaStream_t stream;
    MU_TRY(mu_cuda_lane(mu_cuda_of(backend), lane, &stream));
    MU_TRY_CUDA(cudaStreamWaitEvent(stream, mark->event, 0));
    return MU_OK;
}

mu_err mu_cuda_wait(mu_backend *backend, const mu_mark *mark)
{
    MU_TRY(mu_cuda_enter(mu_cuda_of(backend)));
    MU_TRY_CUDA(cudaEventSynchronize(mark->event));
    return MU_OK;
}

mu_err mu_cuda_passed(mu_backend *backend, const mu_mark *mark, bool *out)
{
    MU_TRY(mu_cuda_enter(mu_cuda_of(backend)));
    cudaError_t status = cudaEventQuery(mark->event);
    if (status != cudaErrorNotReady)
        MU_TRY_CUDA(status);
    *out = status == cudaSuccess;
    return MU_OK;
}

/* ---- copies ---- */

/* Where the two lie is what their addresses tell. */
mu_err mu_cuda_lane_copy(mu_backend *backend, mu_lane lane, void *to, const void *from, size_t bytes)
{
    cudaStream_t stream;
    MU_TRY(mu_cuda_lane(mu_cuda_of(backend), lane, &stream));
    if (bytes)
        MU_TRY_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream));
    return MU_OK;
}

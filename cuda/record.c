/* Kernels noted as a CUDA graph: captured from the stream, launched as one. */
#include "cuda.h"

struct mu_recording {
    cudaGraphExec_t exec;
};

/* What other threads do meanwhile (a loader's allocations) is not part of it. */
mu_err mu_cuda_record_begin(mu_backend *backend)
{
    mu_cuda *self = mu_cuda_of(backend);
    MU_TRY(mu_cuda_enter(self));
    MU_TRY_CUDA(cudaStreamBeginCapture(self->stream, cudaStreamCaptureModeThreadLocal));
    return MU_OK;
}

static mu_err instantiate(cudaGraph_t graph, mu_recording **out)
{
    mu_recording *recording;
    MU_TRY(mu_calloc(&recording, 1, sizeof *recording));
    cudaError_t status = cudaGraphInstantiate(&recording->exec, graph, 0);
    if (status != cudaSuccess) {
        mu_free(recording);
        return mu_cuda_fail(status, "cudaGraphInstantiate", __FILE__, __LINE__, __func__);
    }
    *out = recording;
    return MU_OK;
}

/* After this the stream runs kernels again, however it went. */
mu_err mu_cuda_record_end(mu_backend *backend, mu_recording **out)
{
    mu_cuda *self = mu_cuda_of(backend);
    cudaGraph_t graph = NULL;
    *out = NULL;
    MU_TRY_CUDA(cudaStreamEndCapture(self->stream, &graph));
    mu_err err = graph ? instantiate(graph, out) : MU_FAIL(MU_ERR_BACKEND, "CUDA: nothing was captured");
    if (graph)
        (void)cudaGraphDestroy(graph);
    return err;
}

mu_err mu_cuda_replay(mu_backend *backend, mu_recording *recording)
{
    MU_TRY_CUDA(cudaGraphLaunch(recording->exec, mu_cuda_of(backend)->stream));
    return MU_OK;
}

void mu_cuda_recording_release(mu_backend *backend, mu_recording *recording)
{
    (void)backend;
    if (!recording)
        return;
    (void)cudaGraphExecDestroy(recording->exec);
    mu_free(recording);
}

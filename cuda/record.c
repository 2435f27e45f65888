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

/* Brought to the device at once, so that the first replay is as fast as the others. */
static mu_err prepare(mu_cuda *self, cudaGraph_t graph, mu_recording *recording)
{
    MU_TRY_CUDA(cudaGraphInstantiate(&recording->exec, graph, 0));
    MU_TRY_CUDA(cudaGraphUpload(recording->exec, self->stream));
    return MU_OK;
}

static mu_err instantiate(mu_cuda *self, cudaGraph_t graph, mu_recording **out)
{
    mu_recording *recording;
    MU_TRY(mu_calloc(&recording, 1, sizeof *recording));
    mu_err err = prepare(self, graph, recording);
    if (err)
        mu_cuda_recording_release(&self->base, recording);
    else
        *out = recording;
    return err;
}

/* After this the stream runs kernels again, however it went. */
mu_err mu_cuda_record_end(mu_backend *backend, mu_recording **out)
{
    mu_cuda *self = mu_cuda_of(backend);
    cudaGraph_t graph = NULL;
    *out = NULL;
    MU_TRY_CUDA(cudaStreamEndCapture(self->stream, &graph));
    mu_err err = graph ? instantiate(self, graph, out) : MU_FAIL(MU_ERR_BACKEND, "CUDA: nothing was captured");
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
    if (recording->exec)
        (void)cudaGraphExecDestroy(recording->exec);
    mu_free(recording);
}

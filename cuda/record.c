/* Kernels noted as a CUDA graph: captured from the stream, launched as one. */
#include "cuda.h"

struct mu_recording {
    cudaGraphExec_t exec; /* NULL: a communicator that has a part in it was closed */
    uint64_t comms;
    mu_recording *next; /* of the instance */
};

/* What other threads do meanwhile (a loader's allocations) is not part of it. */
mu_err mu_cuda_record_begin(mu_backend *backend)
{
    mu_cuda *self = mu_cuda_of(backend);
    MU_TRY(mu_cuda_enter(self));
    self->collecting = 0;
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
    recording->comms = self->collecting;
    recording->next = self->recordings;
    self->recordings = recording;
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
    if (!recording->exec)
        return MU_FAIL(MU_ERR_COMM, "the recording has collectives of a communicator that was closed");
    MU_TRY_CUDA(cudaGraphLaunch(recording->exec, mu_cuda_of(backend)->stream));
    return MU_OK;
}

void mu_cuda_recording_release(mu_backend *backend, mu_recording *recording)
{
    if (!recording)
        return;
    for (mu_recording **at = &mu_cuda_of(backend)->recordings; *at; at = &(*at)->next)
        if (*at == recording) {
            *at = recording->next;
            break;
        }
    if (recording->exec)
        (void)cudaGraphExecDestroy(recording->exec);
    mu_free(recording);
}

/* One that is on its way is done all the same. */
void mu_cuda_recordings_end(mu_cuda *self, uint64_t comms)
{
    for (mu_recording *r = self->recordings; r; r = r->next)
        if (r->exec && r->comms & comms) {
            (void)cudaGraphExecDestroy(r->exec);
            r->exec = NULL;
        }
}

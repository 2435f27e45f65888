#include "tune.h"
#include "backend/trial.h"
#include "core/text.h"

#include <ctype.h>

/* The number changes with the candidates. */
static const char header[] = "muster cuDNN choices 2";

/* "cudnn-91900-nvidia-h100-80gb-hbm3.txt" */
mu_err mu_cuda_tune_open(const mu_cuda *self, const char *cache_dir, mu_cuda_tune **out)
{
    struct cudaDeviceProp device;
    mu_text name = {0};
    bool dash = true;
    MU_TRY_CUDA(cudaGetDeviceProperties(&device, self->device));
    mu_text_printf(&name, "cudnn-%zu", cudnnGetVersion());
    for (const char *c = device.name; *c; c++) {
        if (isalnum((unsigned char)*c))
            mu_text_printf(&name, "%s%c", dash ? "-" : "", tolower((unsigned char)*c));
        dash = !isalnum((unsigned char)*c);
    }
    mu_text_append(&name, ".txt");
    mu_err err = mu_text_status(&name);
    if (!err)
        err = mu_choices_open(cache_dir, name.data, header, out);
    mu_text_release(&name);
    MU_TRY(err);
    return MU_OK;
}

static mu_err fill(mu_backend *backend, void *block, size_t bytes)
{
    MU_TRY_CUDA(cudaMemsetAsync(block, 0x3c, bytes, mu_cuda_of(backend)->stream));
    return MU_OK;
}

enum { RUNS = 3, REPLAYS = 2 };

/* Between two events, without the host's part in it. */
static mu_err time_replays(mu_cuda *self, mu_recording *runs, cudaEvent_t begin, cudaEvent_t end, double *seconds)
{
    float ms;
    *seconds = 1e30;
    for (int i = 0; i < REPLAYS; i++) {
        MU_TRY_CUDA(cudaEventRecord(begin, self->stream));
        MU_TRY(self->base.ops->replay(&self->base, runs));
        MU_TRY_CUDA(cudaEventRecord(end, self->stream));
        MU_TRY_CUDA(cudaEventSynchronize(end));
        MU_TRY_CUDA(cudaEventElapsedTime(&ms, begin, end));
        *seconds = 1e-3 * ms / RUNS < *seconds ? 1e-3 * ms / RUNS : *seconds;
    }
    return MU_OK;
}

/* As steps of a training are: recorded, after a first run. What cannot be recorded is of no use. */
static mu_err time_between(mu_cuda *self, mu_kernel *kernel, cudaEvent_t begin, cudaEvent_t end, double *seconds)
{
    const mu_run run = {0};
    mu_recording *runs = NULL;
    mu_error first;
    MU_TRY(mu_kernel_run(kernel, &run));
    MU_TRY(self->base.ops->record_begin(&self->base));
    mu_err err = MU_OK;
    for (int i = 0; i < RUNS && err == MU_OK; i++)
        err = mu_kernel_run(kernel, &run);
    if (err)
        first = *mu_error_last();
    mu_err ended = self->base.ops->record_end(&self->base, &runs);
    if (err)
        mu_error_restore(&first);
    else
        err = ended ? ended : time_replays(self, runs, begin, end, seconds);
    self->base.ops->recording_release(&self->base, runs);
    return err;
}

static mu_err time_bound(mu_backend *backend, mu_kernel *kernel, double *seconds)
{
    mu_cuda *self = mu_cuda_of(backend);
    cudaEvent_t begin, end;
    MU_TRY_CUDA(cudaEventCreate(&begin));
    cudaError_t status = cudaEventCreate(&end);
    mu_err err = MU_OK;
    if (status == cudaSuccess) {
        err = time_between(self, kernel, begin, end, seconds);
        (void)cudaStreamSynchronize(self->stream);
        (void)cudaEventDestroy(end);
    }
    (void)cudaEventDestroy(begin);
    MU_TRY_CUDA(status);
    return err;
}

mu_err mu_cuda_time(mu_cuda *self, mu_kernel *kernel, double *seconds)
{
    static const mu_trial trial = {.fill = fill, .time = time_bound};
    return mu_trial_run(&trial, &self->base, kernel, seconds);
}

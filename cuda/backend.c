#include "comm.h"
#include "tune.h"

#include <string.h>

mu_err mu_cuda_enter(const mu_cuda *self)
{
    MU_TRY_CUDA(cudaSetDevice(self->device));
    return MU_OK;
}

/* What is given back stays with the process: plans come and go, and asking the driver takes long. */
static mu_err keep_memory(const mu_cuda *self)
{
    cudaMemPool_t pool;
    uint64_t all = UINT64_MAX;
    MU_TRY_CUDA(cudaDeviceGetDefaultMemPool(&pool, self->device));
    MU_TRY_CUDA(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &all));
    return MU_OK;
}

static mu_err open_all(mu_cuda *self, const char *cache_dir)
{
    int n;
    MU_TRY(mu_cuda_devices(NULL, 0, &n)); /* or why there is none */
    MU_TRY(mu_cuda_enter(self));
    MU_TRY_CUDA(cudaDeviceGetAttribute(&self->n_multiprocessors, cudaDevAttrMultiProcessorCount, self->device));
    MU_TRY(keep_memory(self));
    MU_TRY_CUDA(cudaStreamCreateWithFlags(&self->stream, cudaStreamNonBlocking));
    MU_TRY_CUBLAS(cublasLtCreate(&self->lt));
    MU_TRY_CUDNN(cudnnCreate(&self->dnn));
    MU_TRY_CUDNN(cudnnSetStream(self->dnn, self->stream));
    MU_TRY(mu_cuda_tune_open(self, cache_dir, &self->tune));
    MU_TRY(mu_cuda_ring_open(self));
    MU_TRY(mu_cuda_alloc(&self->base, sizeof *self->base.run, (void **)&self->base.run));
    return MU_OK;
}

static void close_cuda(mu_backend *backend)
{
    mu_cuda *self = mu_cuda_of(backend);
    (void)cudaSetDevice(self->device);
    (void)mu_cuda_lanes_finish(self);
    if (backend->run)
        mu_cuda_dealloc(backend, backend->run);
    if (self->dnn)
        (void)cudnnDestroy(self->dnn);
    if (self->lt)
        (void)cublasLtDestroy(self->lt);
    if (self->stream)
        (void)cudaStreamSynchronize(self->stream);
    mu_cuda_lanes_close(self);
    mu_cuda_memory_close(self);
    if (self->stream)
        (void)cudaStreamDestroy(self->stream);
    mu_choices_close(self->tune);
    mu_cuda_layouts_release(self);
}

static mu_err open_cuda(mu_backend *backend, const mu_backend_options *options)
{
    mu_cuda *self = mu_cuda_of(backend);
    self->device = options->device;
    self->deterministic = options->deterministic;
    self->tf32 = options->tf32;
    backend->n_threads = 1;
    backend->host_memory = false;
    mu_err err = open_all(self, options->cache_dir);
    if (err)
        close_cuda(backend);
    return err;
}

static mu_err layout_cuda(mu_backend *backend, const mu_type *type, mu_layout_kind kind, int block, const mu_layout **out)
{
    (void)block;
    return mu_cuda_layout_make(mu_cuda_of(backend), type, kind, out);
}

static mu_err synchronize_cuda(mu_backend *backend)
{
    mu_cuda *self = mu_cuda_of(backend);
    MU_TRY(mu_cuda_enter(self));
    MU_TRY_CUDA(mu_cuda_lanes_finish(self));
    MU_TRY_CUDA(cudaGetLastError());
    return MU_OK;
}

const mu_backend_ops mu_backend_cuda = {
    .name = "cuda",
    .doc = "NVIDIA GPUs: own kernels, cuDNN and cuBLASLt, in f32, bf16 and f16.",
    .size = sizeof(mu_cuda),
    .open = open_cuda,
    .close = close_cuda,
    .supports = mu_cuda_supports,
    .prepare = mu_cuda_prepare,
    .reorder = mu_cuda_reorder,
    .layout = layout_cuda,
    .alloc = mu_cuda_alloc,
    .dealloc = mu_cuda_dealloc,
    .upload = mu_cuda_upload,
    .download = mu_cuda_download,
    .synchronize = synchronize_cuda,
    .devices = mu_cuda_devices,
    .library = mu_cuda_library,
    .free_memory = mu_cuda_free_memory,
    .alloc_host = mu_cuda_alloc_host,
    .dealloc_host = mu_cuda_dealloc_host,
    .record_begin = mu_cuda_record_begin,
    .record_upload = mu_cuda_record_upload,
    .record_end = mu_cuda_record_end,
    .replay = mu_cuda_replay,
    .recording_release = mu_cuda_recording_release,
    .mark_new = mu_cuda_mark_new,
    .mark_release = mu_cuda_mark_release,
    .mark = mu_cuda_mark,
    .follow = mu_cuda_follow,
    .wait = mu_cuda_wait,
    .passed = mu_cuda_passed,
    .copy = mu_cuda_lane_copy,
    .memory = mu_cuda_memory,
    .comm_open = mu_cuda_comm_open,
    .comm_close = mu_cuda_comm_close,
#ifdef HAVE_NCCL
    .collect = mu_cuda_collect,
    .comm_check = mu_cuda_comm_check,
    .comm_abort = mu_cuda_comm_abort,
#endif
};

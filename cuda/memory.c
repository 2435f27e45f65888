/* Memory of the device, and copies between it and the host. Everything is in the order of the stream. */
#include "cuda.h"

#include <string.h>

/* ---- blocks ---- */

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* What was asked for, and what there is. Who has it is told by those who asked (backend/holders.h). */
static void explain(const mu_cuda *self, size_t bytes)
{
    size_t free = 0, total = 0;
    (void)cudaMemGetInfo(&free, &total);
    mu_error_context("%.1f MiB of device %d's memory wanted, %.1f of its %.1f MiB are free, %.1f are taken by this rank", mib(bytes), self->device,
                     mib(free), mib(total), mib(self->used));
}

static mu_err take(mu_cuda *self, size_t bytes, void **out)
{
    MU_TRY(mu_cuda_enter(self));
    MU_TRY(mu_grow(&self->blocks, &self->block_capacity, self->n_blocks + 1, sizeof *self->blocks));
    MU_TRY_CUDA(cudaMallocAsync(out, bytes, self->stream));
    return MU_OK;
}

mu_err mu_cuda_alloc(mu_backend *backend, size_t bytes, void **out)
{
    mu_cuda *self = mu_cuda_of(backend);
    size_t taken = bytes ? mu_align_up(bytes) : MU_ALIGN; /* a block of nothing has an address, too */
    mu_err err = take(self, taken, out);
    if (err) {
        *out = NULL;
        if (err == MU_ERR_MEMORY)
            explain(self, bytes);
        return err;
    }
    self->blocks[self->n_blocks++] = (mu_cuda_block){*out, taken};
    self->used += taken;
    self->peak = self->used > self->peak ? self->used : self->peak;
    return MU_OK;
}

void mu_cuda_dealloc(mu_backend *backend, void *block)
{
    mu_cuda *self = mu_cuda_of(backend);
    for (size_t i = self->n_blocks; i-- > 0;)
        if (self->blocks[i].address == block) {
            self->used -= self->blocks[i].bytes;
            self->blocks[i] = self->blocks[--self->n_blocks];
            (void)cudaSetDevice(self->device);
            (void)cudaFreeAsync(block, self->stream);
            return;
        }
}

void mu_cuda_memory(mu_backend *backend, size_t *used, size_t *peak)
{
    if (used)
        *used = mu_cuda_of(backend)->used;
    if (peak)
        *peak = mu_cuda_of(backend)->peak;
}

mu_err mu_cuda_alloc_host(mu_backend *backend, size_t bytes, void **out)
{
    MU_TRY(mu_cuda_enter(mu_cuda_of(backend)));
    MU_TRY_CUDA(cudaMallocHost(out, bytes ? bytes : 1));
    return MU_OK;
}

void mu_cuda_dealloc_host(mu_backend *backend, void *block)
{
    (void)backend;
    if (block)
        (void)cudaFreeHost(block);
}

/* ---- copies ---- */

mu_err mu_cuda_ring_open(mu_cuda *self)
{
    MU_TRY_CUDA(cudaMallocHost((void **)&self->ring.block, (size_t)MU_CUDA_SLOTS * MU_CUDA_SLOT_BYTES));
    for (int i = 0; i < MU_CUDA_SLOTS; i++)
        MU_TRY_CUDA(cudaEventCreateWithFlags(&self->ring.free[i], cudaEventDisableTiming));
    return MU_OK;
}

void mu_cuda_memory_close(mu_cuda *self)
{
    for (int i = 0; i < MU_CUDA_SLOTS; i++)
        if (self->ring.free[i])
            (void)cudaEventDestroy(self->ring.free[i]);
    if (self->ring.block)
        (void)cudaFreeHost(self->ring.block);
    mu_free(self->blocks);
}

/* At most MU_CUDA_SLOT_BYTES. Waits only when all slots are on their way. */
static mu_err upload_staged(mu_cuda *self, void *device, const void *host, size_t bytes)
{
    mu_cuda_ring *ring = &self->ring;
    int slot = ring->next;
    char *staging = ring->block + (size_t)slot * MU_CUDA_SLOT_BYTES;
    MU_TRY_CUDA(cudaEventSynchronize(ring->free[slot]));
    memcpy(staging, host, bytes);
    MU_TRY_CUDA(cudaMemcpyAsync(device, staging, bytes, cudaMemcpyHostToDevice, self->stream));
    MU_TRY_CUDA(cudaEventRecord(ring->free[slot], self->stream));
    ring->next = (slot + 1) % MU_CUDA_SLOTS;
    return MU_OK;
}

/* What does not fit into a slot is copied from where it is, and waited for: `host` may be changed afterwards. */
mu_err mu_cuda_upload(mu_backend *backend, void *device, const void *host, size_t bytes)
{
    mu_cuda *self = mu_cuda_of(backend);
    if (!bytes)
        return MU_OK;
    MU_TRY(mu_cuda_enter(self));
    if (bytes <= MU_CUDA_SLOT_BYTES) {
        MU_TRY(upload_staged(self, device, host, bytes));
        return MU_OK;
    }
    MU_TRY_CUDA(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, self->stream));
    MU_TRY_CUDA(cudaStreamSynchronize(self->stream));
    return MU_OK;
}

mu_err mu_cuda_download(mu_backend *backend, void *host, const void *device, size_t bytes)
{
    mu_cuda *self = mu_cuda_of(backend);
    if (!bytes)
        return MU_OK;
    MU_TRY(mu_cuda_enter(self));
    MU_TRY_CUDA(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, self->stream));
    MU_TRY_CUDA(cudaStreamSynchronize(self->stream));
    return MU_OK;
}

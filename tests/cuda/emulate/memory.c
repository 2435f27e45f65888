/* Device and pinned memory. A block lies between guards and comes filled with bytes that are NaN in every floating-point type. */
#include "emulate.h"
#include "emulate_race.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 256, GUARD_BYTE = 0xfd, FRESH_BYTE = 0xff };

/* Stands at the start of the guard before the block. */
typedef struct memory {
    size_t bytes, taken;
    bool pinned;
    struct memory *previous, *next;
} memory;

/* The address sanitizer reports accesses to the guards when they happen. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
static void guards_close(const memory *self)
{
    ASAN_POISON_MEMORY_REGION((const char *)self + sizeof *self, GUARD - sizeof *self);
    ASAN_POISON_MEMORY_REGION((const char *)self + GUARD + self->bytes, self->taken - GUARD - self->bytes);
}
static void guards_open(const memory *self)
{
    ASAN_UNPOISON_MEMORY_REGION(self, self->taken);
}
#else
static void guards_close(const memory *self)
{
    (void)self;
}
static void guards_open(const memory *self)
{
    (void)self;
}
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static memory *blocks;
static size_t used; /* on the device */

static size_t total(void)
{
    return (size_t)emulate_setting("MUSTER_EMULATE_MEMORY", 80LL << 30);
}

static char *start_of(const memory *self)
{
    return (char *)self + GUARD;
}

static cudaError_t memory_new(void **out, size_t bytes, bool pinned)
{
    *out = NULL;
    size_t taken = (bytes + 2 * GUARD + GUARD - 1) / GUARD * GUARD;
    if (bytes == 0)
        return cudaSuccess;
    if (bytes > total())
        return cudaErrorMemoryAllocation;
    pthread_mutex_lock(&lock);
    memory *self = pinned || used + bytes <= total() ? aligned_alloc(GUARD, taken) : NULL;
    if (self != NULL) {
        memset(self, GUARD_BYTE, taken);
        *self = (memory){.bytes = bytes, .taken = taken, .pinned = pinned, .next = blocks};
        if (blocks != NULL)
            blocks->previous = self;
        blocks = self;
        used += pinned ? 0 : bytes;
        *out = memset(start_of(self), emulate_idles() ? 0 : FRESH_BYTE, bytes);
        guards_close(self);
        emulate_race_memory(*out, bytes, true);
    }
    pthread_mutex_unlock(&lock);
    return self != NULL ? cudaSuccess : cudaErrorMemoryAllocation;
}

/* Is the guard around the block as it was? */
static bool memory_whole(const memory *self)
{
    const unsigned char *byte = (const unsigned char *)self;
    for (size_t i = sizeof *self; i < GUARD; i++)
        if (byte[i] != GUARD_BYTE)
            return false;
    for (size_t i = GUARD + self->bytes; i < self->taken; i++)
        if (byte[i] != GUARD_BYTE)
            return false;
    return true;
}

static cudaError_t memory_free(void *block, bool pinned)
{
    if (block == NULL)
        return cudaSuccess;
    pthread_mutex_lock(&lock);
    memory *self = blocks;
    while (self != NULL && !(start_of(self) == block && self->pinned == pinned))
        self = self->next;
    bool whole = true;
    size_t bytes = 0;
    if (self != NULL) {
        guards_open(self);
        emulate_race_memory(block, self->bytes, false);
        whole = memory_whole(self);
        bytes = self->bytes;
        if (self->previous != NULL)
            self->previous->next = self->next;
        else
            blocks = self->next;
        if (self->next != NULL)
            self->next->previous = self->previous;
        used -= pinned ? 0 : bytes;
    }
    pthread_mutex_unlock(&lock);
    if (self == NULL)
        return pinned ? cudaErrorInvalidValue : cudaErrorInvalidDevicePointer;
    free(self);
    return whole ? cudaSuccess : emulate_fault(cudaErrorIllegalAddress, "written before or after a block of %zu bytes", bytes);
}

static bool memory_holds(const void *address, size_t bytes, bool pinned)
{
    bool found = false;
    const char *from = address;
    pthread_mutex_lock(&lock);
    for (const memory *self = blocks; self != NULL && !found; self = self->next)
        found = self->pinned == pinned && from >= start_of(self) && from + bytes <= start_of(self) + self->bytes;
    pthread_mutex_unlock(&lock);
    return found;
}

bool emulate_on_device(const void *address, size_t bytes)
{
    return memory_holds(address, bytes, false);
}

bool emulate_memory_of(const void *address, const void **start, size_t *bytes)
{
    const memory *self;
    pthread_mutex_lock(&lock);
    for (self = blocks; self != NULL; self = self->next)
        if (!self->pinned && (const char *)address >= start_of(self) && (const char *)address < start_of(self) + self->bytes) {
            *start = start_of(self);
            *bytes = self->bytes;
            break;
        }
    pthread_mutex_unlock(&lock);
    return self != NULL;
}

/* ---- blocks ---- */

cudaError_t cudaMemGetInfo(size_t *available, size_t *all)
{
    cudaError_t ready = emulate_ready();
    *all = total();
    *available = *all - used;
    return emulate_error(ready);
}

static cudaError_t ready_outside_capture(void)
{
    cudaError_t status = emulate_ready();
    return status != cudaSuccess ? status : emulate_outside_capture();
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    cudaError_t status = ready_outside_capture();
    return emulate_error(status != cudaSuccess ? status : memory_new(out, bytes, false));
}

cudaError_t cudaFree(void *block)
{
    cudaError_t status = emulate_outside_capture();
    if (status != cudaSuccess)
        return emulate_error(status);
    status = emulate_finish();
    cudaError_t freed = memory_free(block, false);
    return emulate_error(status != cudaSuccess ? status : freed);
}

typedef struct {
    void *to;
    const void *from;
    size_t bytes;
    int value;
    bool pageable_to, pageable_from;
} copy;

static cudaError_t set_run(const void *closure)
{
    const copy *self = closure;
    if (!emulate_on_device(self->to, self->bytes))
        return emulate_fault(cudaErrorIllegalAddress, "memory is set that has been freed");
    memset(self->to, self->value, self->bytes);
    return cudaSuccess;
}

/* There from where the stream is: who comes before that from another one finds it filled anew. */
cudaError_t cudaMallocAsync(void **out, size_t bytes, cudaStream_t stream)
{
    cudaError_t status = cudaMalloc(out, bytes);
    if (status != cudaSuccess || bytes == 0)
        return status;
    status = emulate_submit(stream, set_run, &(copy){.to = *out, .bytes = bytes, .value = FRESH_BYTE}, sizeof(copy));
    if (status != cudaSuccess)
        memory_free(*out, false);
    return status;
}

struct CUmemPoolHandle_st {
    uint64_t release_threshold;
};

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *out, int device)
{
    static struct CUmemPoolHandle_st pool;
    (void)device;
    *out = &pool;
    return emulate_error(emulate_ready());
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr attr, void *value)
{
    if (attr != cudaMemPoolAttrReleaseThreshold)
        return emulate_error(cudaErrorInvalidValue);
    pool->release_threshold = *(const uint64_t *)value;
    return emulate_error(emulate_ready());
}

static cudaError_t free_run(const void *closure)
{
    return memory_free(*(void *const *)closure, false);
}

cudaError_t cudaFreeAsync(void *block, cudaStream_t stream)
{
    cudaError_t status = emulate_outside_capture();
    return status != cudaSuccess ? emulate_error(status) : emulate_submit(stream, free_run, &block, sizeof block);
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    cudaError_t status = ready_outside_capture();
    return emulate_error(status != cudaSuccess ? status : memory_new(out, bytes, true));
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned int flags)
{
    (void)flags;
    return cudaMallocHost(out, bytes);
}

cudaError_t cudaFreeHost(void *block)
{
    cudaError_t status = emulate_outside_capture();
    if (status != cudaSuccess)
        return emulate_error(status);
    status = emulate_finish();
    cudaError_t freed = memory_free(block, true);
    return emulate_error(status != cudaSuccess ? status : freed);
}

/* ---- copies ---- */

static bool is_known(const void *address, size_t bytes)
{
    return emulate_on_device(address, bytes) || memory_holds(address, bytes, true);
}

static cudaError_t copy_run(const void *closure)
{
    const copy *self = closure;
    if (!(self->pageable_to || is_known(self->to, self->bytes)) || !(self->pageable_from || is_known(self->from, self->bytes)))
        return emulate_fault(cudaErrorIllegalAddress, "a copy from or to memory that has been freed");
    memmove(self->to, self->from, self->bytes);
    return cudaSuccess;
}

static cudaError_t copy_check(const copy *self, enum cudaMemcpyKind kind)
{
    bool to = emulate_on_device(self->to, self->bytes), from = emulate_on_device(self->from, self->bytes);
    switch (kind) {
    case cudaMemcpyHostToHost: return to || from ? cudaErrorInvalidValue : cudaSuccess;
    case cudaMemcpyHostToDevice: return !to || from ? cudaErrorInvalidValue : cudaSuccess;
    case cudaMemcpyDeviceToHost: return to || !from ? cudaErrorInvalidValue : cudaSuccess;
    case cudaMemcpyDeviceToDevice: return !to || !from ? cudaErrorInvalidValue : cudaSuccess;
    case cudaMemcpyDefault: return cudaSuccess;
    }
    return cudaErrorInvalidMemcpyDirection;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    copy self = {.to = to, .from = from, .bytes = bytes};
    if (bytes == 0)
        return cudaSuccess;
    cudaError_t status = emulate_ready();
    if (status == cudaSuccess)
        status = copy_check(&self, kind);
    if (status != cudaSuccess)
        return emulate_error(status);
    self.pageable_to = !is_known(to, bytes);
    self.pageable_from = !is_known(from, bytes);
    status = emulate_submit(stream, copy_run, &self, sizeof self);
    /* Memory that is not pinned has been read or written when the call returns. */
    return status == cudaSuccess && (self.pageable_to || self.pageable_from) ? emulate_finish_stream(stream) : status;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    cudaError_t status = emulate_outside_capture();
    if (status != cudaSuccess)
        return emulate_error(status);
    status = cudaMemcpyAsync(to, from, bytes, kind, NULL);
    return status == cudaSuccess ? emulate_finish_stream(NULL) : status;
}

cudaError_t cudaMemsetAsync(void *block, int value, size_t bytes, cudaStream_t stream)
{
    copy self = {.to = block, .bytes = bytes, .value = value};
    if (bytes == 0)
        return cudaSuccess;
    cudaError_t status = emulate_ready();
    if (status == cudaSuccess && !emulate_on_device(block, bytes))
        status = cudaErrorInvalidValue;
    return status != cudaSuccess ? emulate_error(status) : emulate_submit(stream, set_run, &self, sizeof self);
}

cudaError_t cudaMemset(void *block, int value, size_t bytes)
{
    cudaError_t status = emulate_outside_capture();
    return status != cudaSuccess ? emulate_error(status) : cudaMemsetAsync(block, value, bytes, NULL);
}

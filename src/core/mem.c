#include "core/mem.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

/* Each block is preceded by one alignment unit that holds its size. */
typedef union {
    size_t bytes;
    char pad[MU_ALIGN];
} header;

static atomic_llong live_blocks, live_bytes, peak_bytes, total_blocks, fail_at;

static void count_add(size_t bytes)
{
    atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&total_blocks, 1, memory_order_relaxed);
    long long now = atomic_fetch_add_explicit(&live_bytes, (long long)bytes, memory_order_relaxed) + (long long)bytes;
    long long peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed);
    while (now > peak && !atomic_compare_exchange_weak_explicit(&peak_bytes, &peak, now, memory_order_relaxed,
                                                                memory_order_relaxed))
        ;
}

static int injected_failure(void)
{
    return atomic_load_explicit(&fail_at, memory_order_relaxed) > 0 && atomic_fetch_sub(&fail_at, 1) == 1;
}

/* Arenas and copies of them are walked from end to end: huge pages spare most of the faults and of the look-ups of addresses. */
static void advise(void *block, size_t bytes)
{
    enum { HUGE_PAGE = 2 << 20, LEAST = 8 << 20 };
#ifdef MADV_HUGEPAGE
    uintptr_t begin = ((uintptr_t)block + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
    uintptr_t end = ((uintptr_t)block + bytes) & ~(uintptr_t)(HUGE_PAGE - 1);
    if (bytes >= LEAST)
        (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE); /* only advice: a refusal costs speed alone */
#endif
}

/* What lies behind a block, up to the next unit: the address sanitizer takes it for a part of the block by itself. */
static void guard_rest(char *block, size_t bytes)
{
#ifdef __SANITIZE_ADDRESS__
    __asan_poison_memory_region(block + bytes, mu_align_up(bytes) - bytes);
#else
    (void)block, (void)bytes;
#endif
}

mu_err mu_alloc(void *out, size_t bytes)
{
    void *block = NULL;
    if (bytes <= PTRDIFF_MAX - 2 * sizeof(header) && !injected_failure()) {
        header *h = aligned_alloc(MU_ALIGN, mu_align_up(bytes) + sizeof(header));
        if (h) {
            advise(h, mu_align_up(bytes) + sizeof(header));
            h->bytes = bytes;
            count_add(bytes);
            block = h + 1;
            guard_rest(block, bytes);
        }
    }
    memcpy(out, &block, sizeof block);
    if (!block)
        return MU_FAIL(MU_ERR_MEMORY, "out of memory: %zu bytes were asked, %lld are in use", bytes,
                       (long long)atomic_load(&live_bytes));
    return MU_OK;
}

mu_err mu_calloc(void *out, size_t count, size_t size)
{
    size_t bytes;
    void *block = NULL;
    memcpy(out, &block, sizeof block);
    MU_TRY(mu_mul_size(count, size, &bytes));
    MU_TRY(mu_alloc(&block, bytes));
    memset(block, 0, bytes);
    memcpy(out, &block, sizeof block);
    return MU_OK;
}

mu_err mu_realloc(void *block, size_t bytes)
{
    void *old, *new;
    memcpy(&old, block, sizeof old);
    MU_TRY(mu_alloc(&new, bytes));
    if (old) {
        size_t had = ((header *)old - 1)->bytes;
        memcpy(new, old, had < bytes ? had : bytes);
        mu_free(old);
    }
    memcpy(block, &new, sizeof new);
    return MU_OK;
}

mu_err mu_grow(void *array, size_t *capacity, size_t count, size_t size)
{
    if (count <= *capacity)
        return MU_OK;
    size_t want = *capacity ? *capacity : 8, bytes;
    while (want < count)
        MU_TRY(mu_mul_size(want, 2, &want));
    MU_TRY(mu_mul_size(want, size, &bytes));
    MU_TRY(mu_realloc(array, bytes));
    *capacity = want;
    return MU_OK;
}

mu_err mu_strndup(char **out, const char *text, size_t length)
{
    MU_TRY(mu_alloc(out, length + 1));
    memcpy(*out, text, length);
    (*out)[length] = '\0';
    return MU_OK;
}

mu_err mu_strdup(char **out, const char *text)
{
    MU_TRY(mu_strndup(out, text, strlen(text)));
    return MU_OK;
}

mu_err mu_asprintf(char **out, const char *format, ...)
{
    va_list args;
    *out = NULL;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        return MU_FAIL(MU_ERR_INTERNAL, "text could not be formatted: %s", format);
    MU_TRY(mu_alloc(out, (size_t)n + 1));
    va_start(args, format);
    vsnprintf(*out, (size_t)n + 1, format, args);
    va_end(args);
    return MU_OK;
}

void mu_free(void *block)
{
    if (!block)
        return;
    header *h = (header *)block - 1;
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&live_bytes, (long long)h->bytes, memory_order_relaxed);
    free(h);
}

mu_mem_counts mu_mem_get_counts(void)
{
    return (mu_mem_counts){.live_blocks = atomic_load(&live_blocks),
                           .live_bytes = atomic_load(&live_bytes),
                           .peak_bytes = atomic_load(&peak_bytes),
                           .total_blocks = atomic_load(&total_blocks)};
}

void mu_mem_reset_peak(void)
{
    atomic_store(&peak_bytes, atomic_load(&live_bytes));
}

void mu_mem_fail_at(int64_t n)
{
    atomic_store(&fail_at, n);
}

mu_err mu_mul_size(size_t a, size_t b, size_t *out)
{
    if (__builtin_mul_overflow(a, b, out))
        return MU_FAIL(MU_ERR_OVERFLOW, "%zu * %zu does not fit in a size", a, b);
    return MU_OK;
}

mu_err mu_add_size(size_t a, size_t b, size_t *out)
{
    if (__builtin_add_overflow(a, b, out))
        return MU_FAIL(MU_ERR_OVERFLOW, "%zu + %zu does not fit in a size", a, b);
    return MU_OK;
}

mu_err mu_mul_i64(int64_t a, int64_t b, int64_t *out)
{
    if (__builtin_mul_overflow(a, b, out))
        return MU_FAIL(MU_ERR_OVERFLOW, "%lld * %lld does not fit in 64 bits", (long long)a, (long long)b);
    return MU_OK;
}

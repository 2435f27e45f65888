/* Memory: every allocation of the library goes through here, is 64-byte aligned, counted, and can be made to fail. */
#ifndef MU_CORE_MEM_H
#define MU_CORE_MEM_H

#include "core/error.h"

#include <stdint.h>

enum { MU_ALIGN = 64 };

/* Sets *out to `bytes` uninitialised bytes (a valid pointer also for 0 bytes), owned by the caller, freed by mu_free().
 * On MU_ERR_MEMORY *out is NULL and the record tells how much was asked. */
MU_CHECKED mu_err mu_alloc(void *out, size_t bytes);

/* As mu_alloc, zeroed, for count * size bytes; MU_ERR_OVERFLOW when the product does not fit. */
MU_CHECKED mu_err mu_calloc(void *out, size_t count, size_t size);

/* *block is NULL or from here; on failure it is untouched. New bytes are uninitialised. */
MU_CHECKED mu_err mu_realloc(void *block, size_t bytes);

/* Makes room for `count` elements of `size` bytes in the growing array *array of capacity *capacity (elements);
 * doubles. On failure both are untouched. */
MU_CHECKED mu_err mu_grow(void *array, size_t *capacity, size_t count, size_t size);

/* Copies of strings. */
MU_CHECKED mu_err mu_strdup(char **out, const char *text);
MU_CHECKED mu_err mu_strndup(char **out, const char *text, size_t length);
MU_CHECKED mu_err mu_asprintf(char **out, const char *format, ...) MU_PRINTF(2, 3);

/* NULL is allowed. */
void mu_free(void *block);

typedef struct {
    int64_t live_blocks, live_bytes; /* now */
    int64_t peak_bytes;              /* since start or mu_mem_reset_peak() */
    int64_t total_blocks;            /* ever: a steady state leaves it unchanged */
} mu_mem_counts;

mu_mem_counts mu_mem_get_counts(void);
void mu_mem_reset_peak(void);

/* For tests: allocation number n from now on (1 is the next) fails, once. 0 switches it off. Process-wide. */
void mu_mem_fail_at(int64_t n);

/* a * b and a + b for byte counts and element counts; MU_ERR_OVERFLOW beyond the type. */
MU_CHECKED mu_err mu_mul_size(size_t a, size_t b, size_t *out);
MU_CHECKED mu_err mu_add_size(size_t a, size_t b, size_t *out);
MU_CHECKED mu_err mu_mul_i64(int64_t a, int64_t b, int64_t *out);

/* Rounds up to a multiple of MU_ALIGN. */
static inline size_t mu_align_up(size_t bytes)
{
    return (bytes + (MU_ALIGN - 1)) & ~(size_t)(MU_ALIGN - 1);
}

#endif

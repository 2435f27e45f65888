/* uthash over our allocator, with failures reported: after HASH_ADD..., `element->hh.tbl == NULL` means out of memory and
 * that the element was not added (the error record is set). Include this instead of uthash.h. */
#ifndef MU_CORE_HASH_H
#define MU_CORE_HASH_H

#include "core/mem.h"

static inline void *mu_hash_alloc(size_t bytes)
{
    void *block;
    return mu_alloc(&block, bytes) == MU_OK ? block : NULL;
}

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(bytes) mu_hash_alloc(bytes)
#define uthash_free(block, bytes) mu_free(block)

#include <uthash.h>

#endif

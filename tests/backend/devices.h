/* The kinds of devices that what is built on backend.h must do with. */
#ifndef MU_TESTS_BACKEND_DEVICES_H
#define MU_TESTS_BACKEND_DEVICES_H

#include "backend/host.h"
#include "config.h"
#include "test.h"

typedef enum { ON_HOST, WITHOUT_LANES, WITH_LANES, N_DEVICES } device_kind;

/* NULL: there is none of this kind. */
static inline mu_backend *open_device(device_kind kind)
{
    mu_backend *b = NULL;
    if (kind == WITH_LANES) {
#ifdef HAVE_CUDA
        if (mu_backend_open("cuda", &(mu_backend_options){.cache_dir = ""}, &b) != MU_OK)
            return NULL;
#endif
        return b;
    }
    ck_ok(mu_backend_open_ops(&mu_backend_ref, NULL, &b));
    b->host_memory = kind == ON_HOST;
    return b;
}

static inline void *device_block(mu_backend *b, size_t bytes)
{
    void *block;
    ck_ok(b->ops->alloc(b, bytes, &block));
    return block;
}

#endif

/* Numbers of a device that the host looks at later, in the order in which they were asked for. On host memory they are there at once. */
#ifndef MU_BACKEND_READBACK_H
#define MU_BACKEND_READBACK_H

#include "backend.h"

typedef struct mu_readback mu_readback;

typedef struct {
    const void *device;
    size_t bytes;
} mu_span;

/* depth: how many may be on their way. bytes: of one, all spans together. The backend is borrowed. */
MU_CHECKED mu_err mu_readback_new(mu_backend *backend, size_t bytes, int depth, mu_readback **out);
void mu_readback_release(mu_readback *readback); /* NULL is allowed */

/* The spans' bytes as they are behind all kernels that run so far, one after the other; tag: the caller's. Nothing waits, where the backend has
 * lanes. MU_ERR_USAGE when `depth` are untaken. */
MU_CHECKED mu_err mu_readback_post(mu_readback *readback, const mu_span *span, int n, int64_t tag);
/* The oldest, valid until the next post or take; *out NULL: it is not there yet (wait: when none was asked for). What failed on the device is told
 * here, and is then untaken still. */
MU_CHECKED mu_err mu_readback_take(mu_readback *readback, bool wait, int64_t *tag, const void **out);
int mu_readback_pending(const mu_readback *readback);

#endif

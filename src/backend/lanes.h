/* What those share who work beside the kernels of a device. */
#ifndef MU_BACKEND_LANES_H
#define MU_BACKEND_LANES_H

#include "backend.h"

/* Has it marks, and copies that nobody waits for? */
static inline bool mu_backend_has_lanes(const mu_backend *backend)
{
    return backend->ops->alloc_host && backend->ops->mark_new && backend->ops->copy;
}

/* Memory of alloc_host where the backend has that, else of mu_alloc. */
MU_CHECKED mu_err mu_host_room_new(mu_backend *backend, size_t bytes, void **out);
void mu_host_room_release(mu_backend *backend, void *room); /* NULL is allowed */

#endif

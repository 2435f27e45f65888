#include "backend/lanes.h"

#include "core/mem.h"

mu_err mu_host_room_new(mu_backend *backend, size_t bytes, void **out)
{
    if (backend->ops->alloc_host)
        MU_TRY(backend->ops->alloc_host(backend, bytes, out));
    else
        MU_TRY(mu_alloc(out, bytes));
    return MU_OK;
}

void mu_host_room_release(mu_backend *backend, void *room)
{
    if (!room)
        return;
    if (backend->ops->alloc_host)
        backend->ops->dealloc_host(backend, room);
    else
        mu_free(room);
}

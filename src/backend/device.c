#include "backend/device.h"

bool mu_is_cuda_available(void)
{
    mu_backend_info info;
    for (int i = 0; mu_backend_at(i, &info); i++)
        if (strcmp(info.name, "cuda") == 0)
            return !info.why_off;
    return false;
}

const char *mu_get_device(void)
{
    return mu_is_cuda_available() ? "cuda" : "cpu";
}

int64_t mu_get_max_cuda_memory(mu_backend *backend)
{
    size_t used = 0, peak = 0;
    if (backend->ops->memory)
        backend->ops->memory(backend, &used, &peak);
    return (int64_t)(peak >> 20);
}

#include "backend/host.h"

#include "core/mem.h"

mu_err mu_host_alloc(mu_backend *backend, size_t bytes, void **out)
{
    (void)backend;
    MU_TRY(mu_alloc(out, bytes));
    return MU_OK;
}

void mu_host_dealloc(mu_backend *backend, void *block)
{
    (void)backend;
    mu_free(block);
}

mu_err mu_host_copy_in(mu_backend *backend, void *device, const void *host, size_t bytes)
{
    (void)backend;
    memcpy(device, host, bytes);
    return MU_OK;
}

mu_err mu_host_copy_out(mu_backend *backend, void *host, const void *device, size_t bytes)
{
    (void)backend;
    memcpy(host, device, bytes);
    return MU_OK;
}

mu_err mu_host_synchronize(mu_backend *backend)
{
    (void)backend;
    return MU_OK;
}

static mu_err copy(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    memcpy(kernel->out[0], kernel->in[0], mu_type_bytes(&kernel->call.in[0]));
    return MU_OK;
}

static const mu_kernel_ops copy_ops = {.run = copy};
static const mu_op copy_op = {.name = "reorder", .n_in_min = 1, .n_in_max = 1, .n_out = 1};

mu_err mu_host_reorder(mu_backend *backend, const mu_type *type, const mu_layout *from, const mu_layout *to,
                       mu_kernel **out)
{
    if (from || to)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "backend %s knows no layout \"%s\"", backend->ops->name, from ? from->name : to->name);
    mu_call call = {.op = &copy_op, .n_in = 1, .n_out = 1, .in = type, .out = type};
    MU_TRY(mu_kernel_new(sizeof(mu_kernel), &copy_ops, &call, out));
    (*out)->impl = "copy";
    return MU_OK;
}

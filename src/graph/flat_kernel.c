#include "graph/flat_kernel.h"

#include "core/mem.h"

mu_err mu_flat_kernel_new(mu_backend *backend, const mu_op *op, const void *attrs, const mu_type *in, int n_in,
                           mu_kernel **out)
{
    const mu_layout *row_major[MU_OP_VARIADIC] = {NULL};
    mu_type out_type[MU_OP_MAX_OUT] = {{.dtype = MU_NONE}};
    mu_call call = {.op = op, .attrs = attrs, .n_in = n_in, .n_out = op->n_out, .in = in, .out = out_type, .name = "flat"};
    MU_TRY(op->infer(&call, out_type));
    MU_TRY(backend->ops->prepare(backend, &call, row_major, row_major, out));
    return MU_OK;
}

mu_err mu_flat_copy(mu_backend *backend, void *to, const void *from, size_t bytes)
{
    void *host;
    if (backend->host_memory) {
        memmove(to, from, bytes);
        return MU_OK;
    }
    if (backend->ops->copy) {
        MU_TRY(backend->ops->copy(backend, MU_LANE_KERNELS, to, from, bytes));
        return MU_OK;
    }
    MU_TRY(mu_alloc(&host, bytes));
    mu_err err = backend->ops->download(backend, host, from, bytes);
    if (!err)
        err = backend->ops->upload(backend, to, host, bytes);
    mu_free(host);
    return err;
}

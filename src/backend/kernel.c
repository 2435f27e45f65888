#include "backend.h"

#include "backend/repeat.h"
#include "core/mem.h"

size_t mu_layout_bytes(const mu_layout *layout, const mu_type *type)
{
    return layout ? layout->bytes : mu_type_bytes(type);
}

static mu_err copy_call(const mu_call *call, mu_kernel *kernel)
{
    size_t n = (size_t)(call->n_in + call->n_out);
    mu_type *types;
    void *attrs = NULL;
    char *name = NULL;
    kernel->call = (mu_call){.op = call->op, .n_in = call->n_in, .n_out = call->n_out};
    MU_TRY(mu_calloc(&types, n, sizeof *types));
    memcpy(types, call->in, (size_t)call->n_in * sizeof *types);
    memcpy(types + call->n_in, call->out, (size_t)call->n_out * sizeof *types);
    kernel->call.in = types;
    kernel->call.out = types + call->n_in;
    if (call->attrs && call->op->attrs_size) {
        MU_TRY(mu_alloc(&attrs, call->op->attrs_size));
        memcpy(attrs, call->attrs, call->op->attrs_size);
        kernel->call.attrs = attrs;
    }
    if (call->name) {
        MU_TRY(mu_strdup(&name, call->name));
        kernel->call.name = name;
    }
    MU_TRY(mu_calloc(&kernel->in_layout, n, sizeof(*kernel->in_layout)));
    kernel->out_layout = kernel->in_layout + call->n_in;
    MU_TRY(mu_calloc(&kernel->in, n, sizeof(*kernel->in)));
    kernel->out = kernel->in + call->n_in;
    memcpy(kernel->inplace, call->op->inplace, sizeof kernel->inplace);
    return MU_OK;
}

static void free_kernel(mu_kernel *kernel)
{
    mu_free((void *)kernel->call.in);
    mu_free((void *)kernel->call.attrs);
    mu_free((void *)kernel->call.name);
    mu_free(kernel->in_layout);
    mu_free(kernel->in);
    mu_free(kernel);
}

mu_err mu_kernel_new(size_t size, const mu_kernel_ops *ops, const mu_call *call, mu_kernel **out)
{
    mu_kernel *kernel;
    MU_TRY(mu_calloc(&kernel, 1, size));
    kernel->ops = ops;
    mu_err err = copy_call(call, kernel);
    if (err != MU_OK) {
        free_kernel(kernel);
        return err;
    }
    *out = kernel;
    return MU_OK;
}

/* Whoever has noted it lets it run first as it was, and forgets it. */
static mu_err leave_recordings(mu_kernel *kernel)
{
    mu_backend *backend = kernel->recorded_on;
    if (!backend)
        return MU_OK;
    kernel->recorded_on = NULL;
    backend->n_unbound++;
    return mu_repeat_give_way(backend->repeat);
}

void mu_kernel_release(mu_kernel *kernel)
{
    if (!kernel)
        return;
    mu_error kept = *mu_error_last();
    if (leave_recordings(kernel) != MU_OK)
        mu_error_restore(&kept);
    if (kernel->ops->release)
        kernel->ops->release(kernel);
    free_kernel(kernel);
}

mu_err mu_kernel_bind(mu_kernel *kernel, void *const *in, void *const *out, void *scratch)
{
    MU_TRY(leave_recordings(kernel));
    memcpy(kernel->in, in, (size_t)kernel->call.n_in * sizeof *in);
    memcpy(kernel->out, out, (size_t)kernel->call.n_out * sizeof *out);
    kernel->scratch = scratch;
    if (kernel->ops->bind)
        MU_TRY(kernel->ops->bind(kernel));
    return MU_OK;
}

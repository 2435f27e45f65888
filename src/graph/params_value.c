/* Values of parameters, states and gradients by name, between row-major host memory and the arenas. */
#include "core/mem.h"
#include "graph/params_impl.h"

typedef mu_param_entry entry;

static mu_err run_reorder(mu_backend *backend, const mu_type *type, const mu_layout *from, void *in, const mu_layout *to,
                          void *out)
{
    mu_kernel *kernel = NULL;
    void *scratch = NULL;
    mu_err err;
    MU_TRY(backend->ops->reorder(backend, type, from, to, &kernel));
    if (kernel->scratch_bytes)
        MU_TRY_GOTO(err, backend->ops->alloc(backend, kernel->scratch_bytes, &scratch), done);
    MU_TRY_GOTO(err, mu_kernel_bind(kernel, &in, &out, scratch), done);
    MU_TRY_GOTO(err, mu_kernel_run(kernel, &(mu_run){0}), done);
    MU_TRY_GOTO(err, backend->ops->synchronize(backend), done);
done:
    if (scratch)
        backend->ops->dealloc(backend, scratch);
    mu_kernel_release(kernel);
    return err;
}

mu_err mu_params_store(mu_backend *backend, const mu_param_info *info, char *base, const void *host)
{
    size_t bytes = mu_type_bytes(&info->type);
    if (!info->layout) {
        MU_TRY(backend->ops->upload(backend, base + info->offset, host, bytes));
        return MU_OK;
    }
    void *staging;
    mu_err err;
    MU_TRY(backend->ops->alloc(backend, bytes, &staging));
    MU_TRY_GOTO(err, backend->ops->upload(backend, staging, host, bytes), done);
    MU_TRY_GOTO(err, run_reorder(backend, &info->type, NULL, staging, info->layout, base + info->offset), done);
done:
    backend->ops->dealloc(backend, staging);
    return err;
}

mu_err mu_params_load(mu_backend *backend, const mu_param_info *info, char *base, void *host)
{
    size_t bytes = mu_type_bytes(&info->type);
    if (!info->layout) {
        MU_TRY(backend->ops->download(backend, host, base + info->offset, bytes));
        return MU_OK;
    }
    void *staging;
    mu_err err;
    MU_TRY(backend->ops->alloc(backend, bytes, &staging));
    MU_TRY_GOTO(err, run_reorder(backend, &info->type, info->layout, base + info->offset, NULL, staging), done);
    MU_TRY_GOTO(err, backend->ops->download(backend, host, staging, bytes), done);
done:
    backend->ops->dealloc(backend, staging);
    return err;
}

/* This rank's part of a value, wherever it belongs. */
static mu_err write_into(mu_params *params, const entry *e, void *base, const void *host)
{
    if (e->info.trainable && mu_params_in_pieces(params, base))
        return mu_params_store_piece(params, (int)(e - params->entries), base, host);
    return mu_params_store(params->backend, &e->info, base, host);
}

static mu_err read_from(mu_params *params, const entry *e, void *base, void *host)
{
    if (e->info.trainable && mu_params_in_pieces(params, base))
        return mu_params_refuse_pieces(params, e->name);
    return mu_params_load(params->backend, &e->info, base, host);
}

static void *arena_of(const mu_params *params, const mu_param_info *info)
{
    return info->trainable ? params->data.base : params->states.base;
}

mu_err mu_params_write(mu_params *params, const char *name, const void *host)
{
    entry *e;
    MU_TRY(mu_params_get(params, name, &e));
    if (params->frozen) {
        MU_TRY(write_into(params, e, arena_of(params, &e->info), host));
        return MU_OK;
    }
    size_t bytes = mu_type_bytes(&e->info.type);
    if (!e->pending)
        MU_TRY(mu_alloc(&e->pending, bytes));
    memcpy(e->pending, host, bytes);
    return MU_OK;
}

mu_err mu_params_read(mu_params *params, const char *name, void *host)
{
    entry *e;
    MU_TRY(mu_params_get(params, name, &e));
    if (params->frozen) {
        MU_TRY(read_from(params, e, arena_of(params, &e->info), host));
        return MU_OK;
    }
    size_t bytes = mu_type_bytes(&e->info.type);
    if (e->pending)
        memcpy(host, e->pending, bytes);
    else
        memset(host, 0, bytes);
    return MU_OK;
}

mu_err mu_params_read_gradient(mu_params *params, const char *name, void *host)
{
    entry *e;
    MU_TRY(mu_params_get(params, name, &e));
    if (!e->info.trainable)
        return MU_FAIL(MU_ERR_USAGE, "\"%s\" is a state and has no gradient", name);
    if (!params->gradients.base) {
        (void)MU_FAIL(MU_ERR_USAGE, "\"%s\" has no gradient: the store was laid out without gradients", name);
        return mu_error_hint("make a plan of a graph that mu_graph_backward() has extended");
    }
    MU_TRY(read_from(params, e, params->gradients.base, host));
    return MU_OK;
}

mu_err mu_params_arena_write(mu_params *params, void *base, const char *name, const void *host)
{
    entry *e;
    MU_TRY(mu_params_check_frozen(params));
    MU_TRY(mu_params_get(params, name, &e));
    MU_TRY(write_into(params, e, base, host));
    return MU_OK;
}

mu_err mu_params_arena_read(mu_params *params, void *base, const char *name, void *host)
{
    entry *e;
    MU_TRY(mu_params_check_frozen(params));
    MU_TRY(mu_params_get(params, name, &e));
    MU_TRY(read_from(params, e, base, host));
    return MU_OK;
}

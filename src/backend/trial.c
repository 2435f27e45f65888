#include "backend/trial.h"

#include "core/mem.h"

static mu_err fill_all(const mu_trial *trial, mu_backend *backend, const mu_type *type, const mu_layout *const *layout, int n, void **block)
{
    for (int i = 0; i < n; i++) {
        if (type[i].dtype == MU_NONE)
            continue;
        size_t bytes = mu_layout_bytes(layout[i], &type[i]);
        MU_TRY(backend->ops->alloc(backend, bytes, &block[i]));
        MU_TRY(trial->fill(backend, block[i], bytes));
    }
    return MU_OK;
}

/* block [n_in + n_out + 1]: operands, outputs, scratch. */
static mu_err run(const mu_trial *trial, mu_backend *backend, mu_kernel *kernel, void **block, double *seconds)
{
    const mu_call *call = &kernel->call;
    void **out = block + call->n_in, **scratch = out + call->n_out;
    MU_TRY(fill_all(trial, backend, call->in, kernel->in_layout, call->n_in, block));
    MU_TRY(fill_all(trial, backend, call->out, kernel->out_layout, call->n_out, out));
    if (kernel->scratch_bytes)
        MU_TRY(backend->ops->alloc(backend, kernel->scratch_bytes, scratch));
    MU_TRY(mu_kernel_bind(kernel, block, out, *scratch));
    return trial->time(backend, kernel, seconds);
}

mu_err mu_trial_run(const mu_trial *trial, mu_backend *backend, mu_kernel *kernel, double *seconds)
{
    int n = kernel->call.n_in + kernel->call.n_out + 1;
    void **block;
    MU_TRY(mu_calloc(&block, (size_t)n, sizeof *block));
    mu_err err = run(trial, backend, kernel, block, seconds);
    for (int i = 0; i < n; i++)
        if (block[i])
            backend->ops->dealloc(backend, block[i]);
    mu_free(block);
    return err;
}

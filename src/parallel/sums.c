#include "parallel/sums.h"

#include "backend/repeat.h"
#include "core/mem.h"
#include "graph/flat_kernel.h"
#include "ops/ops.h"

/* Of a unit or this rank's piece of it, padding included: sums = gradients, sums += gradients, gradients += sums. */
typedef struct {
    mu_kernel *keep, *gather, *merge;
} unit;

struct mu_sums {
    mu_backend *backend; /* borrowed */
    mu_params *params;   /* retained */
    unit *units;
    int n_units;
    void *arena, *scratch;
};

void mu_sums_release(mu_sums *s)
{
    if (!s)
        return;
    for (int u = 0; u < s->n_units; u++) {
        mu_kernel_release(s->units[u].keep);
        mu_kernel_release(s->units[u].gather);
        mu_kernel_release(s->units[u].merge);
    }
    mu_params_arena_release(s->params, s->arena);
    if (s->scratch)
        s->backend->ops->dealloc(s->backend, s->scratch);
    mu_params_release(s->params);
    mu_free(s->units);
    mu_free(s);
}

void *mu_sums_arena(const mu_sums *s)
{
    return s->arena;
}

static bool in_pieces(const mu_sums *s)
{
    return mu_params_sharing_of(s->params)->stage >= MU_SHARD_GRADIENTS;
}

static mu_err prepare(mu_sums *s, int u, size_t *scratch)
{
    unit *r = &s->units[u];
    const mu_param_unit *range = mu_params_unit(s->params, u);
    mu_dtype dtype = mu_params_at(s->params, range->first)->type.dtype;
    int64_t count = (int64_t)((in_pieces(s) ? range->piece_bytes : range->bytes) / mu_dtype_size(dtype));
    mu_type type[] = {MU_TYPE(dtype, count), MU_TYPE(dtype, count)};
    MU_TRY(s->backend->ops->reorder(s->backend, type, NULL, NULL, &r->keep));
    MU_TRY(mu_flat_kernel_new(s->backend, &mu_op_add, NULL, type, 2, &r->gather));
    MU_TRY(mu_flat_kernel_new(s->backend, &mu_op_add, NULL, type, 2, &r->merge));
    if (r->gather->inplace[0] != 1)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "this backend does not add gradients in place");
    const mu_kernel *kernels[] = {r->keep, r->gather, r->merge};
    for (int k = 0; k < 3; k++)
        *scratch = kernels[k]->scratch_bytes > *scratch ? kernels[k]->scratch_bytes : *scratch;
    return MU_OK;
}

static mu_err bind(mu_sums *s, int u)
{
    unit *r = &s->units[u];
    const mu_param_unit *range = mu_params_unit(s->params, u);
    size_t offset = in_pieces(s) ? range->piece_offset : range->offset;
    void *sum = (char *)s->arena + offset, *gradient = (char *)mu_params_gradients(s->params, NULL) + offset;
    MU_TRY(mu_kernel_bind(r->keep, &gradient, &sum, s->scratch));
    MU_TRY(mu_kernel_bind(r->gather, (void *[]){sum, gradient}, &sum, s->scratch));
    MU_TRY(mu_kernel_bind(r->merge, (void *[]){gradient, sum}, &gradient, s->scratch));
    return MU_OK;
}

static mu_err fill(mu_sums *s)
{
    size_t scratch = 0;
    int n = mu_params_n_units(s->params);
    MU_TRY(mu_calloc(&s->units, (size_t)n, sizeof *s->units));
    s->n_units = n;
    for (int u = 0; u < n; u++)
        MU_TRY(prepare(s, u, &scratch));
    if (scratch)
        MU_TRY(s->backend->ops->alloc(s->backend, scratch, &s->scratch));
    MU_TRY(mu_params_sums_new(s->params, "accumulated gradients", &s->arena));
    for (int u = 0; u < n; u++)
        MU_TRY(bind(s, u));
    return MU_OK;
}

mu_err mu_sums_new(mu_backend *backend, mu_params *params, mu_sums **out)
{
    mu_sums *s;
    MU_TRY(mu_calloc(&s, 1, sizeof *s));
    s->backend = backend;
    s->params = mu_params_retain(params);
    mu_err err = fill(s);
    if (err)
        mu_sums_release(s);
    else
        *out = s;
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_sums_gather(mu_sums *s, bool first)
{
    for (int u = 0; u < s->n_units; u++)
        MU_TRY(mu_backend_run(s->backend, first ? s->units[u].keep : s->units[u].gather, &(mu_run){0}));
    return MU_OK;
}

mu_err mu_sums_merge(mu_sums *s, int u)
{
    MU_TRY(mu_backend_run(s->backend, s->units[u].merge, &(mu_run){0}));
    return MU_OK;
}

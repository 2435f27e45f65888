#include "optim/gradients.h"

#include "core/mem.h"
#include "ops/ops.h"
#include "optim/kernel.h"

/* Neighbours in the arena of one dtype, padding between them included. */
typedef struct {
    mu_dtype dtype;
    size_t offset;
    int64_t count;                    /* elements */
    mu_kernel *keep, *gather, *merge; /* sums = gradients, sums += gradients, gradients += sums; NULL without sums */
} stretch;

struct mu_gradients {
    mu_backend *backend; /* borrowed */
    mu_params *params;   /* retained */
    mu_comm *comm;       /* borrowed */
    stretch *stretches;
    size_t n_stretches, capacity;
    void *sums, *scratch;
    char *staging; /* a host copy of an arena, where they are not in host memory */
};

static void release_sums(mu_gradients *s)
{
    for (size_t i = 0; i < s->n_stretches; i++) {
        stretch *r = &s->stretches[i];
        mu_kernel_release(r->keep);
        mu_kernel_release(r->gather);
        mu_kernel_release(r->merge);
        r->keep = r->gather = r->merge = NULL;
    }
    mu_params_arena_release(s->params, s->sums);
    if (s->scratch)
        s->backend->ops->dealloc(s->backend, s->scratch);
    s->sums = s->scratch = NULL;
}

static mu_err find_stretches(mu_gradients *s)
{
    for (int i = 0; i < mu_params_count(s->params); i++) {
        const mu_param_info *info = mu_params_at(s->params, i);
        stretch *last = s->n_stretches ? &s->stretches[s->n_stretches - 1] : NULL;
        size_t size = mu_dtype_size(info->type.dtype);
        if (!info->trainable || info->bytes == 0)
            continue;
        if (!last || last->dtype != info->type.dtype) {
            MU_TRY(mu_grow(&s->stretches, &s->capacity, s->n_stretches + 1, sizeof *s->stretches));
            last = &s->stretches[s->n_stretches++];
            *last = (stretch){.dtype = info->type.dtype, .offset = info->offset};
        }
        last->count = (int64_t)((info->offset + info->bytes - last->offset) / size);
    }
    return MU_OK;
}

static mu_err fill(mu_gradients *s)
{
    size_t bytes;
    MU_TRY(find_stretches(s));
    (void)mu_params_gradients(s->params, &bytes);
    if (!s->backend->host_memory && s->comm->size > 1)
        MU_TRY(mu_alloc(&s->staging, bytes));
    return MU_OK;
}

mu_err mu_gradients_new(mu_backend *backend, mu_params *params, mu_comm *comm, mu_gradients **out)
{
    mu_gradients *s;
    MU_TRY(mu_calloc(&s, 1, sizeof *s));
    s->backend = backend;
    s->params = mu_params_retain(params);
    s->comm = comm;
    mu_err err = fill(s);
    if (err)
        mu_gradients_release(s);
    else
        *out = s;
    MU_TRY(err);
    return MU_OK;
}

void mu_gradients_release(mu_gradients *s)
{
    if (!s)
        return;
    release_sums(s);
    mu_params_release(s->params);
    mu_free(s->stretches);
    mu_free(s->staging);
    mu_free(s);
}

void *mu_gradients_sums(const mu_gradients *s)
{
    return s->sums;
}

static mu_err prepare_sums(mu_gradients *s)
{
    size_t most = 0;
    mu_backend *backend = s->backend;
    for (size_t i = 0; i < s->n_stretches; i++) {
        stretch *r = &s->stretches[i];
        mu_type type[] = {MU_TYPE(r->dtype, r->count), MU_TYPE(r->dtype, r->count)};
        MU_TRY(backend->ops->reorder(backend, type, NULL, NULL, &r->keep));
        MU_TRY(mu_optim_kernel_new(backend, &mu_op_add, NULL, type, 2, &r->gather));
        MU_TRY(mu_optim_kernel_new(backend, &mu_op_add, NULL, type, 2, &r->merge));
        if (r->gather->inplace[0] != 1)
            return MU_FAIL(MU_ERR_UNSUPPORTED, "this backend does not add gradients in place");
        const mu_kernel *kernels[] = {r->keep, r->gather, r->merge};
        for (int k = 0; k < 3; k++)
            most = kernels[k]->scratch_bytes > most ? kernels[k]->scratch_bytes : most;
    }
    if (most)
        MU_TRY(backend->ops->alloc(backend, most, &s->scratch));
    return MU_OK;
}

static mu_err fill_sums(mu_gradients *s)
{
    MU_TRY(prepare_sums(s));
    MU_TRY(mu_params_arena_new(s->params, "accumulated gradients", &s->sums));
    for (size_t i = 0; i < s->n_stretches; i++) {
        stretch *r = &s->stretches[i];
        void *sum = (char *)s->sums + r->offset, *gradient = (char *)mu_params_gradients(s->params, NULL) + r->offset;
        MU_TRY(mu_kernel_bind(r->keep, &gradient, &sum, s->scratch));
        MU_TRY(mu_kernel_bind(r->gather, (void *[]){sum, gradient}, &sum, s->scratch));
        MU_TRY(mu_kernel_bind(r->merge, (void *[]){gradient, sum}, &gradient, s->scratch));
    }
    return MU_OK;
}

mu_err mu_gradients_make_sums(mu_gradients *s)
{
    mu_err err = fill_sums(s);
    if (err)
        release_sums(s);
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_gradients_gather(mu_gradients *s, bool first)
{
    for (size_t i = 0; i < s->n_stretches; i++)
        MU_TRY(mu_kernel_run(first ? s->stretches[i].keep : s->stretches[i].gather, &(mu_run){0}));
    return MU_OK;
}

mu_err mu_gradients_merge(mu_gradients *s)
{
    for (size_t i = 0; i < s->n_stretches; i++)
        MU_TRY(mu_kernel_run(s->stretches[i].merge, &(mu_run){0}));
    return MU_OK;
}

/* Collective. An arena like the gradients'. A rank whose device fails still takes part. */
static mu_err average(mu_gradients *s, char *arena)
{
    size_t bytes;
    (void)mu_params_gradients(s->params, &bytes);
    char *host = s->staging ? s->staging : arena;
    mu_err err = s->backend->ops->synchronize(s->backend);
    if (!err && s->staging)
        err = s->backend->ops->download(s->backend, host, arena, bytes);
    for (size_t i = 0; i < s->n_stretches; i++)
        MU_TRY(mu_comm_average(s->comm, host + s->stretches[i].offset, s->stretches[i].count, s->stretches[i].dtype,
                               MU_BUCKET_BYTES));
    MU_TRY(err);
    if (s->staging)
        MU_TRY(s->backend->ops->upload(s->backend, arena, host, bytes));
    return MU_OK;
}

mu_err mu_gradients_average(mu_gradients *s)
{
    MU_TRY(average(s, mu_params_gradients(s->params, NULL)));
    return MU_OK;
}

mu_err mu_gradients_average_sums(mu_gradients *s)
{
    MU_TRY(average(s, s->sums));
    return MU_OK;
}

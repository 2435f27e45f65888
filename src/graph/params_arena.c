/* The memory of a store: values, gradients, states, and what optimizers and averages keep beside them. */
#include "core/mem.h"
#include "graph/params_impl.h"

#include <stdio.h>

typedef mu_param_arena arena;

static mu_err upload_zeros(mu_backend *backend, char *base, size_t bytes)
{
    enum { CHUNK = 1 << 20 };
    char *zeros;
    MU_TRY(mu_calloc(&zeros, bytes < CHUNK ? bytes : CHUNK, 1));
    mu_err err = MU_OK;
    for (size_t at = 0; at < bytes && !err; at += CHUNK)
        err = backend->ops->upload(backend, base + at, zeros, bytes - at < CHUNK ? bytes - at : CHUNK);
    mu_free(zeros);
    return err;
}

mu_err mu_params_clear(mu_backend *backend, void *base, size_t bytes)
{
    if (backend->host_memory)
        memset(base, 0, bytes);
    else
        MU_TRY(upload_zeros(backend, base, bytes));
    return MU_OK;
}

void mu_param_arena_release(mu_backend *backend, mu_param_arena *a)
{
    if (a->base)
        backend->ops->dealloc(backend, a->base);
    *a = (arena){0};
}

static mu_err arena_new(mu_backend *backend, size_t bytes, const char *what, arena *out)
{
    arena a = {.bytes = bytes};
    MU_TRY(mu_backend_alloc(backend, bytes, what, &a.base));
    mu_err err = mu_params_clear(backend, a.base, bytes);
    if (err)
        mu_param_arena_release(backend, &a);
    else
        *out = a;
    return err;
}

/* Into arenas that may be in pieces, whatever their address. */
static mu_err carry_over(mu_params *params, int i, const arena *data, const arena *states)
{
    const mu_param_entry *e = &params->entries[i];
    if (!e->pending)
        return MU_OK;
    if (e->info.trainable && params->sharing.stage >= MU_SHARD_PARAMETERS)
        return mu_params_store_piece(params, i, data->base, e->pending);
    return mu_params_store(params->backend, &e->info, e->info.trainable ? data->base : states->base, e->pending);
}

mu_err mu_params_freeze(mu_params *params, bool with_gradients)
{
    mu_backend *backend = params->backend;
    arena data = {0}, gradients = {0}, states = {0};
    if (params->frozen) {
        if (with_gradients && !params->gradients.base)
            MU_TRY(arena_new(backend, mu_params_arena_bytes(params, MU_SHARD_GRADIENTS), "gradients", &params->gradients));
        return MU_OK;
    }
    MU_TRY(mu_params_lay_out(params));
    mu_err err;
    MU_TRY_GOTO(err, arena_new(backend, mu_params_arena_bytes(params, MU_SHARD_PARAMETERS), "parameters", &data), fail);
    MU_TRY_GOTO(err, arena_new(backend, params->state_bytes, "states", &states), fail);
    if (with_gradients)
        MU_TRY_GOTO(err, arena_new(backend, mu_params_arena_bytes(params, MU_SHARD_GRADIENTS), "gradients", &gradients), fail);
    for (int i = 0; i < mu_params_count(params); i++)
        MU_TRY_GOTO(err, carry_over(params, i, &data, &states), fail);
    for (size_t i = 0; i < params->n_entries; i++) {
        mu_free(params->entries[i].pending);
        params->entries[i].pending = NULL;
    }
    params->data = data;
    params->gradients = gradients;
    params->states = states;
    params->frozen = true;
    return MU_OK;
fail:
    mu_param_arena_release(backend, &data);
    mu_param_arena_release(backend, &states);
    mu_param_arena_release(backend, &gradients);
    return err;
}

static void *arena_at(const arena *a, size_t *bytes)
{
    if (bytes)
        *bytes = a->bytes;
    return a->base;
}

void *mu_params_data(const mu_params *params, size_t *bytes)
{
    return arena_at(&params->data, bytes);
}

void *mu_params_gradients(const mu_params *params, size_t *bytes)
{
    return arena_at(&params->gradients, bytes);
}

void *mu_params_states(const mu_params *params, size_t *bytes)
{
    return arena_at(&params->states, bytes);
}

mu_err mu_params_check_frozen(const mu_params *params)
{
    if (!params->frozen)
        return MU_FAIL(MU_ERR_USAGE, "the arenas are not laid out yet");
    return MU_OK;
}

static void drop_empty_list(mu_params *params)
{
    if (params->n_further > 0)
        return;
    mu_free(params->further);
    params->further = NULL;
    params->further_capacity = 0;
}

static mu_err further_arena(mu_params *params, size_t bytes, bool sums, const char *what, void **out)
{
    MU_TRY(mu_params_check_frozen(params));
    MU_TRY(mu_grow(&params->further, &params->further_capacity, params->n_further + 1, sizeof *params->further));
    mu_param_further *f = &params->further[params->n_further];
    mu_err err = arena_new(params->backend, bytes, what, &f->arena);
    if (err) {
        drop_empty_list(params);
        return err;
    }
    f->sums = sums;
    snprintf(f->what, sizeof f->what, "%s", what);
    params->n_further++;
    *out = f->arena.base;
    return MU_OK;
}

mu_err mu_params_arena_new(mu_params *params, const char *what, void **out)
{
    MU_TRY(further_arena(params, mu_params_arena_bytes(params, MU_SHARD_OPTIMIZER), false, what, out));
    return MU_OK;
}

mu_err mu_params_states_new(mu_params *params, const char *what, void **out)
{
    MU_TRY(further_arena(params, params->state_bytes, false, what, out));
    return MU_OK;
}

mu_err mu_params_sums_new(mu_params *params, const char *what, void **out)
{
    MU_TRY(further_arena(params, mu_params_arena_bytes(params, MU_SHARD_GRADIENTS), true, what, out));
    return MU_OK;
}

void mu_params_arena_release(mu_params *params, void *base)
{
    if (!base)
        return;
    for (size_t i = 0; i < params->n_further; i++)
        if (params->further[i].arena.base == base) {
            params->further[i] = params->further[--params->n_further];
            drop_empty_list(params);
            break;
        }
    params->backend->ops->dealloc(params->backend, base);
}

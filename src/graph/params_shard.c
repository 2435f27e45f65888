/* Arenas that hold a rank's pieces of the units. */
#include "core/mem.h"
#include "graph/flat_kernel.h"
#include "graph/params_impl.h"

/* What of parameter i lies in the piece of `rank`. */
static mu_param_piece part_of(const mu_params *params, int i, int rank)
{
    const mu_param_info *info = &params->entries[i].info;
    const mu_param_unit *unit = &params->units[params->entries[i].unit];
    size_t begin = unit->offset + (size_t)rank * unit->piece_bytes, end = begin + unit->piece_bytes;
    size_t first = info->offset > begin ? info->offset : begin;
    size_t last = info->offset + info->bytes < end ? info->offset + info->bytes : end;
    if (first >= last)
        return (mu_param_piece){0};
    size_t inside = unit->piece_offset + (first - begin);
    mu_shard_stage stage = params->sharing.stage;
    return (mu_param_piece){.bytes = last - first,
                            .data = stage >= MU_SHARD_PARAMETERS ? inside : first,
                            .gradient = stage >= MU_SHARD_GRADIENTS ? inside : first,
                            .state = inside,
                            .first = first - info->offset};
}

mu_param_piece mu_params_piece(const mu_params *params, int i)
{
    const mu_param_info *info = &params->entries[i].info;
    if (params->sharing.stage != MU_SHARD_NOTHING && info->trainable)
        return part_of(params, i, params->sharing.rank);
    return (mu_param_piece){.bytes = info->bytes, .data = info->offset, .gradient = info->offset, .state = info->offset};
}

bool mu_params_in_pieces(const mu_params *params, const void *base)
{
    mu_shard_stage stage = params->sharing.stage;
    if (base == params->data.base)
        return stage >= MU_SHARD_PARAMETERS;
    if (base == params->gradients.base)
        return stage >= MU_SHARD_GRADIENTS;
    for (size_t i = 0; i < params->n_further; i++)
        if (base == params->further[i].arena.base && params->further[i].sums)
            return stage >= MU_SHARD_GRADIENTS;
    return stage >= MU_SHARD_OPTIMIZER;
}

mu_err mu_params_refuse_pieces(const mu_params *params, const char *name)
{
    MU_FAIL(MU_ERR_USAGE, "\"%s\" lies in pieces on %d ranks: no rank can read it alone", name, params->sharing.size);
    return mu_error_hint("mu_params_collect() brings it together; all ranks call it");
}

mu_err mu_params_store_piece(const mu_params *params, int i, char *base, const void *host)
{
    mu_backend *backend = params->backend;
    mu_param_info info = params->entries[i].info;
    mu_param_piece piece = part_of(params, i, params->sharing.rank);
    char *whole;
    mu_err err;
    if (!piece.bytes)
        return MU_OK;
    if (!info.layout) {
        MU_TRY(backend->ops->upload(backend, base + piece.state, (const char *)host + piece.first, piece.bytes));
        return MU_OK;
    }
    info.offset = 0;
    MU_TRY(backend->ops->alloc(backend, info.bytes, (void **)&whole));
    MU_TRY_GOTO(err, mu_params_store(backend, &info, whole, host), done);
    MU_TRY_GOTO(err, mu_flat_copy(backend, base + piece.state, whole + piece.first, piece.bytes), done);
done:
    backend->ops->dealloc(backend, whole);
    return err;
}

/* ---- bringing together ---- */

typedef struct {
    mu_params *params;
    mu_comm *comm;
    char *arena;
    size_t *sizes;   /* [size] */
    char *send;      /* host copy of a piece, where the device is not the host */
    char *blocks;    /* host: a parameter in its layout */
    void *device;    /* the same on the device */
} collection;

static bool is_owner(const collection *c, const int *owner, int i)
{
    return c->params->entries[i].info.trainable && owner[i] == c->comm->rank;
}

/* What every parameter fits into; this rank's part of a collective act, so it is agreed on before. */
static mu_err make_room(collection *c, const int *owner)
{
    mu_backend *backend = c->params->backend;
    size_t most_sent = 0, most_whole = 0;
    for (int i = 0; i < mu_params_count(c->params); i++) {
        const mu_param_info *info = &c->params->entries[i].info;
        if (!info->trainable)
            continue;
        size_t sent = part_of(c->params, i, c->comm->rank).bytes;
        most_sent = sent > most_sent ? sent : most_sent;
        if (is_owner(c, owner, i) && info->layout && info->bytes > most_whole)
            most_whole = info->bytes;
    }
    MU_TRY(mu_calloc(&c->sizes, (size_t)c->comm->size, sizeof *c->sizes));
    if (!backend->host_memory)
        MU_TRY(mu_alloc(&c->send, most_sent));
    if (!backend->host_memory && most_whole)
        MU_TRY(mu_alloc(&c->blocks, most_whole));
    if (most_whole)
        MU_TRY(backend->ops->alloc(backend, most_whole, &c->device));
    return MU_OK;
}

static void release_room(collection *c)
{
    mu_free(c->sizes);
    mu_free(c->send);
    mu_free(c->blocks);
    if (c->device)
        c->params->backend->ops->dealloc(c->params->backend, c->device);
}

/* *failed takes what goes wrong on this rank alone; what is returned is the communicator's. */
static mu_err collect_one(collection *c, int i, int owner, void *host, mu_err *failed)
{
    mu_backend *backend = c->params->backend;
    mu_param_info info = c->params->entries[i].info;
    mu_param_piece piece = part_of(c->params, i, c->comm->rank);
    const void *send = c->arena + piece.state;
    for (int r = 0; r < c->comm->size; r++)
        c->sizes[r] = part_of(c->params, i, r).bytes;
    if (c->send && piece.bytes) {
        mu_err err = backend->ops->download(backend, c->send, send, piece.bytes);
        *failed = *failed ? *failed : err;
        send = c->send;
    }
    void *whole = !info.layout ? host : c->blocks ? c->blocks : c->device;
    MU_TRY(mu_comm_gather_bytes(c->comm, send, piece.bytes, owner == c->comm->rank ? whole : NULL, c->sizes, owner));
    if (owner != c->comm->rank || !info.layout || *failed)
        return MU_OK;
    info.offset = 0;
    if (c->blocks)
        *failed = backend->ops->upload(backend, c->device, c->blocks, info.bytes);
    if (!*failed)
        *failed = mu_params_load(backend, &info, c->device, host);
    return MU_OK;
}

static mu_err collect_pieces(collection *c, const int *owner, void *const *host)
{
    mu_err failed = MU_OK;
    MU_TRY(mu_comm_agree(c->comm, make_room(c, owner)));
    MU_TRY(mu_comm_agree(c->comm, c->params->backend->ops->synchronize(c->params->backend)));
    for (int i = 0; i < mu_params_count(c->params); i++)
        if (c->params->entries[i].info.trainable && owner[i] >= 0)
            MU_TRY(collect_one(c, i, owner[i], host[i], &failed));
    MU_TRY(mu_comm_agree(c->comm, failed));
    return MU_OK;
}

static mu_err read_whole(collection *c, const int *owner, void *const *host)
{
    for (int i = 0; i < mu_params_count(c->params); i++)
        if (is_owner(c, owner, i))
            MU_TRY(mu_params_load(c->params->backend, &c->params->entries[i].info, c->arena, host[i]));
    return MU_OK;
}

mu_err mu_params_collect(mu_params *params, void *arena, mu_comm *comm, const int *owner, void *const *host)
{
    collection c = {.params = params, .comm = comm, .arena = arena ? arena : params->data.base};
    if (!params->frozen)
        return MU_FAIL(MU_ERR_USAGE, "the arenas are not laid out yet");
    if (params->sharing.size != comm->size && params->sharing.stage != MU_SHARD_NOTHING)
        return MU_FAIL(MU_ERR_USAGE, "parameters in pieces of %d ranks cannot be collected by %d", params->sharing.size,
                       comm->size);
    mu_err err = mu_params_in_pieces(params, c.arena) ? collect_pieces(&c, owner, host)
                                                      : mu_comm_agree(comm, read_whole(&c, owner, host));
    release_room(&c);
    MU_TRY(err);
    return MU_OK;
}

#include "parallel/parallel.h"

#include "core/mem.h"
#include "dist/doing.h"
#include "parallel/bucket.h"
#include "parallel/sums.h"

#include <math.h>

struct mu_parallel_state {
    mu_comm *comm; /* borrowed */
    bool fixed_order;

    /* Since bind. */
    mu_backend *backend; /* borrowed */
    mu_params *params;   /* retained; NULL: not bound */
    mu_courier *courier;
    mu_sums *sums;     /* NULL: nothing is accumulated */
    mu_shard_stage stage;
    mu_parcel *parcel; /* [n_units] gradients */
    mu_parcel *gather; /* [n_units] parameters; NULL: every rank has them all */
    int n_units;
    mu_guard *guard; /* of devices of several ranks, else NULL */
    mu_mark *probe;  /* the same: a lost device does not set it */
    mu_comm *pieces;       /* devices whose ranks have pieces: for sums over them */
    mu_device_comm *pieces_device; /* over `pieces`, in the lane of the kernels */

    /* Of the run. */
    bool updates;
    int first, end;  /* units that the run is about */
    int next;        /* unit that is handed over next */
    int64_t batches; /* in sums */
    mu_err err;      /* of this rank */
    mu_error error;
};

const char *const mu_parallel_wires[] = {"float32", "bfloat16", NULL};

static const mu_parallel_ops *ops_of(const mu_parallel *parallel)
{
    return mu_component_of(parallel)->ops;
}

mu_comm *mu_parallel_comm(const mu_parallel *parallel)
{
    return parallel->state->comm;
}

/* ---- what plans call ---- */

static void note(mu_parallel_state *s, mu_err err)
{
    if (!err || s->err)
        return;
    s->err = err;
    s->error = *mu_error_last();
    s->error.code = err;
}

/* Sums of batches are pieces like the gradients: each batch's gradients travel. */
static bool in_pieces(const mu_parallel_state *s)
{
    return s->stage >= MU_SHARD_GRADIENTS;
}

/* The sums of the batches before, then off. */
static void hand_over(mu_parallel_state *s)
{
    int unit = s->next++;
    if (s->batches && !s->err)
        note(s, mu_sums_merge(s->sums, unit));
    mu_courier_send(s->courier, &s->parcel[unit]);
}

static mu_err start_reduce(mu_exchange *exchange, int unit, void *gradients)
{
    mu_parallel_state *s = ((mu_parallel *)exchange)->state;
    if (!s->params)
        return MU_OK;
    if (in_pieces(s)) {
        s->parcel[unit].data = gradients;
        mu_courier_send(s->courier, &s->parcel[unit]);
        return MU_OK;
    }
    if (!s->updates || unit < s->first || unit >= s->end)
        return MU_OK;
    if (unit != s->next)
        return MU_FAIL(MU_ERR_INTERNAL, "unit %d of the gradients is complete before unit %d", unit, s->next);
    hand_over(s);
    return MU_OK;
}

static mu_err wait_reduce(mu_exchange *exchange, int unit)
{
    mu_parallel_state *s = ((mu_parallel *)exchange)->state;
    MU_TRY(mu_courier_wait(s->courier, &s->parcel[unit]));
    return MU_OK;
}

static mu_err start_gather(mu_exchange *exchange, int unit, void *data)
{
    mu_parallel_state *s = ((mu_parallel *)exchange)->state;
    if (!s->gather)
        return MU_FAIL(MU_ERR_USAGE, "parameters in pieces are wanted before the ranks are bound together");
    s->gather[unit].data = data;
    mu_courier_send(s->courier, &s->gather[unit]);
    return MU_OK;
}

static mu_err wait_gather(mu_exchange *exchange, int unit)
{
    mu_parallel_state *s = ((mu_parallel *)exchange)->state;
    if (s->gather)
        MU_TRY(mu_courier_wait(s->courier, &s->gather[unit]));
    return MU_OK;
}

static const mu_exchange_ops exchange_ops = {.start_reduce = start_reduce, .wait_reduce = wait_reduce,
                                             .start_gather = start_gather, .wait_gather = wait_gather};

/* ---- life ---- */

/* Collective. */
static mu_err choose_bucket(const mu_parallel *parallel, size_t bytes, bool deterministic, size_t *out)
{
    if (parallel->bucket_cap_mb > 0)
        *out = (size_t)fmin(fmax(parallel->bucket_cap_mb * (1 << 20), 1), 0x1p40);
    else if (deterministic)
        *out = MU_BUCKET_DEFAULT_BYTES;
    else
        MU_TRY(mu_bucket_choose(parallel->state->comm, bytes, out));
    return MU_OK;
}

static mu_err share(mu_parallel *parallel, int rank, int size, size_t unit_bytes, mu_params_sharing *out)
{
    mu_params_sharing sharing = {.rank = rank, .size = size, .unit_bytes = unit_bytes};
    parallel->exchange = (mu_exchange){.ops = &exchange_ops, .prefetch = parallel->prefetch > 1 ? (int)parallel->prefetch : 1,
                                       .forward_prefetch = (int)parallel->forward_prefetch};
    if (size > 1)
        sharing.exchange = &parallel->exchange;
    MU_TRY(ops_of(parallel)->share(parallel, &sharing));
    *out = sharing;
    return MU_OK;
}

mu_err mu_parallel_foresee(mu_parallel *parallel, int size, mu_params_sharing *out)
{
    size_t unit_bytes = MU_BUCKET_DEFAULT_BYTES;
    if (parallel->bucket_cap_mb > 0)
        MU_TRY(choose_bucket(parallel, 0, true, &unit_bytes));
    MU_TRY(share(parallel, 0, size, size > 1 ? unit_bytes : 0, out));
    return MU_OK;
}

mu_err mu_parallel_open(mu_parallel *parallel, mu_comm *comm, size_t bytes, bool deterministic, mu_params_sharing *out)
{
    size_t unit_bytes = 0;
    if (parallel->state)
        return MU_FAIL(MU_ERR_USAGE, "%s is opened twice", mu_component_of(parallel)->name);
    MU_TRY(mu_comm_agree(comm, mu_calloc(&parallel->state, 1, sizeof *parallel->state)));
    parallel->state->comm = comm;
    parallel->state->fixed_order = parallel->fixed_order || deterministic;
    if (comm->size > 1)
        MU_TRY(choose_bucket(parallel, bytes, deterministic, &unit_bytes));
    MU_TRY(share(parallel, comm->rank, comm->size, unit_bytes, out));
    return MU_OK;
}

static mu_dtype unit_dtype(const mu_params *params, int unit)
{
    return mu_params_at(params, mu_params_unit(params, unit)->first)->type.dtype;
}

static mu_dtype wire_of(mu_dtype dtype, bool narrow)
{
    return narrow && (dtype == MU_F32 || dtype == MU_F64) ? MU_BF16 : MU_NONE;
}

/* How unit u's gradients travel. Whole ones and their slices lie in the store from the beginning; of others, the plan tells where the unit is. */
static mu_parcel gradient_parcel(const mu_parallel_state *s, int u, bool narrow)
{
    const mu_param_unit *unit = mu_params_unit(s->params, u);
    mu_dtype dtype = unit_dtype(s->params, u);
    char *arena = mu_params_gradients(s->params, NULL);
    mu_parcel parcel = {.kind = MU_PARCEL_REDUCE_SCATTER, .count = (int64_t)(unit->bytes / mu_dtype_size(dtype)), .dtype = dtype,
                        .wire = wire_of(dtype, narrow)};
    if (!arena)
        return (mu_parcel){0};
    if (in_pieces(s)) {
        parcel.piece = arena + unit->piece_offset;
        return parcel;
    }
    parcel.data = arena + unit->offset;
    parcel.piece = (char *)parcel.data + (size_t)s->comm->rank * unit->piece_bytes;
    if (s->stage == MU_SHARD_NOTHING)
        parcel.kind = MU_PARCEL_REDUCE;
    return parcel;
}

static mu_parcel data_parcel(const mu_parallel_state *s, int u, bool narrow)
{
    const mu_param_unit *unit = mu_params_unit(s->params, u);
    mu_dtype dtype = unit_dtype(s->params, u);
    char *arena = mu_params_data(s->params, NULL);
    mu_parcel parcel = {.kind = MU_PARCEL_GATHER, .count = (int64_t)(unit->bytes / mu_dtype_size(dtype)), .dtype = dtype,
                        .wire = wire_of(dtype, narrow)};
    if (s->stage >= MU_SHARD_PARAMETERS) {
        parcel.piece = arena + unit->piece_offset;
        return parcel;
    }
    parcel.data = arena + unit->offset;
    parcel.piece = (char *)parcel.data + (size_t)s->comm->rank * unit->piece_bytes;
    return parcel;
}

/* What belongs to this rank alone. */
static mu_err allocate(mu_parallel_state *s, const mu_parallel *parallel, bool narrow, bool accumulates)
{
    s->n_units = s->end = mu_params_n_units(s->params);
    MU_TRY(mu_calloc(&s->parcel, (size_t)s->n_units, sizeof *s->parcel));
    if (s->stage != MU_SHARD_NOTHING)
        MU_TRY(mu_calloc(&s->gather, (size_t)s->n_units, sizeof *s->gather));
    for (int u = 0; u < s->n_units; u++) {
        s->parcel[u] = gradient_parcel(s, u, narrow);
        if (s->gather)
            s->gather[u] = data_parcel(s, u, parallel->narrow_params);
    }
    if (accumulates)
        MU_TRY(mu_sums_new(s->backend, s->params, &s->sums));
    return MU_OK;
}

static size_t largest_unit(const mu_params *params)
{
    size_t most = 0;
    for (int u = 0; u < mu_params_n_units(params); u++)
        most = mu_params_unit(params, u)->bytes > most ? mu_params_unit(params, u)->bytes : most;
    return most;
}

/* Collective. */
static mu_err open_guard(mu_parallel_state *s)
{
    mu_backend *backend = s->backend;
    if (backend->host_memory || s->comm->size == 1 || !backend->ops->comm_open)
        return MU_OK;
    MU_TRY(mu_guard_new(s->comm, backend, &s->guard));
    MU_TRY(mu_comm_agree(s->comm, backend->ops->mark_new(backend, &s->probe)));
    return MU_OK;
}

/* Collective. Sums over pieces belong between the kernels of an update: gradients travel in another lane, by another communicator. */
static mu_err open_pieces(mu_parallel_state *s)
{
    mu_backend *backend = s->backend;
    if (backend->host_memory || s->stage == MU_SHARD_NOTHING || s->comm->size == 1)
        return MU_OK;
    MU_TRY(mu_comm_agree(s->comm, mu_comm_split(s->comm, 0, s->comm->rank, &s->pieces)));
    mu_err err = backend->ops->comm_open(backend, s->pieces, &s->pieces_device);
    MU_TRY(mu_comm_agree(s->comm, err ? err : mu_guard_add(s->guard, s->pieces_device)));
    return MU_OK;
}

mu_err mu_parallel_bind(mu_parallel *parallel, mu_backend *backend, mu_params *params, bool accumulates)
{
    mu_parallel_state *s = parallel->state;
    bool narrow = parallel->wire && strcmp(parallel->wire, "bfloat16") == 0;
    mu_parallel_unbind(parallel);
    s->backend = backend;
    s->params = mu_params_retain(params);
    s->stage = mu_params_sharing_of(params)->stage;
    mu_err err = mu_comm_agree(s->comm, allocate(s, parallel, narrow, accumulates));
    if (!err)
        err = open_guard(s);
    mu_courier_options options = {.backend = backend,
                                  .guard = s->guard,
                                  .n_threads = backend->n_threads,
                                  .wire_bytes = narrow || parallel->narrow_params ? largest_unit(params) : 0,
                                  .fixed_order = s->fixed_order,
                                  .hierarchical = parallel->hierarchical};
    if (!err)
        err = mu_courier_new(s->comm, &options, &s->courier);
    if (!err)
        err = open_pieces(s);
    if (err)
        mu_parallel_unbind(parallel);
    MU_TRY(err);
    return MU_OK;
}

void mu_parallel_unbind(mu_parallel *parallel)
{
    mu_parallel_state *s = parallel->state;
    if (!s || !s->params)
        return;
    mu_courier_release(s->courier);
    if (s->pieces_device) {
        mu_guard_remove(s->guard, s->pieces_device);
        s->backend->ops->comm_close(s->backend, s->pieces_device);
    }
    mu_comm_release(s->pieces);
    if (s->probe)
        s->backend->ops->mark_release(s->backend, s->probe);
    mu_guard_release(s->guard);
    mu_sums_release(s->sums);
    mu_params_release(s->params);
    mu_free(s->parcel);
    mu_free(s->gather);
    *s = (mu_parallel_state){.comm = s->comm, .fixed_order = s->fixed_order};
}

void mu_parallel_destroy(void *object)
{
    mu_parallel *parallel = object;
    mu_parallel_unbind(parallel);
    mu_free(parallel->state);
    parallel->state = NULL;
}

/* ---- a step ---- */

void mu_parallel_select(mu_parallel *parallel, int first, int n)
{
    parallel->state->first = first;
    parallel->state->end = first + n;
}

void mu_parallel_begin(mu_parallel *parallel, bool updates)
{
    mu_parallel_state *s = parallel->state;
    s->updates = updates;
    s->next = s->first;
    s->err = MU_OK;
}

static mu_err accumulate(mu_parallel_state *s)
{
    if (!s->sums)
        return MU_FAIL(MU_ERR_USAGE, "gradients are to be accumulated, which was not said before");
    MU_TRY(mu_sums_gather(s->sums, s->batches == 0));
    s->batches++;
    return MU_OK;
}

mu_err mu_parallel_end_run(mu_parallel *parallel, mu_err err)
{
    mu_parallel_state *s = parallel->state;
    if (err)
        note(s, err);
    while (s->updates && !in_pieces(s) && s->next < s->end)
        hand_over(s);
    for (int u = 0; s->updates && in_pieces(s) && s->batches && !s->err && u < s->n_units; u++)
        note(s, mu_sums_merge(s->sums, u));
    if (!s->updates && !s->err)
        note(s, accumulate(s));
    if (s->err && s->guard && s->backend->ops->mark(s->backend, s->probe, MU_LANE_KERNELS) != MU_OK)
        mu_guard_give_up(s->guard); /* the device is lost: the others' wait for it between kernels, too */
    if (s->err)
        MU_TRY(mu_error_restore(&s->error));
    return MU_OK;
}

mu_guard *mu_parallel_guard(const mu_parallel *parallel)
{
    return parallel->state->guard;
}

void mu_parallel_give_up(mu_parallel *parallel)
{
    if (parallel->state && parallel->state->guard)
        mu_guard_give_up(parallel->state->guard);
}

void mu_parallel_drain(mu_parallel *parallel)
{
    mu_parallel_state *s = parallel->state;
    mu_error kept = *mu_error_last();
    for (int u = 0; u < s->n_units; u++) {
        mu_err ignored = mu_courier_wait(s->courier, &s->parcel[u]);
        if (s->gather)
            ignored = mu_courier_wait(s->courier, &s->gather[u]);
        (void)ignored;
    }
    (void)mu_error_restore(&kept);
}

static mu_err wait_all(mu_parallel_state *s)
{
    MU_DOING(s->comm, "the mean of the gradients");
    mu_err err = MU_OK;
    for (int u = s->first; u < s->end && !err; u++)
        err = mu_courier_wait(s->courier, &s->parcel[u]);
    return err;
}

mu_err mu_parallel_finish(mu_parallel *parallel, int64_t *batches)
{
    mu_parallel_state *s = parallel->state;
    if (s->updates) {
        MU_TRY(wait_all(s));
        *batches = s->batches + 1;
        s->batches = 0;
    } else {
        *batches = s->batches;
    }
    return MU_OK;
}

mu_err mu_parallel_publish(mu_parallel *parallel)
{
    mu_parallel_state *s = parallel->state;
    mu_err err = MU_OK;
    if (!s->gather || s->stage >= MU_SHARD_PARAMETERS)
        return MU_OK;
    for (int u = 0; u < s->n_units; u++)
        mu_courier_send(s->courier, &s->gather[u]);
    for (int u = 0; u < s->n_units && !err; u++)
        err = mu_courier_wait(s->courier, &s->gather[u]);
    MU_TRY(err);
    return MU_OK;
}

mu_comm *mu_parallel_pieces(const mu_parallel *parallel)
{
    const mu_parallel_state *s = parallel->state;
    return s->stage == MU_SHARD_NOTHING ? NULL : s->comm;
}

mu_device_comm *mu_parallel_pieces_device(const mu_parallel *parallel)
{
    return parallel->state->pieces_device;
}

/* Collective. At once on hosts; kernels that run after it see what devices are given. */
static mu_err send_and_wait(mu_parallel_state *s, mu_parcel parcel)
{
    mu_courier_send(s->courier, &parcel);
    MU_TRY(mu_courier_wait(s->courier, &parcel));
    return MU_OK;
}

mu_err mu_parallel_broadcast(mu_parallel *parallel, void *data, size_t bytes)
{
    mu_parallel_state *s = parallel->state;
    if (s->comm->size == 1 || !bytes)
        return MU_OK;
    if (s->backend->host_memory)
        MU_TRY(mu_comm_broadcast_bytes(s->comm, data, bytes, 0));
    else
        MU_TRY(send_and_wait(s, (mu_parcel){.kind = MU_PARCEL_BROADCAST, .data = data, .count = (int64_t)bytes, .dtype = MU_U8}));
    return MU_OK;
}

mu_err mu_parallel_mean(mu_parallel *parallel, void *data, int64_t count, mu_dtype dtype)
{
    mu_parallel_state *s = parallel->state;
    if (s->comm->size == 1)
        return MU_OK;
    if (s->backend->host_memory)
        MU_TRY(mu_comm_all_reduce(s->comm, data, count, dtype, MU_COMM_MEAN));
    else
        MU_TRY(send_and_wait(s, (mu_parcel){.kind = MU_PARCEL_REDUCE, .data = data, .count = count, .dtype = dtype}));
    return MU_OK;
}

mu_err mu_parallel_share_states(mu_parallel *parallel)
{
    size_t bytes;
    void *states = mu_params_states(parallel->state->params, &bytes);
    if (parallel->broadcast_buffers)
        MU_TRY(mu_parallel_broadcast(parallel, states, bytes));
    return MU_OK;
}

/* ---- accumulated gradients ---- */

void *mu_parallel_accumulated(const mu_parallel *parallel, int64_t *batches)
{
    const mu_parallel_state *s = parallel->state;
    *batches = s->batches;
    return s->batches ? mu_sums_arena(s->sums) : NULL;
}

/* Whole sums, sent like whole gradients. */
static mu_err average_sums(mu_parallel_state *s, char *arena)
{
    mu_err err;
    mu_parcel *parcel;
    MU_TRY(mu_comm_agree(s->comm, mu_calloc(&parcel, (size_t)s->n_units, sizeof *parcel)));
    for (int u = 0; u < s->n_units; u++) {
        parcel[u] = s->parcel[u];
        parcel[u].kind = MU_PARCEL_REDUCE;
        parcel[u].data = arena + mu_params_unit(s->params, u)->offset;
        mu_courier_send(s->courier, &parcel[u]);
    }
    err = MU_OK;
    for (int u = 0; u < s->n_units; u++) {
        mu_err arrived = mu_courier_wait(s->courier, &parcel[u]);
        err = err ? err : arrived;
    }
    mu_free(parcel);
    return err;
}

mu_err mu_parallel_share_accumulated(mu_parallel *parallel)
{
    mu_parallel_state *s = parallel->state;
    if (!s->batches || in_pieces(s)) /* pieces are of the mean already */
        return MU_OK;
    MU_TRY(average_sums(s, mu_sums_arena(s->sums)));
    return MU_OK;
}

mu_err mu_parallel_set_accumulated(mu_parallel *parallel, int64_t batches)
{
    mu_parallel_state *s = parallel->state;
    if (!s || !s->params || batches < 0)
        return MU_FAIL(MU_ERR_USAGE, "gradients of %lld batches cannot be restored%s", (long long)batches,
                       s && s->params ? "" : " before the parameters are bound");
    if (batches && !s->sums)
        MU_TRY(mu_sums_new(s->backend, s->params, &s->sums));
    s->batches = batches;
    return MU_OK;
}

mu_courier_times mu_parallel_take_times(mu_parallel *parallel)
{
    mu_parallel_state *s = parallel->state;
    return s->courier ? mu_courier_take_times(s->courier) : (mu_courier_times){0};
}

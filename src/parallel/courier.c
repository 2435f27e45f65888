#include "parallel/courier_impl.h"

#include "core/clock.h"
#include "core/mem.h"
#include "graph/flat_kernel.h"

/* ---- one rank: what it has is everything, and its own mean ---- */

typedef struct {
    mu_courier base;
    int64_t parcels;
} lone_courier;

static mu_err move(mu_courier *c, void *to, const void *from, size_t bytes)
{
    if (to == from)
        return MU_OK;
    if (c->backend)
        return mu_flat_copy(c->backend, to, from, bytes);
    memmove(to, from, bytes);
    return MU_OK;
}

static mu_err nothing(mu_courier *courier, const mu_courier_options *options)
{
    (void)courier, (void)options;
    return MU_OK;
}

static void close_alone(mu_courier *courier)
{
    (void)courier;
}

static void send_alone(mu_courier *courier, mu_parcel *p)
{
    size_t bytes = (size_t)p->count * mu_dtype_size(p->dtype);
    if (p->kind == MU_PARCEL_REDUCE_SCATTER)
        p->err = move(courier, p->piece, p->data, bytes);
    if (p->kind == MU_PARCEL_GATHER)
        p->err = move(courier, p->data, p->piece, bytes);
    if (p->err)
        courier->error = *mu_error_last();
    p->ended = p->began;
    ((lone_courier *)courier)->parcels++;
}

static mu_err wait_alone(mu_courier *courier, mu_parcel *parcel)
{
    (void)courier;
    return parcel->err;
}

static mu_courier_times take_alone(mu_courier *courier)
{
    lone_courier *c = (lone_courier *)courier;
    mu_courier_times times = {.parcels = c->parcels};
    c->parcels = 0;
    return times;
}

static const mu_courier_ops alone = {.size = sizeof(lone_courier), .prepare = nothing, .open = nothing, .close = close_alone,
                                     .send = send_alone, .wait = wait_alone, .take_times = take_alone};

/* ---- life ---- */

static mu_err check_device(const mu_comm *comm, const mu_backend *backend)
{
    if (comm->size == 1 || !backend || backend->ops->comm_open)
        return MU_OK;
    (void)MU_FAIL(MU_ERR_UNSUPPORTED, "%d ranks cannot train on %s devices: these do not exchange memory", comm->size, backend->ops->name);
    return mu_error_hint("start one rank, or use a cpu device");
}

static mu_err make(mu_comm *comm, const mu_courier_options *options, mu_courier **out)
{
    mu_backend *backend = options->backend && !options->backend->host_memory ? options->backend : NULL;
    const mu_courier_ops *ops = comm->size == 1 ? &alone : backend ? &mu_courier_device : &mu_courier_thread;
    mu_courier *c;
    MU_TRY(check_device(comm, backend));
    MU_TRY(mu_calloc(&c, 1, ops->size));
    *c = (mu_courier){.ops = ops, .outer = comm, .backend = backend, .wire_bytes = options->wire_bytes / 2};
    *out = c; /* from here on there is something to close */
    MU_TRY(ops->prepare(c, options));
    return MU_OK;
}

mu_err mu_courier_new(mu_comm *comm, const mu_courier_options *options, mu_courier **out)
{
    mu_courier *c = NULL;
    mu_err err = mu_comm_agree(comm, make(comm, options, &c));
    if (!err)
        err = c->ops->open(c, options);
    if (err)
        mu_courier_release(c);
    else
        *out = c;
    MU_TRY(err);
    return MU_OK;
}

void mu_courier_release(mu_courier *courier)
{
    if (!courier)
        return;
    courier->ops->close(courier);
    mu_free(courier);
}

/* ---- sending and waiting ---- */

static mu_err check_parcel(const mu_courier *c, const mu_parcel *p)
{
    bool whole = p->kind == MU_PARCEL_REDUCE || p->kind == MU_PARCEL_BROADCAST;
    if (p->count < 0 || (!whole && p->count % c->outer->size != 0))
        return MU_FAIL(MU_ERR_USAGE, "a parcel of %lld elements does not divide among the ranks", (long long)p->count);
    if (mu_parcel_is_narrow(p) && c->outer->size > 1 &&
        (p->dtype == MU_F16 || (size_t)p->count * mu_dtype_size(p->wire) > c->wire_bytes))
        return MU_FAIL(MU_ERR_USAGE, "a parcel of %lld %s elements is larger than was said when the courier was made", (long long)p->count,
                       mu_dtype_name(p->dtype));
    return MU_OK;
}

void mu_courier_send(mu_courier *courier, mu_parcel *parcel)
{
    parcel->pending = false;
    parcel->began = mu_clock();
    parcel->err = check_parcel(courier, parcel);
    if (parcel->err)
        courier->error = *mu_error_last();
    else
        courier->ops->send(courier, parcel);
}

mu_err mu_courier_wait(mu_courier *courier, mu_parcel *parcel)
{
    if (courier->ops->wait(courier, parcel) != MU_OK)
        MU_TRY(mu_error_restore(&courier->error));
    return MU_OK;
}

mu_courier_times mu_courier_take_times(mu_courier *courier)
{
    return courier->ops->take_times(courier);
}

/* Parcels in memory of devices. Everything is order between two lanes: a collective begins behind the kernels that ran before it was sent, and the
 * kernels that run after it was waited for begin behind it. The host never waits.
 *
 * What travels in a narrow dtype is cast into a buffer of the courier before, and back after, by kernels. There are a few buffers, used in turn: where all
 * are in use, the kernels wait for the oldest. */
#include "parallel/courier_impl.h"

#include "backend/repeat.h"
#include "core/clock.h"
#include "core/mem.h"
#include "graph/flat_kernel.h"
#include "ops/ops.h"

enum { N_MARKS = 64, N_SLOTS = 4 };

/* A kernel over `count` elements: a cast from one dtype to another, or (NONE) a product with one number, in place. */
typedef struct {
    mu_kernel *kernel;
    void *in, *out, *scratch;
    int64_t count;
    mu_dtype from, to;
} flat;

typedef struct {
    void *wire;
    mu_parcel *parcel; /* whose elements are in it; NULL: free */
    int64_t taken;     /* n_narrow then */
} slot;

typedef struct {
    mu_courier base;
    mu_comm *comm; /* its own */
    mu_device_comm *device;
    mu_guard *guard;           /* or NULL */
    mu_mark *kernels;          /* where the kernels were at the last send */
    mu_mark *arrived[N_MARKS]; /* parcel `ticket` at [ticket % N_MARKS]: or a later one, which is behind it */
    int64_t sent;
    slot slots[N_SLOTS];
    int64_t n_narrow; /* sent so far */
    flat *flats;
    size_t n_flats, flat_capacity;
    char *share; /* on the device: 1 / size, f32 and f64, MU_ALIGN bytes apart */
    mu_err broken; /* nothing is sent any more */
    mu_courier_times times;
} device_courier;

static const mu_backend_ops *ops_of(const device_courier *c)
{
    return c->base.backend->ops;
}

/* ---- kernels ---- */

static mu_err make_flat(device_courier *c, flat *f)
{
    mu_backend *backend = c->base.backend;
    mu_type in[] = {MU_TYPE(f->from, f->count), MU_TYPE(f->from, 1)};
    if (f->to == MU_NONE)
        MU_TRY(mu_flat_kernel_new(backend, &mu_op_mul, NULL, in, 2, &f->kernel));
    else
        MU_TRY(mu_flat_kernel_new(backend, &mu_op_cast, &(mu_cast_attrs){.dtype = (int)f->to}, in, 1, &f->kernel));
    if (f->to == MU_NONE && f->kernel->inplace[0] != 1)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "this backend does not scale gradients in place");
    if (f->kernel->scratch_bytes)
        MU_TRY(backend->ops->alloc(backend, f->kernel->scratch_bytes, &f->scratch));
    void *operands[] = {f->in, c->share + (f->from == MU_F64 ? MU_ALIGN : 0)};
    MU_TRY(mu_kernel_bind(f->kernel, operands, &f->out, f->scratch));
    return MU_OK;
}

static void free_flat(device_courier *c, flat *f)
{
    mu_kernel_release(f->kernel);
    if (f->scratch)
        ops_of(c)->dealloc(c->base.backend, f->scratch);
}

/* Bound once: what is the same in each step can be repeated. */
static mu_err run_flat(device_courier *c, flat wanted)
{
    for (size_t i = 0; i < c->n_flats; i++) {
        const flat *f = &c->flats[i];
        if (f->in == wanted.in && f->out == wanted.out && f->count == wanted.count && f->from == wanted.from && f->to == wanted.to)
            return mu_backend_run(c->base.backend, f->kernel, &(mu_run){0});
    }
    mu_err err = mu_grow(&c->flats, &c->flat_capacity, c->n_flats + 1, sizeof *c->flats);
    if (!err)
        err = make_flat(c, &wanted);
    if (err) {
        free_flat(c, &wanted);
        return err;
    }
    c->flats[c->n_flats++] = wanted;
    return mu_backend_run(c->base.backend, wanted.kernel, &(mu_run){0});
}

static mu_err cast(device_courier *c, mu_dtype from, void *in, mu_dtype to, void *out, int64_t count)
{
    return run_flat(c, (flat){.in = in, .out = out, .count = count, .from = from, .to = to});
}

/* Becomes its part of a mean. */
static mu_err divide(device_courier *c, mu_dtype dtype, void *data, int64_t count)
{
    return run_flat(c, (flat){.in = data, .out = data, .count = count, .from = dtype, .to = MU_NONE});
}

/* ---- what travels ---- */

static int64_t share_of(const device_courier *c, const mu_parcel *p)
{
    return p->count / c->comm->size;
}

static char *own_slice(const device_courier *c, void *whole, const mu_parcel *p, mu_dtype dtype)
{
    return (char *)whole + (size_t)(share_of(c, p) * c->comm->rank) * mu_dtype_size(dtype);
}

static mu_collective plain(const device_courier *c, const mu_parcel *p)
{
    mu_collective what = {.kind = MU_REQUEST_ALL_REDUCE, .data = p->data, .count = p->count, .dtype = p->dtype, .op = MU_COMM_MEAN};
    if (p->kind == MU_PARCEL_BROADCAST)
        what.kind = MU_REQUEST_BROADCAST;
    if (p->kind == MU_PARCEL_REDUCE_SCATTER)
        what = (mu_collective){.kind = MU_REQUEST_REDUCE_SCATTER, .send = p->data, .data = p->piece, .count = share_of(c, p), .dtype = p->dtype,
                               .op = MU_COMM_MEAN};
    if (p->kind == MU_PARCEL_GATHER)
        what = (mu_collective){.kind = MU_REQUEST_ALL_GATHER, .send = p->piece, .data = p->data, .count = share_of(c, p), .dtype = p->dtype};
    return what;
}

/* Sums travel: their mean is taken in the wider dtype, and rounded once. */
static mu_collective narrow(const device_courier *c, const mu_parcel *p)
{
    void *wire = c->slots[p->slot].wire;
    if (p->kind == MU_PARCEL_REDUCE)
        return (mu_collective){.kind = MU_REQUEST_ALL_REDUCE, .data = wire, .count = p->count, .dtype = p->wire, .op = MU_COMM_SUM};
    char *own = own_slice(c, wire, p, p->wire);
    if (p->kind == MU_PARCEL_GATHER)
        return (mu_collective){.kind = MU_REQUEST_ALL_GATHER, .send = own, .data = wire, .count = share_of(c, p), .dtype = p->wire};
    return (mu_collective){.kind = MU_REQUEST_REDUCE_SCATTER, .send = wire, .data = own, .count = share_of(c, p), .dtype = p->wire,
                           .op = MU_COMM_SUM};
}

static mu_err pack(device_courier *c, const mu_parcel *p)
{
    void *wire = c->slots[p->slot].wire;
    if (p->kind == MU_PARCEL_GATHER)
        return cast(c, p->dtype, p->piece, p->wire, own_slice(c, wire, p, p->wire), share_of(c, p));
    return cast(c, p->dtype, p->data, p->wire, wire, p->count);
}

static mu_err unpack(device_courier *c, const mu_parcel *p)
{
    void *wire = c->slots[p->slot].wire;
    switch (p->kind) {
    case MU_PARCEL_GATHER: MU_TRY(cast(c, p->wire, wire, p->dtype, p->data, p->count)); break;
    case MU_PARCEL_REDUCE_SCATTER:
        MU_TRY(cast(c, p->wire, own_slice(c, wire, p, p->wire), p->dtype, p->piece, share_of(c, p)));
        MU_TRY(divide(c, p->dtype, p->piece, share_of(c, p)));
        break;
    default:
        MU_TRY(cast(c, p->wire, wire, p->dtype, p->data, p->count));
        MU_TRY(divide(c, p->dtype, p->data, p->count));
    }
    return MU_OK;
}

/* ---- sending and waiting ---- */

static void note(device_courier *c, mu_parcel *p, mu_err err)
{
    if (!err || p->err)
        return;
    p->err = err;
    if (!c->broken) /* what comes later follows from the first */
        c->base.error = *mu_error_last();
}

/* Nothing more can be sent, nor heard of. The device must not wait for the other ranks, which this one tells at the next agreement. */
static void give_up(device_courier *c, mu_parcel *p, mu_err err)
{
    note(c, p, err);
    if (!c->broken && c->guard)
        mu_guard_give_up(c->guard);
    else if (!c->broken)
        ops_of(c)->comm_abort(c->base.backend, c->device);
    c->broken = err;
}

/* The kernels that come now follow the parcel, and find its elements in their place. */
static void settle(device_courier *c, mu_parcel *p)
{
    mu_backend *backend = c->base.backend;
    bool in_slot = p->slot >= 0;
    p->pending = false;
    p->ended = mu_clock();
    if (c->broken)
        note(c, p, c->broken);
    mu_err err = c->broken ? MU_OK : ops_of(c)->follow(backend, MU_LANE_KERNELS, c->arrived[p->ticket % N_MARKS]);
    if (!err && !c->broken)
        err = ops_of(c)->comm_check(backend, c->device);
    if (err)
        give_up(c, p, err);
    if (in_slot && !c->broken)
        note(c, p, unpack(c, p));
    if (in_slot)
        c->slots[p->slot].parcel = NULL;
}

/* The first that is free, so that every step takes the same ones; else that of the oldest parcel. */
static void take_slot(device_courier *c, mu_parcel *p)
{
    int at = 0;
    for (int i = 1; i < N_SLOTS && c->slots[at].parcel; i++)
        if (!c->slots[i].parcel || c->slots[i].taken < c->slots[at].taken)
            at = i;
    slot *s = &c->slots[at];
    if (s->parcel)
        settle(c, s->parcel);
    *s = (slot){.wire = s->wire, .parcel = p, .taken = c->n_narrow++};
    p->slot = at;
}

static mu_err start(device_courier *c, mu_parcel *p)
{
    mu_backend *backend = c->base.backend;
    mu_collective what = p->slot >= 0 ? narrow(c, p) : plain(c, p);
    p->ticket = c->sent++;
    MU_TRY(ops_of(c)->mark(backend, c->kernels, MU_LANE_KERNELS));
    MU_TRY(ops_of(c)->follow(backend, MU_LANE_RANKS, c->kernels));
    if (p->count > 0)
        MU_TRY(ops_of(c)->collect(backend, c->device, MU_LANE_RANKS, &what));
    MU_TRY(ops_of(c)->mark(backend, c->arrived[p->ticket % N_MARKS], MU_LANE_RANKS));
    return MU_OK;
}

static void send_by_device(mu_courier *courier, mu_parcel *p)
{
    device_courier *c = (device_courier *)courier;
    p->slot = -1;
    if (c->broken) {
        note(c, p, c->broken);
        return;
    }
    if (mu_parcel_is_narrow(p)) {
        take_slot(c, p);
        note(c, p, pack(c, p)); /* travels all the same: the others must not wait */
    }
    mu_err err = c->broken ? c->broken : start(c, p);
    if (err)
        give_up(c, p, err);
    p->pending = true;
    c->times.parcels++;
    c->times.bytes += p->count * (int64_t)mu_dtype_size(p->slot >= 0 ? p->wire : p->dtype);
}

static mu_err wait_for_device(mu_courier *courier, mu_parcel *p)
{
    if (p->pending)
        settle((device_courier *)courier, p);
    return p->err;
}

static mu_courier_times take_times(mu_courier *courier)
{
    device_courier *c = (device_courier *)courier;
    mu_courier_times times = c->times;
    c->times = (mu_courier_times){0};
    return times;
}

/* ---- life ---- */

static mu_err make_shares(device_courier *c)
{
    mu_backend *backend = c->base.backend;
    double wide = 1.0 / c->base.outer->size;
    float single = (float)wide;
    MU_TRY(ops_of(c)->alloc(backend, 2 * MU_ALIGN, (void **)&c->share));
    MU_TRY(ops_of(c)->upload(backend, c->share, &single, sizeof single));
    MU_TRY(ops_of(c)->upload(backend, c->share + MU_ALIGN, &wide, sizeof wide));
    return MU_OK;
}

static mu_err prepare(mu_courier *courier, const mu_courier_options *options)
{
    device_courier *c = (device_courier *)courier;
    mu_backend *backend = courier->backend;
    (void)options;
    MU_TRY(ops_of(c)->mark_new(backend, &c->kernels));
    for (int i = 0; i < N_MARKS; i++)
        MU_TRY(ops_of(c)->mark_new(backend, &c->arrived[i]));
    if (!courier->wire_bytes)
        return MU_OK;
    for (int i = 0; i < N_SLOTS; i++)
        MU_TRY(ops_of(c)->alloc(backend, courier->wire_bytes, &c->slots[i].wire));
    MU_TRY(make_shares(c));
    return MU_OK;
}

static mu_err open_device(mu_courier *courier, const mu_courier_options *options)
{
    device_courier *c = (device_courier *)courier;
    mu_comm *comm = courier->outer;
    MU_TRY(mu_comm_agree(comm, mu_comm_split(comm, 0, comm->rank, &c->comm)));
    mu_err err = ops_of(c)->comm_open(courier->backend, c->comm, &c->device);
    c->guard = options->guard;
    if (!err && c->guard)
        err = mu_guard_add(c->guard, c->device);
    MU_TRY(mu_comm_agree(comm, err));
    return MU_OK;
}

/* What is on its way arrives before its memory is anybody else's. */
static void arrive(device_courier *c)
{
    mu_backend *backend = c->base.backend;
    for (int i = 0; i < N_SLOTS; i++)
        if (c->slots[i].parcel)
            settle(c, c->slots[i].parcel);
    mu_err err = c->broken || !c->sent ? MU_OK
                                       : ops_of(c)->follow(backend, MU_LANE_KERNELS, c->arrived[(c->sent - 1) % N_MARKS]);
    if (!err)
        err = ops_of(c)->synchronize(backend);
    if (err)
        ops_of(c)->comm_abort(backend, c->device);
}

static void close_device(mu_courier *courier)
{
    device_courier *c = (device_courier *)courier;
    mu_backend *backend = courier->backend;
    if (c->device)
        arrive(c);
    if (c->guard)
        mu_guard_remove(c->guard, c->device);
    ops_of(c)->comm_close(backend, c->device);
    for (size_t i = 0; i < c->n_flats; i++)
        free_flat(c, &c->flats[i]);
    mu_free(c->flats);
    for (int i = 0; i < N_SLOTS; i++)
        if (c->slots[i].wire)
            ops_of(c)->dealloc(backend, c->slots[i].wire);
    if (c->share)
        ops_of(c)->dealloc(backend, c->share);
    for (int i = 0; i < N_MARKS; i++)
        ops_of(c)->mark_release(backend, c->arrived[i]);
    ops_of(c)->mark_release(backend, c->kernels);
    mu_comm_release(c->comm);
}

const mu_courier_ops mu_courier_device = {.size = sizeof(device_courier), .prepare = prepare, .open = open_device, .close = close_device,
                                          .send = send_by_device, .wait = wait_for_device, .take_times = take_times};

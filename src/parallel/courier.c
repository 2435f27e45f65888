#include "config.h" /* _GNU_SOURCE */

#include "parallel/courier.h"

#include "core/clock.h"
#include "core/cpus.h"
#include "core/mem.h"
#include "dist/doing.h"
#include "dist/hierarchy.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { SHORTEST_PAUSE_NS = 20000, LONGEST_PAUSE_NS = 200000 };

/* A parcel on its way. */
typedef struct {
    mu_parcel *parcel; /* NULL: free */
    mu_request request;
    void *wire; /* what travels in another dtype; wire_bytes */
} slot;

struct mu_courier {
    mu_comm *outer; /* on which waiting is told */
    mu_comm *comm; /* its own; NULL: there is no other rank */
    mu_comm *flat; /* what a hierarchy rests on; NULL: it is none */
    size_t wire_bytes;
    bool threaded, spare; /* spare: a core is free for the thread */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed, done; /* for the thread; for who waits */
    bool closing, waited_for;
    mu_parcel *first, *last; /* not yet on their way */

    slot slots[MU_COMM_INFLIGHT]; /* of the thread, or of who waits */
    int n_flying;
    int64_t pause; /* ns */

    mu_err broken; /* the transport has failed: nothing is sent any more */
    mu_error error;
    mu_courier_times times;
    double busy_since; /* 0: nothing on its way */
};

/* ---- one parcel ---- */

static bool in_other_dtype(const mu_parcel *p)
{
    return p->wire != MU_NONE && p->wire != p->dtype;
}

static char *slice(const mu_courier *c, void *whole, const mu_parcel *p, mu_dtype dtype)
{
    return (char *)whole + (size_t)(p->count / c->comm->size * c->comm->rank) * mu_dtype_size(dtype);
}

static mu_err start_plain(mu_courier *c, slot *s)
{
    mu_parcel *p = s->parcel;
    int64_t share = p->count / c->comm->size;
    switch (p->kind) {
    case MU_PARCEL_REDUCE: return mu_comm_start_all_reduce(c->comm, p->data, p->count, p->dtype, MU_COMM_MEAN, &s->request);
    case MU_PARCEL_REDUCE_SCATTER:
        return mu_comm_start_reduce_scatter(c->comm, p->data, p->piece, share, p->dtype, MU_COMM_MEAN, &s->request);
    case MU_PARCEL_GATHER: return mu_comm_start_all_gather(c->comm, p->piece, p->data, share, p->dtype, &s->request);
    }
    return MU_FAIL(MU_ERR_INTERNAL, "a parcel of kind %d", (int)p->kind);
}

/* Sums travel: their mean is taken in the wider dtype, and rounded once. */
static mu_err start_narrow(mu_courier *c, slot *s)
{
    mu_parcel *p = s->parcel;
    int64_t share = p->count / c->comm->size;
    char *own = slice(c, s->wire, p, p->wire);
    if (p->kind == MU_PARCEL_GATHER) {
        mu_convert(own, p->wire, p->piece, p->dtype, share);
        return mu_comm_start_all_gather(c->comm, own, s->wire, share, p->wire, &s->request);
    }
    mu_convert(s->wire, p->wire, p->data, p->dtype, p->count);
    if (p->kind == MU_PARCEL_REDUCE)
        return mu_comm_start_all_reduce(c->comm, s->wire, p->count, p->wire, MU_COMM_SUM, &s->request);
    return mu_comm_start_reduce_scatter(c->comm, s->wire, own, share, p->wire, MU_COMM_SUM, &s->request);
}

static mu_err start(mu_courier *c, slot *s)
{
    return in_other_dtype(s->parcel) ? start_narrow(c, s) : start_plain(c, s);
}

static void scale(void *data, mu_dtype dtype, int64_t n, double by)
{
    float by32 = (float)by;
    if (dtype == MU_F32)
        for (int64_t i = 0; i < n; i++)
            ((float *)data)[i] *= by32;
    else
        for (int64_t i = 0; i < n; i++)
            ((double *)data)[i] *= by;
}

static void unpack(const mu_courier *c, const slot *s)
{
    mu_parcel *p = s->parcel;
    if (!in_other_dtype(p))
        return;
    if (p->kind == MU_PARCEL_REDUCE_SCATTER) {
        int64_t share = p->count / c->comm->size;
        mu_convert(p->piece, p->dtype, slice(c, s->wire, p, p->wire), p->wire, share);
        scale(p->piece, p->dtype, share, 1.0 / c->comm->size);
        return;
    }
    mu_convert(p->data, p->dtype, s->wire, p->wire, p->count);
    if (p->kind == MU_PARCEL_REDUCE)
        scale(p->data, p->dtype, p->count, 1.0 / c->comm->size);
}

/* ---- the round; without the lock but where said ---- */

/* With the lock. */
static void finish(mu_courier *c, mu_parcel *p, mu_err err)
{
    double now = mu_clock();
    if (err && !c->broken) {
        c->broken = err;
        c->error = *mu_error_last();
        c->error.code = err;
    }
    p->err = err;
    p->ended = now;
    p->pending = false;
    c->times.bytes += p->count * (int64_t)mu_dtype_size(in_other_dtype(p) ? p->wire : p->dtype);
    c->times.parcels++;
    pthread_cond_broadcast(&c->done);
}

/* With the lock, which is let go of meanwhile. What waits is put on its way; with a broken transport it is done. Did something happen? */
static bool start_waiting(mu_courier *c)
{
    bool moved = false;
    while (c->first && (c->broken || c->n_flying < MU_COMM_INFLIGHT)) {
        mu_parcel *p = c->first;
        slot *s = c->slots;
        c->first = p->next;
        c->last = c->first ? c->last : NULL;
        moved = true;
        if (c->broken) {
            finish(c, p, c->broken);
            continue;
        }
        while (s->parcel)
            s++;
        s->parcel = p;
        c->n_flying++;
        pthread_mutex_unlock(&c->lock);
        mu_err err = start(c, s);
        pthread_mutex_lock(&c->lock);
        if (err) {
            s->parcel = NULL;
            c->n_flying--;
            finish(c, p, err);
        }
    }
    return moved;
}

/* The same for those on their way. After a failure nothing more is heard of them. */
static bool look_after(mu_courier *c)
{
    bool moved = false;
    for (int i = 0; i < MU_COMM_INFLIGHT; i++) {
        slot *s = &c->slots[i];
        bool arrived = false;
        if (!s->parcel)
            continue;
        mu_err err = c->broken;
        pthread_mutex_unlock(&c->lock);
        if (!err)
            err = mu_request_test(&s->request, &arrived);
        if (!err && arrived)
            unpack(c, s);
        pthread_mutex_lock(&c->lock);
        if (err || arrived) {
            mu_parcel *p = s->parcel;
            s->parcel = NULL;
            c->n_flying--;
            finish(c, p, err);
            moved = true;
        }
    }
    return moved;
}

/* With the lock: starts what waits, looks after what flies. Did something happen? */
static bool round_trip(mu_courier *c)
{
    bool moved = start_waiting(c);
    moved = look_after(c) || moved;
    if (!c->first && c->n_flying == 0 && c->busy_since > 0) {
        c->times.busy += mu_clock() - c->busy_since;
        c->busy_since = 0;
    }
    return moved;
}

/* With the lock. As long as the caller computes on the only core, it is left alone for a while; who waits is served at once. */
static void pause_a_little(mu_courier *c, bool moved)
{
    if (c->spare || c->waited_for) {
        pthread_mutex_unlock(&c->lock);
        sched_yield();
        pthread_mutex_lock(&c->lock);
        c->pause = SHORTEST_PAUSE_NS;
        return;
    }
    struct timespec until;
    c->pause = moved ? SHORTEST_PAUSE_NS : c->pause < LONGEST_PAUSE_NS ? 2 * c->pause : c->pause;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += c->pause;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&c->changed, &c->lock, &until);
}

static void *work(void *user)
{
    mu_courier *c = user;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!c->first && c->n_flying == 0 && !c->closing)
            pthread_cond_wait(&c->changed, &c->lock);
        if (!c->first && c->n_flying == 0)
            break;
        bool moved = round_trip(c);
        if (c->n_flying > 0)
            pause_a_little(c, moved);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- life ---- */

/* Ranks that are not bound share the cores of their node. */
static bool has_spare_core(const mu_comm *comm, int n_threads)
{
    int bound = mu_cpu_count(), share = (int)sysconf(_SC_NPROCESSORS_ONLN) / comm->local_size;
    return (bound < share ? bound : share) > n_threads;
}

static mu_err start_thread(mu_courier *c)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int status = pthread_create(&c->thread, NULL, work, c);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (status != 0)
        return MU_FAIL(MU_ERR_SYSTEM, "the communication thread cannot be started: %s", strerror(status));
    c->threaded = true;
    return MU_OK;
}

static void free_courier(mu_courier *c)
{
    if (!c)
        return;
    if (c->threaded) {
        pthread_mutex_lock(&c->lock);
        c->closing = true;
        c->waited_for = true;
        pthread_cond_signal(&c->changed);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->thread, NULL);
    }
    for (int i = 0; i < MU_COMM_INFLIGHT; i++)
        mu_free(c->slots[i].wire);
    pthread_cond_destroy(&c->changed);
    pthread_cond_destroy(&c->done);
    pthread_mutex_destroy(&c->lock);
    mu_comm_release(c->comm);
    mu_comm_release(c->flat);
    mu_free(c);
}

static mu_err alloc_courier(const mu_comm *comm, const mu_courier_options *options, mu_courier **out)
{
    mu_courier *c;
    pthread_condattr_t monotonic;
    MU_TRY(mu_calloc(&c, 1, sizeof *c));
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, &monotonic);
    pthread_cond_init(&c->done, NULL);
    pthread_condattr_destroy(&monotonic);
    c->wire_bytes = options->wire_bytes / 2; /* of the narrow dtype */
    c->spare = has_spare_core(comm, options->n_threads);
    mu_err err = MU_OK;
    for (int i = 0; i < MU_COMM_INFLIGHT && c->wire_bytes && comm->size > 1 && !err; i++)
        err = mu_alloc(&c->slots[i].wire, c->wire_bytes);
    if (err)
        free_courier(c);
    else
        *out = c;
    MU_TRY(err);
    return MU_OK;
}

/* Collective. */
static mu_err open_comm(mu_courier *c, mu_comm *comm, const mu_courier_options *options)
{
    MU_TRY(mu_comm_split(comm, 0, comm->rank, &c->comm));
    if (options->hierarchical) {
        c->flat = c->comm;
        c->comm = NULL;
        MU_TRY(mu_comm_hierarchy_new(c->flat, &c->comm));
    }
    MU_TRY(mu_comm_set_fixed_order(c->comm, options->fixed_order));
    return MU_OK;
}

mu_err mu_courier_new(mu_comm *comm, const mu_courier_options *options, mu_courier **out)
{
    mu_courier *c = NULL;
    mu_err err = mu_comm_agree(comm, alloc_courier(comm, options, &c));
    if (!err)
        c->outer = comm;
    if (!err && comm->size > 1)
        err = mu_comm_agree(comm, open_comm(c, comm, options));
    if (!err && comm->size > 1)
        err = mu_comm_agree(comm, comm->threads ? start_thread(c) : MU_OK);
    if (err)
        free_courier(c);
    else
        *out = c;
    MU_TRY(err);
    return MU_OK;
}

void mu_courier_release(mu_courier *courier)
{
    if (!courier)
        return;
    pthread_mutex_lock(&courier->lock);
    while (!courier->threaded && (courier->first || courier->n_flying > 0))
        round_trip(courier);
    pthread_mutex_unlock(&courier->lock);
    free_courier(courier);
}

/* ---- sending and waiting ---- */

/* What one rank has is everything, and its own mean. */
static void deliver_alone(mu_courier *c, mu_parcel *p)
{
    size_t bytes = (size_t)p->count * mu_dtype_size(p->dtype);
    if (p->kind == MU_PARCEL_REDUCE_SCATTER && p->piece != p->data)
        memmove(p->piece, p->data, bytes);
    if (p->kind == MU_PARCEL_GATHER && p->piece != p->data)
        memmove(p->data, p->piece, bytes);
    p->ended = p->began;
    c->times.parcels++;
}

static mu_err check_parcel(const mu_courier *c, const mu_parcel *p)
{
    if (p->count < 0 || (p->kind != MU_PARCEL_REDUCE && c->comm && p->count % c->comm->size != 0))
        return MU_FAIL(MU_ERR_USAGE, "a parcel of %lld elements does not divide among the ranks", (long long)p->count);
    if (in_other_dtype(p) && c->comm && (p->dtype == MU_F16 || (size_t)p->count * mu_dtype_size(p->wire) > c->wire_bytes))
        return MU_FAIL(MU_ERR_USAGE, "a parcel of %lld %s elements is larger than was said when the courier was made", (long long)p->count,
                       mu_dtype_name(p->dtype));
    return MU_OK;
}

void mu_courier_send(mu_courier *courier, mu_parcel *parcel)
{
    mu_courier *c = courier;
    parcel->next = NULL;
    parcel->pending = false;
    parcel->began = mu_clock();
    parcel->err = check_parcel(c, parcel);
    if (parcel->err)
        c->error = *mu_error_last();
    if (parcel->err)
        return;
    if (!c->comm) {
        deliver_alone(c, parcel);
        return;
    }
    pthread_mutex_lock(&c->lock);
    parcel->pending = true;
    if (c->last)
        c->last->next = parcel;
    else
        c->first = parcel;
    c->last = parcel;
    if (c->busy_since == 0)
        c->busy_since = parcel->began;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* With the lock. */
static void wait_pending(mu_courier *c, const mu_parcel *parcel)
{
    double began = mu_clock();
    c->waited_for = true;
    pthread_cond_signal(&c->changed);
    while (parcel->pending) {
        if (c->threaded)
            pthread_cond_wait(&c->done, &c->lock);
        else
            round_trip(c);
    }
    c->waited_for = false;
    c->times.waited += mu_clock() - began;
}

mu_err mu_courier_wait(mu_courier *courier, mu_parcel *parcel)
{
    MU_DOING(courier->outer, "exchange");
    pthread_mutex_lock(&courier->lock);
    if (parcel->pending)
        wait_pending(courier, parcel);
    mu_err err = parcel->err;
    pthread_mutex_unlock(&courier->lock);
    if (err)
        MU_TRY(mu_error_restore(&courier->error));
    return MU_OK;
}

mu_courier_times mu_courier_take_times(mu_courier *courier)
{
    pthread_mutex_lock(&courier->lock);
    mu_courier_times times = courier->times;
    courier->times = (mu_courier_times){0};
    pthread_mutex_unlock(&courier->lock);
    return times;
}

#include "config.h" /* _GNU_SOURCE */

/* Parcels in host memory: a thread starts their collectives and sees them through, while the caller computes.
 *
 * Where the ranks of a node have no core to spare it sleeps between looks as long as the caller computes, and polls while the caller waits. Without
 * mu_comm.threads there is no thread: everything happens in wait. */
#include "parallel/courier_impl.h"

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

typedef struct {
    mu_courier base;
    mu_comm *comm; /* its own */
    mu_comm *flat; /* what a hierarchy rests on; NULL: it is none */
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
    mu_courier_times times;
    double busy_since; /* 0: nothing on its way */
} thread_courier;

/* ---- one parcel ---- */

static char *slice(const thread_courier *c, void *whole, const mu_parcel *p, mu_dtype dtype)
{
    return (char *)whole + (size_t)(p->count / c->comm->size * c->comm->rank) * mu_dtype_size(dtype);
}

static mu_err start_plain(thread_courier *c, slot *s)
{
    mu_parcel *p = s->parcel;
    int64_t share = p->count / c->comm->size;
    switch (p->kind) {
    case MU_PARCEL_REDUCE: return mu_comm_start_all_reduce(c->comm, p->data, p->count, p->dtype, MU_COMM_MEAN, &s->request);
    case MU_PARCEL_REDUCE_SCATTER:
        return mu_comm_start_reduce_scatter(c->comm, p->data, p->piece, share, p->dtype, MU_COMM_MEAN, &s->request);
    case MU_PARCEL_GATHER: return mu_comm_start_all_gather(c->comm, p->piece, p->data, share, p->dtype, &s->request);
    case MU_PARCEL_BROADCAST: return mu_comm_start_broadcast(c->comm, p->data, p->count, p->dtype, 0, &s->request);
    }
    return MU_FAIL(MU_ERR_INTERNAL, "a parcel of kind %d", (int)p->kind);
}

/* Sums travel: their mean is taken in the wider dtype, and rounded once. */
static mu_err start_narrow(thread_courier *c, slot *s)
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

static mu_err start(thread_courier *c, slot *s)
{
    return mu_parcel_is_narrow(s->parcel) ? start_narrow(c, s) : start_plain(c, s);
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

static void unpack(const thread_courier *c, const slot *s)
{
    mu_parcel *p = s->parcel;
    if (!mu_parcel_is_narrow(p))
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
static void finish(thread_courier *c, mu_parcel *p, mu_err err)
{
    double now = mu_clock();
    if (err && !c->broken) {
        c->broken = err;
        c->base.error = *mu_error_last();
        c->base.error.code = err;
    }
    p->err = err;
    p->ended = now;
    p->pending = false;
    c->times.bytes += p->count * (int64_t)mu_dtype_size(mu_parcel_is_narrow(p) ? p->wire : p->dtype);
    c->times.parcels++;
    pthread_cond_broadcast(&c->done);
}

/* With the lock, which is let go of meanwhile. What waits is put on its way; with a broken transport it is done. Did something happen? */
static bool start_waiting(thread_courier *c)
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
static bool look_after(thread_courier *c)
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
static bool round_trip(thread_courier *c)
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
static void pause_a_little(thread_courier *c, bool moved)
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
    thread_courier *c = user;
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

static mu_err start_thread(thread_courier *c)
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

static void close_thread(mu_courier *courier)
{
    thread_courier *c = (thread_courier *)courier;
    pthread_mutex_lock(&c->lock);
    while (c->comm && !c->threaded && (c->first || c->n_flying > 0))
        round_trip(c);
    c->closing = true;
    c->waited_for = true;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
    if (c->threaded)
        pthread_join(c->thread, NULL);
    for (int i = 0; i < MU_COMM_INFLIGHT; i++)
        mu_free(c->slots[i].wire);
    pthread_cond_destroy(&c->changed);
    pthread_cond_destroy(&c->done);
    pthread_mutex_destroy(&c->lock);
    mu_comm_release(c->comm);
    mu_comm_release(c->flat);
}

static mu_err prepare(mu_courier *courier, const mu_courier_options *options)
{
    thread_courier *c = (thread_courier *)courier;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, &monotonic);
    pthread_cond_init(&c->done, NULL);
    pthread_condattr_destroy(&monotonic);
    c->spare = has_spare_core(courier->outer, options->n_threads);
    for (int i = 0; i < MU_COMM_INFLIGHT && courier->wire_bytes; i++)
        MU_TRY(mu_alloc(&c->slots[i].wire, courier->wire_bytes));
    return MU_OK;
}

/* Collective. */
static mu_err open_comm(thread_courier *c, const mu_courier_options *options)
{
    mu_comm *comm = c->base.outer;
    MU_TRY(mu_comm_split(comm, 0, comm->rank, &c->comm));
    if (options->hierarchical) {
        c->flat = c->comm;
        c->comm = NULL;
        MU_TRY(mu_comm_hierarchy_new(c->flat, &c->comm));
    }
    MU_TRY(mu_comm_set_fixed_order(c->comm, options->fixed_order));
    return MU_OK;
}

static mu_err open_thread(mu_courier *courier, const mu_courier_options *options)
{
    thread_courier *c = (thread_courier *)courier;
    mu_comm *comm = courier->outer;
    MU_TRY(mu_comm_agree(comm, open_comm(c, options)));
    MU_TRY(mu_comm_agree(comm, comm->threads ? start_thread(c) : MU_OK));
    return MU_OK;
}

/* ---- sending and waiting ---- */

static void send_by_thread(mu_courier *courier, mu_parcel *parcel)
{
    thread_courier *c = (thread_courier *)courier;
    parcel->next = NULL;
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
static void wait_pending(thread_courier *c, const mu_parcel *parcel)
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

static mu_err wait_for_thread(mu_courier *courier, mu_parcel *parcel)
{
    thread_courier *c = (thread_courier *)courier;
    MU_DOING(courier->outer, "exchange");
    pthread_mutex_lock(&c->lock);
    if (parcel->pending)
        wait_pending(c, parcel);
    mu_err err = parcel->err;
    pthread_mutex_unlock(&c->lock);
    return err;
}

static mu_courier_times take_times(mu_courier *courier)
{
    thread_courier *c = (thread_courier *)courier;
    pthread_mutex_lock(&c->lock);
    mu_courier_times times = c->times;
    c->times = (mu_courier_times){0};
    pthread_mutex_unlock(&c->lock);
    return times;
}

const mu_courier_ops mu_courier_thread = {.size = sizeof(thread_courier), .prepare = prepare, .open = open_thread, .close = close_thread,
                                          .send = send_by_thread, .wait = wait_for_thread, .take_times = take_times};

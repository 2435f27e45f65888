#include "config.h" /* _GNU_SOURCE */

#include "parallel/guard.h"

#include "core/mem.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

enum { TICK_NS = 20000000, MOST = 8 };

struct mu_guard {
    mu_backend *backend;
    const mu_backend_ops *ops; /* the backend's own, whatever span is open */
    mu_comm *comm; /* its own */
    bool threaded;
    pthread_t thread;
    pthread_mutex_t lock; /* of all that follows, and of comm while there is a thread */
    pthread_cond_t closed;
    bool closing, gave_up, told;
    int heard; /* notes of others */
    mu_device_comm *comms[MOST];
    int n_comms;
};

/* With the lock. */
static void abort_all(mu_guard *g)
{
    g->gave_up = true;
    for (int i = 0; i < g->n_comms; i++)
        g->ops->comm_abort(g->backend, g->comms[i]);
}

/* With the lock. A failure of the transport is met by those who wait for it. */
static void listen_once(mu_guard *g)
{
    char note;
    int from = -1;
    if (mu_comm_poll(g->comm, &note, sizeof note, &from) != MU_OK)
        mu_error_clear();
    if (from < 0)
        return;
    g->heard++;
    if (!g->gave_up)
        abort_all(g);
}

static void *work(void *user)
{
    mu_guard *g = user;
    pthread_mutex_lock(&g->lock);
    while (!g->closing) {
        struct timespec until;
        listen_once(g);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TICK_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&g->closed, &g->lock, &until);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

static mu_err start_thread(mu_guard *g)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int status = pthread_create(&g->thread, NULL, work, g);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (status != 0)
        return MU_FAIL(MU_ERR_SYSTEM, "the thread that listens to other ranks cannot be started: %s", strerror(status));
    g->threaded = true;
    return MU_OK;
}

static mu_err make(mu_backend *backend, mu_guard **out)
{
    mu_guard *g;
    pthread_condattr_t monotonic;
    MU_TRY(mu_calloc(&g, 1, sizeof *g));
    g->backend = backend;
    g->ops = backend->ops;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->closed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *out = g;
    return MU_OK;
}

mu_err mu_guard_new(mu_comm *comm, mu_backend *backend, mu_guard **out)
{
    mu_guard *g = NULL;
    mu_err err = mu_comm_agree(comm, make(backend, &g));
    if (!err)
        err = mu_comm_agree(comm, mu_comm_split(comm, 0, comm->rank, &g->comm));
    if (!err)
        err = mu_comm_agree(comm, comm->threads ? start_thread(g) : MU_OK);
    if (err)
        mu_guard_release(g);
    else
        *out = g;
    MU_TRY(err);
    return MU_OK;
}

/* Collective. Every note has to be taken before the communicator ends. */
static void take_notes(mu_guard *g)
{
    int64_t told = g->told;
    if (!g->comm || mu_comm_all_reduce(g->comm, &told, 1, MU_I64, MU_COMM_SUM) != MU_OK)
        return;
    for (int64_t due = told - g->told; g->heard < due;) {
        char note;
        int from = -1;
        if (mu_comm_poll(g->comm, &note, sizeof note, &from) != MU_OK)
            return;
        g->heard += from >= 0;
    }
}

void mu_guard_release(mu_guard *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    g->closing = true;
    pthread_cond_signal(&g->closed);
    pthread_mutex_unlock(&g->lock);
    if (g->threaded) {
        pthread_join(g->thread, NULL);
        take_notes(g);
    }
    mu_comm_release(g->comm);
    pthread_cond_destroy(&g->closed);
    pthread_mutex_destroy(&g->lock);
    mu_free(g);
}

mu_err mu_guard_add(mu_guard *g, mu_device_comm *comm)
{
    if (g->n_comms == MOST)
        return MU_FAIL(MU_ERR_OVERFLOW, "more than %d communicators of devices", MOST);
    pthread_mutex_lock(&g->lock);
    g->comms[g->n_comms++] = comm;
    if (g->gave_up)
        g->ops->comm_abort(g->backend, comm);
    pthread_mutex_unlock(&g->lock);
    return MU_OK;
}

void mu_guard_remove(mu_guard *g, mu_device_comm *comm)
{
    pthread_mutex_lock(&g->lock);
    for (int i = 0; i < g->n_comms; i++)
        if (g->comms[i] == comm) {
            g->comms[i] = g->comms[--g->n_comms];
            break;
        }
    pthread_mutex_unlock(&g->lock);
}

void mu_guard_give_up(mu_guard *g)
{
    char note = 1;
    mu_error kept = *mu_error_last();
    pthread_mutex_lock(&g->lock);
    bool first = !g->gave_up;
    if (first) {
        g->told = g->threaded;
        for (int r = 0; r < g->comm->size && g->threaded; r++)
            if (r != g->comm->rank && mu_comm_post(g->comm, &note, sizeof note, r) != MU_OK)
                mu_error_clear();
        abort_all(g);
    }
    pthread_mutex_unlock(&g->lock);
    (void)mu_error_restore(&kept);
}

bool mu_guard_gave_up(mu_guard *g)
{
    pthread_mutex_lock(&g->lock);
    bool gave_up = g->gave_up;
    pthread_mutex_unlock(&g->lock);
    return gave_up;
}

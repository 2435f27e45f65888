#include "dist/delay.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

typedef struct {
    pthread_mutex_t lock;
    int users;
    double latency, per_byte; /* seconds */
    double free_at;           /* mu_clock */
} slow_link;

typedef struct {
    mu_comm base;
    mu_comm *inner;
    slow_link *link;
} delay_comm;

static delay_comm *delay_of(mu_comm *comm)
{
    return (delay_comm *)comm;
}

/* When what starts now will have passed. */
static double book(mu_comm *comm, size_t bytes)
{
    slow_link *link = delay_of(comm)->link;
    if (comm->size == 1)
        return 0;
    pthread_mutex_lock(&link->lock);
    double now = mu_clock();
    link->free_at = (link->free_at > now ? link->free_at : now) + link->latency + (double)bytes * link->per_byte;
    double due = link->free_at;
    pthread_mutex_unlock(&link->lock);
    return due;
}

static void sleep_until(double due)
{
    for (double left; (left = due - mu_clock()) > 0;) {
        struct timespec t = {.tv_sec = (time_t)left, .tv_nsec = (long)((left - floor(left)) * 1e9)};
        nanosleep(&t, NULL);
    }
}

/* The bytes of all ranks, where each has so many. */
static size_t of_all(const mu_comm *comm, size_t bytes)
{
    return bytes * (size_t)comm->size;
}

#define SLOWLY(bytes, expr)                                                                                            \
    do {                                                                                                               \
        mu_comm *inner = delay_of(comm)->inner;                                                                        \
        inner->chunk = comm->chunk;                                                                                    \
        double due = book(comm, (bytes));                                                                              \
        MU_TRY(inner->ops->expr);                                                                                      \
        sleep_until(due);                                                                                              \
        return MU_OK;                                                                                                  \
    } while (0)

static mu_err delay_barrier(mu_comm *comm)
{
    SLOWLY(0, barrier(inner));
}

static mu_err delay_broadcast(mu_comm *comm, void *data, size_t size, int root)
{
    SLOWLY(size, broadcast(inner, data, size, root));
}

static mu_err delay_all_reduce(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, mu_comm_op op)
{
    SLOWLY((size_t)count * mu_dtype_size(dtype), all_reduce(inner, data, count, dtype, op));
}

static mu_err delay_all_gather(mu_comm *comm, const void *send, size_t size, void *recv)
{
    SLOWLY(of_all(comm, size), all_gather(inner, send, size, recv));
}

static mu_err delay_gather(mu_comm *comm, const void *send, size_t size, void *recv, int root)
{
    SLOWLY(of_all(comm, size), gather(inner, send, size, recv, root));
}

static mu_err delay_all_gather_bytes(mu_comm *comm, const void *send, size_t size, void *recv, const size_t *sizes)
{
    SLOWLY(of_all(comm, size), all_gather_bytes(inner, send, size, recv, sizes));
}

static mu_err delay_gather_bytes(mu_comm *comm, const void *send, size_t size, void *recv, const size_t *sizes,
                                 int root)
{
    SLOWLY(of_all(comm, size), gather_bytes(inner, send, size, recv, sizes, root));
}

static mu_err delay_start(mu_comm *comm, mu_request *request)
{
    mu_comm *inner = delay_of(comm)->inner;
    size_t bytes = (size_t)request->count * mu_dtype_size(request->dtype);
    bool slices = request->kind == MU_REQUEST_REDUCE_SCATTER || request->kind == MU_REQUEST_ALL_GATHER;
    inner->chunk = comm->chunk;
    double due = book(comm, slices ? of_all(comm, bytes) : bytes);
    MU_TRY(inner->ops->start(inner, request));
    request->due = due;
    return MU_OK;
}

static mu_err delay_wait(mu_comm *comm, mu_request *request)
{
    mu_comm *inner = delay_of(comm)->inner;
    MU_TRY(inner->ops->wait(inner, request));
    sleep_until(request->due);
    return MU_OK;
}

static mu_err delay_test(mu_comm *comm, mu_request *request, bool *done)
{
    mu_comm *inner = delay_of(comm)->inner;
    MU_TRY(inner->ops->test(inner, request, done));
    *done &= request->due <= mu_clock();
    return MU_OK;
}

static mu_err delay_set_fixed_order(mu_comm *comm, bool on)
{
    SLOWLY(0, set_fixed_order(inner, on));
}

/* Notes are for what goes wrong, and are not slowed down. */
static mu_err delay_post(mu_comm *comm, const void *note, size_t size, int to)
{
    return mu_comm_post(delay_of(comm)->inner, note, size, to);
}

static mu_err delay_poll(mu_comm *comm, void *note, size_t size, int *from)
{
    return mu_comm_poll(delay_of(comm)->inner, note, size, from);
}

static void delay_abort_all(mu_comm *comm, int status)
{
    mu_comm_abort(delay_of(comm)->inner, status);
}

static void link_release(slow_link *link)
{
    if (!link)
        return;
    pthread_mutex_lock(&link->lock);
    int left = --link->users;
    pthread_mutex_unlock(&link->lock);
    if (left > 0)
        return;
    pthread_mutex_destroy(&link->lock);
    mu_free(link);
}

static void delay_release(mu_comm *comm)
{
    link_release(delay_of(comm)->link);
    mu_comm_release(delay_of(comm)->inner);
    mu_free(comm);
}

static mu_err delay_split(mu_comm *comm, int color, int key, mu_comm **out);

static const mu_comm_ops delay_ops = {
    .name = "delay",
    .release = delay_release,
    .barrier = delay_barrier,
    .broadcast = delay_broadcast,
    .all_reduce = delay_all_reduce,
    .all_gather = delay_all_gather,
    .gather = delay_gather,
    .all_gather_bytes = delay_all_gather_bytes,
    .gather_bytes = delay_gather_bytes,
    .start = delay_start,
    .wait = delay_wait,
    .test = delay_test,
    .split = delay_split,
    .set_fixed_order = delay_set_fixed_order,
    .post = delay_post,
    .poll = delay_poll,
    .abort_all = delay_abort_all,
};

/* Takes both over. */
static void wrap(delay_comm *self, mu_comm *inner, slow_link *link)
{
    *self = (delay_comm){.inner = inner, .link = link};
    self->base = (mu_comm){.ops = &delay_ops,
                           .rank = inner->rank,
                           .size = inner->size,
                           .local_rank = inner->local_rank,
                           .local_size = inner->local_size,
                           .node = inner->node,
                           .threads = inner->threads,
                           .chunk = inner->chunk};
}

static mu_err delay_split(mu_comm *comm, int color, int key, mu_comm **out)
{
    delay_comm *self = delay_of(comm), *part = NULL;
    mu_comm *inner = NULL;
    mu_err err = color < 0 ? MU_OK : mu_calloc(&part, 1, sizeof *part);
    self->inner->chunk = comm->chunk;
    MU_TRY_GOTO(err, mu_comm_agree(self->inner, err), failed);
    MU_TRY_GOTO(err, mu_comm_split(self->inner, color, key, &inner), failed);
    if (part) {
        pthread_mutex_lock(&self->link->lock);
        self->link->users++;
        pthread_mutex_unlock(&self->link->lock);
        wrap(part, inner, self->link);
        *out = &part->base;
    }
    return MU_OK;
failed:
    mu_free(part);
    return err;
}

mu_err mu_comm_delay_new(mu_comm *inner, double latency, double per_mib, mu_comm **out)
{
    delay_comm *self = NULL;
    slow_link *link = NULL;
    mu_err err;
    if (!(latency >= 0) || !(per_mib >= 0) || isinf(latency) || isinf(per_mib))
        return MU_FAIL(MU_ERR_USAGE, "delay of %g s and %g s a MiB: expected 0 or more", latency, per_mib);
    MU_TRY_GOTO(err, mu_calloc(&self, 1, sizeof *self), failed);
    MU_TRY_GOTO(err, mu_calloc(&link, 1, sizeof *link), failed);
    link->users = 1;
    link->latency = latency;
    link->per_byte = per_mib / (1 << 20);
    if (pthread_mutex_init(&link->lock, NULL) != 0) {
        err = MU_FAIL(MU_ERR_SYSTEM, "a mutex could not be made");
        goto failed;
    }
    wrap(self, inner, link);
    *out = &self->base;
    return MU_OK;
failed:
    mu_free(link);
    mu_free(self);
    return err;
}

static mu_err parse(const char *text, double *latency, double *per_mib)
{
    char *end;
    double first = strtod(text, &end), second = 0;
    bool good = end != text;
    if (good && *end == ',') {
        const char *rest = end + 1;
        second = strtod(rest, &end);
        good = end != rest;
    }
    if (!good || *end || !(first >= 0) || !(second >= 0) || isinf(first) || isinf(second))
        return MU_FAIL(
            MU_ERR_USAGE,
            "MUSTER_COMM_DELAY: \"%s\": expected MICROSECONDS or MICROSECONDS,MICROSECONDS_PER_MIB, such as 50,1000",
            text);
    *latency = first * 1e-6;
    *per_mib = second * 1e-6;
    return MU_OK;
}

mu_err mu_comm_delay_from_environment(mu_comm **comm)
{
    const char *text = getenv("MUSTER_COMM_DELAY");
    double latency = 0, per_mib = 0;
    mu_comm *slow = NULL, *inner = *comm;
    mu_err err = text && *text ? parse(text, &latency, &per_mib) : MU_OK;
    if (err == MU_OK && (latency > 0 || per_mib > 0))
        err = mu_comm_delay_new(inner, latency, per_mib, &slow);
    err = mu_comm_agree(inner, err);
    if (err != MU_OK && slow) {
        delay_of(slow)->inner = NULL;
        mu_comm_release(slow);
    }
    MU_TRY(err);
    if (!slow)
        return MU_OK;
    if (inner->rank == 0)
        MU_WARN("dist", "MUSTER_COMM_DELAY=%s: the network is slowed down by %g us, and %g us a MiB", text,
                latency * 1e6, per_mib * 1e6);
    *comm = slow;
    return MU_OK;
}

/* A transport of one process, for tests: the other ranks send what this one sends, plus their number. Requests are done after a number of looks, in any
 * order; it can be told to fail. It says in which order things were begun. */
#ifndef MU_TESTS_PARALLEL_FAKE_COMM_H
#define MU_TESTS_PARALLEL_FAKE_COMM_H

#include "core/mem.h"
#include "dist/comm.h"

#include <pthread.h>
#include <stdatomic.h>

enum { FAKE_LOG = 256 };

/* Shared by a communicator and those that are split from it. The counts are read when nothing is on its way. */
typedef struct {
    int users;
    atomic_int in_flight, most, started, threads_seen;
    const void *began[FAKE_LOG]; /* what was started, in order */
    int looks;                   /* of a request before it is done; odd ones take twice as long */
    int fail_start, fail_test;   /* the how many-th fails; 0: none */
    int tests;
    pthread_t driver; /* who started the last */
} fake_net;

typedef struct {
    mu_comm base;
    fake_net *net;
} fake_comm;

static inline mu_err fake_comm_new(fake_net *net, int rank, int size, bool threads, mu_comm **out);

static inline double fake_get(const void *data, mu_dtype dtype, int64_t i)
{
    double x;
    mu_convert(&x, MU_F64, (const char *)data + (size_t)i * mu_dtype_size(dtype), dtype, 1);
    return x;
}

static inline void fake_set(void *data, mu_dtype dtype, int64_t i, double x)
{
    mu_convert((char *)data + (size_t)i * mu_dtype_size(dtype), dtype, &x, MU_F64, 1);
}

static inline void fake_release(mu_comm *comm)
{
    ((fake_comm *)comm)->net->users--;
    mu_free(comm);
}

/* What an agreement needs: the other ranks say the same. */
static inline mu_err fake_same(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, mu_comm_op op)
{
    (void)comm, (void)data, (void)count, (void)dtype, (void)op;
    return MU_OK;
}

static inline mu_err fake_broadcast(mu_comm *comm, void *data, size_t size, int root)
{
    (void)comm, (void)data, (void)size, (void)root;
    return MU_OK;
}

static inline mu_err fake_start(mu_comm *comm, mu_request *r)
{
    fake_net *net = ((fake_comm *)comm)->net;
    int n = atomic_fetch_add(&net->started, 1);
    if (net->fail_start && n + 1 == net->fail_start)
        return MU_FAIL(MU_ERR_COMM, "the cable is cut");
    if (n < FAKE_LOG)
        net->began[n] = r->kind == MU_REQUEST_ALL_REDUCE ? r->data : r->kind == MU_REQUEST_ALL_GATHER ? r->data : r->send;
    net->driver = pthread_self();
    int flying = atomic_fetch_add(&net->in_flight, 1) + 1;
    if (flying > atomic_load(&net->most))
        atomic_store(&net->most, flying);
    r->n_handles = net->looks * (n % 2 ? 2 : 1);
    return MU_OK;
}

static inline void fake_arrive(const mu_comm *comm, const mu_request *r)
{
    int64_t own = r->count * comm->rank;
    for (int64_t i = 0; i < r->count; i++) {
        double sum = 0, x;
        switch (r->kind) {
        case MU_REQUEST_ALL_REDUCE:
        case MU_REQUEST_REDUCE_SCATTER:
            x = r->kind == MU_REQUEST_ALL_REDUCE ? fake_get(r->data, r->dtype, i) : fake_get(r->send, r->dtype, own + i);
            for (int rank = 0; rank < comm->size; rank++)
                sum += x + (rank - comm->rank);
            fake_set(r->data, r->dtype, i, sum);
            break;
        case MU_REQUEST_ALL_GATHER:
            x = fake_get(r->send, r->dtype, i);
            for (int rank = 0; rank < comm->size; rank++)
                fake_set(r->data, r->dtype, rank * r->count + i, x + (rank - comm->rank));
            break;
        case MU_REQUEST_BROADCAST: break;
        }
    }
}

static inline mu_err fake_test(mu_comm *comm, mu_request *r, bool *done)
{
    fake_net *net = ((fake_comm *)comm)->net;
    if (net->fail_test && ++net->tests == net->fail_test)
        return MU_FAIL(MU_ERR_COMM, "the peer has gone");
    *done = --r->n_handles < 0;
    if (*done) {
        fake_arrive(comm, r);
        atomic_fetch_sub(&net->in_flight, 1);
    }
    return MU_OK;
}

static inline mu_err fake_wait(mu_comm *comm, mu_request *r)
{
    bool done = false;
    while (!done)
        MU_TRY(fake_test(comm, r, &done));
    return MU_OK;
}

static inline mu_err fake_split(mu_comm *comm, int color, int key, mu_comm **out)
{
    (void)color, (void)key;
    MU_TRY(fake_comm_new(((fake_comm *)comm)->net, comm->rank, comm->size, comm->threads, out));
    return MU_OK;
}

static inline mu_err fake_set_fixed_order(mu_comm *comm, bool on)
{
    (void)comm, (void)on;
    return MU_OK;
}

static inline mu_err fake_comm_new(fake_net *net, int rank, int size, bool threads, mu_comm **out)
{
    static const mu_comm_ops ops = {.name = "fake", .release = fake_release, .broadcast = fake_broadcast, .all_reduce = fake_same, .start = fake_start,
                                    .wait = fake_wait, .test = fake_test, .split = fake_split,
                                    .set_fixed_order = fake_set_fixed_order};
    fake_comm *comm;
    MU_TRY(mu_calloc(&comm, 1, sizeof *comm));
    comm->base = (mu_comm){.ops = &ops, .rank = rank, .size = size, .local_rank = rank, .local_size = size, .threads = threads,
                           .chunk = INT64_MAX};
    comm->net = net;
    net->users++;
    *out = &comm->base;
    return MU_OK;
}

#endif

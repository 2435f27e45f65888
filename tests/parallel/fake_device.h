/* Makes a device of a host backend, for tests: memory that callers may not touch, lanes, and collectives by mu_comm. Those in MU_LANE_RANKS begin only
 * when somebody follows them, or waits: what looks too early sees that nothing has arrived. */
#ifndef MU_TESTS_PARALLEL_FAKE_DEVICE_H
#define MU_TESTS_PARALLEL_FAKE_DEVICE_H

#include "backend.h"
#include "core/mem.h"
#include "dist/comm.h"

#include <stdio.h>

enum { FAKE_LANE = 512, FAKE_WORDS = 4096 };

struct mu_device_comm {
    mu_comm *comm; /* borrowed */
    _Atomic bool aborted;
};

struct mu_mark {
    int64_t at; /* collectives of MU_LANE_RANKS before it */
};

typedef struct {
    mu_backend_ops ops; /* first: the backend's table */
    const mu_backend_ops *host;
    struct {
        mu_device_comm *comm;
        mu_collective what;
    } lane[FAKE_LANE];
    int64_t begun, done; /* of MU_LANE_RANKS */
    mu_err failed;
    int uploads, downloads, collects, open_comms;
    _Atomic int aborts;
    int fail_collect; /* the how many-th fails; 0: none */
    bool fail_late;   /* as comm_check tells */
    bool lost;        /* every call fails */
    char words[FAKE_WORDS]; /* what was asked for: "mark 0, follow 3, collect 3, " */
} fake_device;

static inline fake_device *fake_device_of(mu_backend *backend)
{
    return (fake_device *)backend->ops;
}

static inline void fake_say(fake_device *d, const char *word, int lane)
{
    size_t n = strlen(d->words);
    (void)snprintf(d->words + n, sizeof d->words - n, "%s %d, ", word, lane);
}

static inline mu_err fake_device_upload(mu_backend *backend, void *to, const void *from, size_t bytes)
{
    fake_device_of(backend)->uploads++;
    return fake_device_of(backend)->host->upload(backend, to, from, bytes);
}

static inline mu_err fake_device_download(mu_backend *backend, void *to, const void *from, size_t bytes)
{
    fake_device_of(backend)->downloads++;
    return fake_device_of(backend)->host->download(backend, to, from, bytes);
}

static inline mu_err fake_device_copy(mu_backend *backend, mu_lane lane, void *to, const void *from, size_t bytes)
{
    (void)backend, (void)lane;
    memmove(to, from, bytes);
    return MU_OK;
}

static inline mu_err fake_exchange(mu_comm *comm, const mu_collective *w)
{
    mu_request request = {0};
    switch (w->kind) {
    case MU_REQUEST_ALL_REDUCE: MU_TRY(mu_comm_start_all_reduce(comm, w->data, w->count, w->dtype, w->op, &request)); break;
    case MU_REQUEST_REDUCE_SCATTER:
        MU_TRY(mu_comm_start_reduce_scatter(comm, w->send, w->data, w->count, w->dtype, w->op, &request));
        break;
    case MU_REQUEST_ALL_GATHER: MU_TRY(mu_comm_start_all_gather(comm, w->send, w->data, w->count, w->dtype, &request)); break;
    case MU_REQUEST_BROADCAST: MU_TRY(mu_comm_start_broadcast(comm, w->data, w->count, w->dtype, w->root, &request)); break;
    }
    MU_TRY(mu_request_wait(&request));
    return MU_OK;
}

static inline mu_err fake_pass(fake_device *d, int64_t to)
{
    for (; d->done < to; d->done++) {
        mu_device_comm *comm = d->lane[d->done % FAKE_LANE].comm;
        if (!comm->aborted)
            MU_TRY(fake_exchange(comm->comm, &d->lane[d->done % FAKE_LANE].what));
    }
    return MU_OK;
}

static inline mu_err fake_mark_new(mu_backend *backend, mu_mark **out)
{
    (void)backend;
    MU_TRY(mu_calloc(out, 1, sizeof **out));
    return MU_OK;
}

static inline void fake_mark_release(mu_backend *backend, mu_mark *mark)
{
    (void)backend;
    mu_free(mark);
}

/* The other lanes are where they were told to be at once. */
static inline mu_err fake_mark(mu_backend *backend, mu_mark *mark, mu_lane lane)
{
    fake_device *d = fake_device_of(backend);
    fake_say(d, "mark", (int)lane);
    if (d->lost)
        return MU_FAIL(MU_ERR_BACKEND, "the device is lost");
    mark->at = lane == MU_LANE_RANKS ? d->begun : 0;
    return MU_OK;
}

static inline mu_err fake_follow(mu_backend *backend, mu_lane lane, const mu_mark *mark)
{
    fake_device *d = fake_device_of(backend);
    fake_say(d, "follow", (int)lane);
    if (lane != MU_LANE_RANKS)
        MU_TRY(fake_pass(d, mark->at));
    return MU_OK;
}

static inline mu_err fake_mark_wait(mu_backend *backend, const mu_mark *mark)
{
    return fake_pass(fake_device_of(backend), mark->at);
}

static inline mu_err fake_passed(mu_backend *backend, const mu_mark *mark, bool *out)
{
    *out = fake_device_of(backend)->done >= mark->at;
    return MU_OK;
}

static inline mu_err fake_synchronize(mu_backend *backend)
{
    return fake_pass(fake_device_of(backend), fake_device_of(backend)->begun);
}

static inline mu_err fake_comm_open(mu_backend *backend, mu_comm *comm, mu_device_comm **out)
{
    mu_device_comm *made = NULL;
    mu_err err = mu_calloc(&made, 1, sizeof *made);
    err = mu_comm_agree(comm, err);
    if (err) {
        mu_free(made);
        return err;
    }
    made->comm = comm;
    fake_device_of(backend)->open_comms++;
    *out = made;
    return MU_OK;
}

static inline void fake_comm_close(mu_backend *backend, mu_device_comm *comm)
{
    fake_device_of(backend)->open_comms -= comm != NULL;
    mu_free(comm);
}

static inline mu_err fake_collect(mu_backend *backend, mu_device_comm *comm, mu_lane lane, const mu_collective *what)
{
    fake_device *d = fake_device_of(backend);
    fake_say(d, "collect", (int)lane);
    if (++d->collects == d->fail_collect || comm->aborted)
        return MU_FAIL(MU_ERR_BACKEND, "the device is lost");
    if (lane != MU_LANE_RANKS)
        return fake_exchange(comm->comm, what);
    if (d->begun - d->done == FAKE_LANE)
        MU_TRY(fake_pass(d, d->done + 1));
    d->lane[d->begun % FAKE_LANE].comm = comm;
    d->lane[d->begun++ % FAKE_LANE].what = *what;
    return MU_OK;
}

static inline mu_err fake_comm_check(mu_backend *backend, mu_device_comm *comm)
{
    if (comm->aborted || fake_device_of(backend)->fail_late)
        return MU_FAIL(MU_ERR_COMM, "the other device has gone");
    return MU_OK;
}

static inline void fake_comm_abort(mu_backend *backend, mu_device_comm *comm)
{
    fake_device_of(backend)->aborts++;
    comm->aborted = true;
}

/* `device` outlives the backend's closing. */
static inline void fake_device_make(mu_backend *backend, fake_device *device)
{
    *device = (fake_device){.ops = *backend->ops, .host = backend->ops};
    mu_backend_ops *o = &device->ops;
    o->name = "fake";
    o->upload = fake_device_upload;
    o->download = fake_device_download;
    o->synchronize = fake_synchronize;
    o->mark_new = fake_mark_new;
    o->mark_release = fake_mark_release;
    o->mark = fake_mark;
    o->follow = fake_follow;
    o->wait = fake_mark_wait;
    o->passed = fake_passed;
    o->copy = fake_device_copy;
    o->comm_open = fake_comm_open;
    o->comm_close = fake_comm_close;
    o->collect = fake_collect;
    o->comm_check = fake_comm_check;
    o->comm_abort = fake_comm_abort;
    backend->ops = o;
    backend->host_memory = false;
}

#endif

#include "backend/feed.h"

#include "backend/holders.h"
#include "backend/lanes.h"
#include "core/mem.h"

enum { N_TURNS = 2 };

typedef struct {
    char *host, *landing; /* landing: NULL without lanes, as are the marks */
    mu_mark *landed;      /* in lane IN: the host slot may be filled again */
    mu_mark *read;        /* in lane KERNELS: the landing block may be written again */
} turn;

struct mu_feed {
    mu_backend *backend; /* borrowed */
    size_t bytes;
    turn turns[N_TURNS];
    int at;
};

/* The landing block is there from where the kernels are now. */
static mu_err make_landing(mu_feed *feed, turn *t)
{
    mu_backend *backend = feed->backend;
    MU_TRY(backend->ops->mark_new(backend, &t->landed));
    MU_TRY(backend->ops->mark_new(backend, &t->read));
    MU_TRY(mu_backend_alloc(backend, feed->bytes, "inputs on their way", (void **)&t->landing));
    MU_TRY(backend->ops->mark(backend, t->read, MU_LANE_KERNELS));
    return MU_OK;
}

static mu_err make(mu_feed *feed)
{
    for (int i = 0; i < N_TURNS; i++) {
        turn *t = &feed->turns[i];
        MU_TRY(mu_host_room_new(feed->backend, feed->bytes, (void **)&t->host));
        memset(t->host, 0, feed->bytes);
        if (mu_backend_has_lanes(feed->backend))
            MU_TRY(make_landing(feed, t));
    }
    return MU_OK;
}

mu_err mu_feed_new(mu_backend *backend, size_t bytes, mu_feed **out)
{
    mu_feed *feed;
    MU_TRY(mu_calloc(&feed, 1, sizeof *feed));
    feed->backend = backend;
    feed->bytes = bytes;
    mu_err err = make(feed);
    if (err)
        mu_feed_release(feed);
    else
        *out = feed;
    return err;
}

/* Copies on their way end before the memory goes that they read. */
static void turn_release(mu_backend *backend, turn *t)
{
    if (t->landed)
        (void)backend->ops->wait(backend, t->landed);
    if (t->landed)
        backend->ops->mark_release(backend, t->landed);
    if (t->read)
        backend->ops->mark_release(backend, t->read);
    if (t->landing)
        backend->ops->dealloc(backend, t->landing);
    mu_host_room_release(backend, t->host);
}

void mu_feed_release(mu_feed *feed)
{
    if (!feed)
        return;
    mu_error kept = *mu_error_last();
    for (int i = 0; i < N_TURNS; i++)
        turn_release(feed->backend, &feed->turns[i]);
    mu_error_restore(&kept);
    mu_free(feed);
}

mu_err mu_feed_slot(mu_feed *feed, void **out)
{
    const turn *t = &feed->turns[feed->at];
    if (t->landed)
        MU_TRY(feed->backend->ops->wait(feed->backend, t->landed));
    *out = t->host;
    return MU_OK;
}

mu_err mu_feed_wait(mu_feed *feed)
{
    for (int i = 0; i < N_TURNS; i++)
        if (feed->turns[i].landed)
            MU_TRY(feed->backend->ops->wait(feed->backend, feed->turns[i].landed));
    return MU_OK;
}

static const char *source(const turn *t, const mu_feed_range *range)
{
    return range->from ? range->from : t->host + range->offset;
}

/* Bytes that go in one copy, and how many ranges these are. `host`: from it, else from the landing block, where all are. */
static size_t neighbours(const turn *t, bool host, const mu_feed_range *range, size_t n, size_t *taken)
{
    size_t bytes = range[0].bytes, i = 1;
    for (; i < n && range[i].offset == range[0].offset + bytes; i++) {
        if (host && (!range[i].from != !range[0].from || source(t, &range[i]) != source(t, &range[0]) + bytes))
            break;
        bytes += range[i].bytes;
    }
    *taken = i;
    return bytes;
}

/* Between the marks, which then say the same as before if this fails. */
static mu_err land(mu_feed *feed, turn *t, char *device, const mu_feed_range *range, size_t n)
{
    mu_backend *backend = feed->backend;
    MU_TRY(backend->ops->follow(backend, MU_LANE_IN, t->read));
    for (size_t i = 0, taken; i < n; i += taken) {
        size_t bytes = neighbours(t, true, &range[i], n - i, &taken);
        MU_TRY(backend->ops->copy(backend, MU_LANE_IN, t->landing + range[i].offset, source(t, &range[i]), bytes));
    }
    MU_TRY(backend->ops->mark(backend, t->landed, MU_LANE_IN));
    MU_TRY(backend->ops->follow(backend, MU_LANE_KERNELS, t->landed));
    for (size_t i = 0, taken; i < n; i += taken) {
        size_t bytes = neighbours(t, false, &range[i], n - i, &taken);
        MU_TRY(backend->ops->copy(backend, MU_LANE_KERNELS, device + range[i].offset, t->landing + range[i].offset, bytes));
    }
    MU_TRY(backend->ops->mark(backend, t->read, MU_LANE_KERNELS));
    return MU_OK;
}

static mu_err upload(mu_feed *feed, const turn *t, char *device, const mu_feed_range *range, size_t n)
{
    mu_backend *backend = feed->backend;
    for (size_t i = 0, taken; i < n; i += taken) {
        size_t bytes = neighbours(t, true, &range[i], n - i, &taken);
        MU_TRY(backend->ops->upload(backend, device + range[i].offset, source(t, &range[i]), bytes));
    }
    return MU_OK;
}

mu_err mu_feed_send_ranges(mu_feed *feed, void *device, const mu_feed_range *range, size_t n)
{
    turn *t = &feed->turns[feed->at];
    for (size_t i = 0; i < n; i++)
        if (range[i].offset > feed->bytes || range[i].bytes > feed->bytes - range[i].offset)
            return MU_FAIL(MU_ERR_USAGE, "%zu bytes at %zu are not in a slot of %zu", range[i].bytes, range[i].offset,
                           feed->bytes);
    MU_TRY(t->landing ? land(feed, t, device, range, n) : upload(feed, t, device, range, n));
    feed->at = (feed->at + 1) % N_TURNS;
    return MU_OK;
}

mu_err mu_feed_send(mu_feed *feed, void *device)
{
    mu_feed_range all = {.bytes = feed->bytes};
    MU_TRY(mu_feed_send_ranges(feed, device, &all, 1));
    return MU_OK;
}

#include "backend/readback.h"

#include "backend/lanes.h"
#include "core/mem.h"

typedef struct {
    int64_t tag;
    mu_mark *mark; /* behind the copies; NULL: the bytes are there when they have been asked for */
} slot;

struct mu_readback {
    mu_backend *backend; /* borrowed */
    size_t bytes, step;  /* step: from slot to slot in `room` */
    int depth, first, pending;
    slot *slots; /* [depth] a ring; `pending` of them from `first` on */
    char *room;  /* pinned where there is such */
};

static char *bytes_of(const mu_readback *r, int i)
{
    return r->room + (size_t)i * r->step;
}

static mu_err make(mu_readback *r)
{
    mu_backend *backend = r->backend;
    size_t total;
    MU_TRY(mu_mul_size(r->step, (size_t)r->depth, &total));
    MU_TRY(mu_calloc(&r->slots, (size_t)r->depth, sizeof *r->slots));
    MU_TRY(mu_host_room_new(backend, total, (void **)&r->room));
    for (int i = 0; i < r->depth && mu_backend_has_lanes(backend); i++)
        MU_TRY(backend->ops->mark_new(backend, &r->slots[i].mark));
    return MU_OK;
}

mu_err mu_readback_new(mu_backend *backend, size_t bytes, int depth, mu_readback **out)
{
    mu_readback *r;
    if (depth < 1)
        return MU_FAIL(MU_ERR_USAGE, "%d numbers cannot be on their way", depth);
    MU_TRY(mu_calloc(&r, 1, sizeof *r));
    r->backend = backend;
    r->bytes = bytes;
    r->step = bytes ? mu_align_up(bytes) : MU_ALIGN;
    r->depth = depth;
    mu_err err = make(r);
    if (err)
        mu_readback_release(r);
    else
        *out = r;
    return err;
}

/* Copies on their way end before the memory goes that they write to. */
void mu_readback_release(mu_readback *r)
{
    if (!r)
        return;
    mu_error kept = *mu_error_last();
    for (int i = 0; i < r->depth && r->slots; i++) {
        mu_mark *mark = r->slots[i].mark;
        if (mark && r->pending > 0)
            (void)r->backend->ops->wait(r->backend, mark);
        if (mark)
            r->backend->ops->mark_release(r->backend, mark);
    }
    mu_error_restore(&kept);
    mu_host_room_release(r->backend, r->room);
    mu_free(r->slots);
    mu_free(r);
}

static mu_err fetch(const mu_readback *r, char *to, const mu_span *span, bool late)
{
    mu_backend *backend = r->backend;
    if (!span->bytes)
        return MU_OK;
    if (backend->host_memory)
        memcpy(to, span->device, span->bytes);
    else if (late)
        MU_TRY(backend->ops->copy(backend, MU_LANE_KERNELS, to, span->device, span->bytes));
    else
        MU_TRY(backend->ops->download(backend, to, span->device, span->bytes));
    return MU_OK;
}

mu_err mu_readback_post(mu_readback *r, const mu_span *span, int n, int64_t tag)
{
    int at = (r->first + r->pending) % r->depth;
    slot *s = &r->slots[at];
    size_t left = r->bytes;
    if (r->pending == r->depth)
        return MU_FAIL(MU_ERR_USAGE, "all %d places for numbers on their way are taken: mu_readback_take comes first",
                       r->depth);
    for (int i = 0; i < n; i++) {
        if (span[i].bytes > left)
            return MU_FAIL(MU_ERR_USAGE, "there is room for %zu bytes from the device, and more are wanted", r->bytes);
        MU_TRY(fetch(r, bytes_of(r, at) + (r->bytes - left), &span[i], s->mark != NULL));
        left -= span[i].bytes;
    }
    if (s->mark)
        MU_TRY(r->backend->ops->mark(r->backend, s->mark, MU_LANE_KERNELS));
    s->tag = tag;
    r->pending++;
    return MU_OK;
}

mu_err mu_readback_take(mu_readback *r, bool wait, int64_t *tag, const void **out)
{
    const slot *s = &r->slots[r->first];
    bool there = r->pending > 0;
    *out = NULL;
    if (there && s->mark && wait)
        MU_TRY(r->backend->ops->wait(r->backend, s->mark));
    else if (there && s->mark)
        MU_TRY(r->backend->ops->passed(r->backend, s->mark, &there));
    if (!there)
        return MU_OK;
    *tag = s->tag;
    *out = bytes_of(r, r->first);
    r->first = (r->first + 1) % r->depth;
    r->pending--;
    return MU_OK;
}

int mu_readback_pending(const mu_readback *r)
{
    return r->pending;
}

#include "backend/repeat.h"

#include "backend/lanes.h"
#include "backend/orders.h"
#include "core/log.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TRACES = 4, TURNS = 8, MOST_UPLOADED = 64 << 10 };

/* Orders that came in a span, and their recording once they have come twice. */
typedef struct {
    mu_orders orders;
    mu_recording *recording; /* NULL: none yet */
    bool hopeless;           /* it cannot be recorded */
    char *mail;              /* pinned, TURNS * stride bytes: what is uploaded, by turns */
    char *counts;            /* on the device */
    size_t stride;
    mu_mark *given[TURNS]; /* behind the replay of that turn */
    int64_t n_given;       /* replays */
    int64_t used;          /* the span it was part of last */
} trace;

struct mu_repeat {
    mu_backend *backend;
    const mu_backend_ops *ops; /* its own; NULL: it has no recordings */
    mu_backend_ops listening;  /* in a span: as its own, and every order is noted */
    trace *traces[MAX_TRACES];
    int n_traces;
    int64_t n_spans, n_unbound;
    mu_repeat_stats stats;
    /* of the span that is open */
    bool open;
    trace *trace;      /* whose first `at` orders were held back; NULL: orders are given at once */
    size_t at;
    mu_orders noted; /* what was given */
    bool other;      /* something was asked for that cannot be repeated */
};

/* ---- traces ---- */

static void trace_release(mu_repeat *r, trace *s)
{
    const mu_backend_ops *ops = r->ops;
    for (int i = 0; i < TURNS; i++) {
        if (s->given[i] && s->n_given)
            (void)ops->wait(r->backend, s->given[i]);
        if (s->given[i])
            ops->mark_release(r->backend, s->given[i]);
    }
    ops->recording_release(r->backend, s->recording);
    if (s->counts)
        ops->dealloc(r->backend, s->counts);
    mu_host_room_release(r->backend, s->mail);
    mu_orders_release(&s->orders);
    mu_free(s);
}

static void forget_traces(mu_repeat *r)
{
    mu_error kept = *mu_error_last();
    for (int i = 0; i < r->n_traces; i++)
        trace_release(r, r->traces[i]);
    r->n_traces = 0;
    mu_error_restore(&kept);
}

static char *mail_of(const trace *s)
{
    return s->mail + (size_t)(s->n_given % TURNS) * s->stride;
}

static bool equal(const mu_orders *a, const mu_orders *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!mu_order_equal(&a->order[i], &b->order[i]))
            return false;
    return true;
}

static mu_err make_mail(mu_repeat *r, trace *s)
{
    mu_backend *backend = r->backend;
    s->stride = mu_align_up(s->orders.mail_bytes);
    if (!s->stride)
        return MU_OK;
    size_t count_bytes = s->stride / MU_ALIGN * sizeof(uint64_t); /* uploads take MU_ALIGN bytes each, or more */
    MU_TRY(mu_host_room_new(backend, TURNS * s->stride, (void **)&s->mail));
    MU_TRY(r->ops->alloc(backend, count_bytes, (void **)&s->counts));
    memset(s->mail, 0, s->stride);
    for (size_t i = 0; i < count_bytes; i += s->stride)
        MU_TRY(r->ops->upload(backend, s->counts + i, s->mail, count_bytes - i < s->stride ? count_bytes - i : s->stride));
    return MU_OK;
}

static mu_err record_trace(mu_repeat *r, trace *s)
{
    MU_TRY(make_mail(r, s));
    for (int i = 0; i < TURNS; i++)
        MU_TRY(r->ops->mark_new(r->backend, &s->given[i]));
    MU_TRY(mu_orders_record(r->backend, r->ops, &s->orders, s->mail, s->stride, TURNS, s->counts, &s->recording));
    return MU_OK;
}

/* The oldest gives way. */
static mu_err add_trace(mu_repeat *r)
{
    trace *s;
    int at = r->n_traces;
    if (at == MAX_TRACES) {
        at = 0;
        for (int i = 1; i < MAX_TRACES; i++)
            at = r->traces[i]->used < r->traces[at]->used ? i : at;
        trace_release(r, r->traces[at]);
        r->traces[at] = r->traces[--r->n_traces];
        at = r->n_traces;
    }
    MU_TRY(mu_calloc(&s, 1, sizeof *s));
    s->orders = r->noted;
    s->used = r->n_spans;
    r->noted = (mu_orders){0};
    r->traces[at] = s;
    r->n_traces++;
    return MU_OK;
}

/* What was noted, once more or for the first time. */
static mu_err learn(mu_repeat *r)
{
    trace *s = NULL;
    if (r->noted.n < 2 || r->noted.mail_bytes > MOST_UPLOADED)
        return MU_OK;
    for (int i = 0; i < r->n_traces && !s; i++)
        if (r->traces[i]->orders.n == r->noted.n && equal(&r->traces[i]->orders, &r->noted, r->noted.n))
            s = r->traces[i];
    if (!s)
        return add_trace(r);
    s->used = r->n_spans;
    if (s->recording || s->hopeless)
        return MU_OK;
    s->hopeless = true;
    MU_TRY(record_trace(r, s));
    s->hopeless = false;
    r->stats.recorded++;
    MU_DEBUG("device", "span %lld: %zu orders are recorded, with %zu bytes that are new each time", (long long)r->n_spans, s->orders.n,
             s->orders.mail_bytes);
    return MU_OK;
}

/* ---- a span ---- */

/* Now. What a kernel asks the device for is part of it (a norm's collective), and no order of its own. */
static mu_err give(const mu_repeat *r, const mu_order *o, const char *mail)
{
    const mu_backend_ops *before = r->backend->ops;
    r->backend->ops = r->ops;
    mu_err err = mu_order_give(r->backend, r->ops, o, mail);
    r->backend->ops = before;
    return err;
}

/* From now on orders are given at once, after those that were held back. */
static mu_err catch_up(mu_repeat *r)
{
    const trace *s = r->trace;
    r->trace = NULL;
    if (s)
        MU_DEBUG("device", "span %lld is another one from order %zu on", (long long)r->n_spans, r->at);
    for (size_t i = 0; s && i < r->at; i++) {
        MU_TRY(mu_orders_append(&r->noted, &s->orders.order[i]));
        MU_TRY(give(r, &s->orders.order[i], mail_of(s)));
    }
    return MU_OK;
}

/* Held back, as the next of its trace. */
static mu_err hold(mu_repeat *r, const mu_order *o, const void *host)
{
    trace *s = r->trace;
    mu_order *known = &s->orders.order[r->at];
    if (o->kind == MU_ORDER_UPLOAD) {
        if (known->mail == 0 && s->n_given >= TURNS) /* the first: its turn has come round */
            MU_TRY(r->ops->wait(r->backend, s->given[s->n_given % TURNS]));
        memcpy(mail_of(s) + known->mail, host, o->bytes);
    }
    known->mark = o->mark;
    r->at++;
    return MU_OK;
}

static bool continues(const trace *s, size_t at, const mu_order *o)
{
    return at < s->orders.n && mu_order_equal(&s->orders.order[at], o);
}

/* Another trace that begins alike, and goes on with this, or (NULL) ends here. */
static trace *find_other(const mu_repeat *r, const mu_order *o)
{
    for (int i = 0; i < r->n_traces; i++) {
        trace *s = r->traces[i];
        bool fits = o ? continues(s, r->at, o) : s->orders.n == r->at;
        if (fits && s != r->trace && s->recording && equal(&s->orders, &r->trace->orders, r->at))
            return s;
    }
    return NULL;
}

static mu_err change_trace(mu_repeat *r, trace *to)
{
    trace *from = r->trace;
    size_t at = r->at;
    r->trace = to;
    for (r->at = 0; r->at < at;) {
        const mu_order *o = &from->orders.order[r->at];
        MU_TRY(hold(r, o, mail_of(from) + o->mail));
    }
    return MU_OK;
}

/* One more order. host: what is uploaded. */
static mu_err hear(mu_repeat *r, mu_order *o, const void *host)
{
    const mu_orders *before = r->trace ? &r->trace->orders : &r->noted;
    if (o->kind == MU_ORDER_FOLLOW)
        o->behind = mu_orders_find_mark(before, r->trace ? r->at : before->n, o->mark);
    if (r->trace && !continues(r->trace, r->at, o)) {
        trace *other = find_other(r, o);
        MU_TRY(other ? change_trace(r, other) : catch_up(r));
    }
    if (r->trace)
        return hold(r, o, host);
    if (o->kind == MU_ORDER_KERNEL)
        o->kernel->recorded_on = r->backend;
    MU_TRY(mu_orders_append(&r->noted, o));
    if (o->kind == MU_ORDER_UPLOAD)
        MU_TRY(r->ops->upload(r->backend, o->to, host, o->bytes));
    else
        MU_TRY(give(r, o, NULL));
    return MU_OK;
}

mu_err mu_repeat_give_way(mu_repeat *r)
{
    if (!r)
        return MU_OK;
    r->other = true;
    return catch_up(r);
}

/* ---- the functions of a backend while a span is open ---- */

static mu_repeat *repeat_of(const mu_backend *backend)
{
    return backend->repeat;
}

static mu_err hear_upload(mu_backend *backend, void *device, const void *host, size_t bytes)
{
    if (!bytes)
        return MU_OK;
    return hear(repeat_of(backend), &(mu_order){.kind = MU_ORDER_UPLOAD, .to = device, .bytes = bytes}, host);
}

static mu_err hear_copy(mu_backend *backend, mu_lane lane, void *to, const void *from, size_t bytes)
{
    return hear(repeat_of(backend), &(mu_order){.kind = MU_ORDER_COPY, .lane = lane, .to = to, .from = from, .bytes = bytes}, NULL);
}

static mu_err hear_mark(mu_backend *backend, mu_mark *mark, mu_lane lane)
{
    return hear(repeat_of(backend), &(mu_order){.kind = MU_ORDER_MARK, .lane = lane, .mark = mark}, NULL);
}

static mu_err hear_follow(mu_backend *backend, mu_lane lane, const mu_mark *mark)
{
    return hear(repeat_of(backend), &(mu_order){.kind = MU_ORDER_FOLLOW, .lane = lane, .mark = (mu_mark *)(uintptr_t)mark}, NULL);
}

static mu_err hear_collect(mu_backend *backend, mu_device_comm *comm, mu_lane lane, const mu_collective *what)
{
    return hear(repeat_of(backend), &(mu_order){.kind = MU_ORDER_COLLECT, .lane = lane, .comm = comm, .what = *what}, NULL);
}

/* The next of the trace: what nearly all orders are. */
static bool is_next(const mu_repeat *r, const mu_kernel *kernel)
{
    return r->trace && r->at < r->trace->orders.n && r->trace->orders.order[r->at].kernel == kernel;
}

mu_err mu_repeat_run_kernel(mu_repeat *r, mu_kernel *kernel, const mu_run *run)
{
    if (is_next(r, kernel) && run->presence == MU_TOGETHER && !kernel->waits) {
        r->at++;
        return MU_OK;
    }
    if (kernel->waits || kernel->call.op->flags & MU_OP_HOST || run->presence != MU_TOGETHER) {
        MU_TRY(mu_repeat_give_way(r));
        return mu_kernel_run(kernel, run);
    }
    return hear(r, &(mu_order){.kind = MU_ORDER_KERNEL, .kernel = kernel}, NULL);
}

static mu_err give_way_prepare(mu_backend *backend, const mu_call *call, const mu_layout *const *in_layout, const mu_layout *const *want_out,
                               mu_kernel **out)
{
    MU_TRY(mu_repeat_give_way(repeat_of(backend)));
    return repeat_of(backend)->ops->prepare(backend, call, in_layout, want_out, out);
}

static mu_err give_way_alloc(mu_backend *backend, size_t bytes, void **out)
{
    MU_TRY(mu_repeat_give_way(repeat_of(backend)));
    return repeat_of(backend)->ops->alloc(backend, bytes, out);
}

/* Who fails here fails again at the next order. */
static void give_way_dealloc(mu_backend *backend, void *block)
{
    mu_error kept = *mu_error_last();
    if (mu_repeat_give_way(repeat_of(backend)) != MU_OK)
        mu_error_restore(&kept);
    repeat_of(backend)->ops->dealloc(backend, block);
}

static mu_err give_way_download(mu_backend *backend, void *host, const void *device, size_t bytes)
{
    MU_TRY(mu_repeat_give_way(repeat_of(backend)));
    return repeat_of(backend)->ops->download(backend, host, device, bytes);
}

static mu_err give_way_synchronize(mu_backend *backend)
{
    MU_TRY(mu_repeat_give_way(repeat_of(backend)));
    return repeat_of(backend)->ops->synchronize(backend);
}

static mu_err give_way_record(mu_backend *backend)
{
    MU_TRY(mu_repeat_give_way(repeat_of(backend)));
    return repeat_of(backend)->ops->record_begin(backend);
}

static mu_err give_way_replay(mu_backend *backend, mu_recording *recording)
{
    MU_TRY(mu_repeat_give_way(repeat_of(backend)));
    return repeat_of(backend)->ops->replay(backend, recording);
}

static mu_backend_ops listening_ops(const mu_backend_ops *own)
{
    mu_backend_ops ops = *own;
    ops.upload = hear_upload;
    ops.copy = hear_copy;
    ops.mark = hear_mark;
    ops.follow = hear_follow;
    ops.collect = own->collect ? hear_collect : NULL;
    ops.prepare = give_way_prepare;
    ops.alloc = give_way_alloc;
    ops.dealloc = give_way_dealloc;
    ops.download = give_way_download;
    ops.synchronize = give_way_synchronize;
    ops.record_begin = give_way_record;
    ops.replay = give_way_replay;
    return ops;
}

/* ---- begin and end ---- */

static bool can_repeat(const mu_backend *backend)
{
    const char *wanted = getenv("MU_RECORD");
    return backend->ops->record_upload && mu_backend_has_lanes(backend) && !(wanted && strcmp(wanted, "0") == 0);
}

mu_err mu_repeat_new(mu_backend *backend, mu_repeat **out)
{
    mu_repeat *r;
    MU_TRY(mu_calloc(&r, 1, sizeof *r));
    r->backend = backend;
    if (can_repeat(backend)) {
        r->ops = backend->ops;
        r->listening = listening_ops(backend->ops);
    }
    *out = r;
    return MU_OK;
}

void mu_repeat_release(mu_repeat *r)
{
    if (!r)
        return;
    forget_traces(r);
    mu_orders_release(&r->noted);
    mu_free(r);
}

mu_repeat_stats mu_repeat_get_stats(const mu_repeat *r)
{
    return r->stats;
}

/* The one that was used last, and recorded. */
static trace *newest_trace(const mu_repeat *r)
{
    trace *newest = NULL;
    for (int i = 0; i < r->n_traces; i++)
        if (r->traces[i]->recording && (!newest || r->traces[i]->used > newest->used))
            newest = r->traces[i];
    return newest;
}

void mu_repeat_begin(mu_repeat *r)
{
    if (!r || !r->ops || r->backend->repeat)
        return;
    if (r->n_unbound != r->backend->n_unbound)
        forget_traces(r);
    r->n_unbound = r->backend->n_unbound;
    r->n_spans++;
    r->open = true;
    r->trace = newest_trace(r);
    r->at = 0;
    r->other = false;
    mu_orders_clear(&r->noted);
    r->backend->repeat = r;
    r->backend->ops = &r->listening;
}

/* All of the trace at once. Marks from before, which are those of this span, come first; what other lanes are given later comes behind it. */
static mu_err replay(mu_repeat *r)
{
    trace *s = r->trace;
    mu_mark *given = s->given[s->n_given % TURNS];
    const mu_backend_ops *ops = r->ops;
    for (size_t i = 0; i < s->orders.n; i++)
        if (s->orders.order[i].kind == MU_ORDER_FOLLOW && s->orders.order[i].behind < 0)
            MU_TRY(ops->follow(r->backend, MU_LANE_KERNELS, s->orders.order[i].mark));
    MU_TRY(ops->replay(r->backend, s->recording));
    s->n_given++;
    s->used = r->n_spans;
    r->stats.replayed++;
    MU_TRY(ops->mark(r->backend, given, MU_LANE_KERNELS));
    for (int lane = MU_LANE_KERNELS + 1; lane < MU_N_LANES; lane++)
        if (mu_orders_use_lane(&s->orders, (mu_lane)lane))
            MU_TRY(ops->follow(r->backend, (mu_lane)lane, given));
    return MU_OK;
}

/* The span has ended; *whole: as a recording does. */
static mu_err find_end(mu_repeat *r, bool *whole)
{
    *whole = false;
    if (!r->trace)
        return MU_OK;
    if (r->at < r->trace->orders.n) {
        trace *other = find_other(r, NULL);
        if (!other)
            return MU_OK;
        MU_TRY(change_trace(r, other));
    }
    *whole = true;
    return MU_OK;
}

static mu_err give_rest(mu_repeat *r, mu_err err, bool *whole)
{
    *whole = false;
    if (err) {
        mu_error kept = *mu_error_last();
        (void)!catch_up(r);
        return mu_error_restore(&kept);
    }
    MU_TRY(find_end(r, whole));
    return *whole ? replay(r) : catch_up(r);
}

mu_err mu_repeat_end(mu_repeat *r, mu_err err)
{
    bool whole;
    if (!r || !r->open)
        return err;
    r->open = false;
    r->backend->repeat = NULL;
    r->backend->ops = r->ops;
    MU_TRY(give_rest(r, err, &whole));
    if (whole || r->other || r->n_unbound != r->backend->n_unbound)
        return MU_OK;
    if (learn(r) != MU_OK) {
        MU_WARN("device", "%zu orders cannot be recorded, and are given one by one, which takes the host longer (MU_RECORD=0 does not try): %s",
                r->noted.n, mu_error_last()->message);
        mu_error_clear();
    }
    return MU_OK;
}

#include "backend/orders.h"

#include "core/mem.h"

static const mu_run together = {.sample_stride = 1, .presence = MU_TOGETHER};

bool mu_order_equal(const mu_order *a, const mu_order *b)
{
    const mu_collective *x = &a->what, *y = &b->what;
    if (a->kind != b->kind || a->kernel != b->kernel || a->kind == MU_ORDER_KERNEL)
        return a->kind == b->kind && a->kernel == b->kernel;
    return a->lane == b->lane && a->to == b->to && a->from == b->from && a->bytes == b->bytes &&
           a->behind == b->behind && a->comm == b->comm && x->kind == y->kind && x->send == y->send && x->data == y->data && x->count == y->count &&
           x->dtype == y->dtype && x->op == y->op && x->root == y->root;
}

void mu_orders_release(mu_orders *orders)
{
    mu_free(orders->order);
    *orders = (mu_orders){0};
}

void mu_orders_clear(mu_orders *orders)
{
    orders->n = orders->mail_bytes = 0;
}

mu_err mu_orders_append(mu_orders *orders, const mu_order *order)
{
    MU_TRY(mu_grow(&orders->order, &orders->capacity, orders->n + 1, sizeof *orders->order));
    mu_order *added = &orders->order[orders->n++];
    *added = *order;
    added->mail = 0;
    if (order->kind == MU_ORDER_UPLOAD) {
        added->mail = orders->mail_bytes;
        orders->mail_bytes += mu_align_up(order->bytes);
    }
    return MU_OK;
}

int mu_orders_find_mark(const mu_orders *orders, size_t n, const mu_mark *mark)
{
    while (n-- > 0)
        if (orders->order[n].kind == MU_ORDER_MARK && orders->order[n].mark == mark)
            return (int)n;
    return -1;
}

bool mu_orders_use_lane(const mu_orders *orders, mu_lane lane)
{
    for (size_t i = 0; i < orders->n; i++)
        if (orders->order[i].kind != MU_ORDER_KERNEL && orders->order[i].lane == lane)
            return true;
    return false;
}

mu_err mu_order_give(mu_backend *backend, const mu_backend_ops *ops, const mu_order *o, const char *mail)
{
    switch (o->kind) {
    case MU_ORDER_KERNEL: MU_TRY(mu_kernel_run(o->kernel, &together)); break;
    case MU_ORDER_UPLOAD: MU_TRY(ops->upload(backend, o->to, mail + o->mail, o->bytes)); break;
    case MU_ORDER_COPY: MU_TRY(ops->copy(backend, o->lane, o->to, o->from, o->bytes)); break;
    case MU_ORDER_MARK: MU_TRY(ops->mark(backend, o->mark, o->lane)); break;
    case MU_ORDER_FOLLOW: MU_TRY(ops->follow(backend, o->lane, o->mark)); break;
    case MU_ORDER_COLLECT: MU_TRY(ops->collect(backend, o->comm, o->lane, &o->what)); break;
    }
    return MU_OK;
}

/* ---- recording ---- */

/* Marks of its own: those of the list stay what they are for orders that are not recorded. */
typedef struct {
    mu_backend *backend;
    const mu_backend_ops *ops;
    const mu_orders *orders;
    mu_mark **mark; /* [orders->n + 1], by order; the last one is between the others' lanes and that of the kernels */
} recorder;

static mu_err make_marks(recorder *r)
{
    for (size_t i = 0; i < r->orders->n; i++)
        if (r->orders->order[i].kind == MU_ORDER_MARK)
            MU_TRY(r->ops->mark_new(r->backend, &r->mark[i]));
    if (r->ops->mark_new)
        MU_TRY(r->ops->mark_new(r->backend, &r->mark[r->orders->n]));
    return MU_OK;
}

static void release_marks(recorder *r)
{
    for (size_t i = 0; i <= r->orders->n && r->ops->mark_release; i++)
        r->ops->mark_release(r->backend, r->mark[i]);
}

/* All lanes but that of the kernels: behind it, or it behind them. */
static mu_err join_lanes(const recorder *r, bool at_end)
{
    mu_mark *between = r->mark[r->orders->n];
    for (int lane = MU_LANE_KERNELS + 1; lane < MU_N_LANES; lane++)
        if (mu_orders_use_lane(r->orders, (mu_lane)lane)) {
            MU_TRY(r->ops->mark(r->backend, between, at_end ? (mu_lane)lane : MU_LANE_KERNELS));
            MU_TRY(r->ops->follow(r->backend, at_end ? MU_LANE_KERNELS : (mu_lane)lane, between));
        }
    return MU_OK;
}

static mu_err note_order(const recorder *r, size_t i, const char *mail, size_t stride, int turns, char **count)
{
    mu_order o = r->orders->order[i];
    if (o.kind == MU_ORDER_UPLOAD) {
        MU_TRY(r->ops->record_upload(r->backend, o.to, mail + o.mail, o.bytes, stride, turns, *count));
        *count += sizeof(uint64_t);
        return MU_OK;
    }
    if (o.kind == MU_ORDER_FOLLOW && o.behind < 0)
        return MU_OK;
    if (o.kind == MU_ORDER_MARK)
        o.mark = r->mark[i];
    if (o.kind == MU_ORDER_FOLLOW)
        o.mark = r->mark[o.behind];
    MU_TRY(mu_order_give(r->backend, r->ops, &o, NULL));
    return MU_OK;
}

static mu_err note_all(const recorder *r, const char *mail, size_t stride, int turns, char *count)
{
    MU_TRY(join_lanes(r, false));
    for (size_t i = 0; i < r->orders->n; i++)
        MU_TRY(note_order(r, i, mail, stride, turns, &count));
    MU_TRY(join_lanes(r, true));
    return MU_OK;
}

static mu_err record(const recorder *r, const char *mail, size_t stride, int turns, char *counts, mu_recording **out)
{
    mu_error kept;
    MU_TRY(r->ops->record_begin(r->backend));
    mu_err err = note_all(r, mail, stride, turns, counts);
    if (err)
        kept = *mu_error_last();
    mu_err ended = r->ops->record_end(r->backend, out);
    if (!err)
        return ended;
    r->ops->recording_release(r->backend, *out);
    *out = NULL;
    return mu_error_restore(&kept);
}

mu_err mu_orders_record(mu_backend *backend, const mu_backend_ops *ops, const mu_orders *orders, const char *mail, size_t stride, int turns, char *counts,
                        mu_recording **out)
{
    recorder r = {.backend = backend, .ops = ops, .orders = orders};
    *out = NULL;
    MU_TRY(mu_calloc(&r.mark, orders->n + 1, sizeof(*r.mark)));
    mu_err err = make_marks(&r);
    if (!err)
        err = record(&r, mail, stride, turns, counts, out);
    release_marks(&r);
    mu_free(r.mark);
    return err;
}

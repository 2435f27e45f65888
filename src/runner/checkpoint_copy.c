/* Tensors of a checkpoint on their way from a device, while training goes on: put together row-major in device memory,
 * in the order of the kernels, and from there copied to the host beside these. */
#include "backend/holders.h"
#include "backend/lanes.h"
#include "core/log.h"
#include "core/mem.h"
#include "runner/checkpoint_impl.h"

#include <stdatomic.h>
#include <time.h>

struct ckpt_copy {
    mu_backend *backend;
    mu_params *params;
    mu_mark *packed, *copied; /* in lanes KERNELS and OUT */
    char *block;              /* on the device; NULL: nothing is on its way */
    size_t bytes;
    mu_holder holder;
    atomic_bool over; /* was waited for */
};

static void tell(const void *user, mu_holdings *holdings)
{
    const ckpt_copy *c = user;
    mu_holdings_note(holdings, MU_HELD_BY_STORE, c->block ? c->bytes : 0, "copies for a checkpoint");
}

mu_err ckpt_copy_new(mu_backend *backend, mu_params *params, ckpt_copy **out)
{
    ckpt_copy *c;
    *out = NULL;
    if (!mu_backend_has_lanes(backend))
        return MU_OK;
    MU_TRY(mu_calloc(&c, 1, sizeof *c));
    c->backend = backend;
    c->params = params;
    atomic_init(&c->over, true);
    c->holder = (mu_holder){.tell = tell, .user = c};
    mu_holder_add(backend, &c->holder);
    mu_err err = backend->ops->mark_new(backend, &c->packed);
    err = err ? err : backend->ops->mark_new(backend, &c->copied);
    if (err)
        ckpt_copy_release(c);
    else
        *out = c;
    return err;
}

/* Kernels that come later may get the memory: they stay behind the copies, which have been done by then. */
static void drop_block(ckpt_copy *c)
{
    mu_backend *backend = c->backend;
    if (!c->block)
        return;
    if (backend->ops->follow(backend, MU_LANE_KERNELS, c->copied) != MU_OK)
        mu_error_clear(); /* the device is lost, and tells it elsewhere */
    backend->ops->dealloc(backend, c->block);
    c->block = NULL;
}

void ckpt_copy_tidy(ckpt_copy *c)
{
    if (c && atomic_load(&c->over))
        drop_block(c);
}

/* Asleep: the processor is the others'. */
static mu_err wait_for_copies(const ckpt_copy *c)
{
    static const struct timespec pause = {.tv_nsec = 200000};
    for (bool passed = false; !passed;) {
        MU_TRY(c->backend->ops->passed(c->backend, c->copied, &passed));
        if (!passed)
            nanosleep(&pause, NULL);
    }
    return MU_OK;
}

mu_err ckpt_copy_wait(void *user)
{
    ckpt_copy *c = user;
    mu_err err = wait_for_copies(c);
    atomic_store(&c->over, true);
    return err;
}

void ckpt_copy_end(ckpt_copy *c)
{
    if (c && !atomic_load(&c->over) && ckpt_copy_wait(c) != MU_OK)
        mu_error_clear(); /* what was begun is of no use to anybody */
    ckpt_copy_tidy(c);
}

void ckpt_copy_release(ckpt_copy *c)
{
    if (!c)
        return;
    mu_error kept = *mu_error_last();
    ckpt_copy_end(c);
    c->backend->ops->mark_release(c->backend, c->packed);
    c->backend->ops->mark_release(c->backend, c->copied);
    mu_holder_remove(c->backend, &c->holder);
    mu_error_restore(&kept);
    mu_free(c);
}

/* ---- beginning ---- */

/* The slots of this rank lie in one piece of memory, which the block is an image of. */
typedef struct {
    char *begin, *end;
} extent;

static extent extent_of(const mu_tensor_slot *slot, int n)
{
    extent e = {0};
    for (int i = 0; i < n; i++) {
        char *begin = slot[i].host, *end = begin ? begin + mu_type_bytes(&slot[i].type) : NULL;
        if (begin && (!e.begin || begin < e.begin))
            e.begin = begin;
        if (begin && (!e.end || end > e.end))
            e.end = end;
    }
    return e;
}

/* A kernel is through with its operands when what it launched has been done, and with itself when run returns. */
static mu_err reorder(mu_backend *backend, const mu_param_info *info, void *from, void *to)
{
    mu_kernel *kernel;
    void *scratch = NULL;
    mu_err err;
    MU_TRY(backend->ops->reorder(backend, &info->type, info->layout, NULL, &kernel));
    if (kernel->scratch_bytes)
        MU_TRY_GOTO(err, mu_backend_alloc(backend, kernel->scratch_bytes, "a reorder", &scratch), done);
    MU_TRY_GOTO(err, mu_kernel_bind(kernel, &from, &to, scratch), done);
    MU_TRY_GOTO(err, mu_kernel_run(kernel, &(mu_run){0}), done);
done:
    if (scratch)
        backend->ops->dealloc(backend, scratch);
    mu_kernel_release(kernel);
    return err;
}

static mu_err pack(ckpt_copy *c, const mu_tensor_slot *slot, int n, const extent *all)
{
    mu_backend *backend = c->backend;
    for (int i = 0; i < n; i++) {
        const ckpt_origin *o = slot[i].tag;
        const mu_param_info *info = mu_params_at(c->params, o->param);
        char *arena = o->arena          ? o->arena
                      : info->trainable ? mu_params_data(c->params, NULL)
                                        : mu_params_states(c->params, NULL);
        if (!slot[i].host)
            continue;
        char *to = c->block + ((char *)slot[i].host - all->begin);
        if (info->layout)
            MU_TRY(reorder(backend, info, arena + info->offset, to));
        else
            MU_TRY(backend->ops->copy(backend, MU_LANE_KERNELS, to, arena + info->offset, mu_type_bytes(&info->type)));
    }
    return MU_OK;
}

/* Neighbours at one go: between them is nothing but what aligns them. */
static mu_err copy_out(ckpt_copy *c, const mu_tensor_slot *slot, int n, const extent *all)
{
    mu_backend *backend = c->backend;
    char *begin = NULL, *end = NULL;
    for (int i = 0; i <= n; i++) {
        char *host = i < n ? slot[i].host : NULL;
        if (i < n && !host)
            continue;
        if (host && end && host == begin + mu_align_up((size_t)(end - begin))) {
            end = host + mu_type_bytes(&slot[i].type);
            continue;
        }
        if (begin)
            MU_TRY(backend->ops->copy(backend, MU_LANE_OUT, begin, c->block + (begin - all->begin),
                                      (size_t)(end - begin)));
        begin = host;
        end = host ? host + mu_type_bytes(&slot[i].type) : NULL;
    }
    return MU_OK;
}

static mu_err start(ckpt_copy *c, const mu_tensor_slot *slot, int n, const extent *all)
{
    mu_backend *backend = c->backend;
    MU_TRY(pack(c, slot, n, all));
    MU_TRY(backend->ops->mark(backend, c->packed, MU_LANE_KERNELS));
    MU_TRY(backend->ops->follow(backend, MU_LANE_OUT, c->packed));
    atomic_store(&c->over, false);
    mu_err err = copy_out(c, slot, n, all);
    mu_err marked = backend->ops->mark(backend, c->copied, MU_LANE_OUT); /* what was copied before an error, too */
    return err ? err : marked;
}

mu_err ckpt_copy_begin(void *user, const mu_tensor_slot *slot, int n, bool *begun)
{
    ckpt_copy *c = user;
    extent all = extent_of(slot, n);
    ckpt_copy_end(c);
    *begun = false;
    if (mu_params_sharing_of(c->params)->stage != MU_SHARD_NOTHING)
        return MU_OK;
    *begun = true;
    if (!all.begin)
        return MU_OK; /* others write all of it */
    c->bytes = (size_t)(all.end - all.begin);
    mu_err err = c->backend->ops->alloc(c->backend, c->bytes, (void **)&c->block);
    if (err == MU_ERR_MEMORY) {
        MU_DEBUG("run", "training waits for the copies of the checkpoint: %s", mu_error_last()->message);
        mu_error_clear();
        c->block = NULL;
        *begun = false;
        return MU_OK;
    }
    err = err ? err : start(c, slot, n, &all);
    if (err) {
        mu_error kept = *mu_error_last();
        ckpt_copy_end(c);
        mu_error_restore(&kept);
        *begun = false;
    }
    return err;
}

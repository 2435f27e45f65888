#include "blocked.h"

#include "backend/host.h"
#include "backend/ref/ref.h"
#include "core/mem.h"

#include <stdio.h>

/* ---- layout: [N,C,H,W] as N, C/4, H, W, 4; C padded with zeros ---- */

static mu_err intern(blocked_backend *b, const mu_type *type, const mu_layout **out)
{
    for (int i = 0; i < b->n_layouts; i++)
        if (mu_type_equal(&b->layouts[i]->type, type)) {
            *out = b->layouts[i];
            return MU_OK;
        }
    if (b->n_layouts == (int)(sizeof b->layouts / sizeof *b->layouts))
        return MU_FAIL(MU_ERR_INTERNAL, "too many layouts in a test");
    mu_layout *layout;
    MU_TRY(mu_calloc(&layout, 1, sizeof *layout));
    int64_t padded = (type->dim[1] + BLOCKED_C - 1) / BLOCKED_C * BLOCKED_C;
    *layout = (mu_layout){.type = *type, .kind = MU_LAYOUT_CHANNELS_BLOCKED, .block = BLOCKED_C, .padded = padded != type->dim[1],
                          .bytes = (size_t)(type->dim[0] * padded * type->dim[2] * type->dim[3]) * mu_dtype_size(type->dtype),
                          .name = "nChw4c"};
    b->layouts[b->n_layouts++] = layout;
    *out = layout;
    return MU_OK;
}

static size_t blocked_index(const mu_type *t, int64_t n, int64_t c, int64_t p)
{
    int64_t plane = t->dim[2] * t->dim[3], blocks = (t->dim[1] + BLOCKED_C - 1) / BLOCKED_C;
    return (size_t)(((n * blocks + c / BLOCKED_C) * plane + p) * BLOCKED_C + c % BLOCKED_C);
}

static void move(const mu_type *t, char *rows, char *blocks, size_t bytes, bool to_blocks)
{
    size_t size = mu_dtype_size(t->dtype);
    int64_t plane = t->dim[2] * t->dim[3];
    if (to_blocks)
        memset(blocks, 0, bytes);
    for (int64_t n = 0; n < t->dim[0]; n++)
        for (int64_t c = 0; c < t->dim[1]; c++)
            for (int64_t p = 0; p < plane; p++) {
                char *row = rows + (size_t)((n * t->dim[1] + c) * plane + p) * size;
                char *block = blocks + blocked_index(t, n, c, p) * size;
                memcpy(to_blocks ? block : row, to_blocks ? row : block, size);
            }
}

/* ---- kernels ---- */

typedef struct {
    mu_kernel base;
    blocked_backend *backend;
    mu_kernel *inner; /* ref's, on row-major copies in scratch */
} blocked_kernel;

static mu_err run_kernel(mu_kernel *kernel, const mu_run *run)
{
    blocked_kernel *k = (blocked_kernel *)kernel;
    const mu_call *call = &kernel->call;
    void *in[MU_OP_VARIADIC], *out[MU_OP_MAX_OUT];
    char *at = kernel->scratch;
    k->backend->n_runs++;
    if (k->backend->fail_run_of && strcmp(k->backend->fail_run_of, call->op->name) == 0)
        return MU_FAIL(MU_ERR_BACKEND, "planted failure");
    if (k->backend->poison && kernel->scratch_bytes)
        memset(kernel->scratch, 0xff, kernel->scratch_bytes);
    for (int i = 0; i < call->n_in; i++) { /* every operand is copied: in place is safe whatever the operation */
        in[i] = NULL;
        if (call->in[i].dtype == MU_NONE)
            continue;
        in[i] = at;
        if (!mu_type_bytes(&call->in[i]))
            continue;
        if (kernel->in_layout[i])
            move(&call->in[i], at, kernel->in[i], kernel->in_layout[i]->bytes, false);
        else
            memcpy(at, kernel->in[i], mu_type_bytes(&call->in[i]));
        at += mu_align_up(mu_type_bytes(&call->in[i]));
    }
    for (int o = 0; o < call->n_out; o++) {
        out[o] = NULL;
        if (call->out[o].dtype == MU_NONE)
            continue;
        if (k->backend->poison && !call->op->updates[o])
            memset(kernel->out[o], 0xff, mu_layout_bytes(kernel->out_layout[o], &call->out[o]));
        out[o] = kernel->out_layout[o] ? (void *)at : kernel->out[o];
        at += mu_align_up(mu_type_bytes(&call->out[o]));
    }
    MU_TRY(mu_kernel_bind(k->inner, in, out, NULL));
    MU_TRY(mu_kernel_run(k->inner, run));
    for (int o = 0; o < call->n_out; o++)
        if (out[o] && kernel->out_layout[o])
            move(&call->out[o], out[o], kernel->out[o], kernel->out_layout[o]->bytes, true);
    return MU_OK;
}

static void release_kernel(mu_kernel *kernel)
{
    mu_kernel_release(((blocked_kernel *)kernel)->inner);
}

static const mu_kernel_ops kernel_ops = {.run = run_kernel, .release = release_kernel};

static bool wants_blocks(const mu_op *op)
{
    return strncmp(op->name, "conv2d", 6) == 0 || strstr(op->name, "pool2d") != NULL;
}

static mu_err choose(blocked_backend *b, mu_kernel *kernel, const mu_layout *const *in_layout)
{
    const mu_call *call = &kernel->call;
    bool follow = false;
    if (call->op->flags & MU_OP_ELEMENTWISE) { /* one shape throughout and the first operand blocked: all blocked */
        follow = in_layout[0] != NULL;
        for (int i = 0; i < call->n_in; i++)
            follow &= mu_type_equal(&call->in[i], &call->out[0]);
    }
    if (!follow && !wants_blocks(call->op))
        return MU_OK;
    for (int i = 0; i < call->n_in; i++)
        if (call->in[i].ndim == 4 && mu_dtype_is_float(call->in[i].dtype))
            MU_TRY(intern(b, &call->in[i], &kernel->in_layout[i]));
    for (int o = 0; o < call->n_out; o++)
        if (call->out[o].ndim == 4 && mu_dtype_is_float(call->out[o].dtype))
            MU_TRY(intern(b, &call->out[o], &kernel->out_layout[o]));
    return MU_OK;
}

static mu_err prepare(mu_backend *backend, const mu_call *call, const mu_layout *const *in_layout,
                      const mu_layout *const *want_out, mu_kernel **out)
{
    blocked_backend *b = (blocked_backend *)backend;
    mu_kernel *inner, *kernel;
    (void)want_out;
    MU_TRY(mu_ref_prepare(b->ref, call, in_layout, want_out, &inner));
    mu_err err = mu_kernel_new(sizeof(blocked_kernel), &kernel_ops, call, &kernel);
    if (err) {
        mu_kernel_release(inner);
        return err;
    }
    ((blocked_kernel *)kernel)->backend = b;
    ((blocked_kernel *)kernel)->inner = inner;
    kernel->impl = "blocked";
    for (int i = 0; i < call->n_in; i++)
        kernel->scratch_bytes += mu_align_up(mu_type_bytes(&call->in[i]));
    for (int o = 0; o < call->n_out; o++)
        kernel->scratch_bytes += mu_align_up(mu_type_bytes(&call->out[o]));
    err = choose(b, kernel, in_layout);
    if (err)
        mu_kernel_release(kernel);
    else
        *out = kernel;
    return err;
}

/* ---- reorders ---- */

typedef struct {
    mu_kernel base;
    blocked_backend *backend;
    const mu_layout *from, *to;
} reorder_kernel;

static mu_err run_reorder(mu_kernel *kernel, const mu_run *run)
{
    reorder_kernel *k = (reorder_kernel *)kernel;
    const mu_type *type = &kernel->call.in[0];
    (void)run;
    k->backend->n_reorders++;
    if (k->from == k->to)
        memcpy(kernel->out[0], kernel->in[0], mu_layout_bytes(k->from, type));
    else if (k->to)
        move(type, kernel->in[0], kernel->out[0], k->to->bytes, true);
    else
        move(type, kernel->out[0], kernel->in[0], k->from->bytes, false);
    return MU_OK;
}

static const mu_kernel_ops reorder_ops = {.run = run_reorder};
static const mu_op reorder_op = {.name = "reorder", .n_in_min = 1, .n_in_max = 1, .n_out = 1};

static mu_err reorder(mu_backend *backend, const mu_type *type, const mu_layout *from, const mu_layout *to, mu_kernel **out)
{
    mu_call call = {.op = &reorder_op, .n_in = 1, .n_out = 1, .in = type, .out = type};
    mu_kernel *kernel;
    MU_TRY(mu_kernel_new(sizeof(reorder_kernel), &reorder_ops, &call, &kernel));
    reorder_kernel *k = (reorder_kernel *)kernel;
    k->backend = (blocked_backend *)backend;
    k->from = from;
    k->to = to;
    kernel->in_layout[0] = from;
    kernel->out_layout[0] = to;
    kernel->impl = "blocked";
    *out = kernel;
    return MU_OK;
}

/* ---- the instance ---- */

static bool supports(mu_backend *backend, const mu_call *call, const char **why)
{
    return mu_ref_supports(((blocked_backend *)backend)->ref, call, why);
}

static mu_err alloc(mu_backend *backend, size_t bytes, void **out)
{
    size_t limit = ((blocked_backend *)backend)->alloc_limit;
    if (limit && bytes > limit)
        return MU_FAIL(MU_ERR_MEMORY, "out of memory: %zu bytes were asked", bytes);
    MU_TRY(mu_host_alloc(backend, bytes, out));
    return MU_OK;
}

static mu_err open_blocked(mu_backend *backend, const mu_backend_options *options)
{
    backend->n_threads = 1;
    backend->host_memory = true;
    return mu_backend_open("cpu:ref", options, &((blocked_backend *)backend)->ref);
}

static void close_blocked(mu_backend *backend)
{
    blocked_backend *b = (blocked_backend *)backend;
    for (int i = 0; i < b->n_layouts; i++)
        mu_free(b->layouts[i]);
    mu_backend_close(b->ref);
}

static const mu_backend_ops ops = {
    .name = "blocked",
    .size = sizeof(blocked_backend),
    .open = open_blocked,
    .close = close_blocked,
    .supports = supports,
    .prepare = prepare,
    .reorder = reorder,
    .alloc = alloc,
    .dealloc = mu_host_dealloc,
    .upload = mu_host_copy_in,
    .download = mu_host_copy_out,
    .synchronize = mu_host_synchronize,
};

mu_err blocked_open(blocked_backend **out)
{
    mu_backend *backend;
    MU_TRY(mu_backend_open_ops(&ops, NULL, &backend));
    *out = (blocked_backend *)backend;
    return MU_OK;
}

#include "backend/check/check.h"

#include "backend/check/compare.h"
#include "core/mem.h"
#include "core/philox.h"
#include "ops/ops.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { GUARD = 4 * MU_ALIGN, GUARD_BYTE = 0xA5, DIRECTIONS = 8 };

#define CHANGE 0x1p-26 /* relative change of operands by which the condition of a result is measured */

typedef struct {
    mu_backend base;
    mu_backend *inner, *ref;
} check_backend;

/* Memory with a guard on both sides. */
typedef struct {
    unsigned char *block;
    size_t bytes;
} guarded;

/* An operand or output as the oracle sees it. */
typedef struct {
    mu_kernel *to_row, *from_row; /* NULL: row-major as it is; from_row only for padded layouts */
    void *row, *padded;
    void *oracle; /* in the oracle's dtype; an output that updates an operand shares its */
} view;

typedef struct {
    mu_kernel base;
    mu_kernel *inner;
    mu_kernel *oracle; /* NULL where ref has none, or must not call back or send messages twice */
    const char *device;
    guarded out[MU_OP_MAX_OUT], scratch;
    void *before[MU_OP_VARIADIC]; /* copies of the operands, as they lie */
    view in_view[MU_OP_VARIADIC], out_view[MU_OP_MAX_OUT];
    double *want[MU_OP_MAX_OUT], *change[MU_OP_MAX_OUT]; /* the oracle's floating outputs; how far they move per
                                                            relative change of the operands */
} check_kernel;

/* ---- guards ---- */

static mu_err guarded_new(guarded *g, size_t bytes)
{
    size_t all;
    MU_TRY(mu_add_size(bytes, 2 * GUARD, &all));
    MU_TRY(mu_alloc(&g->block, all));
    g->bytes = bytes;
    memset(g->block, GUARD_BYTE, all);
    return MU_OK;
}

static void *guarded_at(const guarded *g)
{
    return g->block + GUARD;
}

static bool guarded_intact(const guarded *g)
{
    for (size_t i = 0; g->block && i < GUARD; i++)
        if (g->block[i] != GUARD_BYTE || g->block[GUARD + g->bytes + i] != GUARD_BYTE)
            return false;
    return true;
}

/* ---- preparation ---- */

static int updated_operand(const mu_call *call, int o)
{
    return call->op->updates[o] - 1;
}

static bool is_updated(const mu_call *call, int i)
{
    for (int o = 0; o < call->n_out; o++)
        if (call->out[o].dtype != MU_NONE && updated_operand(call, o) == i)
            return true;
    return false;
}

static mu_type oracle_type(const mu_call *call, mu_type t)
{
    if (mu_dtype_is_float(t.dtype) && call->op != &mu_op_cast)
        t.dtype = MU_F64;
    return t;
}

static mu_err prepare_oracle(check_backend *b, check_kernel *k)
{
    const mu_call *call = &k->base.call;
    mu_type in[MU_OP_VARIADIC], out[MU_OP_MAX_OUT];
    const mu_layout *row[MU_OP_VARIADIC] = {NULL};
    const char *why;
    mu_call as_f64 = *call;
    as_f64.in = in;
    as_f64.out = out;
    for (int i = 0; i < call->n_in; i++)
        in[i] = oracle_type(call, call->in[i]);
    for (int o = 0; o < call->n_out; o++)
        out[o] = oracle_type(call, call->out[o]);
    if (call->op->flags & (MU_OP_HOST | MU_OP_COLLECTIVE) || !b->ref->ops->supports(b->ref, &as_f64, &why))
        return MU_OK;
    MU_TRY(b->ref->ops->prepare(b->ref, &as_f64, row, row, &k->oracle));
    return MU_OK;
}

static mu_err prepare_view(check_backend *b, const mu_call *call, const mu_type *t, const mu_layout *layout, view *v)
{
    mu_type o = oracle_type(call, *t);
    if (layout) {
        MU_TRY(b->inner->ops->reorder(b->inner, t, layout, NULL, &v->to_row));
        MU_TRY(mu_alloc(&v->row, mu_type_bytes(t)));
    }
    if (layout && layout->padded) {
        MU_TRY(b->inner->ops->reorder(b->inner, t, NULL, layout, &v->from_row));
        MU_TRY(mu_alloc(&v->padded, layout->bytes));
    }
    MU_TRY(mu_alloc(&v->oracle, mu_type_bytes(&o)));
    return MU_OK;
}

static mu_err prepare_outputs(check_backend *b, check_kernel *k)
{
    const mu_call *call = &k->base.call;
    for (int o = 0; o < call->n_out; o++) {
        const mu_type *t = &call->out[o];
        if (t->dtype == MU_NONE)
            continue;
        MU_TRY(guarded_new(&k->out[o], mu_layout_bytes(k->inner->out_layout[o], t)));
        MU_TRY(prepare_view(b, call, t, k->inner->out_layout[o], &k->out_view[o]));
        if (mu_dtype_is_float(t->dtype)) {
            MU_TRY(mu_calloc(&k->want[o], (size_t)mu_type_count(t), sizeof(double)));
            MU_TRY(mu_calloc(&k->change[o], (size_t)mu_type_count(t), sizeof(double)));
        }
    }
    return MU_OK;
}

static mu_err bind_oracle(check_kernel *k)
{
    const mu_call *call = &k->base.call;
    void *in[MU_OP_VARIADIC], *out[MU_OP_MAX_OUT], *scratch = NULL;
    if (!k->oracle)
        return MU_OK;
    for (int i = 0; i < call->n_in; i++)
        in[i] = k->in_view[i].oracle;
    for (int o = 0; o < call->n_out; o++)
        out[o] = call->out[o].dtype != MU_NONE && updated_operand(call, o) >= 0 ? in[updated_operand(call, o)]
                                                                                : k->out_view[o].oracle;
    MU_TRY(mu_kernel_bind(k->oracle, in, out, scratch));
    return MU_OK;
}

static mu_err prepare_parts(check_backend *b, check_kernel *k, const mu_layout *const *in_layout,
                            const mu_layout *const *want_out)
{
    const mu_call *call = &k->base.call;
    MU_TRY(b->inner->ops->prepare(b->inner, call, in_layout, want_out, &k->inner));
    k->base.impl = k->inner->impl;
    memcpy(k->base.in_layout, k->inner->in_layout, (size_t)call->n_in * sizeof(*k->base.in_layout));
    memcpy(k->base.out_layout, k->inner->out_layout, (size_t)call->n_out * sizeof(*k->base.out_layout));
    memcpy(k->base.inplace, k->inner->inplace, sizeof k->base.inplace);
    MU_TRY(guarded_new(&k->scratch, k->inner->scratch_bytes));
    for (int i = 0; i < call->n_in; i++) {
        if (call->in[i].dtype == MU_NONE)
            continue;
        MU_TRY(mu_alloc(&k->before[i], mu_layout_bytes(k->inner->in_layout[i], &call->in[i])));
        MU_TRY(prepare_view(b, call, &call->in[i], k->inner->in_layout[i], &k->in_view[i]));
    }
    MU_TRY(prepare_outputs(b, k));
    MU_TRY(prepare_oracle(b, k));
    MU_TRY(bind_oracle(k));
    return MU_OK;
}

/* ---- running ---- */

static mu_err blame(const check_kernel *k, const char *format, ...) MU_PRINTF(2, 3);

static mu_err blame(const check_kernel *k, const char *format, ...)
{
    const mu_call *call = &k->base.call;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return MU_FAIL(MU_ERR_BACKEND, "%s \"%s\" (%s on %s) %s", call->op->name, call->name ? call->name : "",
                   k->inner->impl ? k->inner->impl : "?", k->device, text);
}

static mu_err bind(mu_kernel *kernel)
{
    check_kernel *k = (check_kernel *)kernel;
    const mu_call *call = &kernel->call;
    void *in[MU_OP_VARIADIC], *out[MU_OP_MAX_OUT] = {NULL};
    for (int i = 0; i < call->n_in; i++)
        in[i] = kernel->in[i];
    for (int o = 0; o < call->n_out; o++) {
        if (call->out[o].dtype == MU_NONE)
            continue;
        out[o] = guarded_at(&k->out[o]);
        if (updated_operand(call, o) >= 0)
            in[updated_operand(call, o)] = out[o];
    }
    MU_TRY(mu_kernel_bind(k->inner, in, out, guarded_at(&k->scratch)));
    return MU_OK;
}

static mu_err reorder_run(mu_kernel *kernel, void *from, void *to, const mu_run *run)
{
    MU_TRY(mu_kernel_bind(kernel, &from, &to, NULL));
    MU_TRY(mu_kernel_run(kernel, run));
    return MU_OK;
}

/* The row-major bytes of what lies at `at`. */
static mu_err row_of(view *v, void *at, const mu_run *run, void **out)
{
    if (v->to_row)
        MU_TRY(reorder_run(v->to_row, at, v->row, run));
    *out = v->to_row ? v->row : at;
    return MU_OK;
}

/* Element j of operand i goes up or down: bits of Philox, since a simpler generator repeats along powers of two. */
static double direction(const mu_philox *bits, int64_t j)
{
    mu_u32x4 block = mu_philox_block(bits, (uint64_t)j / 128);
    return block.v[j / 32 % 4] >> (j % 32) & 1 ? 1 : -1;
}

/* Hands the operands to the oracle, each number changed by a factor 1 + or - `change`. */
static mu_err feed_oracle(check_kernel *k, double change, int stream, const mu_run *run)
{
    const mu_call *call = &k->base.call;
    for (int i = 0; i < call->n_in; i++) {
        const mu_type *t = &call->in[i];
        const mu_philox bits = mu_philox_key(1, MU_RNG_TEST, (uint64_t)i, (uint64_t)stream);
        void *row;
        if (t->dtype == MU_NONE)
            continue;
        MU_TRY(row_of(&k->in_view[i], k->before[i], run, &row));
        mu_type o = oracle_type(call, *t);
        mu_convert(k->in_view[i].oracle, o.dtype, row, t->dtype, mu_type_count(t));
        double *x = k->in_view[i].oracle;
        for (int64_t j = 0; change != 0 && o.dtype == MU_F64 && j < mu_type_count(t); j++)
            x[j] *= 1 + change * direction(&bits, j);
    }
    return MU_OK;
}

/* The oracle's floating outputs: kept in want, or the largest change from it per unit of change of the operands. */
static void read_oracle(check_kernel *k, bool perturbed)
{
    const mu_call *call = &k->base.call;
    for (int o = 0; o < call->n_out; o++) {
        mu_dtype dtype = oracle_type(call, call->out[o]).dtype;
        for (int64_t i = 0; k->want[o] && i < mu_type_count(&call->out[o]); i++) {
            double x;
            mu_convert(&x, MU_F64, (char *)k->oracle->out[o] + (size_t)i * mu_dtype_size(dtype), dtype, 1);
            if (!perturbed) {
                k->want[o][i] = x;
                k->change[o][i] = 0;
            } else if (fabs(x - k->want[o][i]) / CHANGE > k->change[o][i]) {
                k->change[o][i] = fabs(x - k->want[o][i]) / CHANGE;
            }
        }
    }
}

/* ref's results, and how far they move when the operands do. The last run is unperturbed: integers are read from it. */
static mu_err ask_oracle(check_kernel *k, const mu_run *run)
{
    for (int i = 0; i <= DIRECTIONS + 1; i++) {
        bool perturbed = i > 0 && i <= DIRECTIONS;
        MU_TRY(feed_oracle(k, perturbed ? CHANGE : 0, i, run));
        MU_TRY(mu_kernel_run(k->oracle, run));
        if (i <= DIRECTIONS)
            read_oracle(k, perturbed);
    }
    return MU_OK;
}

static mu_err check_memory(check_kernel *k)
{
    const mu_call *call = &k->base.call;
    for (int o = 0; o < call->n_out; o++)
        if (!guarded_intact(&k->out[o]))
            return blame(k, "wrote beyond output %d of %zu bytes", o, k->out[o].bytes);
    if (!guarded_intact(&k->scratch))
        return blame(k, "wrote beyond its %zu bytes of scratch", k->scratch.bytes);
    for (int i = 0; i < call->n_in; i++)
        if (k->before[i] && !is_updated(call, i) &&
            memcmp(k->before[i], k->base.in[i], mu_layout_bytes(k->inner->in_layout[i], &call->in[i])) != 0)
            return blame(k, "wrote to its operand %d", i);
    return MU_OK;
}

/* What a layout pads with must be zero: a round trip through row-major gives the same bytes. */
static mu_err check_padding(check_kernel *k, int o, void *row, const mu_run *run)
{
    view *v = &k->out_view[o];
    if (!v->from_row)
        return MU_OK;
    MU_TRY(reorder_run(v->from_row, row, v->padded, run));
    if (memcmp(v->padded, guarded_at(&k->out[o]), k->out[o].bytes) != 0)
        return blame(k, "left something other than zeros in the padding of output %d (%s)", o,
                     k->inner->out_layout[o]->name);
    return MU_OK;
}

static mu_err check_output(check_kernel *k, int o, const mu_run *run)
{
    const mu_type *t = &k->base.call.out[o];
    char shape[MU_TYPE_TEXT];
    check_difference d;
    void *row;
    MU_TRY(row_of(&k->out_view[o], guarded_at(&k->out[o]), run, &row));
    if (k->oracle && mu_check_compare(t, row, k->oracle->out[o], k->want[o], k->change[o], &d))
        return d.unwritten ? blame(k, "did not write element %lld of output %d %s", (long long)d.at, o,
                                   mu_type_format(t, shape))
                           : blame(k, "gave %.9g in element %lld of output %d %s, ref gives %.9g (tolerance %.3g)",
                                   d.got, (long long)d.at, o, mu_type_format(t, shape), d.want, d.tolerance);
    MU_TRY(check_padding(k, o, row, run));
    return MU_OK;
}

static mu_err run_checked(mu_kernel *kernel, const mu_run *run)
{
    check_kernel *k = (check_kernel *)kernel;
    const mu_call *call = &kernel->call;
    for (int i = 0; i < call->n_in; i++)
        if (k->before[i])
            memcpy(k->before[i], kernel->in[i], mu_layout_bytes(k->inner->in_layout[i], &call->in[i]));
    for (int o = 0; o < call->n_out; o++) {
        if (call->out[o].dtype == MU_NONE)
            continue;
        memset(guarded_at(&k->out[o]), CHECK_FILL, k->out[o].bytes);
        if (updated_operand(call, o) >= 0)
            memcpy(guarded_at(&k->out[o]), k->before[updated_operand(call, o)], k->out[o].bytes);
    }
    if (k->oracle)
        MU_TRY(ask_oracle(k, run));
    MU_TRY(mu_kernel_run(k->inner, run));
    MU_TRY(check_memory(k));
    for (int o = 0; o < call->n_out; o++) {
        if (call->out[o].dtype == MU_NONE)
            continue;
        MU_TRY(check_output(k, o, run));
        memcpy(kernel->out[o], guarded_at(&k->out[o]), k->out[o].bytes);
    }
    return MU_OK;
}

static void release_view(view *v)
{
    mu_kernel_release(v->to_row);
    mu_kernel_release(v->from_row);
    mu_free(v->row);
    mu_free(v->padded);
    mu_free(v->oracle);
}

static void release(mu_kernel *kernel)
{
    check_kernel *k = (check_kernel *)kernel;
    mu_kernel_release(k->inner);
    mu_kernel_release(k->oracle);
    mu_free(k->scratch.block);
    for (int i = 0; i < kernel->call.n_in; i++) {
        mu_free(k->before[i]);
        release_view(&k->in_view[i]);
    }
    for (int o = 0; o < kernel->call.n_out; o++) {
        mu_free(k->out[o].block);
        mu_free(k->want[o]);
        mu_free(k->change[o]);
        release_view(&k->out_view[o]);
    }
}

static const mu_kernel_ops kernel_ops = {.run = run_checked, .release = release, .bind = bind};

/* ---- the backend ---- */

static mu_err prepare(mu_backend *backend, const mu_call *call, const mu_layout *const *in_layout,
                      const mu_layout *const *want_out, mu_kernel **out)
{
    check_backend *b = (check_backend *)backend;
    mu_kernel *kernel;
    MU_TRY(mu_kernel_new(sizeof(check_kernel), &kernel_ops, call, &kernel));
    ((check_kernel *)kernel)->device = b->inner->ops->name;
    mu_err err = prepare_parts(b, (check_kernel *)kernel, in_layout, want_out);
    if (err != MU_OK) {
        mu_kernel_release(kernel);
        return err;
    }
    *out = kernel;
    return MU_OK;
}

static mu_backend *inner_of(mu_backend *backend)
{
    return ((check_backend *)backend)->inner;
}

static bool supports(mu_backend *backend, const mu_call *call, const char **why)
{
    return inner_of(backend)->ops->supports(inner_of(backend), call, why);
}

static mu_err reorder(mu_backend *backend, const mu_type *type, const mu_layout *from, const mu_layout *to,
                      mu_kernel **out)
{
    return inner_of(backend)->ops->reorder(inner_of(backend), type, from, to, out);
}

static mu_err layout(mu_backend *backend, const mu_type *type, mu_layout_kind kind, int block, const mu_layout **out)
{
    mu_backend *inner = inner_of(backend);
    if (inner->ops->layout)
        return inner->ops->layout(inner, type, kind, block, out);
    return MU_FAIL(MU_ERR_UNSUPPORTED, "backend %s has row-major layouts only", inner->ops->name);
}

static mu_err alloc(mu_backend *backend, size_t bytes, void **out)
{
    return inner_of(backend)->ops->alloc(inner_of(backend), bytes, out);
}

static void dealloc(mu_backend *backend, void *block)
{
    inner_of(backend)->ops->dealloc(inner_of(backend), block);
}

static mu_err upload(mu_backend *backend, void *device, const void *host, size_t bytes)
{
    return inner_of(backend)->ops->upload(inner_of(backend), device, host, bytes);
}

static mu_err download(mu_backend *backend, void *host, const void *device, size_t bytes)
{
    return inner_of(backend)->ops->download(inner_of(backend), host, device, bytes);
}

static mu_err synchronize(mu_backend *backend)
{
    return inner_of(backend)->ops->synchronize(inner_of(backend));
}

static mu_err open_oracle(mu_backend *backend, const mu_backend_options *options)
{
    MU_TRY(mu_backend_open("cpu:ref", options, &((check_backend *)backend)->ref));
    return MU_OK;
}

static void close_both(mu_backend *backend)
{
    check_backend *b = (check_backend *)backend;
    mu_backend_close(b->inner);
    mu_backend_close(b->ref);
}

static const mu_backend_ops check_ops = {
    .name = "check",
    .doc = "Wraps another backend (check:cpu:onednn): guards, NaN-filled outputs, every node against ref.",
    .size = sizeof(check_backend),
    .open = open_oracle,
    .close = close_both,
    .supports = supports,
    .prepare = prepare,
    .reorder = reorder,
    .layout = layout,
    .alloc = alloc,
    .dealloc = dealloc,
    .upload = upload,
    .download = download,
    .synchronize = synchronize,
};

mu_err mu_check_wrap(mu_backend *inner, mu_backend **out)
{
    if (!inner->host_memory)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "backend %s does not work in host memory: it cannot be checked",
                       inner->ops->name);
    MU_TRY(mu_backend_open_ops(&check_ops, NULL, out));
    ((check_backend *)*out)->inner = inner;
    (*out)->n_threads = inner->n_threads;
    (*out)->host_memory = true;
    return MU_OK;
}

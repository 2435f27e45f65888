/* Runs one operation on cpu:simd and on cpu:ref and compares: over layouts, instruction sets, threads and dtypes. */
#ifndef MU_TESTS_OPS_SIMD_CASE_H
#define MU_TESTS_OPS_SIMD_CASE_H

#include "backend.h"
#include "backend/simd/simd.h"
#include "core/philox.h"
#include "ops/ops.h"
#include "test.h"

#include <math.h>

enum { CASE_MAX_IN = 8, CASE_GUARD = 64 };

typedef struct {
    const mu_op *op;
    const void *attrs;
    int n_in;
    mu_type in[CASE_MAX_IN];      /* MU_NONE: absent */
    double low[CASE_MAX_IN], high[CASE_MAX_IN]; /* range of the random values; both 0: -3..3 */
    int64_t stride;               /* of samples in the run; 0: 1 */
    double tolerance;             /* f32: relative to the largest value of the output, at least 1 */
    uint64_t seed;
    bool first_plain; /* operand 0 comes row-major whatever the variant's layout */
    unsigned keep; /* bit i: operand i is f32 also where the others are bf16 */
    unsigned whole; /* bit i: operand i holds whole numbers */
} simd_case;

typedef struct {
    const char *isa;
    int threads;
    mu_layout_kind kind;
    int block;
    mu_dtype dtype; /* MU_F32, or MU_BF16: floating-point operands are stored so */
    bool in_place;  /* outputs take the memory of the operands that the kernel allows, as the planner has it */
} simd_variant;

static inline void *case_alloc(size_t bytes)
{
    void *p;
    ck_ok(mu_alloc(&p, bytes + 2 * CASE_GUARD));
    memset(p, 0xff, bytes + 2 * CASE_GUARD);
    return (char *)p + CASE_GUARD;
}

static inline void case_free(void *p, size_t bytes)
{
    for (int i = 0; i < CASE_GUARD; i++) {
        ck_assert_msg(((unsigned char *)p)[-1 - i] == 0xff, "written %d bytes before a tensor", i + 1);
        ck_assert_msg(((unsigned char *)p)[bytes + (size_t)i] == 0xff, "written %d bytes beyond a tensor", i + 1);
    }
    mu_free((char *)p - CASE_GUARD);
}

/* Row-major values of operand i in its own dtype; floats are such that bf16 holds them. */
static inline void *case_fill(const simd_case *c, int i)
{
    const mu_type *t = &c->in[i];
    double low = c->low[i], high = c->high[i];
    if (low == 0 && high == 0) {
        low = -3;
        high = 3;
    }
    mu_philox rng = mu_philox_key(c->seed + 1, MU_RNG_TEST, (uint64_t)i, 0);
    char *p = case_alloc(mu_type_bytes(t));
    for (int64_t k = 0; k < mu_type_count(t); k++) {
        double u = mu_philox_uniform_f64(&rng, (uint64_t)k), x = low + u * (high - low);
        if (c->whole >> i & 1)
            x = floor(x);
        else if (mu_dtype_is_float(t->dtype))
            x = mu_bf16_to_f32(mu_f32_to_bf16((float)x));
        else
            x = t->dtype == MU_BOOL ? u < 0.5 : floor(x);
        mu_convert(p + (size_t)k * mu_dtype_size(t->dtype), t->dtype, &x, MU_F64, 1);
    }
    return p;
}

static inline mu_type case_type(const mu_type *t, mu_dtype dtype)
{
    mu_type r = *t;
    if (r.dtype == MU_F32)
        r.dtype = dtype;
    return r;
}

/* The operand whose memory output o takes, or -1. */
static inline int case_place(const mu_kernel *kernel, const simd_variant *v, int o)
{
    int i = v->in_place ? kernel->inplace[o] - 1 : -1;
    if (i < 0 || i >= kernel->call.n_in || kernel->call.in[i].dtype != kernel->call.out[o].dtype ||
        mu_layout_bytes(kernel->in_layout[i], &kernel->call.in[i]) != mu_layout_bytes(kernel->out_layout[o], &kernel->call.out[o]))
        return -1;
    for (int before = 0; before < o; before++)
        if (case_place(kernel, v, before) == i)
            return -1;
    return i;
}

/* Runs the call on a backend; in and out are row-major in the given types. */
static inline void case_run(const char *device, const simd_case *c, const simd_variant *v, const mu_type *in,
                            void *const *values, mu_type *out, void **results)
{
    mu_backend *b;
    ck_ok(mu_backend_open(device, &(mu_backend_options){.n_threads = v->threads}, &b));
    mu_call call = {.op = c->op, .attrs = c->attrs, .n_in = c->n_in, .n_out = c->op->n_out, .in = in, .out = out};
    memset(out, 0, MU_OP_MAX_OUT * sizeof *out);
    ck_ok(c->op->infer(&call, out));
    const mu_layout *layout[CASE_MAX_IN] = {NULL};
    if (v->kind != MU_LAYOUT_ROW_MAJOR && b->ops->layout)
        for (int i = c->first_plain; i < c->n_in; i++)
            if (in[i].dtype != MU_NONE && in[i].ndim >= 3)
                ck_ok(b->ops->layout(b, &in[i], v->kind, v->block, &layout[i]));
    const char *why;
    ck_assert_msg(b->ops->supports(b, &call, &why), "%s on %s: %s", c->op->name, device, why);
    mu_kernel *kernel;
    ck_ok(b->ops->prepare(b, &call, layout, NULL, &kernel));
    void *bound_in[CASE_MAX_IN] = {NULL}, *bound_out[MU_OP_MAX_OUT] = {NULL};
    size_t bytes_in[CASE_MAX_IN], bytes_out[MU_OP_MAX_OUT];
    mu_kernel *r;
    for (int i = 0; i < c->n_in; i++) {
        if (in[i].dtype == MU_NONE)
            continue;
        bytes_in[i] = mu_layout_bytes(kernel->in_layout[i], &in[i]);
        bound_in[i] = case_alloc(bytes_in[i]);
        ck_ok(b->ops->reorder(b, &in[i], NULL, kernel->in_layout[i], &r));
        ck_ok(mu_kernel_bind(r, &values[i], &bound_in[i], NULL));
        ck_ok(mu_kernel_run(r, &(mu_run){0}));
        mu_kernel_release(r);
    }
    for (int o = 0; o < c->op->n_out; o++) {
        results[o] = NULL;
        if (out[o].dtype == MU_NONE)
            continue;
        bytes_out[o] = mu_layout_bytes(kernel->out_layout[o], &out[o]);
        int place = case_place(kernel, v, o);
        bound_out[o] = place >= 0 ? bound_in[place] : case_alloc(bytes_out[o]);
        if (c->op->updates[o] && place < 0)
            memcpy(bound_out[o], bound_in[c->op->updates[o] - 1], bytes_out[o]);
    }
    void *scratch = case_alloc(kernel->scratch_bytes);
    ck_ok(mu_kernel_bind(kernel, bound_in, bound_out, scratch));
    ck_ok(mu_kernel_run(kernel, &(mu_run){.seed = 7, .step = 3, .sample_offset = 5, .sample_stride = c->stride}));
    for (int o = 0; o < c->op->n_out; o++) {
        if (out[o].dtype == MU_NONE)
            continue;
        results[o] = case_alloc(mu_type_bytes(&out[o]));
        ck_ok(b->ops->reorder(b, &out[o], kernel->out_layout[o], NULL, &r));
        ck_ok(mu_kernel_bind(r, &bound_out[o], &results[o], NULL));
        ck_ok(mu_kernel_run(r, &(mu_run){0}));
        mu_kernel_release(r);
        if (kernel->out_layout[o] && kernel->out_layout[o]->padded) {
            /* There and back: what a reorder writes has zeros for padding, so must what the kernel wrote. */
            void *again = case_alloc(bytes_out[o]);
            ck_ok(b->ops->reorder(b, &out[o], NULL, kernel->out_layout[o], &r));
            ck_ok(mu_kernel_bind(r, &results[o], &again, NULL));
            ck_ok(mu_kernel_run(r, &(mu_run){0}));
            mu_kernel_release(r);
            size_t size = mu_dtype_size(out[o].dtype);
            for (size_t i = 0; i < bytes_out[o]; i += size) {
                double x, y;
                mu_convert(&x, MU_F64, (char *)bound_out[o] + i, out[o].dtype, 1);
                mu_convert(&y, MU_F64, (char *)again + i, out[o].dtype, 1);
                ck_assert_msg(x == y || (isnan(x) && isnan(y)), "%s output %d: padding is %g", c->op->name, o, x);
            }
            case_free(again, bytes_out[o]);
        }
        if (case_place(kernel, v, o) < 0)
            case_free(bound_out[o], bytes_out[o]);
    }
    case_free(scratch, kernel->scratch_bytes);
    for (int i = 0; i < c->n_in; i++)
        if (in[i].dtype != MU_NONE)
            case_free(bound_in[i], bytes_in[i]);
    mu_kernel_release(kernel);
    mu_backend_close(b);
}

static inline void case_compare(const simd_case *c, const simd_variant *v, int o, const mu_type *got_type, const void *got,
                                const mu_type *want_type, const void *want)
{
    int64_t n = mu_type_count(want_type);
    double scale = 1, tolerance = c->tolerance;
    if (got_type->dtype == MU_BF16)
        tolerance = fmax(tolerance, 1.0 / 200);
    if (!mu_dtype_is_float(want_type->dtype))
        tolerance = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < n; i++) {
            double x, y;
            mu_convert(&x, MU_F64, (const char *)got + (size_t)i * mu_dtype_size(got_type->dtype), got_type->dtype, 1);
            mu_convert(&y, MU_F64, (const char *)want + (size_t)i * mu_dtype_size(want_type->dtype), want_type->dtype, 1);
            if (pass == 0 && isfinite(y))
                scale = fmax(scale, fabs(y));
            if (pass == 1 && !(x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= tolerance * scale)) {
                char text[MU_TYPE_TEXT];
                ck_abort_msg("%s %s output %d%s, %s, %d threads, layout %d block %d: [%lld] is %.9g, ref %.9g", c->op->name,
                             mu_type_format(got_type, text), o, v->in_place ? " in place" : "", v->isa, v->threads, (int)v->kind, v->block, (long long)i, x, y);
            }
        }
}

static inline void case_check(const simd_case *c, const simd_variant *v)
{
    void *values[CASE_MAX_IN] = {NULL}, *stored[CASE_MAX_IN] = {NULL}, *want[MU_OP_MAX_OUT], *got[MU_OP_MAX_OUT];
    mu_type stored_type[CASE_MAX_IN], want_type[MU_OP_MAX_OUT], got_type[MU_OP_MAX_OUT];
    setenv("MU_SIMD_ISA", v->isa, 1);
    for (int i = 0; i < c->n_in; i++) {
        stored_type[i] = case_type(&c->in[i], c->keep >> i & 1 ? MU_F32 : v->dtype);
        if (c->in[i].dtype == MU_NONE)
            continue;
        values[i] = case_fill(c, i);
        stored[i] = case_alloc(mu_type_bytes(&stored_type[i]));
        mu_convert(stored[i], stored_type[i].dtype, values[i], c->in[i].dtype, mu_type_count(&c->in[i]));
    }
    static const simd_variant plain = {.isa = "", .threads = 1, .kind = MU_LAYOUT_ROW_MAJOR};
    case_run("cpu:ref", c, &plain, c->in, values, want_type, want);
    mu_call call = {.op = c->op, .attrs = c->attrs, .n_in = c->n_in, .n_out = c->op->n_out, .in = stored_type, .out = got_type};
    memset(got_type, 0, sizeof got_type);
    ck_ok(c->op->infer(&call, got_type));
    ck_assert_msg(mu_simd_is_vectorised(&call), "%s is left to ref", c->op->name);
    case_run("cpu:simd", c, v, stored_type, stored, got_type, got);
    for (int o = 0; o < c->op->n_out; o++) {
        if (want_type[o].dtype == MU_NONE)
            continue;
        case_compare(c, v, o, &got_type[o], got[o], &want_type[o], want[o]);
        case_free(want[o], mu_type_bytes(&want_type[o]));
        case_free(got[o], mu_type_bytes(&got_type[o]));
    }
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].dtype != MU_NONE) {
            case_free(values[i], mu_type_bytes(&c->in[i]));
            case_free(stored[i], mu_type_bytes(&stored_type[i]));
        }
}

/* Row-major, channels last and blocks of 16 and 8, each on some of the instruction sets, numbers of threads and (if `half`)
 * dtypes, so that every pair is met; some in place. */
static inline void case_check_all(const simd_case *c, bool half)
{
    static const simd_variant variants[] = {
        {"baseline", 1, MU_LAYOUT_ROW_MAJOR, 0, MU_F32},         {"x86-64-v3", 1, MU_LAYOUT_ROW_MAJOR, 0, MU_BF16},
        {"x86-64-v4", 2, MU_LAYOUT_ROW_MAJOR, 0, MU_F32},        {"baseline", 1, MU_LAYOUT_CHANNELS_LAST, 0, MU_BF16},
        {"x86-64-v3", 2, MU_LAYOUT_CHANNELS_LAST, 0, MU_F32},    {"x86-64-v4", 1, MU_LAYOUT_CHANNELS_LAST, 0, MU_F32},
        {"baseline", 2, MU_LAYOUT_CHANNELS_BLOCKED, 16, MU_F32}, {"x86-64-v3", 1, MU_LAYOUT_CHANNELS_BLOCKED, 16, MU_F32},
        {"x86-64-v4", 1, MU_LAYOUT_CHANNELS_BLOCKED, 16, MU_BF16}, {"baseline", 1, MU_LAYOUT_CHANNELS_BLOCKED, 8, MU_F32},
        {"x86-64-v4", 1, MU_LAYOUT_CHANNELS_BLOCKED, 8, MU_F32}, {"x86-64-v4", 1, MU_LAYOUT_CHANNELS_BLOCKED, 16, MU_F32},
        {"x86-64-v3", 1, MU_LAYOUT_ROW_MAJOR, 0, MU_F32},        {"x86-64-v4", 1, MU_LAYOUT_ROW_MAJOR, 0, MU_BF16},
        {"x86-64-v4", 1, MU_LAYOUT_ROW_MAJOR, 0, MU_F32, true},  {"x86-64-v3", 1, MU_LAYOUT_ROW_MAJOR, 0, MU_BF16, true},
        {"baseline", 2, MU_LAYOUT_CHANNELS_LAST, 0, MU_F32, true}, {"x86-64-v4", 1, MU_LAYOUT_CHANNELS_BLOCKED, 16, MU_F32, true},
    };
    bool images = c->in[0].ndim >= 3;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        if ((images || variants[i].kind == MU_LAYOUT_ROW_MAJOR) && (half || variants[i].dtype != MU_BF16))
            case_check(c, &variants[i]);
}

#endif

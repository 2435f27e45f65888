/* One call, run on a backend from row-major host arrays: the reorders that a planner would add are added here. */
#ifndef MU_TESTS_OPS_ONEDNN_RUN_H
#define MU_TESTS_OPS_ONEDNN_RUN_H

#include "backend.h"
#include "core/philox.h"
#include "ops/ops.h"
#include "test.h"

#include <math.h>

enum { RUN_MAX = 16 };

typedef struct {
    mu_call call;
    mu_type types[RUN_MAX];
    void *in[RUN_MAX], *out[RUN_MAX]; /* row-major; owned */
} run_case;

/* Infers the outputs and fills the operands with numbers in -1..1 of `seed`. An absent operand has dtype MU_NONE. */
static inline void run_case_init(run_case *c, const mu_op *op, const void *attrs, int n_in, const mu_type *in,
                                 uint64_t seed)
{
    *c = (run_case){.call = {.op = op, .attrs = attrs, .n_in = n_in, .n_out = op->n_out, .name = "node"}};
    memcpy(c->types, in, (size_t)n_in * sizeof *in);
    c->call.in = c->types;
    c->call.out = c->types + n_in;
    ck_ok(op->infer(&c->call, c->types + n_in));
    for (int i = 0; i < n_in; i++) {
        if (in[i].dtype == MU_NONE)
            continue;
        int64_t n = mu_type_count(&in[i]);
        float *f;
        ck_ok(mu_calloc(&f, (size_t)n + 1, sizeof *f));
        uint64_t s = seed * 7919 + (uint64_t)i * 104729 + 1;
        for (int64_t k = 0; k < n; k++) {
            s = s * 6364136223846793005u + 1442695040888963407u;
            f[k] = (float)((double)(s >> 40) / (1 << 23) - 1.0);
        }
        ck_ok(mu_alloc(&c->in[i], mu_type_bytes(&in[i]) + 1));
        mu_convert(c->in[i], in[i].dtype, f, MU_F32, n);
        mu_free(f);
    }
    for (int o = 0; o < c->call.n_out; o++)
        if (c->call.out[o].dtype != MU_NONE)
            ck_ok(mu_alloc(&c->out[o], mu_type_bytes(&c->call.out[o]) + 1));
}

static inline void run_case_release(run_case *c)
{
    for (int i = 0; i < RUN_MAX; i++) {
        mu_free(c->in[i]);
        mu_free(c->out[i]);
    }
}

/* Copies `src` in one layout to a new block in another. */
static inline void *run_reorder(mu_backend *b, const mu_type *type, void *src, const mu_layout *from, const mu_layout *to)
{
    static const mu_run run;
    mu_kernel *kernel;
    void *dst, *scratch = NULL;
    ck_ok(b->ops->alloc(b, mu_layout_bytes(to, type) + 1, &dst));
    memset(dst, 0xff, mu_layout_bytes(to, type));
    ck_ok(b->ops->reorder(b, type, from, to, &kernel));
    ck_ok(mu_alloc(&scratch, kernel->scratch_bytes + 1));
    ck_ok(mu_kernel_bind(kernel, &src, &dst, scratch));
    ck_ok(mu_kernel_run(kernel, &run));
    mu_free(scratch);
    mu_kernel_release(kernel);
    return dst;
}

/* Channels past the tensor's own must be zero, or a later kernel adds garbage. */
static inline void run_check_padding(const mu_layout *l, const void *data)
{
    if (!l || l->kind != MU_LAYOUT_CHANNELS_BLOCKED)
        return;
    size_t size = mu_dtype_size(l->type.dtype);
    int64_t plane = 1, blocks = (l->type.dim[1] + l->block - 1) / l->block;
    for (int d = 2; d < l->type.ndim; d++)
        plane *= l->type.dim[d];
    for (int64_t i = 0; i < l->type.dim[0] * blocks * plane; i++)
        for (int64_t c = 0; c < l->block; c++) {
            if (i / plane % blocks * l->block + c < l->type.dim[1])
                continue;
            for (size_t k = 0; k < size; k++)
                ck_assert_msg(((const char *)data)[((size_t)i * (size_t)l->block + (size_t)c) * size + k] == 0,
                              "padding channel %lld of %s is not zero", (long long)c, l->name);
        }
}

/* in_layout[i] (NULL array: row-major): how operand i comes. Returns the kernel's impl in `impl` when not NULL. */
static inline void run_case_on(mu_backend *b, run_case *c, const mu_layout *const *in_layout,
                               const mu_layout *const *want, char impl[64])
{
    static const mu_run run;
    const mu_layout *rows[RUN_MAX] = {NULL};
    mu_kernel *kernel;
    void *in[RUN_MAX] = {NULL}, *out[RUN_MAX] = {NULL}, *scratch;
    const mu_call *call = &c->call;
    in_layout = in_layout ? in_layout : rows;
    ck_ok(b->ops->prepare(b, call, in_layout, want ? want : rows, &kernel));
    for (int i = 0; i < call->n_in; i++)
        if (call->in[i].dtype != MU_NONE)
            in[i] = run_reorder(b, &call->in[i], c->in[i], NULL, kernel->in_layout[i]);
    for (int o = 0; o < call->n_out; o++)
        if (call->out[o].dtype != MU_NONE) {
            size_t bytes = mu_layout_bytes(kernel->out_layout[o], &call->out[o]);
            ck_ok(b->ops->alloc(b, bytes + 1, &out[o]));
            memset(out[o], 0xff, bytes);
        }
    ck_ok(mu_alloc(&scratch, kernel->scratch_bytes + 1));
    memset(scratch, 0xff, kernel->scratch_bytes);
    ck_ok(mu_kernel_bind(kernel, in, out, scratch));
    for (int i = 0; i < 2; i++)
        ck_ok(mu_kernel_run(kernel, &run));
    for (int o = 0; o < call->n_out; o++) {
        if (!out[o])
            continue;
        run_check_padding(kernel->out_layout[o], out[o]);
        void *plain = run_reorder(b, &call->out[o], out[o], kernel->out_layout[o], NULL);
        memcpy(c->out[o], plain, mu_type_bytes(&call->out[o]));
        b->ops->dealloc(b, plain);
        b->ops->dealloc(b, out[o]);
    }
    if (impl)
        snprintf(impl, 64, "%s", kernel->impl);
    for (int i = 0; i < call->n_in; i++)
        if (in[i])
            b->ops->dealloc(b, in[i]);
    mu_free(scratch);
    mu_kernel_release(kernel);
}

/* The same call in f64 on ref; outputs in f64, owned by the caller. */
static inline void run_case_ref(mu_backend *ref, const run_case *c, double *out[RUN_MAX])
{
    static const mu_run run;
    mu_type types[RUN_MAX];
    mu_call call = c->call;
    void *in[RUN_MAX] = {NULL};
    mu_kernel *kernel;
    memcpy(types, c->types, sizeof types);
    call.in = types;
    call.out = types + call.n_in;
    for (int i = 0; i < call.n_in + call.n_out; i++)
        if (types[i].dtype != MU_NONE)
            types[i].dtype = MU_F64;
    for (int i = 0; i < call.n_in; i++)
        if (types[i].dtype != MU_NONE) {
            ck_ok(mu_alloc(&in[i], mu_type_bytes(&types[i]) + 1));
            mu_convert(in[i], MU_F64, c->in[i], c->call.in[i].dtype, mu_type_count(&types[i]));
        }
    for (int o = 0; o < call.n_out; o++) {
        out[o] = NULL;
        if (call.out[o].dtype != MU_NONE)
            ck_ok(mu_alloc(&out[o], mu_type_bytes(&call.out[o]) + 1));
    }
    ck_ok(ref->ops->prepare(ref, &call, NULL, NULL, &kernel));
    ck_ok(mu_kernel_bind(kernel, in, (void **)out, NULL));
    ck_ok(mu_kernel_run(kernel, &run));
    mu_kernel_release(kernel);
    for (int i = 0; i < call.n_in; i++)
        mu_free(in[i]);
}

/* Largest |got - expected| over the largest |expected| of output o. */
static inline double run_error(const run_case *c, int o, const double *expected)
{
    double worst = 0, scale = 1e-30;
    for (int64_t k = 0; k < mu_type_count(&c->call.out[o]); k++) {
        double got;
        mu_convert(&got, MU_F64, (const char *)c->out[o] + (size_t)k * mu_dtype_size(c->call.out[o].dtype),
                   c->call.out[o].dtype, 1);
        double e = fabs(got - expected[k]);
        worst = e > worst || isnan(e) ? e : worst;
        if (isnan(e))
            return e;
        scale = fabs(expected[k]) > scale ? fabs(expected[k]) : scale;
    }
    return worst / scale;
}

#endif

#include "backend/fallback.h"

#include "backend/host.h"
#include "core/log.h"
#include "core/mem.h"

#include <stdatomic.h>
#include <stdlib.h>

/* An operand or output on the host. */
typedef struct {
    void *whole;   /* as the device has it */
    void *operand; /* as the CPU's kernel has it: the same, or wider */
} copy;

typedef struct {
    mu_kernel base;
    mu_backend *device; /* borrowed */
    mu_backend *cpu;    /* owned */
    mu_kernel *kernel;  /* of cpu */
    copy in[MU_OP_VARIADIC], out[MU_OP_MAX_OUT];
    void *scratch;
} fallback;

static _Atomic int64_t n_kernels, n_runs, n_bytes;

mu_fallback_counts mu_fallback_get_counts(void)
{
    return (mu_fallback_counts){.kernels = n_kernels, .runs = n_runs, .bytes = n_bytes};
}

/* ---- may it? ---- */

typedef enum { FALLBACK_ERROR, FALLBACK_WARN, FALLBACK_ALLOW, FALLBACK_UNKNOWN } policy;

/* Read at every preparation, which is rare, so that a test can switch. */
static policy get_policy(void)
{
    static const char *const names[] = {"error", "warn", "allow"};
    const char *wish = getenv("MU_FALLBACK");
    if (!wish || !*wish)
        return FALLBACK_WARN;
    for (int i = 0; i < FALLBACK_UNKNOWN; i++)
        if (strcmp(wish, names[i]) == 0)
            return (policy)i;
    return FALLBACK_UNKNOWN;
}

static bool is_half(mu_dtype dtype)
{
    return dtype == MU_BF16 || dtype == MU_F16;
}

/* The types of a call with f32 for half types. */
typedef struct {
    mu_type type[MU_OP_VARIADIC + MU_OP_MAX_OUT];
    mu_call call;
} wide_call;

static void widen(const mu_call *call, wide_call *out)
{
    out->call = *call;
    for (int i = 0; i < call->n_in + call->n_out; i++) {
        out->type[i] = i < call->n_in ? call->in[i] : call->out[i - call->n_in];
        if (is_half(out->type[i].dtype))
            out->type[i].dtype = MU_F32;
    }
    out->call.in = out->type;
    out->call.out = out->type + call->n_in;
}

/* As it is, else in f32: sets *widened. simd looks at nothing of its instance here. */
static bool host_supports(const mu_call *call, bool *widened, const char **why)
{
    wide_call wide;
    mu_backend none = {.ops = &mu_backend_simd};
    *widened = false;
    if (mu_backend_simd.supports(&none, call, why))
        return true;
    *widened = true;
    widen(call, &wide);
    return mu_backend_simd.supports(&none, &wide.call, why);
}

bool mu_fallback_supports(const mu_backend *backend, const mu_call *call, const char **why)
{
    bool widened;
    policy wish = get_policy();
    (void)backend;
    if (!(call->op->flags & MU_OP_HOST) && (wish == FALLBACK_ERROR || wish == FALLBACK_UNKNOWN)) {
        *why = wish == FALLBACK_ERROR ? "MU_FALLBACK=error keeps it from running on the host" : "MU_FALLBACK must be error, warn or allow";
        return false;
    }
    return host_supports(call, &widened, why);
}

static void warn(const mu_backend *backend, const mu_call *call, const char *lacks)
{
    static _Atomic uint64_t told[4]; /* a bit for each built-in operation; plug-ins' are told every time */
    int i = 0;
    while (mu_op_builtins()[i] && mu_op_builtins()[i] != call->op)
        i++;
    uint64_t bit = (uint64_t)1 << (i % 64);
    if (mu_op_builtins()[i] && i < 256 && (atomic_fetch_or(&told[i / 64], bit) & bit))
        return;
    MU_WARN("backend", "%s \"%s\" runs on the host, with copies to and from %s: %s (MU_FALLBACK=error refuses it, allow is silent)",
            call->op->name, call->name ? call->name : "", backend->ops->name, lacks);
}

/* ---- running ---- */

static const mu_type *type_of(const mu_call *call, int i)
{
    return i < call->n_in ? &call->in[i] : &call->out[i - call->n_in];
}

static mu_err download(fallback *f, int i, int64_t *bytes)
{
    const mu_type *has = &f->base.call.in[i], *wants = &f->kernel->call.in[i];
    if (has->dtype == MU_NONE || !f->base.in[i])
        return MU_OK;
    MU_TRY(f->device->ops->download(f->device, f->in[i].whole, f->base.in[i], mu_type_bytes(has)));
    if (f->in[i].operand != f->in[i].whole)
        mu_convert(f->in[i].operand, wants->dtype, f->in[i].whole, has->dtype, mu_type_count(has));
    *bytes += (int64_t)mu_type_bytes(has);
    return MU_OK;
}

static mu_err upload(fallback *f, int o, int64_t *bytes)
{
    const mu_type *has = &f->kernel->call.out[o], *wants = &f->base.call.out[o];
    if (wants->dtype == MU_NONE || !f->base.out[o])
        return MU_OK;
    if (f->out[o].operand != f->out[o].whole)
        mu_convert(f->out[o].whole, wants->dtype, f->out[o].operand, has->dtype, mu_type_count(has));
    MU_TRY(f->device->ops->upload(f->device, f->base.out[o], f->out[o].whole, mu_type_bytes(wants)));
    *bytes += (int64_t)mu_type_bytes(wants);
    return MU_OK;
}

static mu_err run_fallback(mu_kernel *kernel, const mu_run *run)
{
    fallback *f = (fallback *)kernel;
    bool present = run->presence != MU_ABSENT; /* an absent rank touches no operand */
    int64_t bytes = 0;
    for (int i = 0; present && i < kernel->call.n_in; i++)
        MU_TRY(download(f, i, &bytes));
    MU_TRY(mu_kernel_run(f->kernel, run));
    for (int o = 0; present && o < kernel->call.n_out; o++)
        MU_TRY(upload(f, o, &bytes));
    if (!(kernel->call.op->flags & MU_OP_HOST)) {
        n_runs++;
        n_bytes += bytes;
    }
    return MU_OK;
}

static void release_copy(copy *c)
{
    if (c->operand != c->whole)
        mu_free(c->operand);
    mu_free(c->whole);
}

static void release_fallback(mu_kernel *kernel)
{
    fallback *f = (fallback *)kernel;
    for (int i = 0; i < kernel->call.n_in; i++)
        release_copy(&f->in[i]);
    for (int o = 0; o < kernel->call.n_out; o++)
        if (!kernel->call.op->updates[o])
            release_copy(&f->out[o]);
    mu_free(f->scratch);
    mu_kernel_release(f->kernel);
    mu_backend_close(f->cpu);
}

static const mu_kernel_ops fallback_ops = {.run = run_fallback, .release = release_fallback};

/* ---- making ---- */

static mu_err make_copy(const mu_type *device, const mu_type *cpu, copy *out)
{
    if (device->dtype == MU_NONE)
        return MU_OK;
    MU_TRY(mu_alloc(&out->whole, mu_type_bytes(device)));
    out->operand = out->whole;
    if (device->dtype == cpu->dtype)
        return MU_OK;
    void *operand;
    MU_TRY(mu_alloc(&operand, mu_type_bytes(cpu)));
    out->operand = operand;
    return MU_OK;
}

static mu_err make(fallback *f)
{
    const mu_call *call = &f->base.call;
    const mu_layout *rows[MU_OP_VARIADIC + MU_OP_MAX_OUT] = {NULL};
    void *in[MU_OP_VARIADIC], *out[MU_OP_MAX_OUT];
    wide_call wide;
    bool widened;
    const char *why;
    if (!host_supports(call, &widened, &why))
        return MU_FAIL(MU_ERR_UNSUPPORTED, "%s \"%s\": %s", call->op->name, call->name ? call->name : "", why);
    MU_TRY(mu_backend_open_ops(&mu_backend_simd, NULL, &f->cpu));
    widen(call, &wide);
    MU_TRY(f->cpu->ops->prepare(f->cpu, widened ? &wide.call : call, rows, rows, &f->kernel));
    for (int i = 0; i < call->n_in + call->n_out; i++) {
        int o = i - call->n_in, state = o >= 0 ? call->op->updates[o] - 1 : -1;
        if (state >= 0)
            f->out[o] = f->in[state];
        else
            MU_TRY(make_copy(type_of(call, i), type_of(&f->kernel->call, i), o >= 0 ? &f->out[o] : &f->in[i]));
    }
    for (int i = 0; i < call->n_in; i++)
        in[i] = f->in[i].operand;
    for (int o = 0; o < call->n_out; o++)
        out[o] = f->out[o].operand;
    MU_TRY(mu_alloc(&f->scratch, f->kernel->scratch_bytes));
    MU_TRY(mu_kernel_bind(f->kernel, in, out, f->scratch));
    return MU_OK;
}

mu_err mu_fallback_prepare(mu_backend *backend, const mu_call *call, const char *lacks, mu_kernel **out)
{
    bool own = call->op->flags & MU_OP_HOST;
    const char *why;
    mu_kernel *kernel;
    if (!mu_fallback_supports(backend, call, &why))
        return MU_FAIL(MU_ERR_UNSUPPORTED, "%s \"%s\": %s; %s", call->op->name, call->name ? call->name : "", lacks, why);
    if (!own && get_policy() == FALLBACK_WARN)
        warn(backend, call, lacks);
    MU_TRY(mu_kernel_new(sizeof(fallback), &fallback_ops, call, &kernel));
    fallback *f = (fallback *)kernel;
    f->device = backend;
    kernel->waits = true;
    kernel->impl = own ? "host" : "fallback";
    mu_err err = make(f);
    if (err) {
        mu_kernel_release(kernel);
        return err;
    }
    if (!own)
        n_kernels++;
    *out = kernel;
    return MU_OK;
}

#include "backend/host.h"
#include "backend/ref/ref.h"

typedef struct {
    const mu_op *op;
    mu_ref_fn *f32, *f64;
    bool any_dtype;
} entry;

static const entry table[] = {
#define REF_KERNEL(name) {&mu_op_##name, name##_ref_f32, name##_ref_f64, false},
#define REF_MOVE(name) {&mu_op_##name, name##_ref_f32, name##_ref_f64, true},
#include "backend/ref/ref.def"
#undef REF_MOVE
#undef REF_KERNEL
};

typedef struct {
    mu_kernel base;
    mu_ref_fn *fn;
} ref_kernel;

/* As the first floating-point operand is: f64, else f32 (also for integers alone); half types are not computed here. */
static mu_ref_fn *find(const mu_call *call, const char **why)
{
    const entry *found = NULL;
    mu_dtype first = MU_NONE;
    *why = "the reference backend has no kernel for it";
    for (size_t i = 0; i < sizeof table / sizeof *table && !found; i++)
        if (table[i].op == call->op)
            found = &table[i];
    if (!found)
        return NULL;
    for (int i = 0; i < call->n_in + call->n_out; i++) {
        mu_dtype dtype = i < call->n_in ? call->in[i].dtype : call->out[i - call->n_in].dtype;
        if (first == MU_NONE && mu_dtype_is_float(dtype))
            first = dtype;
        if ((dtype == MU_F16 || dtype == MU_BF16) && !found->any_dtype) {
            *why = "the reference backend computes in f32 and f64";
            return NULL;
        }
    }
    return first == MU_F64 ? found->f64 : found->f32;
}

bool mu_ref_supports(mu_backend *backend, const mu_call *call, const char **why)
{
    (void)backend;
    return find(call, why) != NULL;
}

static mu_err run(mu_kernel *kernel, const mu_run *run_args)
{
    return ((ref_kernel *)kernel)->fn(&kernel->call, kernel->in, kernel->out, run_args);
}

static const mu_kernel_ops kernel_ops = {.run = run};

mu_err mu_ref_prepare(mu_backend *backend, const mu_call *call, const mu_layout *const *in_layout,
                      const mu_layout *const *want_out, mu_kernel **out)
{
    (void)backend, (void)in_layout, (void)want_out;
    const char *why;
    mu_ref_fn *fn = find(call, &why);
    if (!fn)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "%s \"%s\": %s", call->op->name, call->name ? call->name : "", why);
    mu_kernel *kernel;
    MU_TRY(mu_kernel_new(sizeof(ref_kernel), &kernel_ops, call, &kernel));
    ((ref_kernel *)kernel)->fn = fn;
    kernel->impl = "ref";
    *out = kernel;
    return MU_OK;
}

static mu_err open_ref(mu_backend *backend, const mu_backend_options *options)
{
    (void)options;
    backend->n_threads = 1;
    backend->host_memory = true;
    return MU_OK;
}

const mu_backend_ops mu_backend_ref = {
    .name = "ref",
    .doc = "Plain C in f32 and f64 on one thread: the oracle.",
    .size = sizeof(mu_backend),
    .open = open_ref,
    .supports = mu_ref_supports,
    .prepare = mu_ref_prepare,
    .reorder = mu_host_reorder,
    .alloc = mu_host_alloc,
    .dealloc = mu_host_dealloc,
    .upload = mu_host_copy_in,
    .download = mu_host_copy_out,
    .synchronize = mu_host_synchronize,
};

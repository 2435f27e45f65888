#include "backend/host.h"
#include "backend/onednn/onednn.h"
#include "backend/onednn/tune.h"
#include "backend/simd/simd.h"
#include "core/mem.h"
#include "core/cpus.h"

#include <omp.h>
#include <stdio.h>

typedef struct {
    const mu_op *op;
    mu_onednn_supports_fn *supports;
    mu_onednn_prepare_fn *prepare;
} entry;

static const entry table[] = {
#define MU_ONEDNN_KERNEL(name) {&mu_op_##name, name##_supports_onednn, name##_prepare_onednn},
#include "backend/onednn/onednn.def"
#undef MU_ONEDNN_KERNEL
    {NULL, NULL, NULL}};

mu_err mu_onednn_fail(dnnl_status_t status, const char *call, const char *file, int line, const char *function)
{
    mu_err code = status == dnnl_out_of_memory   ? MU_ERR_MEMORY
                  : status == dnnl_unimplemented ? MU_ERR_UNSUPPORTED
                                                 : MU_ERR_BACKEND;
    return mu_error_set(code, file, line, function, "oneDNN: %s in %.120s", dnnl_status2str(status), call);
}

dnnl_data_type_t mu_onednn_dtype(mu_dtype dtype)
{
    switch (dtype) {
    case MU_F32: return dnnl_f32;
    case MU_F16: return dnnl_f16;
    case MU_BF16: return dnnl_bf16;
    case MU_I32: return dnnl_s32;
    case MU_U8:
    case MU_BOOL: return dnnl_u8;
    default: return dnnl_data_type_undef;
    }
}

bool mu_onednn_float_ok(mu_dtype dtype, const char **why)
{
    if (dtype == MU_F32)
        return true;
    if (dtype != MU_BF16) {
        *why = "oneDNN computes in f32 and bf16";
        return false;
    }
    *why = "bf16 needs a processor with AVX-512";
    return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)dnnl_cpu_isa_avx512_core) == (unsigned)dnnl_cpu_isa_avx512_core;
}

void mu_onednn_use_threads(const mu_onednn *self)
{
    if (omp_get_max_threads() != self->base.n_threads)
        omp_set_num_threads(self->base.n_threads);
}

const char *mu_onednn_describe(char *buf, size_t size)
{
    static const struct {
        unsigned isa;
        const char *name;
    } isas[] = {
        {dnnl_cpu_isa_avx512_core_amx, "AMX"},
        {dnnl_cpu_isa_avx512_core_bf16, "AVX-512 with bf16"},
        {dnnl_cpu_isa_avx512_core_vnni, "AVX-512 with VNNI"},
        {dnnl_cpu_isa_avx512_core, "AVX-512"},
        {dnnl_cpu_isa_avx2_vnni, "AVX2 with VNNI"},
        {dnnl_cpu_isa_avx2, "AVX2"},
        {dnnl_cpu_isa_avx, "AVX"},
        {dnnl_cpu_isa_sse41, "SSE4.1"},
    };
    const dnnl_version_t *v = dnnl_version();
    unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
    const char *name = "generic";
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
        if (isas[i].isa && (isa & isas[i].isa) == isas[i].isa) {
            name = isas[i].name;
            break;
        }
    snprintf(buf, size, "oneDNN %d.%d.%d, %s", v->major, v->minor, v->patch, name);
    return buf;
}

int64_t mu_onednn_created(const mu_backend *backend)
{
    return ((const mu_onednn *)backend)->n_created;
}

static void close_onednn(mu_backend *backend)
{
    mu_onednn *self = (mu_onednn *)backend;
    mu_choices_close(self->tune);
    mu_onednn_layouts_release(self);
    if (self->attr)
        dnnl_primitive_attr_destroy(self->attr);
    if (self->stream)
        dnnl_stream_destroy(self->stream);
    if (self->engine)
        dnnl_engine_destroy(self->engine);
}

static mu_err open_onednn(mu_backend *backend, const mu_backend_options *options)
{
    mu_onednn *self = (mu_onednn *)backend;
    backend->n_threads = options->n_threads > 0 ? options->n_threads : mu_cpu_count();
    backend->host_memory = true;
    self->direct_convolution = options->direct_convolution;
    self->deterministic = options->deterministic;
    mu_onednn_use_threads(self);
    mu_simd_check_isa();
    mu_err err = MU_OK;
    MU_TRY_DNN_GOTO(err, dnnl_engine_create(&self->engine, dnnl_cpu, 0), fail);
    MU_TRY_DNN_GOTO(err, dnnl_stream_create(&self->stream, self->engine, dnnl_stream_default_flags), fail);
    MU_TRY_DNN_GOTO(err, dnnl_primitive_attr_create(&self->attr), fail);
    MU_TRY_DNN_GOTO(err, dnnl_primitive_attr_set_scratchpad_mode(self->attr, dnnl_scratchpad_mode_user), fail);
    MU_TRY_GOTO(err, mu_onednn_tune_open(options->cache_dir, backend->n_threads, &self->tune), fail);
    return MU_OK;
fail:
    close_onednn(backend);
    return err;
}

/* The oneDNN kernel of a call, or NULL: then the tables below this one are asked. */
static const entry *find(const mu_call *call, const char **why)
{
    for (const entry *e = table; e->op; e++)
        if (e->op == call->op)
            return e->supports(call, why) ? e : NULL;
    return NULL;
}

static bool supports(mu_backend *backend, const mu_call *call, const char **why)
{
    const char *ignored;
    return find(call, &ignored) || mu_simd_supports(backend, call, why);
}

static mu_err prepare(mu_backend *backend, const mu_call *call, const mu_layout *const *in_layout,
                      const mu_layout *const *want_out, mu_kernel **out)
{
    mu_onednn *self = (mu_onednn *)backend;
    const char *why;
    const entry *e = find(call, &why);
    if (e) {
        mu_onednn_use_threads(self);
        mu_err err = e->prepare(self, call, in_layout, want_out, out);
        if (err == MU_OK)
            return MU_OK;
        /* No implementation for this very shape in this version of oneDNN. */
        if (err != MU_ERR_UNSUPPORTED || !mu_simd_supports(backend, call, &why)) {
            mu_error_context("%s \"%s\"", call->op->name, call->name ? call->name : "");
            return err;
        }
    }
    MU_TRY(mu_simd_prepare(backend, call, in_layout, want_out, out));
    return MU_OK;
}

static mu_err reorder(mu_backend *backend, const mu_type *type, const mu_layout *from, const mu_layout *to, mu_kernel **out)
{
    mu_onednn *self = (mu_onednn *)backend;
    if (!from && !to) {
        MU_TRY(mu_host_reorder(backend, type, from, to, out));
        return MU_OK;
    }
    mu_onednn_use_threads(self);
    MU_TRY(mu_onednn_reorder(self, type, from, to, out));
    return MU_OK;
}

static mu_err layout(mu_backend *backend, const mu_type *type, mu_layout_kind kind, int block, const mu_layout **out)
{
    MU_TRY(mu_onednn_layout_make((mu_onednn *)backend, type, kind, block, out));
    return MU_OK;
}

const mu_backend_ops mu_backend_onednn = {
    .name = "onednn",
    .doc = "The CPU default: oneDNN primitives in f32 and bf16, blocked layouts, vectorised kernels for the rest.",
    .size = sizeof(mu_onednn),
    .open = open_onednn,
    .close = close_onednn,
    .supports = supports,
    .prepare = prepare,
    .reorder = reorder,
    .layout = layout,
    .alloc = mu_host_alloc,
    .dealloc = mu_host_dealloc,
    .upload = mu_host_copy_in,
    .download = mu_host_copy_out,
    .synchronize = mu_host_synchronize,
};

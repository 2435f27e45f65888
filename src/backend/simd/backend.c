#include "backend/host.h"
#include "backend/simd/kernel.h"
#include "backend/simd/simd.h"
#include "core/mem.h"
#include "core/cpus.h"

#include <stdio.h>

typedef struct own_layout {
    mu_layout base;
    struct own_layout *next;
} own_layout;

typedef struct {
    mu_backend base;
    own_layout *layouts;
} instance;

static mu_err open_simd(mu_backend *backend, const mu_backend_options *options)
{
    backend->n_threads = options->n_threads > 0 ? options->n_threads : mu_cpu_count();
    backend->host_memory = true;
    mu_simd_check_isa();
    return MU_OK;
}

static void close_simd(mu_backend *backend)
{
    instance *self = (instance *)backend;
    while (self->layouts) {
        own_layout *next = self->layouts->next;
        mu_free(self->layouts);
        self->layouts = next;
    }
}

static mu_err layout_simd(mu_backend *backend, const mu_type *type, mu_layout_kind kind, int block,
                          const mu_layout **out)
{
    instance *self = (instance *)backend;
    if (kind == MU_LAYOUT_ROW_MAJOR) {
        *out = NULL;
        return MU_OK;
    }
    bool blocked = kind == MU_LAYOUT_CHANNELS_BLOCKED;
    if (type->ndim < 3 || (!blocked && kind != MU_LAYOUT_CHANNELS_LAST) || (blocked && block < 2))
        return MU_FAIL(MU_ERR_UNSUPPORTED, "no layout of kind %d with block %d for %d dimensions", (int)kind, block,
                       type->ndim);
    for (own_layout *l = self->layouts; l; l = l->next)
        if (l->base.kind == kind && (!blocked || l->base.block == block) && mu_type_equal(&l->base.type, type)) {
            *out = &l->base;
            return MU_OK;
        }
    own_layout *layout;
    MU_TRY(mu_calloc(&layout, 1, sizeof *layout));
    layout->base = (mu_layout){.type = *type, .kind = kind, .block = blocked ? block : 0};
    mu_simd_view v = mu_simd_view_of(type, &layout->base);
    layout->base.padded = v.blocks * v.width != v.c;
    layout->base.bytes = (size_t)mu_simd_view_count(&v) * mu_dtype_size(type->dtype);
    if (blocked)
        snprintf(layout->base.name, sizeof layout->base.name, "nC%dc", block);
    else
        snprintf(layout->base.name, sizeof layout->base.name, "nc_last");
    layout->next = self->layouts;
    self->layouts = layout;
    *out = &layout->base;
    return MU_OK;
}

typedef struct {
    mu_kernel base;
    mu_simd_view from, to;
    size_t size;
    int n_threads;
} reorder_kernel;

static int64_t offset(const mu_simd_view *v, int64_t n, int64_t c)
{
    return (n * v->blocks + c / v->width) * v->space * v->width + c % v->width;
}

static mu_err run_reorder(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    reorder_kernel *self = (reorder_kernel *)kernel;
    const mu_simd_view *from = &self->from, *to = &self->to;
    const char *x = kernel->in[0];
    char *y = kernel->out[0];
    int64_t padded = to->blocks * to->width;
#pragma omp parallel for collapse(2) num_threads(self->n_threads) schedule(static)
    for (int64_t n = 0; n < to->n; n++)
        for (int64_t c = 0; c < padded; c++) {
            char *d = y + (size_t)offset(to, n, c) * self->size;
            const char *s = c < to->c ? x + (size_t)offset(from, n, c) * self->size : NULL;
            for (int64_t i = 0; i < to->space; i++, d += (size_t)to->width * self->size)
                if (s)
                    memcpy(d, s + (size_t)(i * from->width) * self->size, self->size);
                else
                    memset(d, 0, self->size);
        }
    return MU_OK;
}

static mu_err reorder_simd(mu_backend *backend, const mu_type *type, const mu_layout *from, const mu_layout *to,
                           mu_kernel **out)
{
    static const mu_op op = {.name = "reorder", .n_in_min = 1, .n_in_max = 1, .n_out = 1};
    static const mu_kernel_ops ops = {.run = run_reorder};
    mu_call call = {.op = &op, .n_in = 1, .n_out = 1, .in = type, .out = type};
    mu_kernel *kernel;
    MU_TRY(mu_kernel_new(sizeof(reorder_kernel), &ops, &call, &kernel));
    reorder_kernel *self = (reorder_kernel *)kernel;
    self->from = mu_simd_view_of(type, from);
    self->to = mu_simd_view_of(type, to);
    self->size = mu_dtype_size(type->dtype);
    self->n_threads = mu_type_bytes(type) < 1 << 16 ? 1 : backend->n_threads;
    kernel->in_layout[0] = from;
    kernel->out_layout[0] = to;
    kernel->impl = "copy";
    *out = kernel;
    return MU_OK;
}

const mu_backend_ops mu_backend_simd = {
    .name = "simd",
    .doc = "Vectorised, threaded kernels for f32 and bf16; what it lacks runs in ref.",
    .size = sizeof(instance),
    .open = open_simd,
    .close = close_simd,
    .supports = mu_simd_supports,
    .prepare = mu_simd_prepare,
    .reorder = reorder_simd,
    .layout = layout_simd,
    .alloc = mu_host_alloc,
    .dealloc = mu_host_dealloc,
    .upload = mu_host_copy_in,
    .download = mu_host_copy_out,
    .synchronize = mu_host_synchronize,
};

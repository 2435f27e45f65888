#include "config.h"

#include "backend/alike.h"
#include "backend/extents.h"
#include "backend/ref/ref.h"
#include "backend/simd/copy.h"
#include "backend/simd/kernel.h"
#include "backend/simd/simd.h"
#include "core/log.h"

#include <stdlib.h>
#include <string.h>

enum { ISA_BASE, ISA_V3, ISA_V4, N_ISA };

static const char *const isa_names[N_ISA] = {"baseline", "x86-64-v3", "x86-64-v4"};

typedef struct {
    const mu_op *op;
    const mu_simd_impl *impl[N_ISA];
} entry;

static const entry table[] = {
#ifdef HAVE_X86_LEVELS
#define SIMD_KERNEL(op, impl) {&mu_op_##op, {&impl##_simd_base, &impl##_simd_v3, &impl##_simd_v4}},
#else
#define SIMD_KERNEL(op, impl) {&mu_op_##op, {&impl##_simd_base}},
#endif
#include "backend/simd/simd.def"
#undef SIMD_KERNEL
};

/* Read at every preparation, which is rare, so that a test can switch. */
static int isa(void)
{
    int best = ISA_BASE;
#ifdef HAVE_X86_LEVELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
        best = ISA_V3;
    if (best == ISA_V3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        best = ISA_V4;
#endif
    const char *wish = getenv("MU_SIMD_ISA");
    for (int i = ISA_BASE; wish && i < best; i++)
        if (strcmp(wish, isa_names[i]) == 0)
            return i;
    return best;
}

const char *mu_simd_isa(void)
{
    return isa_names[isa()];
}

void mu_simd_check_isa(void)
{
    const char *wish = getenv("MU_SIMD_ISA");
    bool known = !wish || !*wish;
    for (int i = 0; i < N_ISA && !known; i++)
        known = strcmp(wish, isa_names[i]) == 0;
    if (!known)
        MU_WARN("backend", "MU_SIMD_ISA: \"%s\" is none of baseline, x86-64-v3 and x86-64-v4: %s is used", wish, mu_simd_isa());
}

bool mu_simd_one_float(const mu_call *call, const char **why)
{
    mu_dtype one = MU_NONE;
    *why = "the vectorised kernels compute f32 and bf16, one of them for all operands";
    for (int i = 0; i < call->n_in + call->n_out; i++) {
        mu_dtype dtype = i < call->n_in ? call->in[i].dtype : call->out[i - call->n_in].dtype;
        if (!mu_dtype_is_float(dtype))
            continue;
        if ((dtype != MU_F32 && dtype != MU_BF16) || (one != MU_NONE && dtype != one))
            return false;
        one = dtype;
    }
    return true;
}

bool mu_simd_any_dtype(const mu_call *call, const char **why)
{
    (void)call, (void)why;
    return true;
}

/* `block`: channels in a block of the operands, 0 when they are not blocked: vectors are not wider than it. */
static const mu_simd_impl *find(const mu_call *call, int block)
{
    const char *why;
    int best = isa(), most = block == 0 || block >= 16 ? ISA_V4 : block >= 8 ? ISA_V3 : ISA_BASE;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].op == call->op) {
            const mu_simd_impl *impl = table[i].impl[best < most ? best : most];
            return (impl->supports ? impl->supports : mu_simd_one_float)(call, &why) ? impl : NULL;
        }
    return NULL;
}

bool mu_simd_is_vectorised(const mu_call *call)
{
    return find(call, 0) != NULL;
}

bool mu_simd_supports(mu_backend *backend, const mu_call *call, const char **why)
{
    return find(call, 0) || mu_ref_supports(backend, call, why);
}

mu_simd_view mu_simd_view_of(const mu_type *type, const mu_layout *layout)
{
    const mu_extents e = mu_extents_of(type);
    mu_simd_view v = {.kind = layout ? layout->kind : MU_LAYOUT_ROW_MAJOR, .n = e.n, .c = e.c, .space = e.space, .h = e.h, .w = e.w};
    v.width = v.kind == MU_LAYOUT_CHANNELS_LAST ? v.c : v.kind == MU_LAYOUT_CHANNELS_BLOCKED ? layout->block : 1;
    v.blocks = v.width ? (v.c + v.width - 1) / v.width : 0;
    return v;
}

int mu_simd_storage(const mu_type *type, const mu_layout *layout, int64_t dim[MU_SIMD_COPY_NDIM])
{
    memset(dim, 0, MU_SIMD_COPY_NDIM * sizeof *dim);
    memcpy(dim, type->dim, (size_t)type->ndim * sizeof *dim);
    if (!layout)
        return type->ndim;
    mu_simd_view v = mu_simd_view_of(type, layout);
    dim[1] = v.blocks;
    dim[type->ndim] = v.width;
    return type->ndim + 1;
}

static bool readable(const mu_layout *layout)
{
    return layout && (layout->kind == MU_LAYOUT_CHANNELS_LAST ||
                      (layout->kind == MU_LAYOUT_CHANNELS_BLOCKED &&
                       (layout->block == 4 || layout->block == 8 || layout->block == 16)));
}

static mu_err choose(mu_simd_kernel *kernel, mu_backend *backend, const mu_layout *const *in_layout)
{
    const mu_alike_rule rule = {.kind = kernel->impl->layouts, .one_element = true, .readable = readable, .fits = kernel->impl->fits};
    MU_TRY(mu_alike_choose(&kernel->base, backend, in_layout, &rule));
    return MU_OK;
}

static bool must_zero_tail(const mu_call *call, const mu_layout *shared)
{
    if (!shared || !shared->padded)
        return false;
    bool keeps = call->op->flags & MU_OP_ZERO_KEEPS;
    for (int i = 0; i < call->n_in; i++)
        keeps &= call->in[i].dtype == MU_NONE || mu_type_same_shape(&call->in[i], &call->out[0]);
    return !keeps;
}

static mu_err prepare(mu_backend *backend, const mu_simd_impl *impl, const mu_layout *const *in_layout,
                      mu_simd_kernel *kernel)
{
    kernel->impl = impl;
    kernel->n_threads = backend->n_threads > 0 ? backend->n_threads : 1;
    kernel->base.impl = isa_names[isa()];
    MU_TRY(choose(kernel, backend, in_layout));
    const mu_call *call = &kernel->base.call;
    if (impl->layouts == MU_ALIKE_FLAT) {
        kernel->x = mu_simd_view_of(&call->out[0], kernel->base.out_layout[0]);
        kernel->zero_tail = must_zero_tail(call, kernel->base.out_layout[0]);
    } else {
        kernel->x = mu_simd_view_of(&call->in[0], kernel->base.in_layout[0]);
    }
    if (impl->setup)
        MU_TRY(impl->setup(kernel));
    return MU_OK;
}

mu_err mu_simd_prepare(mu_backend *backend, const mu_call *call, const mu_layout *const *in_layout,
                       const mu_layout *const *want_out, mu_kernel **out)
{
    int block = 0;
    for (int i = 0; in_layout && i < call->n_in; i++)
        if (in_layout[i] && in_layout[i]->kind == MU_LAYOUT_CHANNELS_BLOCKED &&
            (block == 0 || in_layout[i]->block < block))
            block = in_layout[i]->block;
    const mu_simd_impl *impl = find(call, block);
    if (!impl)
        return mu_ref_prepare(backend, call, in_layout, want_out, out);
    mu_kernel *kernel;
    static const mu_kernel_ops unset;
    MU_TRY(mu_kernel_new(impl->size ? impl->size : sizeof(mu_simd_kernel), &unset, call, &kernel));
    mu_simd_kernel *self = (mu_simd_kernel *)kernel;
    self->ops.run = impl->run;
    kernel->ops = &self->ops;
    mu_err err = prepare(backend, impl, in_layout, self);
    if (err != MU_OK) {
        mu_kernel_release(kernel);
        return err;
    }
    *out = kernel;
    return MU_OK;
}

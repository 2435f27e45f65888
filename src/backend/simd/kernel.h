/* What the kernel files share. Each is compiled once per instruction set; SIMD(name) is the symbol in this compilation.
 */
#ifndef MU_BACKEND_SIMD_KERNEL_H
#define MU_BACKEND_SIMD_KERNEL_H

#include "backend.h"
#include "backend/alike.h"
#include "ops/ops.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#define SIMD_PASTE_(a, b) a##_simd_##b
#define SIMD_PASTE(a, b) SIMD_PASTE_(a, b)
#ifndef SIMD_ISA
#define SIMD_ISA base
#endif
#define SIMD(name) SIMD_PASTE(name, SIMD_ISA)
#define SIMD_INLINE static inline __attribute__((always_inline))

/* A tensor [N,C,spatial...] in any layout that is not opaque: stored as [n][blocks][space][width].
 * Row-major: blocks = C, width = 1. Channels last: blocks = 1, width = C. Blocked: width channels in a block. */
typedef struct {
    mu_layout_kind kind;
    int64_t n, c, space, blocks, width;
    int64_t h, w; /* the last two dimensions; space = h*w*(the others) */
} mu_simd_view;

typedef struct mu_simd_kernel mu_simd_kernel;

typedef struct {
    mu_alike layouts; /* FLAT: operands of another shape than output 0 have one element */
    size_t size; /* of the kernel's own struct; 0: mu_simd_kernel */
    bool (*supports)(const mu_call *call,
                     const char **why); /* NULL: every float operand is f32 or bf16, the same for all */
    bool (*fits)(const mu_call *call, const mu_layout *layout); /* STORED: can the call be done in this layout? */
    /* Called once after the layouts are chosen: sets scratch_bytes and own fields. May be NULL. */
    mu_err (*setup)(mu_simd_kernel *kernel);
    mu_err (*run)(mu_kernel *kernel, const mu_run *run);
} mu_simd_impl;

struct mu_simd_kernel {
    mu_kernel base;
    mu_kernel_ops ops;
    const mu_simd_impl *impl;
    int n_threads;
    mu_simd_view x; /* operand 0 */
    bool zero_tail; /* FLAT: padding must be set to zero after the sweep */
};

/* The tables of this room: entries of simd.def by instruction set. */
#define SIMD_KERNEL(op, impl) extern const mu_simd_impl impl##_simd_base, impl##_simd_v3, impl##_simd_v4;
#include "backend/simd/simd.def"
#undef SIMD_KERNEL

/* The view of a tensor in a layout (NULL: row-major). Fewer than two dimensions count as N = 1 or [1,C]. */
mu_simd_view mu_simd_view_of(const mu_type *type, const mu_layout *layout);
/* Elements in storage, padding included. */
static inline int64_t mu_simd_view_count(const mu_simd_view *v)
{
    return v->n * v->blocks * v->space * v->width;
}

/* One dtype of f32 and bf16 for all floating-point operands and outputs. */
bool mu_simd_one_float(const mu_call *call, const char **why);
/* Anything: for kernels that only move elements. */
bool mu_simd_any_dtype(const mu_call *call, const char **why);

static inline const mu_type *mu_simd_in(const mu_call *call, int i)
{
    return i < call->n_in && call->in[i].dtype != MU_NONE ? &call->in[i] : NULL;
}

static inline void *mu_simd_address(const mu_kernel *kernel, int i)
{
    return i < kernel->call.n_in ? kernel->in[i] : NULL;
}

/* Threads worth starting for this many bytes of traffic. */
static inline int mu_simd_threads(const mu_simd_kernel *kernel, int64_t bytes)
{
    int64_t useful = bytes >> 16;
    return useful < 1 ? 1 : useful < kernel->n_threads ? (int)useful : kernel->n_threads;
}

/* Size of the team of the enclosing parallel region, and this thread's place in it. */
static inline int mu_simd_team(void)
{
#ifdef _OPENMP
    return omp_get_num_threads();
#else
    return 1;
#endif
}

static inline int mu_simd_member(void)
{
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

/* Part `i` of `parts` of 0..n-1: [*begin, *end), the same for any number of threads when `parts` is. */
static inline void mu_simd_part(int64_t n, int64_t parts, int64_t i, int64_t *begin, int64_t *end)
{
    int64_t each = n / parts, more = n % parts;
    *begin = i * each + (i < more ? i : more);
    *end = *begin + each + (i < more ? 1 : 0);
}

#endif

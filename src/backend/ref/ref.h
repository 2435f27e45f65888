/* The reference backend: plain, short C, the oracle of every other one.
 *
 * Each file is compiled twice, with REF_F64 and without: `real` is double or float, REF(name) the kernel's symbol. A kernel
 * sees row-major operands; absent ones are NULL. */
#ifndef MU_BACKEND_REF_REF_H
#define MU_BACKEND_REF_REF_H

#include "backend.h"
#include "ops/ops.h"

#include <math.h>

typedef mu_err mu_ref_fn(const mu_call *call, void *const *in, void *const *out, const mu_run *run);

#ifdef REF_F64
typedef double real;
#define REF(name) name##_ref_f64
#define REF_DTYPE MU_F64
#else
typedef float real;
#define REF(name) name##_ref_f32
#define REF_DTYPE MU_F32
#endif

/* The address of an optional operand: NULL when it is absent. */
static inline void *ref_in(const mu_call *call, void *const *in, int i)
{
    return i < call->n_in ? in[i] : NULL;
}

#define REF_KERNEL(name) mu_ref_fn name##_ref_f32, name##_ref_f64;
#define REF_MOVE(name) REF_KERNEL(name)
#include "backend/ref/ref.def"
#undef REF_MOVE
#undef REF_KERNEL

/* The table of a CPU backend before any override: finds op's kernel, or says why there is none. */
bool mu_ref_supports(mu_backend *backend, const mu_call *call, const char **why);
mu_err mu_ref_prepare(mu_backend *backend, const mu_call *call, const mu_layout *const *in_layout,
                      const mu_layout *const *want_out, mu_kernel **out);

#endif

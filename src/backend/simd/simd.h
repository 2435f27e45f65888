/* Vectorised, threaded kernels for CPUs, over the table of ref: what a CPU backend falls back to.
 *
 * Every kernel file is compiled once per instruction set; mu_simd_isa() says which one this process uses. Kernels
 * accept row-major, channels-last and channels-blocked operands, give out what they were given, and keep padding zero.
 */
#ifndef MU_BACKEND_SIMD_SIMD_H
#define MU_BACKEND_SIMD_SIMD_H

#include "backend.h"

/* True when this room or ref has a kernel for the call. */
bool mu_simd_supports(mu_backend *backend, const mu_call *call, const char **why);
/* As mu_backend_ops.prepare, for any instance in host memory. Layouts of operands come from its own `layout` function
 * (absent: row-major only); a type for which that says MU_ERR_UNSUPPORTED is asked for in row-major. */
MU_CHECKED mu_err mu_simd_prepare(mu_backend *backend, const mu_call *call, const mu_layout *const *in_layout,
                                  const mu_layout *const *want_out, mu_kernel **out);

/* True when this room itself has a kernel, not only ref. */
bool mu_simd_is_vectorised(const mu_call *call);

/* "baseline", "x86-64-v3", "x86-64-v4": the best that the processor has, or a lower one named by MU_SIMD_ISA. */
const char *mu_simd_isa(void);
/* Warns when MU_SIMD_ISA is none of these names. */
void mu_simd_check_isa(void);

#endif

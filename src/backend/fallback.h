/* What a device has no kernel for runs on the host: operands are downloaded, the CPU's kernel runs, outputs are uploaded. Slow, so it is
 * counted, and MU_FALLBACK says what becomes of it: error (it is not done), warn (the default: once for each operation), allow.
 * Operations that are the host's own (MU_OP_HOST) always go this way. */
#ifndef MU_BACKEND_FALLBACK_H
#define MU_BACKEND_FALLBACK_H

#include "backend.h"

/* Can and may the call run on the host? On false *why says why not. */
bool mu_fallback_supports(const mu_backend *backend, const mu_call *call, const char **why);
/* A kernel for row-major operands on `backend`, whose run waits for the device. `lacks`: why the device has none of its own. */
MU_CHECKED mu_err mu_fallback_prepare(mu_backend *backend, const mu_call *call, const char *lacks, mu_kernel **out);

typedef struct {
    int64_t kernels, runs; /* of this process, without operations that are the host's own */
    int64_t bytes;         /* that these runs copied */
} mu_fallback_counts;
mu_fallback_counts mu_fallback_get_counts(void);

#endif

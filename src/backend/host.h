/* What backends whose device is the host share, and the list of built-in backends. */
#ifndef MU_BACKEND_HOST_H
#define MU_BACKEND_HOST_H

#include "backend.h"

extern const mu_backend_ops mu_backend_ref;
extern const mu_backend_ops mu_backend_simd;
extern const mu_backend_ops mu_backend_onednn; /* when built: HAVE_ONEDNN */
extern const mu_backend_ops mu_backend_cuda;   /* when built: HAVE_CUDA */

mu_err mu_host_alloc(mu_backend *backend, size_t bytes, void **out);
void mu_host_dealloc(mu_backend *backend, void *block);
mu_err mu_host_copy_in(mu_backend *backend, void *device, const void *host, size_t bytes);
mu_err mu_host_copy_out(mu_backend *backend, void *host, const void *device, size_t bytes);
mu_err mu_host_synchronize(mu_backend *backend);
/* Row-major to row-major only. */
mu_err mu_host_reorder(mu_backend *backend, const mu_type *type, const mu_layout *from, const mu_layout *to,
                       mu_kernel **out);

#endif

/* What there is to compute on. */
#ifndef MU_BACKEND_DEVICE_H
#define MU_BACKEND_DEVICE_H

#include "backend.h"

/* "cuda" when there is a CUDA device that this build can use, else "cpu". */
const char *mu_get_device(void);
bool mu_is_cuda_available(void);

/* The most MiB that the backend has given out at a time, since it was opened; 0 for a processor. */
int64_t mu_get_max_cuda_memory(mu_backend *backend);

#endif

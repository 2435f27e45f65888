/* Where the measured choices of an instance are kept: a file for each model of device and version of cuDNN. */
#ifndef MU_CUDA_TUNE_H
#define MU_CUDA_TUNE_H

#include "backend/choices.h"
#include "cuda.h"

/* cache_dir as in mu_backend_options. Closed by mu_choices_close. */
MU_CHECKED mu_err mu_cuda_tune_open(const mu_cuda *self, const char *cache_dir, mu_cuda_tune **out);

/* Least time of recorded runs of an unbound kernel on buffers made for the occasion, in seconds. */
MU_CHECKED mu_err mu_cuda_time(mu_cuda *self, mu_kernel *kernel, double *seconds);

#endif

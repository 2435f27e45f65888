/* Trying a candidate: a kernel runs on memory of its own, and is timed. */
#ifndef MU_BACKEND_TRIAL_H
#define MU_BACKEND_TRIAL_H

#include "backend.h"

typedef struct {
    /* Values that are neither zero nor denormal in any float type. */
    mu_err (*fill)(mu_backend *backend, void *block, size_t bytes);
    /* Runs a kernel that is bound: the best of some times. */
    mu_err (*time)(mu_backend *backend, mu_kernel *kernel, double *seconds);
} mu_trial;

/* Binds the kernel to memory that is gone afterwards. */
MU_CHECKED mu_err mu_trial_run(const mu_trial *trial, mu_backend *backend, mu_kernel *kernel, double *seconds);

#endif

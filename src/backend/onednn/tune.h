/* Measured choices, kept per processor model, oneDNN version and number of threads. */
#ifndef MU_BACKEND_ONEDNN_TUNE_H
#define MU_BACKEND_ONEDNN_TUNE_H

#include "backend/choices.h"
#include "backend/onednn/onednn.h"

/* cache_dir as in mu_backend_options. */
MU_CHECKED mu_err mu_onednn_tune_open(const char *cache_dir, int n_threads, mu_onednn_tune **out);
/* Least time of a few runs of an unbound kernel on buffers made for the occasion, in seconds. */
MU_CHECKED mu_err mu_onednn_time(mu_onednn *self, mu_kernel *kernel, double *seconds);
/* The same for the reorder between two layouts; 0 when they are one. */
MU_CHECKED mu_err mu_onednn_time_reorder(mu_onednn *self, const mu_type *type, const mu_layout *from, const mu_layout *to,
                                         double *seconds);

#endif

/* Measured choices, kept per processor model, oneDNN version and number of threads: in memory, and in a text file.
 *
 * One line per choice: key, tab, choice, tab, milliseconds. The file is replaced by a rename; one that cannot be read as such
 * is ignored with a warning, and one that cannot be written costs only the next process's measurements. */
#ifndef MU_BACKEND_ONEDNN_TUNE_H
#define MU_BACKEND_ONEDNN_TUNE_H

#include "backend/onednn/onednn.h"

/* cache_dir as in mu_backend_options. */
MU_CHECKED mu_err mu_onednn_tune_open(const char *cache_dir, int n_threads, mu_onednn_tune **out);
void mu_onednn_tune_close(mu_onednn_tune *tune); /* NULL is allowed */
/* The choice made for a key, also one that another process has written since; *out NULL: none. Borrowed until the next put or get. */
MU_CHECKED mu_err mu_onednn_tune_get(mu_onednn_tune *tune, const char *key, const char **out);
/* Keeps a choice and writes the file. */
MU_CHECKED mu_err mu_onednn_tune_put(mu_onednn_tune *tune, const char *key, const char *choice, double seconds);
/* The file's path, or NULL when there is none. */
const char *mu_onednn_tune_path(const mu_onednn_tune *tune);

/* Least time of a few runs of an unbound kernel on buffers made for the occasion, in seconds. */
MU_CHECKED mu_err mu_onednn_time(mu_onednn *self, mu_kernel *kernel, double *seconds);
/* The same for the reorder between two layouts; 0 when they are one. */
MU_CHECKED mu_err mu_onednn_time_reorder(mu_onednn *self, const mu_type *type, const mu_layout *from, const mu_layout *to,
                                         double *seconds);

#endif

/* A backend for tests of layouts: ref's kernels behind images in nChw4c and weights in oihw seen as blocked, too.
 *
 * Convolutions and pooling of 4-dimensional tensors want every such operand blocked, element-wise operations take what comes
 * first, everything else is row-major. Kernels need scratch. Faults can be planted. */
#ifndef MU_TESTS_GRAPH_BLOCKED_H
#define MU_TESTS_GRAPH_BLOCKED_H

#include "backend.h"

enum { BLOCKED_C = 4 };

typedef struct {
    mu_backend base;
    mu_backend *ref;
    mu_layout *layouts[512]; /* interned */
    int n_layouts;
    const char *fail_run_of;   /* name of the operation whose kernels fail when run, or NULL */
    bool poison;               /* outputs and scratch are filled with NaN bytes before each run */
    size_t alloc_limit;         /* larger blocks cannot be had; 0: no limit */
    int64_t n_runs, n_reorders; /* kernels run so far */
} blocked_backend;

MU_CHECKED mu_err blocked_open(blocked_backend **out);

#endif

/* Single kernels, and copies, over flat ranges of the arenas. */
#ifndef MU_GRAPH_FLAT_KERNEL_H
#define MU_GRAPH_FLAT_KERNEL_H

#include "backend.h"

/* A kernel without its addresses, row-major. Operands of dtype none are absent; outputs follow from the shape rule. */
MU_CHECKED mu_err mu_flat_kernel_new(mu_backend *backend, const mu_op *op, const void *attrs, const mu_type *in, int n_in,
                                      mu_kernel **out);

/* From memory of the backend to memory of the same, in order with its kernels. */
MU_CHECKED mu_err mu_flat_copy(mu_backend *backend, void *to, const void *from, size_t bytes);

#endif

/* Averages of the ranks' gradients and states. */
#ifndef MU_DIST_AVERAGE_H
#define MU_DIST_AVERAGE_H

#include "dist/comm.h"

enum { MU_BUCKET_BYTES = 16 << 20 };

/* Collective. data[count] becomes the mean over the ranks: contiguous buckets from the front (the order in which backward makes
 * them), several on their way at once. Allocates nothing. With one rank it does nothing. */
MU_CHECKED mu_err mu_comm_average(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, size_t bucket_bytes);

#endif

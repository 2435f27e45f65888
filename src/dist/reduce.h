/* Element-wise combination: what a reduction does to two ranks' buffers. */
#ifndef MU_DIST_REDUCE_H
#define MU_DIST_REDUCE_H

#include "dist/comm.h"

/* into[i] = into[i] op from[i]. Transports' arguments: not MEAN, bool as u8, no bit operations on floats. Half types are
 * computed in f32 and rounded. */
void mu_reduce(void *into, const void *from, int64_t count, mu_dtype dtype, mu_comm_op op);
/* data[i] /= by, of floats: a sum becomes a mean. */
void mu_divide(void *data, int64_t count, mu_dtype dtype, int by);

#endif

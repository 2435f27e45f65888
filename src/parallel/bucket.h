/* How many bytes of gradients travel together. */
#ifndef MU_PARALLEL_BUCKET_H
#define MU_PARALLEL_BUCKET_H

#include "dist/comm.h"

enum { MU_BUCKET_DEFAULT_BYTES = 25 << 20, MU_BUCKET_PROBE_SMALL = 1 << 10, MU_BUCKET_PROBE_LARGE = 1 << 20 };

/* Collective. With n buckets of s bytes, n s = bytes, sending costs n times the latency, and the last bucket, s over the bandwidth, has nothing to hide
 * behind: their sum is least where s is the root of bytes * latency * bandwidth. Both are measured, once for so many ranks, nodes and bytes; rank 0's
 * numbers count, and are kept (core/cache.h). A power of two from 1 to 64 MiB. */
MU_CHECKED mu_err mu_bucket_choose(mu_comm *comm, size_t bytes, size_t *out);
/* The same from numbers: s of an all-reduce of MU_BUCKET_PROBE_SMALL bytes, and s for each further byte, up to MU_BUCKET_PROBE_LARGE. */
size_t mu_bucket_best(size_t bytes, double latency, double per_byte);

#endif

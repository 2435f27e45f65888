/* The checks of arguments that the collectives share. */
#ifndef MU_DIST_CHECK_H
#define MU_DIST_CHECK_H

#include "dist/comm.h"

/* Bytes of count elements, times `ranks`, fit in a size. */
MU_CHECKED mu_err mu_check_buffer(const char *call, int64_t count, mu_dtype dtype, int ranks, size_t *bytes);
/* The reduction that the transport has to do: MEAN divides a sum, bool is u8 with bit operations. The dtype is one. */
MU_CHECKED mu_err mu_check_reduction(const char *call, mu_dtype *dtype, mu_comm_op *op);

#endif

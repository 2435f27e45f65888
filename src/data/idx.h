/* IDX files, the format of MNIST and its family: an array of u8, plain or compressed by gzip. */
#ifndef MU_DATA_IDX_H
#define MU_DATA_IDX_H

#include "core/type.h"

typedef struct mu_idx mu_idx;

/* Reads the header. MU_ERR_FORMAT when it is no IDX file, MU_ERR_UNSUPPORTED for elements other than u8. */
MU_CHECKED mu_err mu_idx_open(const char *path, mu_idx **out);
void mu_idx_release(mu_idx *idx); /* NULL is allowed */
/* u8[samples, ...], at least one dimension. */
const mu_type *mu_idx_type(const mu_idx *idx);
/* The next `bytes` bytes of the array. MU_ERR_FORMAT when the file has fewer. */
MU_CHECKED mu_err mu_idx_read(mu_idx *idx, void *out, size_t bytes);
/* MU_ERR_FORMAT when something follows the array. */
MU_CHECKED mu_err mu_idx_finish(mu_idx *idx);

#endif

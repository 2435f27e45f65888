/* Copies between strided tensors: transposes, slices and their gradients, pieces of a concatenation. */
#ifndef MU_CUDA_COPY_H
#define MU_CUDA_COPY_H

#include "cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Element [i0,i1,...] goes from from_start + sum(i*from) to to_start + sum(i*to), in units of `size` bytes: 1, 2, 4, 8 or 16. */
typedef struct {
    int ndim;
    int64_t dim[MU_MAX_NDIM], from[MU_MAX_NDIM], to[MU_MAX_NDIM];
    int64_t from_start, to_start;
    size_t size;
} mu_cuda_copy;

/* Fewest dimensions and widest units, the dimension of the smallest `to` last. Keeps what is copied; the addresses are MU_ALIGN-aligned. */
void mu_cuda_copy_plan(mu_cuda_copy *copy);
/* Of a planned copy. Nothing is launched for no elements. */
MU_CHECKED mu_err mu_cuda_copy_run(const mu_cuda *self, const mu_cuda_copy *copy, const void *from, void *to);

/* MU_CUDA_STORED: any layout will do. */
bool mu_cuda_copy_fits(const mu_call *call, const mu_layout *layout);

#ifdef __cplusplus
}
#endif

#endif

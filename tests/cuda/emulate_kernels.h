/* Kernels for emulate_test.c, each launched on the default stream or on `stream`. */
#ifndef EMULATE_KERNELS_H
#define EMULATE_KERNELS_H

#include "cuda_runtime_api.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* y[block] = the sum of its part of x[n]. */
cudaError_t launch_sums(cudaStream_t stream, unsigned grid, unsigned block, const float *x, float *y, int64_t n);
/* x[i] += by */
cudaError_t launch_shift(cudaStream_t stream, unsigned grid, unsigned block, float *x, float by, int64_t n);
/* y[i] = x[n-1-i] in one block of n threads, through shared memory; without the barrier when that is left out. */
cudaError_t launch_reverse(cudaStream_t stream, unsigned n, bool barrier, const float *x, float *y);
/* y[kind * 32 + lane] = what __shfl_sync(7), xor 5, down 3, up 2, and xor 1 among 8 give to a lane that holds its number. */
cudaError_t launch_shuffles(cudaStream_t stream, int *y);
/* Shuffles and barriers in a loop whose length differs between the warps. */
cudaError_t launch_uneven(cudaStream_t stream, int *y);
/* *x = the number of threads of a grid of x*y*z blocks, by atomics; last[0..2] = the largest blockIdx. */
cudaError_t launch_count(cudaStream_t stream, unsigned x, unsigned y, unsigned z, unsigned block, unsigned *count, unsigned *last);
/* Wrong: only half of the threads reach the barrier; two barriers on two branches; a shuffle with a lane that has ended; one past the mask. */
cudaError_t launch_half_barrier(cudaStream_t stream);
cudaError_t launch_two_barriers(cudaStream_t stream);
cudaError_t launch_ended_lane(cudaStream_t stream, float *x);
cudaError_t launch_outside_mask(cudaStream_t stream, float *x);
/* Writes x[n], one past the end. */
cudaError_t launch_beyond(cudaStream_t stream, float *x, int64_t n);

#ifdef __cplusplus
}
#endif

#endif

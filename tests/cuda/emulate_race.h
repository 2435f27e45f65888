/* Kernels for emulate_race_test.c: each wrong in one way, and the same done right. */
#ifndef EMULATE_RACE_KERNELS_H
#define EMULATE_RACE_KERNELS_H

#include "cuda_runtime_api.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *name;
    cudaError_t (*launch)(bool right, float *x); /* x: 4096, of any value */
    const char *expected[3];                     /* parts of what the wrong one is told; none: there is no wrong one */
} race_case;

extern const race_case race_cases[];
extern const int n_race_cases;

#ifdef __cplusplus
}
#endif

#endif

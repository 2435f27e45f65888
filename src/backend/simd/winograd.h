/* 3x3 convolutions with stride 1 by Winograd's minimal filtering F(4x4, 3x3), in all three directions, for AVX-512.
 *
 * Images are nChw16c, weights [K/16][C/16][3][3][16c][16k] (oneDNN's ABcd16b16a), f32 or bf16; sums are f32. Points 0, 5/8, -5/8,
 * 3/2, -3/2 and infinity keep the rounding error small. Winograd 1980; Lavin and Gray, arXiv:1509.09308. */
#ifndef MU_BACKEND_SIMD_WINOGRAD_H
#define MU_BACKEND_SIMD_WINOGRAD_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { MU_WINOGRAD_FORWARD, MU_WINOGRAD_GRAD_INPUT, MU_WINOGRAD_GRAD_WEIGHT } mu_winograd_product;

/* y [n,k,oh,ow] = conv(x [n,c,h,w], w [k,c,3,3]); c and k are multiples of 16, paddings 0 to 2. */
typedef struct {
    int64_t n, c, k, h, w, oh, ow;
    int64_t pad_top, pad_left;
    bool half;        /* images and weights are bf16 */
    bool half_weight; /* grad_weight: dw is bf16 */
    int n_threads;
} mu_winograd_shape;

/* True when this processor and this build can. */
bool mu_winograd_available(void);
size_t mu_winograd_scratch(const mu_winograd_shape *shape, mu_winograd_product product);

/* What follows the sum in a forward convolution; NULL or false for none. residual lies as y and may be y itself. */
typedef struct {
    const void *bias; /* [k], f32, or bf16 when half_bias */
    bool half_bias;
    const void *residual;
    bool relu;
} mu_winograd_tail;

void mu_winograd_forward(const mu_winograd_shape *shape, const void *x, const void *w, const mu_winograd_tail *tail, void *y,
                         void *scratch);
void mu_winograd_grad_input(const mu_winograd_shape *shape, const void *dy, const void *w, void *dx, void *scratch);
void mu_winograd_grad_weight(const mu_winograd_shape *shape, const void *x, const void *dy, void *dw, void *scratch);

#endif

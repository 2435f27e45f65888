/* The three products of a convolution: their geometry, the choice between cuDNN's engines, and what cuDNN lacks. */
#ifndef MU_CUDA_CONV_H
#define MU_CUDA_CONV_H

#include "cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { MU_CUDA_CONV_FORWARD, MU_CUDA_CONV_GRAD_INPUT, MU_CUDA_CONV_GRAD_WEIGHT, MU_CUDA_CONV_PRODUCTS } mu_cuda_conv_product;

/* y = conv(x, w) as stored, channels last: x [n,h,w,c], w [k,kh,kw,c/groups], y [n,oh,ow,k]. */
typedef struct {
    int64_t n, c, h, w, k, oh, ow, kh, kw, groups;
    int64_t stride[2], dilation[2], padding[4]; /* top, left, bottom, right */
} mu_cuda_conv_shape;

/* What else cuDNN does. FORWARD: y = relu(conv + residual + bias), with all but the bias as told, or y = conv. GRAD_INPUT: dx = conv + bias, where dx
 * holds the bias before. */
typedef struct {
    bool bias, residual, relu;
} mu_cuda_conv_ends;

typedef enum {
    MU_CUDA_CONV_NOTHING, /* is to be computed */
    MU_CUDA_CONV_ENGINE,  /* of cuDNN: plan */
    MU_CUDA_CONV_PRODUCT, /* of matrices, where every place is for itself: 1x1, by cuBLASLt */
    MU_CUDA_CONV_KERNEL   /* of our own */
} mu_cuda_conv_way;

typedef struct {
    mu_cuda_kernel base;
    mu_cuda_conv_product product;
    mu_cuda_conv_shape shape, padded; /* padded: as cuDNN sees it, whose padding has two equal sides */
    mu_dtype dtype;
    bool relu;              /* the activation is ReLU */
    mu_kernel *end;         /* the activation, where it is another; NULL: there is none */
    mu_cuda_conv_ends ends; /* of the plan */
    mu_cuda_conv_way way;
    cudnnBackendDescriptor_t plan, addresses; /* addresses: made at bind */
    mu_kernel *matrices;                      /* PRODUCT */
    size_t zeros, sums, workspace, workspace_bytes; /* places in the scratch memory, after the padded images */
} mu_cuda_conv;

bool mu_cuda_conv_supports(const mu_call *call, const char **why);
MU_CHECKED mu_err mu_cuda_conv_setup(mu_cuda_conv *conv, mu_cuda_conv_product product);
mu_err mu_cuda_conv_run(mu_kernel *kernel, const mu_run *run);
void mu_cuda_conv_release(mu_kernel *kernel);

/* ---- the choice, conv_choice.c ---- */

/* Sets `way`, the plan and the scratch memory: the way that is known for this call, or the fastest of those that work; the first that works where
 * instances are deterministic. */
MU_CHECKED mu_err mu_cuda_conv_choose(mu_cuda_conv *conv);
/* Makes room in the scratch memory for the way and its workspace, which is taken. */
void mu_cuda_conv_place(mu_cuda_conv *conv);

/* ---- own kernels, conv_own.cu ---- */

/* Images with a border of zeros (top, left >= 0), or without one that they have (< 0): from [n,h,w,c] to [n,new_h,new_w,c]. */
MU_CHECKED mu_err mu_cuda_conv_border(const mu_cuda *self, mu_dtype dtype, const void *from, int64_t n, int64_t h, int64_t w, int64_t c,
                                      void *to, int64_t new_h, int64_t new_w, int64_t top, int64_t left);
/* y [rows,c] = bias [c] */
MU_CHECKED mu_err mu_cuda_conv_preset(const mu_cuda *self, mu_dtype dtype, const void *bias, void *y, int64_t rows, int64_t c);
/* db = the sum of the rows of dy [rows,c]. partial: mu_cuda_conv_bias_grad_bytes of scratch memory. */
size_t mu_cuda_conv_bias_grad_bytes(int64_t rows, int64_t c);
MU_CHECKED mu_err mu_cuda_conv_bias_grad(const mu_cuda *self, mu_dtype dtype, const void *dy, int64_t rows, int64_t c, void *partial,
                                         void *db);
/* The products without cuDNN: for depthwise convolutions where they are faster, and for what cuDNN has no algorithm for. bias, residual: or NULL. */
MU_CHECKED mu_err mu_cuda_conv_own_forward(const mu_cuda *self, mu_dtype dtype, const mu_cuda_conv_shape *shape, const void *x, const void *w,
                                           const void *bias, const void *residual, bool relu, void *y);
MU_CHECKED mu_err mu_cuda_conv_own_grad_input(const mu_cuda *self, mu_dtype dtype, const mu_cuda_conv_shape *shape, const void *dy,
                                              const void *w, const void *bias, void *dx);
MU_CHECKED mu_err mu_cuda_conv_own_grad_weight(const mu_cuda *self, mu_dtype dtype, const mu_cuda_conv_shape *shape, const void *x,
                                               const void *dy, void *dw);

#ifdef __cplusplus
}
#endif

#endif

/* A product of matrices by cuBLASLt: linear layers and batched products. */
#ifndef MU_CUDA_PRODUCT_H
#define MU_CUDA_PRODUCT_H

#include "cuda.h"

/* y = activation(a b + bias): a [...,m,k], b [...,k,n], bias [n], y [...,m,n], all row-major. trans: stored as [...,k,m] or [...,n,k].
 * Leading dimensions as steps in elements from one matrix to the next; 0 repeats it. */
typedef struct {
    int64_t m, n, k;
    bool trans_a, trans_b;
    int activation;
    double alpha;
    int n_lead;
    int64_t lead[MU_MAX_NDIM], a[MU_MAX_NDIM], b[MU_MAX_NDIM], y[MU_MAX_NDIM];
} mu_cuda_matrices;

/* Operand 0 is a, 1 is b, 2 an optional bias. The first member of the kernels' own structs is a mu_cuda_kernel. */
typedef struct {
    mu_cuda_kernel base;
    mu_cuda_matrices p;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, y;
    cublasLtMatmulAlgo_t algo;
    size_t workspace;
    mu_kernel *end; /* an activation other than ReLU; NULL: there is none */
} mu_cuda_product;

MU_CHECKED mu_err mu_cuda_product_setup(mu_cuda_product *product, const mu_cuda_matrices *matrices);
mu_err mu_cuda_product_run(mu_kernel *kernel, const mu_run *run);
void mu_cuda_product_release(mu_kernel *kernel);

#endif

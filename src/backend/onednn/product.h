/* A product of matrices as one oneDNN primitive: linear layers and batched products. */
#ifndef MU_BACKEND_ONEDNN_PRODUCT_H
#define MU_BACKEND_ONEDNN_PRODUCT_H

#include "backend/onednn/onednn.h"

/* y = activation(a b + bias): a [...,m,k], b [...,k,n], y [...,m,n] in `ndim` dimensions each, the leading ones equal or 1.
 * trans: stored with the last two dimensions swapped. */
typedef struct {
    int ndim;
    int64_t a[MU_MAX_NDIM], b[MU_MAX_NDIM], y[MU_MAX_NDIM];
    bool trans_a, trans_b;
    int activation;
    double alpha;
} mu_onednn_product;

/* Operand 0 is a, 1 is b, 2 an optional bias [n]. All row-major. */
MU_CHECKED mu_err mu_onednn_product_prepare(mu_onednn *self, const mu_call *call, const mu_onednn_product *product,
                                            mu_kernel **out);
/* Dtypes that the product can take. */
bool mu_onednn_product_supports(const mu_call *call, const char **why);

#endif

/* What the poolings share: attribute table, sizes, checks. */
#ifndef MU_OPS_POOL2D_H
#define MU_OPS_POOL2D_H

#include "ops/operand.h"

extern const mu_attr mu_pool2d_attr_table[];

/* The pooled type of images x under windows. */
MU_CHECKED mu_err mu_pool2d_infer(const mu_pool2d_attrs *attrs, const mu_type *x, mu_type *y);
/* The type of images x pooled to attrs->output. */
MU_CHECKED mu_err mu_pool2d_adaptive_infer(const mu_pool2d_attrs *attrs, const mu_type *x, mu_type *y);
/* An i32 holds every index of a plane of x. */
MU_CHECKED mu_err mu_pool2d_check_index(const mu_type *x);
/* The type of the gradient of images: that of dy with the (H, W) of attrs->output. */
MU_CHECKED mu_err mu_pool2d_grad_infer(const mu_pool2d_attrs *attrs, const mu_type *dy, mu_type *dx);
/* For gradient rules: a copy of the node's attributes with output = (H, W) of operand 0. */
mu_pool2d_attrs mu_pool2d_grad_attrs(const mu_grad *grad);

/* Adaptive windows: output o of `out` covers [start, end) of `in`. */
static inline int64_t mu_adaptive_start(int64_t o, int64_t in, int64_t out)
{
    return o * in / out;
}

static inline int64_t mu_adaptive_end(int64_t o, int64_t in, int64_t out)
{
    return ((o + 1) * in + out - 1) / out;
}

/* Elements read by all adaptive windows along one axis. */
int64_t mu_adaptive_reads(int64_t in, int64_t out);

#endif

/* What the reductions share. */
#ifndef MU_OPS_REDUCE_H
#define MU_OPS_REDUCE_H

#include "ops/ops.h"

extern const mu_attr mu_reduce_attr_table[];

/* The shape of x without the reduced dimensions (or with size 1 there); dtype of x, which is a number's. */
mu_err mu_reduce_infer(const mu_call *call, mu_type *out);
/* The same for max and min: each output needs at least one element. */
mu_err mu_reduce_infer_extreme(const mu_call *call, mu_type *out);
mu_value mu_reduce_apply(mu_graph *g, const mu_op *op, mu_value x, int64_t dims, bool keepdim);
/* A reduced value (y or dy) broadcast back to the shape of x. */
mu_value mu_reduce_expand(mu_graph *g, const mu_reduce_attrs *attrs, mu_value reduced, mu_value x);
/* The gradient rule of max and min: dy, divided evenly, to the elements that equal the result. */
void mu_reduce_gradient_of_extreme(mu_grad *grad);

/* The bit mask of the reduced dimensions of a tensor: 0 means all. */
static inline int64_t mu_reduce_dims(const mu_reduce_attrs *attrs, const mu_type *x)
{
    return attrs->dims ? attrs->dims : ((int64_t)1 << x->ndim) - 1;
}

#endif

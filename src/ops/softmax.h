/* What softmax and log_softmax share. */
#ifndef MU_OPS_SOFTMAX_H
#define MU_OPS_SOFTMAX_H

#include "ops/ops.h"

extern const mu_attr mu_softmax_attr_table[];

/* The type of operand 0, which is floating point and has dimension dim; of a gradient, both operands are of one type. */
mu_err mu_softmax_infer(const mu_call *call, mu_type *out);
/* dim may count from the end. */
mu_value mu_softmax_apply(mu_graph *g, const mu_op *op, mu_value x, int64_t dim);
/* dx = op(dy, y) */
void mu_softmax_gradient(mu_grad *grad, const mu_op *op);
int64_t mu_softmax_flops(const mu_call *call);

#define MU_SOFTMAX_OP(name_, doc_, n_in_, ...)                                                                     \
    const mu_op mu_op_##name_ = {.name = #name_, .doc = doc_, .n_in_min = n_in_, .n_in_max = n_in_, .n_out = 1,     \
                                 .attrs_size = sizeof(mu_dim_attrs), .attrs = mu_softmax_attr_table,                \
                                 .inplace = {1}, .infer = mu_softmax_infer, .flops = mu_softmax_flops, __VA_ARGS__}

#endif

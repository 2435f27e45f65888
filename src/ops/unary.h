/* What the one-operand element-wise operations share: rules, attribute table, tracing. */
#ifndef MU_OPS_UNARY_H
#define MU_OPS_UNARY_H

#include "ops/ops.h"

extern const mu_attr mu_unary_attr_table[];

/* out = the type of operand 0, which must be floating point; for <op>_grad(dy, z) both operands must be of one type. */
mu_err mu_unary_infer(const mu_call *call, mu_type *out);

mu_value mu_unary_apply(mu_graph *g, const mu_op *op, double alpha, double beta, mu_value x);

/* The gradient rules: dx = op(dy, x) and dx = op(dy, y), with the attributes of the forward node. */
void mu_unary_gradient_of_input(mu_grad *grad, const mu_op *op);
void mu_unary_gradient_of_output(mu_grad *grad, const mu_op *op);

#define MU_UNARY_OP(name_, doc_, ...)                                                                              \
    const mu_op mu_op_##name_ = {.name = #name_, .doc = doc_, .n_in_min = 1, .n_in_max = 1, .n_out = 1,             \
                                 .attrs_size = sizeof(mu_unary_attrs), .attrs = mu_unary_attr_table,                \
                                 .inplace = {1}, .infer = mu_unary_infer, __VA_ARGS__}
#define MU_UNARY_GRAD_OP(name_, doc_, ...)                                                                         \
    const mu_op mu_op_##name_ = {.name = #name_, .doc = doc_, .n_in_min = 2, .n_in_max = 2, .n_out = 1,             \
                                 .attrs_size = sizeof(mu_unary_attrs), .attrs = mu_unary_attr_table,                \
                                 .inplace = {1}, .infer = mu_unary_infer, __VA_ARGS__}

#endif

/* What the two-operand element-wise operations share: rules and tracing. Operands are of one dtype and broadcast. */
#ifndef MU_OPS_BINARY_H
#define MU_OPS_BINARY_H

#include "ops/ops.h"

/* Numbers of one dtype (not bool), broadcast. */
mu_err mu_binary_infer(const mu_call *call, mu_type *out);
/* Floating point only. */
mu_err mu_binary_infer_float(const mu_call *call, mu_type *out);
/* Any one dtype; gives bool. */
mu_err mu_binary_infer_compare(const mu_call *call, mu_type *out);

mu_value mu_binary_apply(mu_graph *g, const mu_op *op, mu_value a, mu_value b);
/* The constant c in the dtype of x. */
mu_value mu_constant_like(mu_graph *g, mu_value x, double c);
/* Is this a constant of one element? Sets *c. */
bool mu_constant_value(const mu_graph *g, mu_value x, double *c);

/* din[i] = d, summed over what operand i was broadcast to. */
void mu_binary_set_gradient(mu_grad *grad, int i, mu_value d);

#define MU_BINARY_OP(name_, doc_, infer_, ...)                                                                     \
    const mu_op mu_op_##name_ = {.name = #name_, .doc = doc_, .n_in_min = 2, .n_in_max = 2, .n_out = 1,             \
                                 .infer = infer_, __VA_ARGS__}

#endif

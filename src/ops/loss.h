/* What the losses share: attributes, rules, tracing. */
#ifndef MU_OPS_LOSS_H
#define MU_OPS_LOSS_H

#include "ops/ops.h"

extern const mu_attr mu_loss_attr_table[];

/* Element-wise losses of (x, target, weights that broadcast to x...): a scalar, or x's type without reduction. */
mu_err mu_loss_infer(const mu_call *call, mu_type *out);
/* (dloss, x, target, weights...) -> dx. */
mu_err mu_loss_infer_gradient(const mu_call *call, mu_type *out);

/* dx = op(dloss, operands of the forward node...) */
void mu_loss_gradient(mu_grad *grad, const mu_op *op);
/* The same for losses of x - target, whose target has the opposite gradient. */
void mu_loss_gradient_of_difference(mu_grad *grad, const mu_op *op);
/* Makes the graph fail when the gradient of an operand from `first` on is wanted: it is taken for constant. */
void mu_loss_refuse_gradients(mu_grad *grad, int first);

mu_value mu_loss_apply(mu_graph *g, const mu_op *op, const mu_loss_attrs *attrs, const mu_value *in, int n_in);
/* attrs, or the defaults for NULL. */
mu_loss_attrs mu_loss_attrs_or_default(const mu_loss_attrs *attrs);

#define MU_LOSS_OP(name_, doc_, n_in_max_, ...)                                                                     \
    const mu_op mu_op_##name_ = {.name = #name_, .doc = doc_, .n_in_min = 2, .n_in_max = n_in_max_, .n_out = 1,      \
                                 .attrs_size = sizeof(mu_loss_attrs), .attrs = mu_loss_attr_table,                   \
                                 .infer = mu_loss_infer, __VA_ARGS__}
#define MU_LOSS_GRAD_OP(name_, doc_, n_in_max_)                                                                      \
    const mu_op mu_op_##name_ = {.name = #name_, .doc = doc_, .n_in_min = 3, .n_in_max = n_in_max_, .n_out = 1,      \
                                 .attrs_size = sizeof(mu_loss_attrs), .attrs = mu_loss_attr_table,                   \
                                 .infer = mu_loss_infer_gradient}

#endif

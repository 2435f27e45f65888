/* What layer norm and group norm share. */
#ifndef MU_OPS_NORM_H
#define MU_OPS_NORM_H

#include "ops/operand.h"

extern const mu_attr mu_norm_attr_table[];

enum { MU_NORM_X, MU_NORM_GAMMA, MU_NORM_BETA };
enum { MU_NORM_GRAD_DY, MU_NORM_GRAD_X, MU_NORM_GRAD_GAMMA, MU_NORM_GRAD_MEAN, MU_NORM_GRAD_RSTD };

/* The outputs for (x, gamma?, beta?), given the types of the parameters and of the statistics. */
MU_CHECKED mu_err mu_norm_infer(const mu_call *call, const mu_type *param, const mu_type *stat, mu_type *out);
/* The outputs for (dy, x, gamma?, mean, rstd): dx, dgamma?, dbeta?. */
MU_CHECKED mu_err mu_norm_grad_infer(const mu_call *call, const mu_type *param, const mu_type *stat, mu_type *out);
/* The gradients of x, gamma, beta from op_grad; the gradient of a beta without gamma is left to the caller. */
void mu_norm_gradient(mu_grad *grad, const mu_op *op_grad);

int64_t mu_norm_flops(const mu_call *call);
int64_t mu_norm_grad_flops(const mu_call *call);

#endif

/* What the optimizer updates share. */
#ifndef MU_OPS_UPDATE_H
#define MU_OPS_UPDATE_H

#include "ops/ops.h"

extern const mu_attr mu_update_attr_table[];

/* Operands 0..n-2 are of the type of operand 0, floating point (those from n_required on may be absent); the last is the
 * scalars, f64 [MU_UPDATE_SCALARS]. */
mu_err mu_update_check(const mu_call *call, int n_required);

#endif

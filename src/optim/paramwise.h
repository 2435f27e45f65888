/* Which options of its own a parameter has: paramwise_cfg, by the rules of the reference's DefaultOptimWrapperConstructor. */
#ifndef MU_OPTIM_PARAMWISE_H
#define MU_OPTIM_PARAMWISE_H

#include "optim/wrapper.h"

typedef struct mu_paramwise mu_paramwise;

extern const mu_option mu_paramwise_keys[];

/* cfg is borrowed, as optim is during the call: what custom_keys may set is what its component takes. MU_ERR_CONFIG with every
 * mistake. */
MU_CHECKED mu_err mu_paramwise_new(const mu_cfg *cfg, const mu_optim *optim, mu_paramwise **out);
void mu_paramwise_release(mu_paramwise *paramwise); /* NULL is allowed */

/* The settings of a parameter, from the optimizer's own. */
mu_optim_group mu_paramwise_group(mu_paramwise *paramwise, const mu_param_traits *traits, mu_optim_group base);
bool mu_paramwise_bypass_duplicate(const mu_paramwise *paramwise);
/* Key i = 0, 1, ... of those that no parameter has matched so far; NULL past the end. */
const char *mu_paramwise_unmatched(const mu_paramwise *paramwise, size_t i);

#endif

/* The activation that a product ends with where no library has it: the element-wise kernel of its own operation, in place. */
#ifndef MU_CUDA_ACTIVATION_H
#define MU_CUDA_ACTIVATION_H

#include "cuda.h"

/* In f32 any activation may follow; what is rounded to a half type before would be rounded twice, which only ReLU does not show. */
bool mu_cuda_activation_supports(mu_dtype dtype, int activation, const char **why);
/* A kernel for a tensor of this type in this layout; *out is NULL for no activation. Freed by mu_kernel_release. */
MU_CHECKED mu_err mu_cuda_activation_prepare(mu_cuda *self, int activation, double alpha, const mu_type *type, const mu_layout *layout,
                                             mu_kernel **out);
/* y = activation(y); nothing for NULL. */
MU_CHECKED mu_err mu_cuda_activation_run(mu_kernel *activation, void *y, const mu_run *run);

#endif

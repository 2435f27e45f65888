#include "activation.h"
#include "product.h"

static bool supports(const mu_call *call, const char **why)
{
    const mu_linear_attrs *a = call->attrs;
    return mu_cuda_one_float(call, why) && mu_cuda_activation_supports(call->in[0].dtype, a->activation, why);
}

static mu_err setup(mu_cuda_kernel *kernel)
{
    const mu_call *call = &kernel->base.call;
    const mu_type *x = &call->in[0], *w = &call->in[1];
    const mu_linear_attrs *a = call->attrs;
    mu_cuda_matrices matrices = {
        .m = 1, .n = w->dim[0], .k = w->dim[1], .trans_b = true, .activation = a->activation, .alpha = a->alpha};
    for (int i = 0; i < x->ndim - 1; i++)
        matrices.m *= x->dim[i];
    MU_TRY(mu_cuda_product_setup((mu_cuda_product *)kernel, &matrices));
    return MU_OK;
}

const mu_cuda_impl linear_cuda = {.layouts = MU_CUDA_ROWS,
                                  .size = sizeof(mu_cuda_product),
                                  .supports = supports,
                                  .setup = setup,
                                  .run = mu_cuda_product_run,
                                  .release = mu_cuda_product_release};

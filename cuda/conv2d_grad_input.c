#include "conv.h"

/* conv2d_grad_input(dy, w, bias?) -> dx; with a bias it is a transposed convolution's forward */
static mu_err setup(mu_cuda_kernel *kernel)
{
    MU_TRY(mu_cuda_conv_setup((mu_cuda_conv *)kernel, MU_CUDA_CONV_GRAD_INPUT));
    return MU_OK;
}

const mu_cuda_impl conv2d_grad_input_cuda = {.layouts = MU_CUDA_OWN,
                                             .size = sizeof(mu_cuda_conv),
                                             .supports = mu_cuda_conv_supports,
                                             .setup = setup,
                                             .run = mu_cuda_conv_run,
                                             .release = mu_cuda_conv_release};

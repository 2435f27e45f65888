#include "backend/onednn/conv.h"

/* conv2d_grad_input(dy, w, bias?) -> dx; with a bias it is a transposed convolution's forward */
static const mu_conv_roles gradient = {.product = MU_CONV_GRAD_INPUT, .x = MU_ONEDNN_OUT(0), .w = 1, .y = 0,
                                       .bias = MU_CONV_ABSENT, .residual = MU_CONV_ABSENT};
static const mu_conv_roles transposed = {.product = MU_CONV_TRANSPOSED, .x = MU_ONEDNN_OUT(0), .w = 1, .y = 0,
                                         .bias = 2, .residual = MU_CONV_ABSENT};

static const mu_conv_roles *roles_of(const mu_call *call)
{
    return mu_onednn_in(call, 2) ? &transposed : &gradient;
}

bool conv2d_grad_input_supports_onednn(const mu_call *call, const char **why)
{
    return mu_onednn_conv_supports(call, roles_of(call), why);
}

mu_err conv2d_grad_input_prepare_onednn(mu_onednn *self, const mu_call *call, const mu_layout *const *in_layout,
                                        const mu_layout *const *want_out, mu_kernel **out)
{
    MU_TRY(mu_onednn_conv_prepare(self, call, roles_of(call), in_layout, want_out, out));
    return MU_OK;
}

#include "backend/onednn/conv.h"

/* conv2d(x, w, bias?, residual?) -> y */
static const mu_conv_roles roles = {.product = MU_CONV_FORWARD, .x = 0, .w = 1, .y = MU_ONEDNN_OUT(0), .bias = 2, .residual = 3};

bool conv2d_supports_onednn(const mu_call *call, const char **why)
{
    return mu_onednn_conv_supports(call, &roles, why);
}

mu_err conv2d_prepare_onednn(mu_onednn *self, const mu_call *call, const mu_layout *const *in_layout,
                             const mu_layout *const *want_out, mu_kernel **out)
{
    MU_TRY(mu_onednn_conv_prepare(self, call, &roles, in_layout, want_out, out));
    return MU_OK;
}

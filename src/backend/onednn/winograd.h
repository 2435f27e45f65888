/* This library's own Winograd convolution (backend/simd/winograd.h) as a candidate beside oneDNN's. */
#ifndef MU_BACKEND_ONEDNN_WINOGRAD_H
#define MU_BACKEND_ONEDNN_WINOGRAD_H

#include "backend/onednn/conv.h"

/* MU_ERR_UNSUPPORTED for a shape or processor that is not its own. */
MU_CHECKED mu_err mu_onednn_winograd_prepare(mu_onednn *self, const mu_call *call, const mu_conv_roles *roles,
                                             mu_kernel **out);

#endif

/* The three products of a convolution share their geometry, their candidates and the choice between them. */
#ifndef MU_BACKEND_ONEDNN_CONV_H
#define MU_BACKEND_ONEDNN_CONV_H

#include "backend/onednn/onednn.h"

typedef enum {
    MU_CONV_FORWARD,
    MU_CONV_GRAD_INPUT,
    MU_CONV_TRANSPOSED, /* grad_input with a bias: oneDNN's deconvolution */
    MU_CONV_GRAD_WEIGHT
} mu_conv_product;

/* Where the tensors of y = conv(x, w) + bias stand in the call: an operand i, or MU_ONEDNN_OUT(o). */
typedef struct {
    mu_conv_product product;
    int x, w, y, bias, residual;
} mu_conv_roles;

enum { MU_CONV_ABSENT = 100 };

/* The type at such a place, or NULL. */
const mu_type *mu_onednn_conv_type(const mu_call *call, int at);

/* Checks dtypes and geometry common to the three. */
bool mu_onednn_conv_supports(const mu_call *call, const mu_conv_roles *roles, const char **why);
MU_CHECKED mu_err mu_onednn_conv_prepare(mu_onednn *self, const mu_call *call, const mu_conv_roles *roles,
                                         const mu_layout *const *in_layout, const mu_layout *const *want_out,
                                         mu_kernel **out);

#endif

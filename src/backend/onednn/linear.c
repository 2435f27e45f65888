#include "backend/onednn/product.h"

/* An empty sum leaves the bias: ref's. */
bool linear_supports_onednn(const mu_call *call, const char **why)
{
    if (!mu_onednn_product_supports(call, why))
        return false;
    *why = "a linear layer without input features is not oneDNN's";
    return call->in[1].dim[1] > 0;
}

mu_err linear_prepare_onednn(mu_onednn *self, const mu_call *call, const mu_layout *const *in_layout,
                             const mu_layout *const *want_out, mu_kernel **out)
{
    (void)in_layout, (void)want_out;
    const mu_linear_attrs *attrs = call->attrs;
    const mu_type *w = &call->in[1];
    int64_t rows = 1;
    for (int i = 0; i < call->in[0].ndim - 1; i++)
        rows *= call->in[0].dim[i];
    mu_onednn_product product = {.ndim = 2, .trans_b = true, .activation = attrs->activation, .alpha = attrs->alpha,
                                 .a = {rows, w->dim[1]}, .b = {w->dim[1], w->dim[0]}, .y = {rows, w->dim[0]}};
    MU_TRY(mu_onednn_product_prepare(self, call, &product, out));
    return MU_OK;
}

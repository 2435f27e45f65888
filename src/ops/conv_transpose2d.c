#include "core/mem.h"
#include "ops/ops.h"

/* (size-1)*stride - padding + dilation*(k-1) + output_padding + 1 */
static mu_err out_size(const mu_conv2d_attrs *a, int i, int64_t size, int64_t k, int64_t extra, int64_t *out)
{
    int64_t stretched, reach;
    MU_TRY(mu_mul_i64(size - 1, a->stride[i], &stretched));
    MU_TRY(mu_mul_i64(a->dilation[i], k - 1, &reach));
    if (extra < 0 || (extra >= a->stride[i] && extra >= a->dilation[i]))
        return MU_FAIL(MU_ERR_SHAPE, "output padding %lld must be smaller than stride or dilation", (long long)extra);
    if (__builtin_add_overflow(stretched, reach, out) || __builtin_add_overflow(*out, extra + 1, out))
        return MU_FAIL(MU_ERR_OVERFLOW, "the output does not fit in 64 bits");
    *out -= a->padding[i] + a->padding[i + 2];
    return MU_OK;
}

static mu_err fit(mu_graph *g, mu_value x, mu_value w, mu_conv2d_attrs *a, const int64_t output_padding[2])
{
    const mu_type *tx = mu_graph_type(g, x), *tw = mu_graph_type(g, w);
    if (tx->ndim != 4 || tw->ndim != 4) {
        char sx[MU_TYPE_TEXT], sw[MU_TYPE_TEXT];
        return MU_FAIL(MU_ERR_SHAPE, "input and weight have 4 dimensions, got %s and %s", mu_type_format(tx, sx),
                       mu_type_format(tw, sw));
    }
    for (int i = 0; i < 2; i++)
        MU_TRY(out_size(a, i, tx->dim[2 + i], tw->dim[2 + i], output_padding ? output_padding[i] : 0, &a->input[i]));
    return MU_OK;
}

mu_value mu_conv_transpose2d(mu_graph *g, mu_value x, mu_value w, mu_value bias, const mu_conv2d_attrs *attrs,
                             const int64_t output_padding[2])
{
    mu_conv2d_attrs a = *attrs;
    if (x.id == 0 || w.id == 0)
        return MU_NO_VALUE;
    if (fit(g, x, w, &a, output_padding) != MU_OK) {
        mu_error_context("conv_transpose2d");
        mu_graph_fail(g);
        return MU_NO_VALUE;
    }
    return mu_graph_apply1(g, &mu_op_conv2d_grad_input, &a, (mu_value[]){x, w, bias}, bias.id ? 3 : 2);
}

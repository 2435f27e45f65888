#include "ops/operand.h"

/* (size-1)*stride - padding + dilation*(k-1) + output_padding + 1 */
static mu_err out_size(const mu_conv2d_attrs *a, int i, int64_t size, int64_t k, int64_t extra, int64_t *out)
{
    int64_t stretched, reach;
    if (size < 1 || k < 1)
        return MU_FAIL(MU_ERR_SHAPE, "%s of images and weight is at least 1, got %lld and %lld", i ? "width" : "height",
                       (long long)size, (long long)k);
    if (extra < 0 || (extra >= a->stride[i] && extra >= a->dilation[i]))
        return MU_FAIL(MU_ERR_SHAPE, "output padding must be smaller than stride or dilation, got %lld", (long long)extra);
    MU_TRY(mu_mul_i64(size - 1, a->stride[i], &stretched));
    MU_TRY(mu_mul_i64(a->dilation[i], k - 1, &reach));
    if (__builtin_add_overflow(stretched, reach, out) || __builtin_add_overflow(*out, extra, out) ||
        __builtin_add_overflow(*out, 1, out) || __builtin_sub_overflow(*out, a->padding[i], out) ||
        __builtin_sub_overflow(*out, a->padding[i + 2], out))
        return MU_FAIL(MU_ERR_OVERFLOW, "the output does not fit in 64 bits");
    if (*out < 1)
        return MU_FAIL(MU_ERR_SHAPE, "padding %lld and %lld leave nothing of the output's %s", (long long)a->padding[i],
                       (long long)a->padding[i + 2], i ? "width" : "height");
    return MU_OK;
}

static mu_err fit(mu_graph *g, mu_value x, mu_value w, mu_conv2d_attrs *a, const int64_t output_padding[2])
{
    const mu_type *tx = mu_graph_type(g, x), *tw = mu_graph_type(g, w);
    char sx[MU_TYPE_TEXT], sw[MU_TYPE_TEXT];
    MU_TRY(mu_operand_float(tx, "input", 4, 4));
    MU_TRY(mu_operand_float(tw, "weight", 4, 4));
    if (tx->dtype != tw->dtype || tx->dim[1] != tw->dim[0]) {
        MU_FAIL(MU_ERR_SHAPE, "weight %s needs %lld input channels of %s, input is %s", mu_type_format(tw, sw),
                (long long)tw->dim[0], mu_dtype_name(tw->dtype), mu_type_format(tx, sx));
        return mu_error_hint("make in_channels of this layer fit the layer before it");
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

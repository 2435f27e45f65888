#include "ops/operand.h"

const char *const mu_activation_names[] = {"none", "relu", "relu6", "leaky_relu", "silu", "gelu", "gelu_tanh", "sigmoid",
                                           "hard_sigmoid", "hard_swish", "tanh", NULL};

static const mu_attr attr_table[] = {MU_ATTR_INTS(mu_conv2d_attrs, stride, 2),
                                     MU_ATTR_INTS(mu_conv2d_attrs, padding, 4),
                                     MU_ATTR_INTS(mu_conv2d_attrs, dilation, 2),
                                     MU_ATTR_INT(mu_conv2d_attrs, groups),
                                     MU_ATTR_INTS(mu_conv2d_attrs, input, 2),
                                     MU_ATTR_CHOICE(mu_conv2d_attrs, activation, mu_activation_names),
                                     MU_ATTR_REAL(mu_conv2d_attrs, alpha),
                                     MU_ATTR_FLAG(mu_conv2d_attrs, bias),
                                     MU_ATTR_END};

mu_conv2d_attrs mu_conv2d_defaults(void)
{
    return (mu_conv2d_attrs){.stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
}

static mu_err check_attrs(const mu_conv2d_attrs *a)
{
    for (int i = 0; i < 2; i++)
        if (a->stride[i] < 1 || a->dilation[i] < 1)
            return MU_FAIL(MU_ERR_SHAPE, "stride and dilation are at least 1, got %lld and %lld", (long long)a->stride[i],
                           (long long)a->dilation[i]);
    for (int i = 0; i < 4; i++)
        if (a->padding[i] < 0)
            return MU_FAIL(MU_ERR_SHAPE, "padding is 0 or more, got %lld", (long long)a->padding[i]);
    if (a->groups < 1)
        return MU_FAIL(MU_ERR_SHAPE, "groups is at least 1, got %lld", (long long)a->groups);
    return MU_OK;
}

/* Output size along spatial axis i for an input of `size` and a kernel of `k`; negative when the kernel does not fit. */
static mu_err out_size(const mu_conv2d_attrs *a, int i, int64_t size, int64_t k, int64_t *out)
{
    int64_t reach, room;
    MU_TRY(mu_mul_i64(a->dilation[i], k - 1, &reach));
    if (__builtin_add_overflow(size, a->padding[i], &room) || __builtin_add_overflow(room, a->padding[i + 2], &room))
        return MU_FAIL(MU_ERR_OVERFLOW, "padding is too large");
    if (k < 1 || room <= reach) {
        MU_FAIL(MU_ERR_SHAPE, "a kernel of %lld with dilation %lld does not fit in %s %lld with padding %lld and %lld",
                (long long)k, (long long)a->dilation[i], i ? "width" : "height", (long long)size,
                (long long)a->padding[i], (long long)a->padding[i + 2]);
        return mu_error_hint("enlarge the image or the padding, or use fewer strided layers");
    }
    *out = (room - reach - 1) / a->stride[i] + 1;
    return MU_OK;
}

static mu_err check_weight(const mu_conv2d_attrs *a, const mu_type *x, const mu_type *w)
{
    char sw[MU_TYPE_TEXT], sx[MU_TYPE_TEXT];
    int64_t channels;
    MU_TRY(mu_mul_i64(w->dim[1], a->groups, &channels));
    if (w->dim[0] % a->groups != 0) {
        MU_FAIL(MU_ERR_SHAPE, "the %lld outputs of weight %s cannot be divided into %lld groups", (long long)w->dim[0],
                mu_type_format(w, sw), (long long)a->groups);
        return mu_error_hint("groups must divide in_channels and out_channels");
    }
    if (w->dtype != x->dtype || channels != x->dim[1]) {
        MU_FAIL(MU_ERR_SHAPE, "weight %s with %lld groups needs %lld input channels, input is %s", mu_type_format(w, sw),
                (long long)a->groups, (long long)channels, mu_type_format(x, sx));
        return mu_error_hint("make in_channels of this layer fit the layer before it, or the images");
    }
    return MU_OK;
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_conv2d_attrs *a = call->attrs;
    const mu_type *x = &call->in[0], *w = &call->in[1];
    MU_TRY(check_attrs(a));
    MU_TRY(mu_operand_float(x, "input", 4, 4));
    MU_TRY(mu_operand_float(w, "weight", 4, 4));
    MU_TRY(check_weight(a, x, w));
    MU_TRY(mu_operand_matches(call, 2, "bias", &MU_TYPE(x->dtype, w->dim[0])));
    mu_type y = {.dtype = x->dtype, .ndim = 4, .dim = {x->dim[0], w->dim[0]}};
    for (int i = 0; i < 2; i++)
        MU_TRY(out_size(a, i, x->dim[2 + i], w->dim[2 + i], &y.dim[2 + i]));
    MU_TRY(mu_operand_matches(call, 3, "residual", &y));
    out[0] = y;
    return MU_OK;
}

/* 2 * N*K*OH*OW * C/groups*kh*kw, whichever of the three products it is. */
static int64_t product_flops(const mu_type *y, const mu_type *w)
{
    return mu_cost_per_element(y, mu_cost_mul(2 * w->dim[1], mu_cost_mul(w->dim[2], w->dim[3])));
}

static int64_t flops(const mu_call *call)
{
    return product_flops(&call->out[0], &call->in[1]);
}

static void gradient(mu_grad *grad)
{
    mu_graph *g = grad->graph;
    mu_value x = mu_grad_in(grad, 0), w = mu_grad_in(grad, 1), dy = grad->dout[0];
    mu_conv2d_attrs a = *(const mu_conv2d_attrs *)grad->node->attrs;
    if (grad->need[0]) {
        const mu_type *t = mu_graph_type(g, x);
        a.input[0] = t->dim[2];
        a.input[1] = t->dim[3];
        grad->din[0] = mu_graph_apply1(g, &mu_op_conv2d_grad_input, &a, (mu_value[]){dy, w}, 2);
    }
    bool need_bias = grad->node->n_in > 2 && grad->need[2];
    if (need_bias && !grad->need[1])
        grad->din[2] = mu_sum(g, dy, 1 << 0 | 1 << 2 | 1 << 3, false);
    if (grad->need[1]) {
        const mu_type *t = mu_graph_type(g, w);
        a.input[0] = t->dim[2];
        a.input[1] = t->dim[3];
        a.bias = need_bias;
        mu_value out[2];
        mu_graph_apply(g, &mu_op_conv2d_grad_weight, &a, (mu_value[]){x, dy}, 2, out);
        grad->din[1] = out[0];
        if (need_bias)
            grad->din[2] = out[1];
    }
}

const mu_op mu_op_conv2d = {
    .name = "conv2d",
    .doc = "Two-dimensional cross-correlation. x [N,C,H,W], w [K,C/groups,kh,kw], bias [K] or none, residual [N,K,OH,OW] or "
           "none -> y [N,K,OH,OW] = activation(x * w + bias + residual).",
    .n_in_min = 2, .n_in_max = 4, .n_out = 1,
    .attrs_size = sizeof(mu_conv2d_attrs), .attrs = attr_table,
    .infer = infer, .gradient = gradient, .flops = flops,
};

static mu_err grad_input_infer(const mu_call *call, mu_type *out)
{
    const mu_conv2d_attrs *a = call->attrs;
    const mu_type *dy = &call->in[0], *w = &call->in[1];
    MU_TRY(check_attrs(a));
    MU_TRY(mu_operand_float(dy, "output gradient", 4, 4));
    MU_TRY(mu_operand_float(w, "weight", 4, 4));
    if (dy->dtype != w->dtype || dy->dim[1] != w->dim[0] || w->dim[0] % a->groups != 0) {
        char sy[MU_TYPE_TEXT], sw[MU_TYPE_TEXT];
        return MU_FAIL(MU_ERR_SHAPE, "weight %s with %lld groups does not fit %s", mu_type_format(w, sw),
                       (long long)a->groups, mu_type_format(dy, sy));
    }
    mu_type x = {.dtype = dy->dtype, .ndim = 4, .dim = {dy->dim[0], 0, a->input[0], a->input[1]}};
    MU_TRY(mu_mul_i64(w->dim[1], a->groups, &x.dim[1]));
    for (int i = 0; i < 2; i++) {
        int64_t size;
        MU_TRY(out_size(a, i, a->input[i], w->dim[2 + i], &size));
        if (size != dy->dim[2 + i])
            return MU_FAIL(MU_ERR_SHAPE, "an input of %lld gives %lld outputs, not %lld", (long long)a->input[i],
                           (long long)size, (long long)dy->dim[2 + i]);
    }
    MU_TRY(mu_operand_matches(call, 2, "bias", &MU_TYPE(x.dtype, x.dim[1])));
    out[0] = x;
    return MU_OK;
}

static int64_t grad_input_flops(const mu_call *call)
{
    return product_flops(&call->in[0], &call->in[1]);
}

/* As an operation of its own (conv_transpose2d), it is differentiated by the convolution that it transposes. */
static void grad_input_gradient(mu_grad *grad)
{
    mu_graph *g = grad->graph;
    mu_value x = mu_grad_in(grad, 0), w = mu_grad_in(grad, 1), dy = grad->dout[0];
    mu_conv2d_attrs a = *(const mu_conv2d_attrs *)grad->node->attrs;
    a.input[0] = a.input[1] = 0;
    if (grad->need[0])
        grad->din[0] = mu_graph_apply1(g, &mu_op_conv2d, &a, (mu_value[]){dy, w}, 2);
    if (grad->need[1]) {
        const mu_type *t = mu_graph_type(g, w);
        a.input[0] = t->dim[2];
        a.input[1] = t->dim[3];
        mu_value out[2];
        mu_graph_apply(g, &mu_op_conv2d_grad_weight, &a, (mu_value[]){dy, x}, 2, out);
        grad->din[1] = out[0];
    }
    if (grad->node->n_in > 2 && grad->need[2])
        grad->din[2] = mu_sum(g, dy, 1 << 0 | 1 << 2 | 1 << 3, false);
}

const mu_op mu_op_conv2d_grad_input = {
    .name = "conv2d_grad_input",
    .doc = "The gradient of conv2d to its input, and the transposed convolution. dy [N,K,OH,OW], w [K,C/groups,kh,kw], "
           "bias [C] or none -> dx [N,C,H,W].",
    .n_in_min = 2, .n_in_max = 3, .n_out = 1,
    .attrs_size = sizeof(mu_conv2d_attrs), .attrs = attr_table,
    .infer = grad_input_infer, .gradient = grad_input_gradient, .flops = grad_input_flops,
};

static mu_err grad_weight_infer(const mu_call *call, mu_type *out)
{
    const mu_conv2d_attrs *a = call->attrs;
    const mu_type *x = &call->in[0], *dy = &call->in[1];
    char sx[MU_TYPE_TEXT], sy[MU_TYPE_TEXT];
    MU_TRY(check_attrs(a));
    MU_TRY(mu_operand_float(x, "input", 4, 4));
    MU_TRY(mu_operand_float(dy, "output gradient", 4, 4));
    if (x->dtype != dy->dtype || x->dim[0] != dy->dim[0] || x->dim[1] % a->groups || dy->dim[1] % a->groups)
        return MU_FAIL(MU_ERR_SHAPE, "input %s and output gradient %s do not fit with %lld groups", mu_type_format(x, sx),
                       mu_type_format(dy, sy), (long long)a->groups);
    for (int i = 0; i < 2; i++) {
        int64_t size;
        MU_TRY(out_size(a, i, x->dim[2 + i], a->input[i], &size));
        if (size != dy->dim[2 + i])
            return MU_FAIL(MU_ERR_SHAPE, "input %s gives %lld outputs along axis %d, output gradient is %s",
                           mu_type_format(x, sx), (long long)size, 2 + i, mu_type_format(dy, sy));
    }
    out[0] = (mu_type){.dtype = x->dtype, .ndim = 4,
                       .dim = {dy->dim[1], x->dim[1] / a->groups, a->input[0], a->input[1]}};
    if (a->bias)
        out[1] = (mu_type){.dtype = x->dtype, .ndim = 1, .dim = {dy->dim[1]}};
    return MU_OK;
}

static int64_t grad_weight_flops(const mu_call *call)
{
    return product_flops(&call->in[1], &call->out[0]);
}

const mu_op mu_op_conv2d_grad_weight = {
    .name = "conv2d_grad_weight",
    .doc = "The gradient of conv2d to its weight and bias. x [N,C,H,W], dy [N,K,OH,OW] -> dw [K,C/groups,kh,kw], db [K].",
    .n_in_min = 2, .n_in_max = 2, .n_out = 2,
    .attrs_size = sizeof(mu_conv2d_attrs), .attrs = attr_table,
    .infer = grad_weight_infer, .flops = grad_weight_flops,
};

mu_value mu_conv2d(mu_graph *g, mu_value x, mu_value w, mu_value bias, const mu_conv2d_attrs *attrs)
{
    return mu_graph_apply1(g, &mu_op_conv2d, attrs, (mu_value[]){x, w, bias}, bias.id ? 3 : 2);
}

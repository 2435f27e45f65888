#include "ops/pool2d.h"

static mu_err check_dilation(const mu_pool2d_attrs *a)
{
    if (a->dilation[0] != 1 || a->dilation[1] != 1)
        return MU_FAIL(MU_ERR_SHAPE, "average pooling has no dilation, got %lld and %lld", (long long)a->dilation[0],
                       (long long)a->dilation[1]);
    return MU_OK;
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    MU_TRY(check_dilation(call->attrs));
    MU_TRY(mu_pool2d_infer(call->attrs, &call->in[0], &out[0]));
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    mu_pool2d_attrs a = mu_pool2d_grad_attrs(grad);
    grad->din[0] = mu_graph_apply1(grad->graph, &mu_op_avg_pool2d_grad, &a, &grad->dout[0], 1);
}

static int64_t window_flops(const mu_pool2d_attrs *a, const mu_type *y)
{
    return mu_cost_per_element(y, mu_cost_mul(a->kernel[0], a->kernel[1]));
}

static int64_t flops(const mu_call *call)
{
    return window_flops(call->attrs, &call->out[0]);
}

const mu_op mu_op_avg_pool2d = {
    .name = "avg_pool2d",
    .doc = "The mean over windows; padding counts as zeros (count_include_pad) or not at all, what ceil_mode adds beyond it "
           "never counts. x [N,C,H,W] -> y [N,C,OH,OW].",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_pool2d_attrs), .attrs = mu_pool2d_attr_table,
    .infer = infer, .gradient = gradient, .flops = flops,
};

static mu_err grad_infer(const mu_call *call, mu_type *out)
{
    mu_type dx, y;
    char expected[MU_TYPE_TEXT];
    MU_TRY(check_dilation(call->attrs));
    MU_TRY(mu_pool2d_grad_infer(call->attrs, &call->in[0], &dx));
    MU_TRY(mu_pool2d_infer(call->attrs, &dx, &y));
    if (mu_operand_matches(call, 0, "output gradient", &y) != MU_OK)
        return mu_error_hint("an input %s gives that output", mu_type_format(&dx, expected));
    out[0] = dx;
    return MU_OK;
}

static int64_t grad_flops(const mu_call *call)
{
    return window_flops(call->attrs, &call->in[0]);
}

const mu_op mu_op_avg_pool2d_grad = {
    .name = "avg_pool2d_grad",
    .doc = "The gradient of avg_pool2d; dy -> dx [N,C,output[0],output[1]].",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_pool2d_attrs), .attrs = mu_pool2d_attr_table,
    .infer = grad_infer, .flops = grad_flops,
};

mu_value mu_avg_pool2d(mu_graph *g, mu_value x, const mu_pool2d_attrs *attrs)
{
    return mu_graph_apply1(g, &mu_op_avg_pool2d, attrs, &x, 1);
}

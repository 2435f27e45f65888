#include "ops/pool2d.h"

static mu_err infer(const mu_call *call, mu_type *out)
{
    return mu_pool2d_adaptive_infer(call->attrs, &call->in[0], &out[0]);
}

static void gradient(mu_grad *grad)
{
    mu_pool2d_attrs a = mu_pool2d_grad_attrs(grad);
    grad->din[0] = mu_graph_apply1(grad->graph, &mu_op_adaptive_avg_pool2d_grad, &a, &grad->dout[0], 1);
}

static int64_t window_flops(const mu_type *x, const mu_type *y)
{
    int64_t reads = mu_cost_mul(mu_adaptive_reads(x->dim[2], y->dim[2]), mu_adaptive_reads(x->dim[3], y->dim[3]));
    return mu_cost_mul(mu_cost_mul(x->dim[0], x->dim[1]), reads);
}

static int64_t flops(const mu_call *call)
{
    return window_flops(&call->in[0], &call->out[0]);
}

const mu_op mu_op_adaptive_avg_pool2d = {
    .name = "adaptive_avg_pool2d",
    .doc = "The mean over windows [floor(i*H/OH), ceil((i+1)*H/OH)) that make an output of OH x OW. x [N,C,H,W] -> y "
           "[N,C,OH,OW].",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_pool2d_attrs), .attrs = mu_pool2d_attr_table,
    .infer = infer, .gradient = gradient, .flops = flops,
};

static mu_err grad_infer(const mu_call *call, mu_type *out)
{
    const mu_type *dy = &call->in[0];
    mu_type dx, y;
    MU_TRY(mu_pool2d_grad_infer(call->attrs, dy, &dx));
    MU_TRY(mu_pool2d_adaptive_infer(&(mu_pool2d_attrs){.output = {dy->dim[2], dy->dim[3]}}, &dx, &y));
    out[0] = dx;
    return MU_OK;
}

static int64_t grad_flops(const mu_call *call)
{
    return window_flops(&call->out[0], &call->in[0]);
}

const mu_op mu_op_adaptive_avg_pool2d_grad = {
    .name = "adaptive_avg_pool2d_grad",
    .doc = "The gradient of adaptive_avg_pool2d; dy -> dx [N,C,output[0],output[1]].",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_pool2d_attrs), .attrs = mu_pool2d_attr_table,
    .infer = grad_infer, .flops = grad_flops,
};

mu_value mu_adaptive_avg_pool2d(mu_graph *g, mu_value x, int64_t height, int64_t width)
{
    return mu_graph_apply1(g, &mu_op_adaptive_avg_pool2d, &(mu_pool2d_attrs){.output = {height, width}}, &x, 1);
}

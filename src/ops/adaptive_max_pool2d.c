#include "ops/pool2d.h"

static mu_err infer(const mu_call *call, mu_type *out)
{
    MU_TRY(mu_pool2d_adaptive_infer(call->attrs, &call->in[0], &out[0]));
    MU_TRY(mu_pool2d_check_index(&call->in[0]));
    out[1] = out[0];
    out[1].dtype = MU_I32;
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    mu_pool2d_attrs a = mu_pool2d_grad_attrs(grad);
    grad->din[0] = mu_graph_apply1(grad->graph, &mu_op_max_pool2d_grad, &a,
                                   (mu_value[]){grad->dout[0], mu_grad_out(grad, 1)}, 2);
}

static int64_t flops(const mu_call *call)
{
    const mu_type *x = &call->in[0], *y = &call->out[0];
    int64_t reads = mu_cost_mul(mu_adaptive_reads(x->dim[2], y->dim[2]), mu_adaptive_reads(x->dim[3], y->dim[3]));
    return mu_cost_mul(mu_cost_mul(x->dim[0], x->dim[1]), reads);
}

const mu_op mu_op_adaptive_max_pool2d = {
    .name = "adaptive_max_pool2d",
    .doc = "The maximum over windows [floor(i*H/OH), ceil((i+1)*H/OH)) that make an output of OH x OW. x [N,C,H,W] -> y "
           "[N,C,OH,OW], index i32 as max_pool2d.",
    .n_in_min = 1, .n_in_max = 1, .n_out = 2,
    .attrs_size = sizeof(mu_pool2d_attrs), .attrs = mu_pool2d_attr_table,
    .infer = infer, .gradient = gradient, .flops = flops,
};

mu_value mu_adaptive_max_pool2d(mu_graph *g, mu_value x, int64_t height, int64_t width)
{
    return mu_graph_apply1(g, &mu_op_adaptive_max_pool2d, &(mu_pool2d_attrs){.output = {height, width}}, &x, 1);
}

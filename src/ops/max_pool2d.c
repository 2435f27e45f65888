#include "ops/pool2d.h"

static mu_err infer(const mu_call *call, mu_type *out)
{
    MU_TRY(mu_pool2d_infer(call->attrs, &call->in[0], &out[0]));
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
    const mu_pool2d_attrs *a = call->attrs;
    return mu_cost_per_element(&call->out[0], mu_cost_mul(a->kernel[0], a->kernel[1]));
}

const mu_op mu_op_max_pool2d = {
    .name = "max_pool2d",
    .doc = "The maximum over windows; NaN wins, the first of equals is taken. x [N,C,H,W] -> y [N,C,OH,OW], index i32 (h*W+w "
           "of the winner in its plane; -1 where a dilated window meets no element and y is -inf).",
    .n_in_min = 1, .n_in_max = 1, .n_out = 2,
    .attrs_size = sizeof(mu_pool2d_attrs), .attrs = mu_pool2d_attr_table,
    .infer = infer, .gradient = gradient, .flops = flops,
};

static mu_err grad_infer(const mu_call *call, mu_type *out)
{
    MU_TRY(mu_pool2d_grad_infer(call->attrs, &call->in[0], &out[0]));
    MU_TRY(mu_pool2d_check_index(&out[0]));
    mu_type index = call->in[0];
    index.dtype = MU_I32;
    MU_TRY(mu_operand_matches(call, 1, "index", &index));
    return MU_OK;
}

static int64_t grad_flops(const mu_call *call)
{
    return mu_type_count(&call->in[0]);
}

const mu_op mu_op_max_pool2d_grad = {
    .name = "max_pool2d_grad",
    .doc = "Adds every output gradient to the element that won its window; (dy, index) -> dx [N,C,output[0],output[1]]. The "
           "gradient of max_pool2d and adaptive_max_pool2d.",
    .n_in_min = 2, .n_in_max = 2, .n_out = 1,
    .attrs_size = sizeof(mu_pool2d_attrs), .attrs = mu_pool2d_attr_table,
    .infer = grad_infer, .flops = grad_flops,
};

mu_value mu_max_pool2d(mu_graph *g, mu_value x, const mu_pool2d_attrs *attrs)
{
    return mu_graph_apply1(g, &mu_op_max_pool2d, attrs, &x, 1);
}

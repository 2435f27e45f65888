#include "ops/operand.h"

/* The slope is one element, or one per channel of x. */
static mu_err check(const mu_type *x, const mu_type *slope)
{
    char sx[MU_TYPE_TEXT], ss[MU_TYPE_TEXT];
    bool one = slope->ndim <= 1 && mu_type_count(slope) == 1;
    bool channels = slope->ndim == 1 && x->ndim >= 2 && slope->dim[0] == x->dim[1];
    MU_TRY(mu_operand_float(x, "input", 0, MU_MAX_NDIM));
    if (slope->dtype == x->dtype && (one || channels))
        return MU_OK;
    MU_FAIL(MU_ERR_SHAPE, "the slope must have one element or one per channel of %s, got %s", mu_type_format(x, sx),
            mu_type_format(slope, ss));
    return mu_error_hint("num_parameters is 1 or the number of channels");
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    MU_TRY(check(&call->in[0], &call->in[1]));
    out[0] = call->in[0];
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    mu_value out[2], in[] = {grad->dout[0], mu_grad_in(grad, 0), mu_grad_in(grad, 1)};
    mu_graph_apply(grad->graph, &mu_op_prelu_grad, NULL, in, 3, out);
    for (int i = 0; i < 2; i++)
        if (grad->need[i])
            grad->din[i] = out[i];
}

const mu_op mu_op_prelu = {
    .name = "prelu",
    .doc = "y = x where x > 0, else slope * x (He et al. 2015). x of any shape with one slope, or [N,C,...] with slope [C].",
    .n_in_min = 2, .n_in_max = 2, .n_out = 1, .flags = MU_OP_ZERO_KEEPS, .inplace = {1},
    .infer = infer, .gradient = gradient,
};

static mu_err grad_infer(const mu_call *call, mu_type *out)
{
    MU_TRY(check(&call->in[1], &call->in[2]));
    MU_TRY(mu_operand_matches(call, 0, "output gradient", &call->in[1]));
    out[0] = call->in[1];
    out[1] = call->in[2];
    return MU_OK;
}

static int64_t grad_flops(const mu_call *call)
{
    return mu_cost_per_element(&call->in[1], 3);
}

const mu_op mu_op_prelu_grad = {
    .name = "prelu_grad",
    .doc = "The gradient of prelu; (dy, x, slope) -> dx, dslope.",
    .n_in_min = 3, .n_in_max = 3, .n_out = 2, .flags = MU_OP_ZERO_KEEPS, .inplace = {1},
    .infer = grad_infer, .flops = grad_flops,
};

mu_value mu_prelu(mu_graph *g, mu_value x, mu_value slope)
{
    return mu_graph_apply1(g, &mu_op_prelu, NULL, (mu_value[]){x, slope}, 2);
}

#include "ops/softmax.h"

#include "ops/operand.h"

const mu_attr mu_softmax_attr_table[] = {MU_ATTR_INT(mu_dim_attrs, dim), MU_ATTR_END};

mu_err mu_softmax_infer(const mu_call *call, mu_type *out)
{
    const mu_dim_attrs *a = call->attrs;
    char x[MU_TYPE_TEXT], y[MU_TYPE_TEXT];
    if (!mu_dtype_is_float(call->in[0].dtype))
        return MU_FAIL(MU_ERR_SHAPE, "needs a floating-point operand, got %s", mu_type_format(&call->in[0], x));
    if (call->n_in == 2 && !mu_type_equal(&call->in[0], &call->in[1]))
        return MU_FAIL(MU_ERR_SHAPE, "operands %s and %s differ", mu_type_format(&call->in[0], x),
                       mu_type_format(&call->in[1], y));
    MU_TRY(mu_operand_dim(&call->in[0], a->dim));
    out[0] = call->in[0];
    return MU_OK;
}

mu_value mu_softmax_apply(mu_graph *g, const mu_op *op, mu_value x, int64_t dim)
{
    return mu_graph_apply1(g, op, &(mu_dim_attrs){.dim = mu_operand_wrap(g, x, dim)}, &x, 1);
}

void mu_softmax_gradient(mu_grad *grad, const mu_op *op)
{
    mu_value in[] = {grad->dout[0], mu_grad_out(grad, 0)};
    grad->din[0] = mu_graph_apply1(grad->graph, op, grad->node->attrs, in, 2);
}

int64_t mu_softmax_flops(const mu_call *call)
{
    return 4 * mu_type_count(&call->out[0]);
}

MU_SOFTMAX_OP(softmax_grad, "dx = y * (dy - sum(dy * y)); (dy, y).", 2, .flags = MU_OP_ZERO_KEEPS);

static void gradient(mu_grad *grad)
{
    mu_softmax_gradient(grad, &mu_op_softmax_grad);
}

MU_SOFTMAX_OP(softmax, "y = e^x / (the sum of e^x along dimension dim).", 1, .gradient = gradient);

mu_value mu_softmax(mu_graph *g, mu_value x, int64_t dim)
{
    return mu_softmax_apply(g, &mu_op_softmax, x, dim);
}

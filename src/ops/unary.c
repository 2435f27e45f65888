#include "ops/unary.h"

const mu_attr mu_unary_attr_table[] = {MU_ATTR_REAL(mu_unary_attrs, alpha), MU_ATTR_REAL(mu_unary_attrs, beta), MU_ATTR_END};

mu_err mu_unary_infer(const mu_call *call, mu_type *out)
{
    char a[MU_TYPE_TEXT], b[MU_TYPE_TEXT];
    if (!mu_dtype_is_float(call->in[0].dtype))
        return MU_FAIL(MU_ERR_SHAPE, "needs a floating-point operand, got %s", mu_type_format(&call->in[0], a));
    if (call->n_in == 2 && !mu_type_equal(&call->in[0], &call->in[1]))
        return MU_FAIL(MU_ERR_SHAPE, "operands %s and %s differ", mu_type_format(&call->in[0], a),
                       mu_type_format(&call->in[1], b));
    out[0] = call->in[0];
    return MU_OK;
}

mu_value mu_unary_apply(mu_graph *g, const mu_op *op, double alpha, double beta, mu_value x)
{
    return mu_graph_apply1(g, op, &(mu_unary_attrs){.alpha = alpha, .beta = beta}, &x, 1);
}

static void gradient(mu_grad *grad, const mu_op *op, mu_value z)
{
    grad->din[0] = mu_graph_apply1(grad->graph, op, grad->node->attrs, (mu_value[]){grad->dout[0], z}, 2);
}

void mu_unary_gradient_of_input(mu_grad *grad, const mu_op *op)
{
    gradient(grad, op, mu_grad_in(grad, 0));
}

void mu_unary_gradient_of_output(mu_grad *grad, const mu_op *op)
{
    gradient(grad, op, mu_grad_out(grad, 0));
}

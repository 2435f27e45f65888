#include "ops/operand.h"

static const mu_attr attr_table[] = {MU_ATTR_CHOICE(mu_cast_attrs, dtype, mu_operand_dtypes), MU_ATTR_END};

static mu_err infer(const mu_call *call, mu_type *out)
{
    out[0] = call->in[0];
    out[0].dtype = (mu_dtype)((const mu_cast_attrs *)call->attrs)->dtype;
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    mu_dtype from = mu_graph_type(grad->graph, mu_grad_in(grad, 0))->dtype;
    if (mu_dtype_is_float(from))
        grad->din[0] = mu_cast(grad->graph, grad->dout[0], from);
}

const mu_op mu_op_cast = {
    .name = "cast",
    .doc = "To another dtype: to half types by rounding to nearest even, floats to integers towards zero, to bool as x != 0.",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_cast_attrs), .attrs = attr_table,
    .infer = infer, .gradient = gradient,
};

mu_value mu_cast(mu_graph *g, mu_value x, mu_dtype dtype)
{
    if (x.id && mu_graph_type(g, x)->dtype == dtype)
        return x;
    return mu_graph_apply1(g, &mu_op_cast, &(mu_cast_attrs){.dtype = (int)dtype}, &x, 1);
}

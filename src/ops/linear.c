#include "ops/operand.h"

static const mu_attr attr_table[] = {MU_ATTR_CHOICE(mu_linear_attrs, activation, mu_activation_names),
                                     MU_ATTR_REAL(mu_linear_attrs, alpha), MU_ATTR_END};

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_type *x = &call->in[0], *w = &call->in[1];
    char sx[MU_TYPE_TEXT], sw[MU_TYPE_TEXT];
    MU_TRY(mu_operand_float(x, "input", 1, MU_MAX_NDIM));
    MU_TRY(mu_operand_float(w, "weight", 2, 2));
    if (w->dtype != x->dtype || w->dim[1] != x->dim[x->ndim - 1]) {
        MU_FAIL(MU_ERR_SHAPE, "weight %s needs %lld input features of %s, input is %s", mu_type_format(w, sw),
                (long long)w->dim[1], mu_dtype_name(w->dtype), mu_type_format(x, sx));
        return mu_error_hint("make in_features (in_channels) fit the layer before it, or flatten or pool its output");
    }
    MU_TRY(mu_operand_matches(call, 2, "bias", &MU_TYPE(x->dtype, w->dim[0])));
    out[0] = *x;
    out[0].dim[x->ndim - 1] = w->dim[0];
    return MU_OK;
}

/* [..., n] as [rows, n]. */
static mu_value as_matrix(mu_graph *g, mu_value x)
{
    const mu_type *t = mu_graph_type(g, x);
    int64_t rows = 1;
    for (int i = 0; i < t->ndim - 1; i++)
        rows *= t->dim[i];
    return mu_reshape(g, x, 2, (int64_t[]){rows, t->dim[t->ndim - 1]});
}

static void gradient(mu_grad *grad)
{
    mu_graph *g = grad->graph;
    mu_value x = mu_grad_in(grad, 0), w = mu_grad_in(grad, 1), dy = as_matrix(g, grad->dout[0]);
    if (dy.id == 0)
        return;
    if (grad->need[0]) {
        mu_type t = *mu_graph_type(g, x);
        grad->din[0] = mu_reshape(g, mu_matmul(g, dy, w, false, false), t.ndim, t.dim);
    }
    if (grad->need[1])
        grad->din[1] = mu_matmul(g, dy, as_matrix(g, x), true, false);
    if (grad->node->n_in > 2 && grad->need[2])
        grad->din[2] = mu_sum(g, dy, 1 << 0, false);
}

static int64_t flops(const mu_call *call)
{
    return mu_cost_per_element(&call->out[0], mu_cost_mul(2, call->in[1].dim[1]));
}

const mu_op mu_op_linear = {
    .name = "linear",
    .doc = "y = activation(x w^T + bias). x [...,in], w [out,in], bias [out] or none -> y [...,out].",
    .n_in_min = 2, .n_in_max = 3, .n_out = 1,
    .attrs_size = sizeof(mu_linear_attrs), .attrs = attr_table,
    .infer = infer, .gradient = gradient, .flops = flops,
};

mu_value mu_linear(mu_graph *g, mu_value x, mu_value w, mu_value bias)
{
    return mu_graph_apply1(g, &mu_op_linear, &(mu_linear_attrs){0}, (mu_value[]){x, w, bias}, bias.id ? 3 : 2);
}

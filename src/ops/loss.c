#include "ops/loss.h"

const char *const mu_loss_reduction_names[] = {"mean", "sum", "none", NULL};

const mu_attr mu_loss_attr_table[] = {MU_ATTR_CHOICE(mu_loss_attrs, reduction, mu_loss_reduction_names),
                                      MU_ATTR_INT(mu_loss_attrs, ignore_index),
                                      MU_ATTR_REAL(mu_loss_attrs, label_smoothing),
                                      MU_ATTR_REAL(mu_loss_attrs, beta),
                                      MU_ATTR_REAL(mu_loss_attrs, gamma),
                                      MU_ATTR_REAL(mu_loss_attrs, alpha),
                                      MU_ATTR_FLAG(mu_loss_attrs, log_target),
                                      MU_ATTR_END};

mu_loss_attrs mu_loss_defaults(void)
{
    return (mu_loss_attrs){.reduction = MU_REDUCE_MEAN, .ignore_index = -100, .beta = 1, .gamma = 2, .alpha = 0.25};
}

mu_loss_attrs mu_loss_attrs_or_default(const mu_loss_attrs *attrs)
{
    return attrs ? *attrs : mu_loss_defaults();
}

/* in[0] is x, in[1] target, then weights. */
static mu_err check(const mu_call *call, const mu_type *in, int n_in)
{
    const mu_loss_attrs *a = call->attrs;
    char x[MU_TYPE_TEXT], t[MU_TYPE_TEXT];
    if (!mu_dtype_is_float(in[0].dtype) || !mu_type_equal(&in[0], &in[1]))
        return MU_FAIL(MU_ERR_SHAPE, "x and target must be of one floating-point type, got %s and %s",
                       mu_type_format(&in[0], x), mu_type_format(&in[1], t));
    if (a->beta < 0 || a->gamma < 0 || a->alpha > 1)
        return MU_FAIL(MU_ERR_SHAPE, "needs beta >= 0, gamma >= 0 and alpha <= 1, got %g, %g and %g", a->beta, a->gamma,
                       a->alpha);
    for (int i = 2; i < n_in; i++) {
        mu_type y;
        if (in[i].dtype == MU_NONE)
            continue;
        MU_TRY(mu_type_broadcast(&in[0], &in[i], &y));
        if (in[i].dtype != in[0].dtype || !mu_type_same_shape(&y, &in[0]))
            return MU_FAIL(MU_ERR_SHAPE, "weight %s does not broadcast to x %s", mu_type_format(&in[i], t),
                           mu_type_format(&in[0], x));
    }
    return MU_OK;
}

mu_err mu_loss_infer(const mu_call *call, mu_type *out)
{
    MU_TRY(check(call, call->in, call->n_in));
    bool none = ((const mu_loss_attrs *)call->attrs)->reduction == MU_REDUCE_NONE;
    out[0] = none ? call->in[0] : MU_SCALAR(call->in[0].dtype);
    return MU_OK;
}

mu_err mu_loss_infer_gradient(const mu_call *call, mu_type *out)
{
    mu_type y;
    char d[MU_TYPE_TEXT], want[MU_TYPE_TEXT];
    mu_call forward = *call;
    forward.in++;
    forward.n_in--;
    MU_TRY(mu_loss_infer(&forward, &y));
    if (!mu_type_equal(&call->in[0], &y))
        return MU_FAIL(MU_ERR_SHAPE, "the loss's gradient must be %s, got %s", mu_type_format(&y, want),
                       mu_type_format(&call->in[0], d));
    out[0] = call->in[1];
    return MU_OK;
}

void mu_loss_refuse_gradients(mu_grad *grad, int first)
{
    for (int i = first; i < grad->node->n_in; i++)
        if (grad->need[i]) {
            MU_FAIL(MU_ERR_UNSUPPORTED, "%s \"%s\": operand %d (%s) is taken for constant, but depends on parameters",
                    grad->node->op->name, grad->node->name, i, i == 1 ? "target" : "weight");
            mu_error_hint("make it an input, or write the loss with element-wise operations");
            mu_graph_fail(grad->graph);
        }
}

static mu_value gradient_of_x(mu_grad *grad, const mu_op *op)
{
    mu_value in[MU_OP_VARIADIC] = {grad->dout[0]};
    for (int i = 0; i < grad->node->n_in; i++)
        in[1 + i] = grad->node->in[i];
    return mu_graph_apply1(grad->graph, op, grad->node->attrs, in, 1 + grad->node->n_in);
}

void mu_loss_gradient(mu_grad *grad, const mu_op *op)
{
    mu_loss_refuse_gradients(grad, 1);
    grad->din[0] = gradient_of_x(grad, op);
}

void mu_loss_gradient_of_difference(mu_grad *grad, const mu_op *op)
{
    mu_value dx = gradient_of_x(grad, op);
    if (grad->need[0])
        grad->din[0] = dx;
    if (grad->need[1])
        grad->din[1] = mu_neg(grad->graph, dx);
}

mu_value mu_loss_apply(mu_graph *g, const mu_op *op, const mu_loss_attrs *attrs, const mu_value *in, int n_in)
{
    mu_loss_attrs a = mu_loss_attrs_or_default(attrs);
    while (n_in > 2 && in[n_in - 1].id == 0)
        n_in--;
    return mu_graph_apply1(g, op, &a, in, n_in);
}

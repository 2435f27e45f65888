#include "ops/loss.h"

/* Are targets class probabilities (rather than indices)? */
static bool is_soft(const mu_type *target)
{
    return mu_dtype_is_float(target->dtype);
}

/* The type of one loss per sample: logits without the classes. */
static mu_type per_sample(const mu_type *logits)
{
    mu_type y = {.dtype = logits->dtype, .ndim = logits->ndim - 1, .dim = {logits->dim[0]}};
    for (int i = 2; i < logits->ndim; i++)
        y.dim[i - 1] = logits->dim[i];
    return y;
}

static mu_err check_target(const mu_type *x, const mu_type *target)
{
    char sx[MU_TYPE_TEXT], st[MU_TYPE_TEXT], want[MU_TYPE_TEXT];
    if (is_soft(target)) {
        if (!mu_type_equal(target, x))
            return MU_FAIL(MU_ERR_SHAPE, "target probabilities %s are not of the logits' type %s",
                           mu_type_format(target, st), mu_type_format(x, sx));
        return MU_OK;
    }
    mu_type y = per_sample(x);
    if ((target->dtype != MU_I64 && target->dtype != MU_I32) || !mu_type_same_shape(target, &y)) {
        MU_FAIL(MU_ERR_SHAPE, "logits %s need class indices (i64 or i32) %s, target is %s", mu_type_format(x, sx),
                mu_shape_format(&y, want), mu_type_format(target, st));
        return mu_error_hint("targets are class indices without the class dimension, or probabilities of the logits' type");
    }
    return MU_OK;
}

/* x is the logits or log-probabilities; weight is absent or [C]. */
static mu_err check(const mu_call *call, const mu_type *x, const mu_type *target, const mu_type *weight)
{
    const mu_loss_attrs *a = call->attrs;
    char sx[MU_TYPE_TEXT], sw[MU_TYPE_TEXT];
    if (!mu_dtype_is_float(x->dtype) || x->ndim < 2 || x->dim[1] < 1)
        return MU_FAIL(MU_ERR_SHAPE, "logits must be floating point [N,C,...] with C >= 1, got %s", mu_type_format(x, sx));
    MU_TRY(check_target(x, target));
    if (weight && weight->dtype != MU_NONE &&
        (weight->dtype != x->dtype || weight->ndim != 1 || weight->dim[0] != x->dim[1]))
        return MU_FAIL(MU_ERR_SHAPE, "class weights must be %s[%lld], got %s", mu_dtype_name(x->dtype),
                       (long long)x->dim[1], mu_type_format(weight, sw));
    if (!(a->label_smoothing >= 0 && a->label_smoothing <= 1))
        return MU_FAIL(MU_ERR_SHAPE, "label_smoothing is between 0 and 1, not %g", a->label_smoothing);
    return MU_OK;
}

static mu_type loss_type(const mu_call *call, const mu_type *x)
{
    bool none = ((const mu_loss_attrs *)call->attrs)->reduction == MU_REDUCE_NONE;
    return none ? per_sample(x) : MU_SCALAR(x->dtype);
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_type *x = &call->in[0];
    MU_TRY(check(call, x, &call->in[1], call->n_in > 2 ? &call->in[2] : NULL));
    out[0] = loss_type(call, x);
    out[1] = *x;
    out[2] = MU_SCALAR(x->dtype);
    return MU_OK;
}

static mu_err infer_gradient(const mu_call *call, mu_type *out)
{
    const mu_type *x = &call->in[1];
    char d[MU_TYPE_TEXT], want[MU_TYPE_TEXT];
    if (call->n_in != 5 || call->in[4].dtype != x->dtype || call->in[4].ndim != 0)
        return MU_FAIL(MU_ERR_SHAPE, "needs the loss's gradient, log-probabilities, target, class weights, normaliser");
    MU_TRY(check(call, x, &call->in[2], &call->in[3]));
    mu_type y = loss_type(call, x);
    if (!mu_type_equal(&call->in[0], &y))
        return MU_FAIL(MU_ERR_SHAPE, "the loss's gradient must be %s, got %s", mu_type_format(&y, want),
                       mu_type_format(&call->in[0], d));
    out[0] = *x;
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    mu_loss_refuse_gradients(grad, 1);
    mu_value in[] = {grad->dout[0], mu_grad_out(grad, 1), mu_grad_in(grad, 1), mu_grad_in(grad, 2), mu_grad_out(grad, 2)};
    grad->din[0] = mu_graph_apply1(grad->graph, &mu_op_cross_entropy_grad, grad->node->attrs, in, 5);
}

static int64_t flops(const mu_call *call)
{
    return 6 * mu_type_count(&call->out[1]);
}

static int64_t gradient_flops(const mu_call *call)
{
    return 4 * mu_type_count(&call->out[0]);
}

const mu_op mu_op_cross_entropy = {
    .name = "cross_entropy",
    .doc = "-sum_c q_c log softmax(logits)_c. logits [N,C,...], target indices [N,...] or probabilities [N,C,...], class "
           "weights [C] or none -> loss, log-probabilities [N,C,...], normaliser. q is the target, smoothed, times the class "
           "weights; the mean of indices divides by the weights of the targets, of probabilities by the number of samples.",
    .n_in_min = 2, .n_in_max = 3, .n_out = 3,
    .attrs_size = sizeof(mu_loss_attrs), .attrs = mu_loss_attr_table,
    .infer = infer, .gradient = gradient, .flops = flops,
};

const mu_op mu_op_cross_entropy_grad = {
    .name = "cross_entropy_grad",
    .doc = "(dloss, log-probabilities, target, class weights or none, normaliser) -> dlogits = (softmax * sum_c q_c - q) * "
           "dloss / normaliser; 0 for ignored samples.",
    .n_in_min = 3, .n_in_max = 5, .n_out = 1, .inplace = {2},
    .attrs_size = sizeof(mu_loss_attrs), .attrs = mu_loss_attr_table,
    .infer = infer_gradient, .flops = gradient_flops,
};

mu_value mu_cross_entropy(mu_graph *g, mu_value logits, mu_value target, mu_value class_weight, const mu_loss_attrs *attrs)
{
    return mu_loss_apply(g, &mu_op_cross_entropy, attrs, (mu_value[]){logits, target, class_weight}, 3);
}

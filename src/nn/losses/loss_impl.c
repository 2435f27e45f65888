#include "nn/losses/loss_impl.h"

#include "core/mem.h"

const char *const mu_criterion_reductions[] = {"mean", "sum", "none", NULL};

mu_value mu_criterion_weighted(mu_trace *t, mu_value loss, double weight)
{
    return weight == 1 ? loss : mu_mul_scalar(t->graph, loss, weight);
}

mu_value mu_criterion_over_samples(mu_trace *t, mu_value sum, int64_t n, int reduction, double weight)
{
    return mu_criterion_weighted(t, sum, reduction == MU_REDUCE_MEAN && n > 0 ? weight / (double)n : weight);
}

mu_value mu_criterion_one_hot(mu_trace *t, mu_value x, mu_value target)
{
    const mu_type type = *mu_graph_type(t->graph, x), given = *mu_graph_type(t->graph, target);
    if (mu_trace_status(t) != MU_OK || given.dtype == type.dtype)
        return target;
    if (mu_type_same_shape(&type, &given))
        return mu_cast(t->graph, target, type.dtype);
    if (type.ndim != 2 || given.ndim != 1) {
        char a[MU_TYPE_TEXT], b[MU_TYPE_TEXT];
        mu_trace_fail(t, MU_FAIL(MU_ERR_SHAPE, "scores %s want targets of their shape or class indices [N], got %s",
                                 mu_type_format(&type, a), mu_type_format(&given, b)));
        return MU_NO_VALUE;
    }
    int64_t *numbers;
    mu_err err = mu_calloc(&numbers, (size_t)type.dim[1], sizeof *numbers);
    if (err) {
        mu_trace_fail(t, err);
        return MU_NO_VALUE;
    }
    for (int64_t c = 0; c < type.dim[1]; c++)
        numbers[c] = c;
    mu_value classes = mu_graph_const(t->graph, MU_TYPE(MU_I64, 1, type.dim[1]), numbers);
    mu_free(numbers);
    mu_value column = mu_reshape(t->graph, mu_cast(t->graph, target, MU_I64), 2, (int64_t[]){-1, 1});
    return mu_cast(t->graph, mu_equal(t->graph, column, classes), type.dtype);
}

mu_value mu_criterion_per_class(mu_trace *t, mu_value x, const mu_floats *numbers, const char *option)
{
    const mu_type *type = mu_graph_type(t->graph, x);
    mu_value out = MU_NO_VALUE;
    if (!numbers || !numbers->n || mu_trace_status(t) != MU_OK)
        return out;
    if (type->ndim < 2 || (int64_t)numbers->n != type->dim[1]) {
        char text[MU_TYPE_TEXT];
        mu_trace_fail(t, MU_FAIL(MU_ERR_CONFIG, "%s has %zu numbers, the scores are %s", option, numbers->n,
                                 mu_type_format(type, text)));
        return out;
    }
    void *converted;
    mu_err err = mu_calloc(&converted, numbers->n, mu_dtype_size(type->dtype));
    if (err) {
        mu_trace_fail(t, err);
        return out;
    }
    mu_convert(converted, type->dtype, numbers->v, MU_F64, (int64_t)numbers->n);
    out = mu_graph_const(t->graph, MU_TYPE(type->dtype, (int64_t)numbers->n), converted);
    mu_free(converted);
    return out;
}

/* How many there are; of class indices, without those that are ignored. */
static mu_value samples(mu_trace *t, mu_value x, mu_value target, int64_t ignore_index)
{
    mu_graph *g = t->graph;
    const mu_type type = *mu_graph_type(g, x), given = *mu_graph_type(g, target);
    int64_t n = type.dim[1] ? mu_type_count(&type) / type.dim[1] : 0;
    mu_value all = mu_graph_scalar(g, type.dtype, (double)n);
    if (mu_dtype_is_float(given.dtype))
        return all;
    mu_value ignored = mu_equal(g, target, mu_graph_scalar(g, given.dtype, (double)ignore_index));
    return mu_sub(g, all, mu_sum(g, mu_cast(g, ignored, type.dtype), 0, false));
}

mu_value mu_criterion_softmax(mu_trace *t, mu_value x, mu_value target, const mu_classification_loss *loss)
{
    mu_loss_attrs a = mu_loss_defaults();
    mu_value weight = mu_criterion_per_class(t, x, loss->class_weight, "class_weight");
    a.label_smoothing = loss->label_smoothing;
    a.ignore_index = loss->ignore_index;
    a.reduction = loss->reduction;
    if (!weight.id || loss->reduction != MU_REDUCE_MEAN)
        return mu_criterion_weighted(t, mu_cross_entropy(t->graph, x, target, weight, &a), loss->loss_weight);
    a.reduction = MU_REDUCE_SUM;
    mu_value sum = mu_cross_entropy(t->graph, x, target, weight, &a);
    return mu_criterion_weighted(t, mu_div(t->graph, sum, samples(t, x, target, loss->ignore_index)), loss->loss_weight);
}

mu_value mu_criterion_sigmoid(mu_trace *t, mu_value x, mu_value target, const mu_classification_loss *loss)
{
    mu_loss_attrs a = mu_loss_defaults();
    mu_value weight = mu_criterion_per_class(t, x, loss->class_weight, "class_weight");
    mu_value pos_weight = mu_criterion_per_class(t, x, loss->pos_weight, "pos_weight");
    a.reduction = loss->reduction == MU_REDUCE_NONE ? MU_REDUCE_NONE : MU_REDUCE_SUM;
    mu_value y = mu_bce_with_logits(t->graph, x, target, weight, pos_weight, &a);
    return mu_criterion_over_samples(t, y, mu_graph_type(t->graph, x)->dim[0], loss->reduction, loss->loss_weight);
}

#include "nn/losses/loss_impl.h"

typedef struct {
    bool use_sigmoid, use_soft;
    int reduction;
    double loss_weight, label_smoothing;
    int64_t ignore_index;
    mu_floats class_weight, pos_weight;
} cross_entropy_loss;

static const mu_option options[] = {
    MU_OPTION(cross_entropy_loss, use_sigmoid, MU_OPT_BOOL, .help = "a binary decision for every class"),
    MU_OPTION(cross_entropy_loss, use_soft, MU_OPT_BOOL, .help = "targets are probabilities of classes"),
    MU_CRITERION_OPTIONS(cross_entropy_loss),
    MU_OPTION(cross_entropy_loss, class_weight, MU_OPT_FLOATS, .nullable = true, .bounded_below = true,
              .help = "factor of each class"),
    MU_OPTION(cross_entropy_loss, pos_weight, MU_OPT_FLOATS, .nullable = true, .bounded_below = true,
              .help = "with use_sigmoid: factor of the positive samples of each class"),
    MU_OPTION(cross_entropy_loss, label_smoothing, MU_OPT_FLOAT, .bounded_below = true, .bounded_above = true, .max = 1,
              .help = "how much of a target goes evenly to all classes"),
    MU_OPTION(cross_entropy_loss, ignore_index, MU_OPT_INT, .int_default = -100, .help = "label of samples without a loss"),
    MU_OPTION_END};

static mu_err create(void *object, const mu_cfg *cfg)
{
    const cross_entropy_loss *self = object;
    if (self->use_sigmoid && self->use_soft)
        return MU_FAIL(MU_ERR_CONFIG, "use_sigmoid and use_soft exclude each other");
    if (self->use_sigmoid && (self->label_smoothing > 0 || mu_cfg_get(cfg, "ignore_index")))
        return MU_FAIL(MU_ERR_CONFIG, "use_sigmoid has no label_smoothing and no ignore_index");
    if (!self->use_sigmoid && self->pos_weight.n)
        return MU_FAIL(MU_ERR_CONFIG, "pos_weight belongs to use_sigmoid");
    return MU_OK;
}

static mu_value apply(const void *loss, mu_trace *t, mu_value x, mu_value target)
{
    const cross_entropy_loss *self = loss;
    mu_classification_loss c = {.reduction = self->reduction, .loss_weight = self->loss_weight,
                                .label_smoothing = self->label_smoothing, .ignore_index = self->ignore_index,
                                .class_weight = &self->class_weight, .pos_weight = &self->pos_weight};
    if (self->use_sigmoid)
        return mu_criterion_sigmoid(t, x, mu_criterion_one_hot(t, x, target), &c);
    const mu_type *type = mu_graph_type(t->graph, target);
    if (mu_dtype_is_float(type->dtype) != self->use_soft && mu_trace_status(t) == MU_OK) {
        char text[MU_TYPE_TEXT];
        (void)MU_FAIL(MU_ERR_CONFIG, "CrossEntropyLoss: the labels are %s, expected %s", mu_type_format(type, text),
                      self->use_soft ? "a probability of each class: f32[N,classes]" : "class indices: i64[N]");
        mu_trace_fail(t, mu_error_hint("use_soft: true takes probabilities, false takes class indices"));
    }
    return mu_criterion_softmax(t, x, target, &c);
}

const mu_component mu_component_cross_entropy_loss = {
    .kind = "loss",
    .name = "CrossEntropyLoss",
    .doc = "Cross entropy of scores [N,C,...] and labels [N,...] or probabilities. The mean is over samples (not ignored "
           "ones); use_sigmoid sums over classes.",
    .size = sizeof(cross_entropy_loss),
    .options = options,
    .create = create,
    .ops = &(const mu_loss_ops){.apply = apply},
};

#include "nn/losses/loss_impl.h"

enum { ORIGINAL, CLASSY_VISION, MULTI_LABEL };
static const char *const modes[] = {"original", "classy_vision", "multi_label", NULL};

typedef struct {
    double label_smooth_val;
    int64_t num_classes;
    int mode, reduction;
    bool use_sigmoid;
    double loss_weight;
    mu_floats class_weight, pos_weight;
} label_smooth_loss;

static const mu_option options[] = {
    MU_OPTION(label_smooth_loss, label_smooth_val, MU_OPT_FLOAT, .required = true, .bounded_below = true,
              .bounded_above = true, .max = 1, .help = "degree of smoothing"),
    MU_OPTION(label_smooth_loss, num_classes, MU_OPT_INT, .nullable = true, .bounded_below = true, .min = 1,
              .text_default = "null", .help = "classes: checked when given"),
    MU_OPTION(label_smooth_loss, mode, MU_OPT_CHOICE, .choices = modes,
              .help = "e = label_smooth_val is spread over all classes; classy_vision: e / (1 + e); multi_label: targets "
                      "become e and 1 - e, with the sigmoid form"),
    MU_OPTION(label_smooth_loss, use_sigmoid, MU_OPT_BOOL, .help = "a binary decision for every class"),
    MU_CRITERION_OPTIONS(label_smooth_loss),
    MU_OPTION(label_smooth_loss, class_weight, MU_OPT_FLOATS, .nullable = true, .bounded_below = true,
              .help = "factor of each class"),
    MU_OPTION(label_smooth_loss, pos_weight, MU_OPT_FLOATS, .nullable = true, .bounded_below = true,
              .help = "with the sigmoid form: factor of the positive samples of each class"),
    MU_OPTION_END};

static mu_err create(void *object, const mu_cfg *cfg)
{
    const label_smooth_loss *self = object;
    (void)cfg;
    if (!self->use_sigmoid && self->mode != MULTI_LABEL && self->pos_weight.n)
        return MU_FAIL(MU_ERR_CONFIG, "pos_weight belongs to use_sigmoid");
    return MU_OK;
}

/* Targets 0 and 1 become low and high. */
static mu_value smooth(mu_trace *t, mu_value target, double low, double high)
{
    return mu_add_scalar(t->graph, mu_mul_scalar(t->graph, target, high - low), low);
}

static mu_value apply(const void *loss, mu_trace *t, mu_value x, mu_value target)
{
    const label_smooth_loss *self = loss;
    const mu_type type = *mu_graph_type(t->graph, x);
    if (mu_trace_status(t) == MU_OK && self->num_classes && self->num_classes != type.dim[1])
        mu_trace_fail(t, MU_FAIL(MU_ERR_CONFIG, "LabelSmoothLoss: num_classes is %lld, there are scores for %lld",
                                 (long long)self->num_classes, (long long)type.dim[1]));
    double e = self->mode == CLASSY_VISION ? self->label_smooth_val / (1 + self->label_smooth_val) : self->label_smooth_val;
    mu_classification_loss c = {.reduction = self->reduction, .loss_weight = self->loss_weight, .label_smoothing = e,
                                .ignore_index = mu_loss_defaults().ignore_index, .class_weight = &self->class_weight,
                                .pos_weight = &self->pos_weight};
    if (self->mode == MULTI_LABEL)
        return mu_criterion_sigmoid(t, x, smooth(t, mu_criterion_one_hot(t, x, target), e, 1 - e), &c);
    double low = type.dim[1] ? e / (double)type.dim[1] : 0;
    if (self->use_sigmoid)
        return mu_criterion_sigmoid(t, x, smooth(t, mu_criterion_one_hot(t, x, target), low, 1 - e + low), &c);
    return mu_criterion_softmax(t, x, target, &c);
}

const mu_component mu_component_label_smooth_loss = {
    .kind = "loss",
    .name = "LabelSmoothLoss",
    .doc = "Cross entropy with smoothed labels (Szegedy et al. 2016).",
    .size = sizeof(label_smooth_loss),
    .options = options,
    .create = create,
    .ops = &(const mu_loss_ops){.apply = apply},
};

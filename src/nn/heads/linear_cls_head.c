#include "nn/head.h"
#include "nn/layers.h"

#include <stdio.h>

typedef struct {
    mu_layer base;
    int64_t num_classes, in_channels;
    const mu_cfg *loss_cfg;
    mu_ints topk;
    bool cal_acc;

    void *loss; /* owned; NULL: cross entropy */
    const mu_cfg *ignore_index; /* the loss's, if it has one */
} linear_cls_head;

static const mu_option options[] = {
    MU_OPTION(linear_cls_head, num_classes, MU_OPT_INT, .required = true, .bounded_below = true, .min = 1,
              .help = "classes"),
    MU_OPTION(linear_cls_head, in_channels, MU_OPT_INT, .nullable = true, .bounded_below = true, .min = 1,
              .text_default = "null", .help = "channels of the features: checked when given"),
    {.key = "loss", .type = MU_OPT_COMPONENT, .offset = offsetof(linear_cls_head, loss_cfg), .component_kind = "loss",
     .nullable = true, .text_default = "{type: CrossEntropyLoss}", .help = "compares scores with labels"},
    MU_OPTION(linear_cls_head, topk, MU_OPT_INTS, .text_default = "[1]", .bounded_below = true, .min = 1, .min_items = 1,
              .bare_item = true, .help = "the k of the accuracies of cal_acc"),
    MU_OPTION(linear_cls_head, cal_acc, MU_OPT_BOOL, .help = "log the accuracy of every training batch, in percent"),
    MU_LAYER_OPTIONS(linear_cls_head),
    MU_OPTION_END};

static void destroy(void *object)
{
    mu_destroy(((linear_cls_head *)object)->loss);
    mu_layer_destroy(object);
}

static mu_err create(void *object, const mu_cfg *cfg)
{
    linear_cls_head *self = object;
    for (size_t i = 0; i < self->topk.n; i++)
        if (self->topk.v[i] > self->num_classes)
            return MU_FAIL(MU_ERR_CONFIG, "topk: the best %lld of %lld classes cannot be told", (long long)self->topk.v[i],
                           (long long)self->num_classes);
    self->ignore_index = self->loss_cfg ? mu_cfg_get(self->loss_cfg, "ignore_index") : NULL;
    if (self->loss_cfg)
        MU_TRY(mu_build("loss", self->loss_cfg, NULL, "loss", &self->loss));
    mu_err err =
        mu_layer_default_init(&self->base, cfg, "{\"type\": \"Normal\", \"layer\": \"Linear\", \"std\": 0.01}");
    if (err)
        destroy(object);
    return err;
}

static mu_err check_features(const linear_cls_head *self, const mu_type *x)
{
    char text[MU_TYPE_TEXT];
    if (x->ndim != 2) {
        (void)MU_FAIL(MU_ERR_SHAPE, "LinearClsHead takes features [N, channels], got %s", mu_type_format(x, text));
        return mu_error_hint("neck: {type: GlobalAveragePooling} makes them of feature maps");
    }
    if (self->in_channels && self->in_channels != x->dim[1]) {
        (void)MU_FAIL(MU_ERR_CONFIG, "LinearClsHead: in_channels is %lld, the features have %lld channels",
                      (long long)self->in_channels, (long long)x->dim[1]);
        return mu_error_hint("model.head.in_channels can be left out");
    }
    return MU_OK;
}

/* [N, classes] from the last feature. */
static mu_value scores(const linear_cls_head *self, mu_trace *t, const mu_features *x)
{
    mu_value last = x->n ? x->v[x->n - 1] : MU_NO_VALUE;
    if (mu_trace_status(t) != MU_OK)
        return MU_NO_VALUE;
    mu_trace_fail(t, check_features(self, mu_graph_type(t->graph, last)));
    return mu_nn_linear(t, "fc", last, self->num_classes, true);
}

/* Percent of the samples whose label is among the k best. */
static mu_value accuracy(mu_trace *t, mu_value score, mu_value label, int64_t k)
{
    mu_graph *g = t->graph;
    mu_value best, value, dim = mu_reshape(g, label, 2, (int64_t[]){-1, 1});
    mu_topk(g, score, k, 1, true, &value, &best);
    mu_value hit = mu_cast(g, mu_equal(g, best, mu_cast(g, dim, MU_I64)), MU_F32);
    return mu_mul_scalar(g, mu_mean(g, mu_sum(g, hit, 1 << 1, false), 0, false), 100);
}

static void record_losses(const linear_cls_head *self, mu_trace *t, mu_value score)
{
    bool soft = mu_trace_has_input(t, "gt_score");
    mu_value target = mu_trace_input(t, soft ? "gt_score" : "gt_label");
    mu_trace_loss(t, "loss", mu_criterion_apply(self->loss, t, score, target));
    if (!self->cal_acc || soft)
        return;
    for (size_t i = 0; i < (self->topk.n ? self->topk.n : 1); i++) {
        int64_t k = self->topk.n ? self->topk.v[i] : 1;
        char name[48];
        snprintf(name, sizeof name, "accuracy_top-%lld", (long long)k);
        mu_trace_loss(t, name, accuracy(t, score, target, k));
    }
}

static void forward(const void *head, mu_trace *t, const mu_features *x)
{
    const linear_cls_head *self = head;
    mu_value score = scores(self, t, x);
    if (t->mode == MU_MODE_LOSS) {
        record_losses(self, t, score);
    } else if (t->mode == MU_MODE_PREDICT) {
        mu_value p = mu_softmax(t->graph, score, 1);
        mu_trace_output(t, "pred_score", p);
        mu_trace_output(t, "pred_label", mu_argmax(t->graph, p, 1, false));
    } else {
        mu_trace_output(t, "cls_score", score);
    }
}

static mu_err check(const void *head, const mu_tensors *inputs)
{
    const linear_cls_head *self = head;
    const mu_tensor *labels = mu_tensors_find(inputs, "gt_label");
    if (!labels || !labels->data || (labels->type.dtype != MU_I64 && labels->type.dtype != MU_I32))
        return MU_OK;
    bool may_ignore = self->ignore_index && mu_cfg_kind_of(self->ignore_index) == MU_CFG_INT;
    int64_t ignored = may_ignore ? mu_cfg_int(self->ignore_index) : 0;
    for (int64_t i = 0; i < mu_type_count(&labels->type); i++) {
        int64_t y = labels->type.dtype == MU_I64 ? ((const int64_t *)labels->data)[i] : ((const int32_t *)labels->data)[i];
        if ((y < 0 || y >= self->num_classes) && !(may_ignore && y == ignored)) {
            (void)MU_FAIL(MU_ERR_FORMAT, "gt_label of row %lld of the batch is %lld; labels of %lld classes are 0 to %lld",
                          (long long)i, (long long)y, (long long)self->num_classes, (long long)self->num_classes - 1);
            return mu_error_hint("model.head.num_classes, or the labels of the dataset");
        }
    }
    return MU_OK;
}

const mu_component mu_component_linear_cls_head = {
    .kind = "head",
    .name = "LinearClsHead",
    .doc = "One linear layer, \"fc\", from the last feature [N, channels] to a score for each class. Reads \"gt_label\" "
           "i64 [N], or \"gt_score\" [N, classes] when the batch has it.",
    .size = sizeof(linear_cls_head),
    .options = options,
    .create = create,
    .destroy = destroy,
    .ops = &(const mu_head_ops){.forward = forward, .check = check},
};

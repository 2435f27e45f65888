#include "nn/head.h"
#include "nn/model.h"

#include <stdio.h>

typedef struct {
    mu_model base;
    const mu_cfg *backbone_cfg, *neck_cfg, *head_cfg;
    void *backbone, *neck, *head; /* owned; neck and head may be NULL */
} image_classifier;

static const mu_option options[] = {
    {.key = "backbone", .type = MU_OPT_COMPONENT, .offset = offsetof(image_classifier, backbone_cfg), .required = true,
     .component_kind = "backbone", .help = "turns images into feature maps"},
    {.key = "neck", .type = MU_OPT_COMPONENT, .offset = offsetof(image_classifier, neck_cfg), .nullable = true,
     .component_kind = "neck", .help = "between backbone and head"},
    {.key = "head", .type = MU_OPT_COMPONENT, .offset = offsetof(image_classifier, head_cfg), .nullable = true,
     .component_kind = "head", .help = "scores and losses; without one the model gives features only"},
    MU_MODEL_OPTIONS(image_classifier),
    MU_OPTION_END};

static void destroy(void *object)
{
    image_classifier *self = object;
    mu_model_destroy(object);
    mu_destroy(self->backbone);
    mu_destroy(self->neck);
    mu_destroy(self->head);
}

static mu_err build_parts(image_classifier *self)
{
    MU_TRY(mu_build("backbone", self->backbone_cfg, NULL, "backbone", &self->backbone));
    if (self->neck_cfg)
        MU_TRY(mu_build("neck", self->neck_cfg, NULL, "neck", &self->neck));
    if (self->head_cfg)
        MU_TRY(mu_build("head", self->head_cfg, NULL, "head", &self->head));
    return MU_OK;
}

static mu_err create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    mu_err err = build_parts(object);
    if (err)
        destroy(object);
    return err;
}

static void give_features(mu_trace *t, const mu_features *x)
{
    for (int i = 0; i < x->n; i++) {
        char name[16];
        snprintf(name, sizeof name, "feat%d", i);
        mu_trace_output(t, x->n == 1 ? "feat" : name, x->v[i]);
    }
}

static void forward(const mu_model *model, mu_trace *t)
{
    const image_classifier *self = (const image_classifier *)model;
    mu_features x = mu_features_one(mu_trace_input(t, "img"));
    mu_layer_apply(self->backbone, t, "backbone", &x);
    mu_layer_apply(self->neck, t, "neck", &x);
    if (self->head)
        mu_head_apply(self->head, t, "head", &x);
    else if (t->mode == MU_MODE_TENSOR)
        give_features(t, &x);
    else
        mu_trace_fail(t, MU_FAIL(MU_ERR_CONFIG, "ImageClassifier without a head has no mode \"%s\"", mu_mode_names[t->mode]));
}

static mu_err check(const mu_model *model, const mu_tensors *inputs)
{
    const image_classifier *self = (const image_classifier *)model;
    if (self->head)
        MU_TRY(mu_head_check(self->head, inputs));
    return MU_OK;
}

const mu_component mu_component_image_classifier = {
    .kind = "model",
    .name = "ImageClassifier",
    .doc = "Backbone, neck and head over \"img\" [N,C,H,W]: classes of images.",
    .size = sizeof(image_classifier),
    .options = options,
    .create = create,
    .destroy = destroy,
    .ops = &(const mu_model_ops){.forward = forward, .check = check},
};

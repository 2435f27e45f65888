#include "data/transform.h"

#include <stddef.h>

typedef struct {
    const mu_cfg *transforms;

    mu_pipeline *pipeline;
} compose;

static mu_err compose_create(void *object, const mu_cfg *cfg)
{
    compose *t = object;
    (void)cfg;
    MU_TRY(mu_pipeline_new(t->transforms, "transforms", &t->pipeline));
    return MU_OK;
}

static void compose_destroy(void *object)
{
    mu_pipeline_release(((compose *)object)->pipeline);
}

static mu_err compose_apply(const void *transform, mu_sample *sample)
{
    MU_TRY(mu_pipeline_apply(((const compose *)transform)->pipeline, sample));
    return MU_OK;
}

static const mu_option compose_options[] = {
    MU_OPTION(compose, transforms, MU_OPT_COMPONENTS, .required = true, .component_kind = "transform",
              .help = "what is applied, in order"),
    MU_OPTION_END,
};

const mu_component mu_component_compose = {
    .kind = "transform",
    .name = "Compose",
    .doc = "Several transforms as one.",
    .size = sizeof(compose),
    .options = compose_options,
    .create = compose_create,
    .destroy = compose_destroy,
    .ops = &(const mu_transform_ops){.apply = compose_apply},
};

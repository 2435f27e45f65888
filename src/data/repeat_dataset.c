#include "data/dataset.h"

#include "core/mem.h"

typedef struct {
    mu_dataset base;
    const mu_cfg *dataset;
    int64_t times;
    mu_dataset *part;
    int64_t length;
} repeat_dataset;

static int64_t length(const mu_dataset *dataset)
{
    return ((const repeat_dataset *)dataset)->length;
}

static const char *meta(const mu_dataset *dataset)
{
    return mu_dataset_meta(((const repeat_dataset *)dataset)->part);
}

static mu_err read_sample(const mu_dataset *dataset, int64_t index, mu_sample *sample)
{
    const repeat_dataset *self = (const repeat_dataset *)dataset;
    int64_t used;
    return mu_dataset_fetch(self->part, index % mu_dataset_length(self->part), sample, &used);
}

static mu_err create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    repeat_dataset *self = object;
    void *part;
    MU_TRY(mu_build("dataset", self->dataset, NULL, "dataset", &part));
    self->part = part;
    mu_err err = mu_mul_i64(mu_dataset_length(part), self->times, &self->length);
    err = err ? err : mu_dataset_create(&self->base);
    if (err)
        mu_destroy(part);
    return err;
}

static void destroy(void *object)
{
    repeat_dataset *self = object;
    mu_dataset_destroy(&self->base);
    mu_destroy(self->part);
}

static const mu_option options[] = {
    MU_OPTION(repeat_dataset, dataset, MU_OPT_COMPONENT, .required = true, .component_kind = "dataset", .help = "what is repeated"),
    MU_OPTION(repeat_dataset, times, MU_OPT_INT, .required = true, .bounded_below = true, .min = 1, .help = "how often"),
    MU_DATASET_OPTIONS(repeat_dataset),
    MU_OPTION_END,
};

const mu_component mu_component_repeat_dataset = {
    .kind = "dataset",
    .name = "RepeatDataset",
    .doc = "A dataset several times over, with fresh augmentations: a longer epoch.",
    .size = sizeof(repeat_dataset),
    .options = options,
    .create = create,
    .destroy = destroy,
    .ops = &(const mu_dataset_ops){.length = length, .read = read_sample, .meta = meta},
};

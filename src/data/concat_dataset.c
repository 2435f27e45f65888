#include "data/dataset.h"

#include "config/config.h"
#include "core/mem.h"

#include <stdio.h>

typedef struct {
    mu_dataset base;
    const mu_cfg *datasets;
    int n;
    mu_dataset **part;
    int64_t *begin; /* [n + 1] first sample of each */
} concat_dataset;

static int64_t length(const mu_dataset *dataset)
{
    const concat_dataset *self = (const concat_dataset *)dataset;
    return self->begin[self->n];
}

static const char *meta(const mu_dataset *dataset)
{
    return mu_dataset_meta(((const concat_dataset *)dataset)->part[0]);
}

static mu_err read_sample(const mu_dataset *dataset, int64_t index, mu_sample *sample)
{
    const concat_dataset *self = (const concat_dataset *)dataset;
    int64_t used;
    int i = 0;
    while (index >= self->begin[i + 1])
        i++;
    return mu_dataset_fetch(self->part[i], index - self->begin[i], sample, &used);
}

static mu_err parse_meta(const mu_dataset *part, mu_cfg **out)
{
    const char *text = mu_dataset_meta(part);
    return mu_cfg_parse_json(text, strlen(text), "metainfo", out);
}

/* Datasets that both name classes name the same ones. */
static mu_err check_classes(const mu_dataset *first, const mu_dataset *other, int number)
{
    mu_cfg *a, *b;
    MU_TRY(parse_meta(first, &a));
    mu_err err = parse_meta(other, &b);
    if (!err) {
        const mu_cfg *x = mu_cfg_get(a, "classes"), *y = mu_cfg_get(b, "classes");
        if (x && y && !mu_cfg_equal(x, y))
            err = MU_FAIL(MU_ERR_CONFIG, "datasets.0 and datasets.%d have different classes", number);
        mu_cfg_release(b);
    }
    mu_cfg_release(a);
    return err;
}

static void release_parts(concat_dataset *self)
{
    for (int i = 0; i < self->n; i++)
        mu_destroy(self->part[i]);
    mu_free(self->part);
    mu_free(self->begin);
}

static mu_err add_part(concat_dataset *self, const mu_cfg *cfg)
{
    char path[32];
    void *part;
    snprintf(path, sizeof path, "datasets.%d", self->n);
    MU_TRY(mu_build("dataset", cfg, NULL, path, &part));
    self->part[self->n] = part;
    self->begin[self->n + 1] = self->begin[self->n] + mu_dataset_length(part);
    self->n++;
    return check_classes(self->part[0], part, self->n - 1);
}

static mu_err build_parts(concat_dataset *self)
{
    bool list = mu_cfg_kind_of(self->datasets) == MU_CFG_LIST;
    size_t n = list ? mu_cfg_size(self->datasets) : 1;
    if (n == 0)
        return MU_FAIL(MU_ERR_CONFIG, "datasets is empty");
    MU_TRY(mu_calloc(&self->part, n, sizeof(mu_dataset *)));
    MU_TRY(mu_calloc(&self->begin, n + 1, sizeof *self->begin));
    for (size_t i = 0; i < n; i++)
        MU_TRY(add_part(self, list ? mu_cfg_at(self->datasets, i) : self->datasets));
    return MU_OK;
}

static mu_err create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    concat_dataset *self = object;
    mu_err err = build_parts(self);
    err = err ? err : mu_dataset_create(&self->base);
    if (err)
        release_parts(self);
    return err;
}

static void destroy(void *object)
{
    concat_dataset *self = object;
    mu_dataset_destroy(&self->base);
    release_parts(self);
}

static const mu_option options[] = {
    MU_OPTION(concat_dataset, datasets, MU_OPT_COMPONENTS, .required = true, .component_kind = "dataset",
              .help = "one after the other, each with its own pipeline"),
    MU_DATASET_OPTIONS(concat_dataset),
    MU_OPTION_END,
};

const mu_component mu_component_concat_dataset = {
    .kind = "dataset",
    .name = "ConcatDataset",
    .doc = "The samples of several datasets, one after the other.",
    .size = sizeof(concat_dataset),
    .options = options,
    .create = create,
    .destroy = destroy,
    .ops = &(const mu_dataset_ops){.length = length, .read = read_sample, .meta = meta},
};

/* A dataset for tests: what it holds follows from the index. */
#ifndef MU_TESTS_DATA_TOY_SET_H
#define MU_TESTS_DATA_TOY_SET_H

#include "config/config.h"
#include "data/dataset.h"

#include "test.h"

typedef struct {
    mu_dataset base;
    int64_t n;
    mu_ints bad, broken; /* these cannot be decoded, or read at all */
    bool vary;           /* images of different sizes */
    int64_t reads;       /* so far; atomic */
} toy_set;

static bool toy_has(const mu_ints *list, int64_t x)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->v[i] == x)
            return true;
    return false;
}

static int64_t toy_length(const mu_dataset *dataset)
{
    return ((const toy_set *)dataset)->n;
}

static uint8_t toy_pixel(int64_t index, int64_t k)
{
    return (uint8_t)(index * 37 + k * 5 + 1);
}

static mu_err toy_read(const mu_dataset *dataset, int64_t index, mu_sample *sample)
{
    toy_set *self = (toy_set *)(uintptr_t)dataset;
    int64_t h = self->vary ? 1 + index % 4 : 3, w = self->vary ? 1 + index % 3 : 2;
    uint8_t *image;
    int64_t *label;
    double *draw;
    __atomic_fetch_add(&self->reads, 1, __ATOMIC_RELAXED);
    MU_TRY(mu_sample_put(sample, "img", MU_TYPE(MU_U8, 2, h, w), (void **)&image));
    if (toy_has(&self->bad, index))
        return MU_FAIL(MU_ERR_FORMAT, "not an image");
    if (toy_has(&self->broken, index))
        return MU_FAIL(MU_ERR_IO, "no such disk");
    for (int64_t k = 0; k < 2 * h * w; k++)
        image[k] = toy_pixel(index, k);
    MU_TRY(mu_sample_put(sample, "gt_label", MU_SCALAR(MU_I64), (void **)&label));
    *label = index % 10;
    MU_TRY(mu_sample_put(sample, "draw", MU_SCALAR(MU_F64), (void **)&draw));
    *draw = mu_sample_uniform(sample);
    return MU_OK;
}

static mu_err toy_create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    return mu_dataset_create(object);
}

static void toy_destroy(void *object)
{
    mu_dataset_destroy(object);
}

static const mu_option toy_options[] = {
    MU_OPTION(toy_set, n, MU_OPT_INT, .help = "samples"),
    MU_OPTION(toy_set, bad, MU_OPT_INTS, .help = "corrupt"),
    MU_OPTION(toy_set, broken, MU_OPT_INTS, .help = "unreadable"),
    MU_OPTION(toy_set, vary, MU_OPT_BOOL, .help = "sizes"),
    MU_DATASET_OPTIONS(toy_set),
    MU_OPTION_END,
};

static const mu_component toy_component = {
    .kind = "dataset",
    .name = "ToySet",
    .doc = "Follows from the index.",
    .size = sizeof(toy_set),
    .options = toy_options,
    .create = toy_create,
    .destroy = toy_destroy,
    .ops = &(const mu_dataset_ops){.length = toy_length, .read = toy_read},
};

static void toy_register(void)
{
    mu_registry *root;
    ck_ok(mu_registry_root(&root));
    ck_ok(mu_registry_add(root, &toy_component, true));
}

#endif

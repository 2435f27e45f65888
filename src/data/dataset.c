#include "data/dataset.h"

#include "core/log.h"
#include "core/mem.h"

#include <stdio.h>

const char *const mu_on_corrupt_names[] = {"error", "skip", NULL};

static const mu_dataset_ops *ops_of(const mu_dataset *dataset)
{
    return mu_component_of(dataset)->ops;
}

mu_err mu_dataset_create(mu_dataset *dataset)
{
    if (dataset->on_corrupt == MU_CORRUPT_SKIP)
        MU_TRY(mu_calloc(&dataset->corrupt, (size_t)mu_dataset_length(dataset), 1));
    mu_err err = mu_pipeline_new(dataset->pipeline_cfg, "pipeline", &dataset->pipeline);
    if (err)
        mu_dataset_destroy(dataset);
    return err;
}

void mu_dataset_destroy(mu_dataset *dataset)
{
    mu_pipeline_release(dataset->pipeline);
    mu_free(dataset->corrupt);
    dataset->pipeline = NULL;
    dataset->corrupt = NULL;
}

int64_t mu_dataset_length(const mu_dataset *dataset)
{
    int64_t n = ops_of(dataset)->length(dataset);
    return dataset->indices >= 0 && dataset->indices < n ? dataset->indices : n;
}

const char *mu_dataset_meta(const mu_dataset *dataset)
{
    const char *meta = ops_of(dataset)->meta ? ops_of(dataset)->meta(dataset) : NULL;
    return meta ? meta : "{}";
}

/* "HDF5Dataset 'train.h5', sample 3" before the message. */
static void MU_PRINTF(2, 3) add_context(const mu_dataset *dataset, const char *format, ...)
{
    const char *name = ops_of(dataset)->name ? ops_of(dataset)->name(dataset) : NULL;
    char what[64];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (name)
        mu_error_context("%s '%s', %s", mu_component_of(dataset)->name, name, what);
    else
        mu_error_context("%s, %s", mu_component_of(dataset)->name, what);
}

static mu_err read_one(mu_dataset *dataset, int64_t index, mu_sample *sample)
{
    mu_err err = ops_of(dataset)->read(dataset, index, sample);
    err = err ? err : mu_pipeline_apply(dataset->pipeline, sample);
    if (err)
        add_context(dataset, "sample %lld", (long long)index);
    return err;
}

static void note_corrupt(mu_dataset *dataset, int64_t index)
{
    if (__atomic_exchange_n(&dataset->corrupt[index], 1, __ATOMIC_RELAXED))
        return;
    __atomic_fetch_add(&dataset->n_corrupt, 1, __ATOMIC_RELAXED);
    MU_WARN("data", "skipped: %s", mu_error_last()->message);
}

mu_err mu_dataset_fetch(mu_dataset *dataset, int64_t index, mu_sample *sample, int64_t *used)
{
    int64_t n = mu_dataset_length(dataset);
    if (index < 0 || index >= n)
        return MU_FAIL(MU_ERR_USAGE, "%s has %lld samples, there is no sample %lld", mu_component_of(dataset)->name,
                       (long long)n, (long long)index);
    for (int64_t tried = 0; tried < n; tried++) {
        int64_t i = (index + tried) % n;
        if (dataset->corrupt && __atomic_load_n(&dataset->corrupt[i], __ATOMIC_RELAXED))
            continue;
        mu_err err = read_one(dataset, i, sample);
        if (!err) {
            *used = i;
            return MU_OK;
        }
        if (err != MU_ERR_FORMAT)
            return err;
        if (dataset->on_corrupt != MU_CORRUPT_SKIP)
            return mu_error_hint("on_corrupt: skip takes the next sample instead");
        note_corrupt(dataset, i);
        mu_sample_begin_again(sample);
    }
    MU_FAIL(MU_ERR_FORMAT, "no sample can be read");
    add_context(dataset, "%lld samples", (long long)n);
    return MU_ERR_FORMAT;
}

mu_err mu_dataset_get(mu_dataset *dataset, int64_t index, mu_sample *sample, uint64_t seed, int64_t pass)
{
    int64_t used = index;
    mu_sample_begin(sample, index, seed, pass);
    MU_TRY(mu_dataset_fetch(dataset, index, sample, &used));
    sample->index = used;
    return MU_OK;
}

bool mu_dataset_types(const mu_dataset *dataset, mu_tensors *out)
{
    const mu_dataset_ops *ops = ops_of(dataset);
    return mu_pipeline_length(dataset->pipeline) == 0 && ops->types && ops->types(dataset, out);
}

mu_err mu_dataset_read_rows(const mu_dataset *dataset, const int64_t *index, int64_t n, const mu_tensors *rows)
{
    mu_err err = ops_of(dataset)->read_rows(dataset, index, n, rows);
    if (err)
        add_context(dataset, "%lld samples of a batch", (long long)n);
    return err;
}

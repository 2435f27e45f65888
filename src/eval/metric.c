#include "eval/metric.h"

#include "core/mem.h"

#include <string.h>

/* Bytes of many records; a record larger than this has a chunk of its own. */
enum { CHUNK_BYTES = 1 << 16 };

struct mu_record_chunk {
    struct mu_record_chunk *next;
    size_t used, size;
    char data[];
};

static mu_err take(mu_metric *metric, size_t size, char **out)
{
    struct mu_record_chunk *chunk = metric->chunks;
    if (!chunk || chunk->size - chunk->used < size) {
        size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES, bytes;
        MU_TRY(mu_add_size(sizeof *chunk, room, &bytes));
        MU_TRY(mu_alloc(&chunk, bytes));
        *chunk = (struct mu_record_chunk){.next = metric->chunks, .size = room};
        metric->chunks = chunk;
    }
    *out = chunk->data + chunk->used;
    chunk->used += size;
    return MU_OK;
}

mu_err mu_metric_add(mu_metric *metric, int64_t id, const void *data, size_t size)
{
    char *bytes;
    MU_TRY(mu_grow(&metric->records, &metric->capacity, metric->n_records + 1, sizeof *metric->records));
    MU_TRY(take(metric, size, &bytes));
    if (size)
        memcpy(bytes, data, size);
    metric->records[metric->n_records++] = (mu_record){.id = id, .data = bytes, .size = size};
    return MU_OK;
}

void mu_metric_reset(mu_metric *metric)
{
    while (metric->chunks) {
        struct mu_record_chunk *chunk = metric->chunks;
        metric->chunks = chunk->next;
        mu_free(chunk);
    }
    mu_free(metric->records);
    metric->records = NULL;
    metric->n_records = metric->capacity = 0;
}

void mu_metric_destroy(void *metric)
{
    mu_metric_reset(metric);
}

const char *mu_metric_name(const mu_metric *metric)
{
    return mu_component_of(metric)->name;
}

const char *mu_metric_prefix(const mu_metric *metric)
{
    const mu_metric_ops *ops = mu_component_of(metric)->ops;
    const char *prefix = metric->prefix ? metric->prefix : ops->default_prefix;
    return prefix && prefix[0] ? prefix : NULL;
}

mu_err mu_eval_get(const mu_eval_batch *batch, const char *name, const char *who, const mu_tensor **out)
{
    char fields[512], predictions[512], type[MU_TYPE_TEXT];
    const mu_tensor *t = mu_tensors_find(batch->predictions, name);
    if (!t)
        t = mu_tensors_find(batch->fields, name);
    if (!t)
        return MU_FAIL(MU_ERR_CONFIG, "%s: there is no '%s': the samples have %s; the predictions have %s", who, name,
                       mu_tensors_format(batch->fields, fields, sizeof fields),
                       mu_tensors_format(batch->predictions, predictions, sizeof predictions));
    if (t->type.ndim < 1 || t->type.dim[0] != batch->size)
        return MU_FAIL(MU_ERR_CONFIG, "%s: '%s' is %s: expected a row for each of the %lld samples", who, name,
                       mu_type_format(&t->type, type), (long long)batch->size);
    *out = t;
    return MU_OK;
}

static mu_err get(const mu_eval_batch *batch, const char *name, const char *who, mu_dtype dtype, int ndim,
                  const mu_tensor **out)
{
    char type[MU_TYPE_TEXT];
    MU_TRY(mu_eval_get(batch, name, who, out));
    if ((*out)->type.dtype != dtype || (*out)->type.ndim != ndim)
        return MU_FAIL(MU_ERR_CONFIG, "%s: '%s' is %s: expected %s%s", who, name, mu_type_format(&(*out)->type, type),
                       mu_dtype_name(dtype), ndim == 1 ? "[samples]" : "[samples,classes]");
    return MU_OK;
}

mu_err mu_eval_labels(const mu_eval_batch *batch, const char *who, const int64_t **out)
{
    const mu_tensor *t;
    MU_TRY(get(batch, "gt_label", who, MU_I64, 1, &t));
    *out = t->data;
    return MU_OK;
}

static mu_err check_labels(const mu_eval_batch *batch, const char *who, const char *name, const int64_t *label, int64_t n)
{
    for (int64_t i = 0; i < batch->size; i++)
        if (label[i] < 0 || (n > 0 && label[i] >= n)) {
            MU_FAIL(MU_ERR_FORMAT, "%s: sample %lld has %s %lld, which is no class", who, (long long)batch->id[i], name,
                    (long long)label[i]);
            return n > 0 ? mu_error_hint("the model has %lld classes, 0 to %lld; is num_classes that of the data?", (long long)n,
                                         (long long)n - 1)
                         : mu_error_hint("classes count from 0");
        }
    return MU_OK;
}

mu_err mu_eval_classification(const mu_eval_batch *batch, const char *who, mu_class_batch *out)
{
    const mu_tensor *t;
    mu_class_batch c = {.n_classes = batch->n_classes};
    MU_TRY(mu_eval_labels(batch, who, &c.truth));
    if (mu_tensors_find(batch->predictions, "pred_score")) {
        MU_TRY(get(batch, "pred_score", who, MU_F32, 2, &t));
        c.score = t->data;
        c.n_classes = t->type.dim[1];
        if (c.n_classes < 1)
            return MU_FAIL(MU_ERR_CONFIG, "%s: 'pred_score' has no classes", who);
    } else {
        MU_TRY(get(batch, "pred_label", who, MU_I64, 1, &t));
        c.label = t->data;
        MU_TRY(check_labels(batch, who, "pred_label", c.label, c.n_classes));
    }
    MU_TRY(check_labels(batch, who, "gt_label", c.truth, c.n_classes));
    *out = c;
    return MU_OK;
}

/* A batch: samples stacked by field, as a collate function makes it. */
#ifndef MU_DATA_BATCH_H
#define MU_DATA_BATCH_H

#include "data/sample.h"
#include "registry/registry.h"

typedef struct {
    int64_t size;         /* samples */
    const int64_t *index; /* [size] in the dataset */
    int64_t first, stride; /* sample i is number first + i * stride of the global batch: for random numbers */
    mu_tensors fields;    /* [size, ...] each; of dtype and shape of the samples' */
} mu_batch;

/* Memory of one batch, used again for the next. */
typedef struct mu_batch_buffer mu_batch_buffer;
MU_CHECKED mu_err mu_batch_buffer_new(mu_batch_buffer **out);
void mu_batch_buffer_release(mu_batch_buffer *buffer);
mu_batch *mu_batch_buffer_batch(mu_batch_buffer *buffer);

/* Collate functions are components (kind "collate").
 * default_collate wants equal fields, dtypes and shapes: MU_ERR_SHAPE names both samples. pseudo_collate pads images at the bottom and
 * the right to the largest, and adds "img_shape" i64 [size, 2], (height, width) of each. */
typedef struct {
    /* Row `row` of `capacity`; the first row of a batch fixes the types. */
    mu_err (*add)(const void *collate, mu_batch_buffer *buffer, int64_t row, int64_t capacity, const mu_sample *sample);
} mu_collate_ops;

/* Collates samples[n] at once; rows lie in the order given. Not thread-safe on one buffer. */
MU_CHECKED mu_err mu_collate(const void *collate, mu_batch_buffer *buffer, const mu_sample *const *samples, int64_t n);

#endif

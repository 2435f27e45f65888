/* A batch: samples stacked by field, as a collate function makes it. */
#ifndef MU_DATA_BATCH_H
#define MU_DATA_BATCH_H

#include "data/sample.h"
#include "registry/registry.h"

typedef struct {
    int64_t size;          /* samples */
    const int64_t *index;  /* [size] in the dataset */
    int64_t first, stride; /* sample i is number first + i * stride of the global batch: for random numbers */
    mu_tensors fields;     /* [size, ...] each; of dtype and shape of the samples' */
    bool lent;             /* all fields lie in the memory that the buffer was lent, each on a multiple of MU_ALIGN that is its own up to the next one */
} mu_batch;

/* Memory of one batch, used again for the next. One thread at a time. */
typedef struct mu_batch_buffer mu_batch_buffer;
MU_CHECKED mu_err mu_batch_buffer_new(mu_batch_buffer **out);
void mu_batch_buffer_release(mu_batch_buffer *buffer); /* NULL is allowed */
mu_batch *mu_batch_buffer_batch(mu_batch_buffer *buffer);

/* Memory for fields of batches that begin after this, one after the other, instead of the buffer's own; borrowed. What does not fit in it, and a field that
 * grows, lies in the buffer's own. NULL, 0: none. */
void mu_batch_buffer_lend(mu_batch_buffer *buffer, void *room, size_t bytes);
/* What the fields of the batch as it is would take of it. */
size_t mu_batch_room(const mu_batch *batch);

/* Empties it, for `size` samples: there are no fields, indices are uninitialised, first is 0 and stride 1. */
MU_CHECKED mu_err mu_batch_buffer_begin(mu_batch_buffer *buffer, int64_t size);
int64_t *mu_batch_buffer_index(mu_batch_buffer *buffer); /* [size], to be filled */
/* The field `name` (copied) with [size, ...] samples of a type, made or made anew; bytes that it had stay in their places. In the steady
 * state nothing is allocated. */
MU_CHECKED mu_err mu_batch_buffer_field(mu_batch_buffer *buffer, const char *name, const mu_type *sample, void **data);

/* Collate functions are components (kind "collate").
 * default_collate wants equal fields, dtypes and shapes: MU_ERR_SHAPE names both samples. pseudo_collate pads images ("img") at the
 * bottom and the right with zeros to the largest, and adds "img_shape" i64 [size, 2], (height, width) of each. */
typedef struct {
    /* Row `row` of `size`, which come in order; row 0 begins the batch and fixes the types. */
    mu_err (*add)(const void *collate, mu_batch_buffer *buffer, int64_t row, int64_t size, const mu_sample *sample);
    /* Rows of equal types are just put one after the other: who knows the types may do so himself. */
    bool stacks;
} mu_collate_ops;

/* Collates samples[n] at once, n >= 1; rows lie in the order given. */
MU_CHECKED mu_err mu_collate(const void *collate, mu_batch_buffer *buffer, const mu_sample *const *samples, int64_t n);

extern const mu_component mu_component_default_collate, mu_component_pseudo_collate;

#endif

/* A sample on its way through a pipeline: named tensors in memory of its own, which the next sample uses again. One thread. */
#ifndef MU_DATA_SAMPLE_H
#define MU_DATA_SAMPLE_H

#include "core/philox.h"
#include "core/tensor.h"

typedef struct mu_sample_block mu_sample_block;

/* Images are planar, [channels, height, width], u8 or f32, under "img"; class indices are i64 scalars under "gt_label". */
typedef struct {
    int64_t index;     /* in the dataset: what results are keyed by */
    mu_tensors fields; /* names are borrowed from components, or literals */

    mu_philox random; /* of (seed, pass over the data, index): not of ranks and threads */
    uint64_t drawn;
    mu_sample_block *blocks; /* memory */
} mu_sample;

/* A zeroed sample is ready for mu_sample_begin. */
void mu_sample_begin(mu_sample *sample, int64_t index, uint64_t seed, int64_t pass);
/* The same sample from its beginning: without what was put into it. */
void mu_sample_begin_again(mu_sample *sample);
void mu_sample_release(mu_sample *sample);

/* A field with uninitialised bytes; replaces the one of this name, whose bytes stay readable until the next begin. In the steady
 * state nothing is allocated. */
MU_CHECKED mu_err mu_sample_put(mu_sample *sample, const char *name, mu_type type, void **data);
/* `bytes` uninitialised bytes until the next begin: for what a transform needs besides fields. */
MU_CHECKED mu_err mu_sample_scratch(mu_sample *sample, size_t bytes, void *out);
/* Removes a field, if it is there. */
void mu_sample_drop(mu_sample *sample, const char *name);
/* MU_ERR_CONFIG tells which fields there are: "RandomFlip: the sample has no field 'img' (it has ...)". `who` may be NULL, as in
 * transforms, whose place the pipeline names. */
MU_CHECKED mu_err mu_sample_get(const mu_sample *sample, const char *name, const char *who, const mu_tensor **out);
/* "img" as u8 or f32 [C,H,W]; anything else is MU_ERR_CONFIG with what to put before. */
MU_CHECKED mu_err mu_sample_image(const mu_sample *sample, const char *who, const mu_tensor **out);

/* The next random number of this sample. */
double mu_sample_uniform(mu_sample *sample);             /* [0, 1) */
int64_t mu_sample_below(mu_sample *sample, int64_t n);   /* 0..n-1 */

#endif

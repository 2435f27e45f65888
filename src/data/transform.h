/* Transforms: components (kind "transform") that change a sample; a pipeline applies them in order.
 *
 * A transform's struct holds its options alone: any thread may apply it, and what it draws comes from the sample. */
#ifndef MU_DATA_TRANSFORM_H
#define MU_DATA_TRANSFORM_H

#include "data/sample.h"
#include "registry/registry.h"

/* The component's table of functions. */
typedef struct {
    mu_err (*apply)(const void *transform, mu_sample *sample);
} mu_transform_ops;

typedef struct mu_pipeline mu_pipeline;

/* Builds a list of transforms (NULL or empty: nothing is changed). cfg is borrowed; path is where it stands. */
MU_CHECKED mu_err mu_pipeline_new(const mu_cfg *list, const char *path, mu_pipeline **out);
void mu_pipeline_release(mu_pipeline *pipeline); /* NULL is allowed */
/* Any thread. An error names the transform and its place ("pipeline.2 RandomCrop: ..."). */
MU_CHECKED mu_err mu_pipeline_apply(const mu_pipeline *pipeline, mu_sample *sample);
int mu_pipeline_length(const mu_pipeline *pipeline);

#endif

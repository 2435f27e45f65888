/* Datasets: components (kind "dataset") that give samples by index.
 *
 * Building one opens its files, in the thread that owns HDF5; samples may then be asked for by any thread. */
#ifndef MU_DATA_DATASET_H
#define MU_DATA_DATASET_H

#include "data/transform.h"

/* The first member of every dataset's struct. The options come first, the rest belongs to this room. */
typedef struct {
    const mu_cfg *pipeline_cfg; /* "pipeline" */
    int on_corrupt;             /* mu_on_corrupt */
    int64_t indices;            /* "indices": only the first so many samples; -1: all */

    mu_pipeline *pipeline;
    int64_t n_corrupt; /* samples that were found corrupt and replaced, each counted once; atomic */
    uint8_t *corrupt;  /* [length] which; atomic; NULL unless they are skipped */
} mu_dataset;

/* A sample that cannot be decoded: an error, or the next one that can be takes its place (and its index), is counted, and is
 * warned about by name. */
typedef enum { MU_CORRUPT_ERROR, MU_CORRUPT_SKIP } mu_on_corrupt;

/* The component's table of functions. */
typedef struct {
    int64_t (*length)(const mu_dataset *dataset);
    /* Puts the raw fields of sample `index` into `sample`. Any thread. MU_ERR_FORMAT: a corrupt one. */
    mu_err (*read)(const mu_dataset *dataset, int64_t index, mu_sample *sample);
    /* JSON text {"classes": [...], ...}; borrowed. May be NULL. */
    const char *(*meta)(const mu_dataset *dataset);
    /* For messages: the file. May be NULL. */
    const char *(*name)(const mu_dataset *dataset);
    /* Where all raw samples have the same fields of the same types: names and types of one; false when not. May be NULL. */
    bool (*types)(const mu_dataset *dataset, mu_tensors *out);
    /* Goes with `types`, and does what `read` does for index[n] at once: rows->item[i].data holds n samples of field i. */
    mu_err (*read_rows)(const mu_dataset *dataset, const int64_t *index, int64_t n, const mu_tensors *rows);
} mu_dataset_ops;

/* Rows of the options that every dataset has, for its table: {MU_DATASET_OPTIONS(h5_set), ..., MU_OPTION_END}; what its create ends
 * with, when `length` may be asked; and what its destroy begins with. */
#define MU_DATASET_OPTIONS(struct_)                                                                                     \
    {.key = "pipeline", .type = MU_OPT_COMPONENTS, .offset = offsetof(struct_, base.pipeline_cfg), .nullable = true,     \
     .component_kind = "transform", .help = "what is done to a sample, in order"},                                      \
    {.key = "on_corrupt", .type = MU_OPT_CHOICE, .offset = offsetof(struct_, base.on_corrupt),                           \
     .choices = mu_on_corrupt_names, .help = "a sample that cannot be read: fail, or take the next and count"},         \
    {.key = "indices", .type = MU_OPT_INT, .offset = offsetof(struct_, base.indices), .int_default = -1,                 \
     .bounded_below = true, .min = -1, .unit = "samples", .text_default = "all", .help = "only the first so many"}
extern const char *const mu_on_corrupt_names[]; /* "error", "skip" */
MU_CHECKED mu_err mu_dataset_create(mu_dataset *dataset); /* builds the pipeline */
void mu_dataset_destroy(mu_dataset *dataset);

int64_t mu_dataset_length(const mu_dataset *dataset);
const char *mu_dataset_meta(const mu_dataset *dataset); /* "{}" when it has none */
/* Begins the sample, reads and transforms it; sample->index is another one when a corrupt one was replaced. Any thread. An error names
 * the dataset and the sample. MU_ERR_FORMAT when none can be read. */
MU_CHECKED mu_err mu_dataset_get(mu_dataset *dataset, int64_t index, mu_sample *sample, uint64_t seed, int64_t pass);
/* The same with a sample that was begun, and whose index stays: for datasets made of others. *used: the index that was read. */
MU_CHECKED mu_err mu_dataset_fetch(mu_dataset *dataset, int64_t index, mu_sample *sample, int64_t *used);

/* Whether the samples are read as they are, with equal types, no pipeline; mu_dataset_read_rows then reads several at once. */
bool mu_dataset_types(const mu_dataset *dataset, mu_tensors *out);
MU_CHECKED mu_err mu_dataset_read_rows(const mu_dataset *dataset, const int64_t *index, int64_t n, const mu_tensors *rows);

extern const mu_component mu_component_hdf5_dataset, mu_component_concat_dataset, mu_component_repeat_dataset;

#endif

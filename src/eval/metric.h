/* Metrics: components (kind "metric"). A metric turns each sample's prediction into a record; the records of all ranks are brought
 * together by sample and computed on rank 0. */
#ifndef MU_EVAL_METRIC_H
#define MU_EVAL_METRIC_H

#include "core/tensor.h"
#include "dist/collect.h"
#include "registry/registry.h"

/* A number, or a table of numbers (a confusion matrix). */
typedef struct {
    char *name;    /* "accuracy/top1" */
    int ndim;      /* 0: a number */
    int64_t dim[2];
    double *value; /* row-major */
} mu_result;
typedef struct {
    size_t n, capacity;
    mu_result *item; /* owned */
} mu_results;
void mu_results_release(mu_results *results);
/* Copies. */
MU_CHECKED mu_err mu_results_add(mu_results *results, const char *name, double value);
MU_CHECKED mu_err mu_results_add_table(mu_results *results, const char *name, int64_t rows, int64_t columns, const double *value);
const mu_result *mu_results_find(const mu_results *results, const char *name);
/* Collective. Those of rank 0, which has some, to all. */
MU_CHECKED mu_err mu_results_broadcast(mu_results *results, mu_comm *comm);

/* The first member of every metric's struct. The options come first, the rest belongs to this room. */
typedef struct {
    char *prefix; /* option "prefix"; NULL: the component's default_prefix */

    mu_record *records; /* of this rank; their bytes lie in the chunks */
    size_t n_records, capacity;
    struct mu_record_chunk *chunks;
} mu_metric;
#define MU_METRIC_OPTIONS(struct_)                                                                                      \
    {.key = "prefix", .type = MU_OPT_STRING, .offset = offsetof(struct_, base.prefix), .nullable = true,                 \
     .help = "put before the names, with a slash"}

/* What metrics look at: samples by id; their fields (labels; not the images) and the model's predictions, row i of each. */
typedef struct {
    int64_t size;
    const int64_t *id;
    const mu_tensors *fields, *predictions;
    const char *const *classes; /* names, may be NULL */
    int64_t n_classes;
    const char *meta; /* JSON text of all that is known of the data; never NULL */
} mu_eval_batch;

typedef struct {
    const char *default_prefix;
    /* Adds a record per sample: mu_metric_add. */
    mu_err (*process)(mu_metric *metric, const mu_eval_batch *batch);
    /* From the records of all samples, in the order of their ids. Names without the prefix. */
    mu_err (*compute)(mu_metric *metric, const mu_records *records, mu_results *out);
    /* Names that compute will give, for checks before the first epoch; NULL-terminated, static or the metric's. May be NULL. */
    const char *const *(*names)(const mu_metric *metric);
    /* The same of tables, which cannot be the best. May be NULL. */
    const char *const *(*tables)(const mu_metric *metric);
    /* Do the options suit a model that scores so many classes? Asked before the first batch, where that is known. May be NULL. */
    mu_err (*check)(const mu_metric *metric, int64_t n_classes);
} mu_metric_ops;

/* Copies the bytes. */
MU_CHECKED mu_err mu_metric_add(mu_metric *metric, int64_t id, const void *data, size_t size);
/* Drops the records. */
void mu_metric_reset(mu_metric *metric);
/* destroy of a metric that owns no more than this; others end with it. */
void mu_metric_destroy(void *metric);
const char *mu_metric_name(const mu_metric *metric);   /* of its component */
const char *mu_metric_prefix(const mu_metric *metric); /* of its results; NULL: none */

/* A field or prediction with `size` rows; MU_ERR_CONFIG says what there is instead. */
MU_CHECKED mu_err mu_eval_get(const mu_eval_batch *batch, const char *name, const char *who, const mu_tensor **out);
/* "gt_label": i64 [size]. */
MU_CHECKED mu_err mu_eval_labels(const mu_eval_batch *batch, const char *who, const int64_t **out);
/* The model's "pred_score" f32 [size, *n_classes], or, without one, its "pred_label" i64 [size]: the other is NULL. Labels outside of the
 * classes are MU_ERR_FORMAT, a wrong dtype or shape is MU_ERR_CONFIG. */
typedef struct {
    const int64_t *truth;
    const float *score;
    const int64_t *label;
    int64_t n_classes; /* 0: not known */
} mu_class_batch;
MU_CHECKED mu_err mu_eval_classification(const mu_eval_batch *batch, const char *who, mu_class_batch *out);

extern const mu_component mu_component_accuracy, mu_component_confusion_matrix, mu_component_single_label_metric;

#endif

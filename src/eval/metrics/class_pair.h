/* Metrics that look at the true and the predicted class of a sample: their records. */
#ifndef MU_EVAL_METRICS_CLASS_PAIR_H
#define MU_EVAL_METRICS_CLASS_PAIR_H

#include "eval/metric.h"

typedef struct {
    int32_t truth, label;
    int32_t n_classes; /* as far as known where it was made; 0: not */
} mu_class_pair;

/* Does `fixed`, the number of classes that the options say (0: none), agree with the `known` one (0: not known)? */
MU_CHECKED mu_err mu_class_pairs_check(const char *who, int64_t known, int64_t fixed);
/* Adds a record per sample; the predicted class is the first with the highest score. `fixed`: the number of classes that the options
 * say, 0: none; MU_ERR_CONFIG when the data say otherwise. */
MU_CHECKED mu_err mu_class_pairs_process(mu_metric *metric, const mu_eval_batch *batch, int64_t fixed);
/* counts[truth, label] of *n_classes classes (`fixed`, or what the records know, or the highest class and one); freed by mu_free. */
MU_CHECKED mu_err mu_class_pairs_count(const mu_records *records, int64_t fixed, int64_t *n_classes, double **counts);

#endif

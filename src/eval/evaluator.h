/* The evaluator: several metrics over one data set. */
#ifndef MU_EVAL_EVALUATOR_H
#define MU_EVAL_EVALUATOR_H

#include "eval/metric.h"

typedef struct mu_evaluator mu_evaluator;

/* cfg: a metric's dict or a list of them; borrowed while the evaluator lives. */
MU_CHECKED mu_err mu_evaluator_new(const mu_cfg *cfg, const char *path, mu_evaluator **out);
void mu_evaluator_release(mu_evaluator *evaluator); /* NULL is allowed */
/* {"classes": [...]} and whatever else the dataset says of itself; copied. */
MU_CHECKED mu_err mu_evaluator_set_meta(mu_evaluator *evaluator, const char *json);
/* Adds a metric from code: DumpResults for --out. Taken over. */
MU_CHECKED mu_err mu_evaluator_add(mu_evaluator *evaluator, mu_metric *metric);

/* Whether the metrics' options suit a model that scores so many classes. */
MU_CHECKED mu_err mu_evaluator_check(const mu_evaluator *evaluator, int64_t n_classes);

/* Drops what was recorded. */
void mu_evaluator_reset(mu_evaluator *evaluator);
/* Not collective. Metrics see the fields without the images. */
MU_CHECKED mu_err mu_evaluator_process(mu_evaluator *evaluator, int64_t size, const int64_t *id, const mu_tensors *fields,
                                       const mu_tensors *predictions);
/* Collective, and agreed on: collects by sample id (at most `size` samples; -1: all), computes on rank 0, gives the results to all. A name
 * twice is MU_ERR_CONFIG ("set a prefix"); an empty set is MU_ERR_CONFIG. Drops what was recorded. */
MU_CHECKED mu_err mu_evaluator_evaluate(mu_evaluator *evaluator, mu_comm *comm, int64_t size, mu_results *out);
/* Calls visit for each "prefix/name" that is known beforehand: for save_best. */
void mu_evaluator_names(const mu_evaluator *evaluator, void (*visit)(void *user, const char *name), void *user);

#endif

/* Dumped results: predictions and ground truth per sample in a tensor file of format "results" (doc/formats.md), enough to
 * evaluate again offline. Written by the metric DumpResults (out_file_path). */
#ifndef MU_EVAL_DUMP_H
#define MU_EVAL_DUMP_H

#include "eval/evaluator.h"

enum { MU_DUMP_VERSION = 1 };

extern const mu_component mu_component_dump_results;

/* A DumpResults for mu_evaluator_add. */
MU_CHECKED mu_err mu_dump_results_new(const char *out_file_path, mu_metric **out);

/* A dump in memory. */
typedef struct mu_dump mu_dump;
MU_CHECKED mu_err mu_dump_open(const char *path, mu_dump **out);
void mu_dump_release(mu_dump *dump); /* NULL is allowed */
int64_t mu_dump_count(const mu_dump *dump);
const char *mu_dump_meta(const mu_dump *dump); /* JSON text */
/* All samples. */
const int64_t *mu_dump_ids(const mu_dump *dump);
const mu_tensors *mu_dump_fields(const mu_dump *dump);
const mu_tensors *mu_dump_predictions(const mu_dump *dump);

/* Collective. Gives the evaluator the metainfo, and each rank's its share of the samples; the results are those of the run that made the
 * dump, bit by bit. */
MU_CHECKED mu_err mu_dump_evaluate(const mu_dump *dump, mu_evaluator *evaluator, mu_comm *comm, mu_results *out);

#endif

/* Dumped results: predictions and ground truth per sample in a tensor file of format "results" (doc/formats.md), enough to
 * evaluate again offline. Written by the metric DumpResults (out_file_path). */
#ifndef MU_EVAL_DUMP_H
#define MU_EVAL_DUMP_H

#include "eval/evaluator.h"

enum { MU_DUMP_VERSION = 1 };

extern const mu_component mu_component_dump_results;

/* Feeds the dump to the evaluator, `batch` samples at a time, with its metainfo. Memory is bounded by the batch. */
MU_CHECKED mu_err mu_dump_evaluate(const char *path, mu_evaluator *evaluator, mu_comm *comm, mu_results *out);

#endif

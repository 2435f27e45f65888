/* Results of metrics, as text and as JSON. */
#ifndef MU_CLI_RESULTS_H
#define MU_CLI_RESULTS_H

#include "core/text.h"
#include "eval/metric.h"

/* A line each, names and values in columns; small tables in full. */
void cli_results_text(const mu_results *results, mu_text *text);
/* {"accuracy/top1": 97.5, "confusion_matrix/result": [[5, 0], [1, 4]]}: all digits; null for what is not finite. */
void cli_results_json(const mu_results *results, mu_text *text);

#endif

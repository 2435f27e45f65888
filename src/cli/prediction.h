/* What `muster check --net` tells: the step as it was measured, and what runs of several sizes would take. */
#ifndef MU_CLI_PREDICTION_H
#define MU_CLI_PREDICTION_H

#include "core/text.h"
#include "runner/measure.h"

/* Of `n` numbers of ranks, one column each. */
void cli_prediction_print(const mu_measurement *measured, const mu_network *network, const mu_prediction *of, size_t n);
/* A member of an object, with a comma before. */
void cli_prediction_json(mu_text *text, const mu_measurement *measured, const mu_prediction *of, size_t n);

#endif

/* The training step of a config, run on this machine for a few seconds: what `muster check --net` predicts from. */
#ifndef MU_RUNNER_MEASURE_H
#define MU_RUNNER_MEASURE_H

#include "config/config.h"
#include "data/batch.h"
#include "dist/comm.h"
#include "runner/predict.h"

enum { MU_MEASURE_LEAST = 5, MU_MEASURE_MOST = 100 };

typedef struct {
    mu_workload workload; /* its buckets are owned */
    double step;          /* s, median; what workload's parts sum up to */
    int runs, ranks;      /* steps measured; ranks that measured at the same time */
} mu_measurement;

/* Collective: all ranks run the step at the same time, as they will in the run, and every one gets what it measured itself. For a config in which
 * mu_inspect found no mistake, and the example that it traced. The measured steps take about `seconds`; at least MU_MEASURE_LEAST of them are run.
 * Agrees on errors. */
MU_CHECKED mu_err mu_measure(const mu_config *config, const mu_batch *example, double seconds, mu_comm *comm, mu_measurement *out);
void mu_measurement_release(mu_measurement *measurement);

#endif

/* How what the ranks found in their batches becomes one: sync_batch_norm. */
#ifndef MU_BACKEND_RANKS_H
#define MU_BACKEND_RANKS_H

#include "backend.h"

typedef struct mu_comm mu_comm; /* dist/comm.h */

/* NULL: one. */
int mu_ranks_count(const mu_comm *comm);

/* A message [1 + 2 * channels]: how many values a channel has here, then two numbers for each channel: all the first ones, then all the second
 * ones. Zeros say: no values. What follows it in the same block is room to receive. comm NULL: one rank. */
size_t mu_ranks_bytes(const mu_comm *comm, int64_t channels);

/* Collective, unless the run is MU_ALONE. Means and sums of squared deviations from them become those of all ranks' values (Chan, Golub,
 * LeVeque 1983), in the order of the ranks: the same bits everywhere. */
MU_CHECKED mu_err mu_ranks_join_moments(mu_comm *comm, const mu_run *run, int64_t channels, double *message);
/* Collective, unless the run is MU_ALONE. Sums become those over all ranks. */
MU_CHECKED mu_err mu_ranks_join_sums(mu_comm *comm, const mu_run *run, int64_t channels, double *message);

/* A variance needs two values: MU_ERR_SHAPE when all ranks have one between them. */
MU_CHECKED mu_err mu_ranks_check_count(double n);

#endif

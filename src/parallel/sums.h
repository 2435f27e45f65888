/* Sums of gradients over several batches: an arena like theirs. */
#ifndef MU_PARALLEL_SUMS_H
#define MU_PARALLEL_SUMS_H

#include "graph/params.h"

typedef struct mu_sums mu_sums;

/* The store is frozen, with gradients, and retained; backend is borrowed. */
MU_CHECKED mu_err mu_sums_new(mu_backend *backend, mu_params *params, mu_sums **out);
void mu_sums_release(mu_sums *sums); /* NULL is allowed */
void *mu_sums_arena(const mu_sums *sums);

/* Adds the gradients to the sums; the first ones take the place of what was there. */
MU_CHECKED mu_err mu_sums_gather(mu_sums *sums, bool first);
/* Adds the sums of a unit to its gradients. */
MU_CHECKED mu_err mu_sums_merge(mu_sums *sums, int unit);

#endif

/* The gradients of a parameter store over time and ranks: their sums over several batches, and the mean over the ranks. */
#ifndef MU_OPTIM_GRADIENTS_H
#define MU_OPTIM_GRADIENTS_H

#include "dist/average.h"
#include "graph/params.h"

typedef struct mu_gradients mu_gradients;

/* The store is frozen, with gradients, and retained; backend and comm are borrowed. */
MU_CHECKED mu_err mu_gradients_new(mu_backend *backend, mu_params *params, mu_comm *comm, mu_gradients **out);
void mu_gradients_release(mu_gradients *gradients); /* NULL is allowed */

/* The arena of sums and its kernels: once, before what follows. On failure there is none. */
MU_CHECKED mu_err mu_gradients_make_sums(mu_gradients *gradients);
void *mu_gradients_sums(const mu_gradients *gradients); /* NULL: not made */
/* Adds the gradients to the sums; the first ones take the place of what was there. */
MU_CHECKED mu_err mu_gradients_gather(mu_gradients *gradients, bool first);
/* Adds the sums to the gradients. */
MU_CHECKED mu_err mu_gradients_merge(mu_gradients *gradients);

/* Collective. The mean over the ranks. */
MU_CHECKED mu_err mu_gradients_average(mu_gradients *gradients);
MU_CHECKED mu_err mu_gradients_average_sums(mu_gradients *gradients);

#endif

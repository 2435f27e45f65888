/* How ranks share a model: components (kind "model_wrapper"): MMDistributedDataParallel (the default), MMFullyShardedDataParallel,
 * MMSeparateDistributedDataParallel.
 *
 * A wrapper says how the parameter store is laid out, listens to the plans (mu_exchange) and brings gradients to the mean over the ranks. One step:
 *
 *     mu_parallel_begin(p, updates)      before the model runs
 *     ...                                 forward and backward; gradients travel meanwhile
 *     mu_parallel_end_run(p)             also when the run failed: nobody is left waiting
 *     mu_parallel_finish(p, &batches)    gradients of what this rank updates are means over the ranks
 *     mu_optim_step(...)
 *     mu_parallel_publish(p)             every rank has all parameters again, or will have had when a plan wants them
 */
#ifndef MU_PARALLEL_PARALLEL_H
#define MU_PARALLEL_PARALLEL_H

#include "graph/params.h"
#include "parallel/courier.h"
#include "registry/registry.h"

typedef struct mu_parallel_state mu_parallel_state;

/* The first member of every wrapper's struct. */
typedef struct {
    mu_exchange exchange; /* what plans call */
    bool broadcast_buffers, fixed_order, hierarchical, detect_anomalous_params;
    const char *wire; /* "float32", "bfloat16" */
    double bucket_cap_mb; /* NaN: measured */
    mu_parallel_state *state;
} mu_parallel;
extern const mu_option mu_parallel_keys[]; /* the common ones */

/* The component's table of functions. */
typedef struct {
    /* Fills stage, unit_bytes and modules. */
    mu_err (*share)(const mu_parallel *parallel, mu_params_sharing *out);
} mu_parallel_ops;

/* Collective, before the model is bound: measures the network where the size of buckets is left open, and tells how the store is shared. comm is
 * borrowed until unbind. */
MU_CHECKED mu_err mu_parallel_open(mu_parallel *parallel, mu_comm *comm, mu_params_sharing *out);
/* Collective. The store is frozen; retained. accumulates: sums of gradients over batches are kept. */
MU_CHECKED mu_err mu_parallel_bind(mu_parallel *parallel, mu_backend *backend, mu_params *params, bool accumulates);
/* Collective. Also done by mu_destroy, which is then collective. */
void mu_parallel_unbind(mu_parallel *parallel);

/* Before a training run. updates: the optimizer steps after it; else its gradients are kept, and nothing travels (stage 0 and 1). */
void mu_parallel_begin(mu_parallel *parallel, bool updates);
/* After it, on every rank: hands over what a failed run did not. */
void mu_parallel_end_run(mu_parallel *parallel);
/* Collective. *batches: of how many batches the gradients are sums of (over time). */
MU_CHECKED mu_err mu_parallel_finish(mu_parallel *parallel, int64_t *batches);
/* Collective. After an optimizer's step. */
MU_CHECKED mu_err mu_parallel_publish(mu_parallel *parallel);
/* The ranks over whose pieces norms and sums go; NULL: every rank has everything. */
mu_comm *mu_parallel_pieces(const mu_parallel *parallel);

/* Sums of gradients that are not yet used, and of how many batches: they belong into a checkpoint. Whole in stages 0 and 1, pieces in 2 and 3. NULL
 * when there are none. share: all ranks get the mean of them, which leaves the next update the same. */
void *mu_parallel_accumulated(const mu_parallel *parallel, int64_t *batches);
MU_CHECKED mu_err mu_parallel_share_accumulated(mu_parallel *parallel);              /* Collective */
MU_CHECKED mu_err mu_parallel_set_accumulated(mu_parallel *parallel, int64_t batches); /* makes the arena */

/* For logs and benchmarks, since the last call. */
mu_courier_times mu_parallel_take_times(mu_parallel *parallel);

#endif

/* What a plan does besides its kernels when ranks share a model: it tells when a unit of gradients is complete, and when a unit of
 * parameters is wanted. Declared here, implemented in parallel/. A unit is a range of the arenas (graph/params.h).
 *
 * All ranks make the same calls in the same order, once a run and unit; a rank whose run fails makes those that are left all the same, so that
 * nobody waits for it. start_ returns at once; what it was given is not touched before the wait_ of the same unit. */
#ifndef MU_GRAPH_EXCHANGE_H
#define MU_GRAPH_EXCHANGE_H

#include "core/error.h"

typedef struct mu_exchange mu_exchange;

typedef struct {
    /* The gradients of a unit are complete; `gradients`: the whole unit. */
    mu_err (*start_reduce)(mu_exchange *exchange, int unit, void *gradients);
    /* Their memory may be used for something else. Called by plans only where they share it (stage 2 and 3). */
    mu_err (*wait_reduce)(mu_exchange *exchange, int unit);
    /* Stage 3: all ranks' pieces of a unit's parameters into `data`, the whole unit. Once more in a run where it was given up between. */
    mu_err (*start_gather)(mu_exchange *exchange, int unit, void *data);
    mu_err (*wait_gather)(mu_exchange *exchange, int unit);
} mu_exchange_ops;

/* The first member of what implements it. */
struct mu_exchange {
    const mu_exchange_ops *ops;
    int prefetch;         /* units that are gathered ahead of the one in use; reductions on their way before their memory is wanted: 1 or more */
    int forward_prefetch; /* units that are gathered ahead in forward */
};

#endif

/* A pool of threads that run jobs in the order in which they were given. */
#ifndef MU_CORE_POOL_H
#define MU_CORE_POOL_H

#include "core/error.h"

#include <stdint.h>

typedef struct mu_pool mu_pool;
typedef mu_err mu_job_fn(void *user);

/* n_threads >= 0; with 0 a job runs at once inside mu_pool_submit. `capacity` jobs may wait; submit blocks beyond
 * (back-pressure). */
MU_CHECKED mu_err mu_pool_new(int n_threads, int capacity, mu_pool **out);
/* Finishes what was submitted, then ends the threads. NULL is allowed. */
void mu_pool_release(mu_pool *pool);

/* Runs job(user) later. Of the jobs that fail the one given first is kept; those after it are skipped until
 * mu_pool_wait. Not from inside a job: the queue may be full. */
MU_CHECKED mu_err mu_pool_submit(mu_pool *pool, mu_job_fn *job, void *user);
/* Waits until nothing is pending; the first failure, with its record. */
MU_CHECKED mu_err mu_pool_wait(mu_pool *pool);

/* body(user, i) for 0 <= i < n, spread over the pool; waits. */
MU_CHECKED mu_err mu_pool_for(mu_pool *pool, int64_t n, mu_err (*body)(void *user, int64_t i), void *user);

#endif

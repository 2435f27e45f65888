/* Plans by key, bounded: the least recently used one goes. */
#ifndef MU_GRAPH_PLAN_CACHE_H
#define MU_GRAPH_PLAN_CACHE_H

#include "graph/plan.h"

typedef struct mu_plan_cache mu_plan_cache;

/* What tells plans apart: a mode ("loss", "predict") and the types of the inputs. */
typedef struct {
    const char *mode;
    int n_inputs;
    const mu_type *inputs;
    mu_dtype autocast;
} mu_plan_key;

typedef mu_err mu_plan_build_fn(void *user, const mu_plan_key *key, mu_plan **out);

MU_CHECKED mu_err mu_plan_cache_new(int capacity, mu_plan_cache **out);
void mu_plan_cache_release(mu_plan_cache *cache);
/* The plan of this key, built when absent. Borrowed until `capacity` other keys have been asked for. */
MU_CHECKED mu_err mu_plan_cache_get(mu_plan_cache *cache, const mu_plan_key *key, mu_plan_build_fn *build, void *user,
                                    mu_plan **out);
/* mu_plan_refresh of every plan: after parameters or states were written. */
void mu_plan_cache_refresh(mu_plan_cache *cache);
int mu_plan_cache_count(const mu_plan_cache *cache);

#endif

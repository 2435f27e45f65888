#include "graph/plan_cache.h"

#include "core/mem.h"

typedef struct {
    mu_plan *plan;
    char *mode;
    mu_type *inputs;
    int n_inputs;
    mu_dtype autocast;
    int64_t last_use;
} entry;

struct mu_plan_cache {
    entry *entries; /* [capacity]; few: searched one by one */
    int n, capacity;
    int64_t now;
};

mu_err mu_plan_cache_new(int capacity, mu_plan_cache **out)
{
    mu_plan_cache *cache;
    if (capacity < 1)
        return MU_FAIL(MU_ERR_USAGE, "a plan cache holds at least one plan, not %d", capacity);
    MU_TRY(mu_calloc(&cache, 1, sizeof *cache));
    cache->capacity = capacity;
    mu_err err = mu_calloc(&cache->entries, (size_t)capacity, sizeof *cache->entries);
    if (err)
        mu_free(cache);
    else
        *out = cache;
    return err;
}

static void release_entry(entry *e)
{
    mu_plan_release(e->plan);
    mu_free(e->mode);
    mu_free(e->inputs);
    *e = (entry){0};
}

void mu_plan_cache_release(mu_plan_cache *cache)
{
    if (!cache)
        return;
    for (int i = 0; i < cache->n; i++)
        release_entry(&cache->entries[i]);
    mu_free(cache->entries);
    mu_free(cache);
}

static bool matches(const entry *e, const mu_plan_key *key)
{
    if (e->n_inputs != key->n_inputs || e->autocast != key->autocast || strcmp(e->mode, key->mode) != 0)
        return false;
    for (int i = 0; i < e->n_inputs; i++)
        if (!mu_type_equal(&e->inputs[i], &key->inputs[i]))
            return false;
    return true;
}

static mu_err make_entry(const mu_plan_key *key, mu_plan_build_fn *build, void *user, entry *out)
{
    entry e = {.n_inputs = key->n_inputs, .autocast = key->autocast};
    mu_err err;
    MU_TRY_GOTO(err, mu_strdup(&e.mode, key->mode), fail);
    MU_TRY_GOTO(err, mu_calloc(&e.inputs, (size_t)key->n_inputs, sizeof *e.inputs), fail);
    if (key->n_inputs)
        memcpy(e.inputs, key->inputs, (size_t)key->n_inputs * sizeof *e.inputs);
    MU_TRY_GOTO(err, build(user, key, &e.plan), fail);
    *out = e;
    return MU_OK;
fail:
    release_entry(&e);
    return err;
}

/* A free place; the least recently used plan makes room before the new one asks for memory. */
static entry *make_room(mu_plan_cache *cache)
{
    if (cache->n < cache->capacity)
        return &cache->entries[cache->n];
    int oldest = 0;
    for (int i = 1; i < cache->n; i++)
        if (cache->entries[i].last_use < cache->entries[oldest].last_use)
            oldest = i;
    release_entry(&cache->entries[oldest]);
    cache->entries[oldest] = cache->entries[--cache->n];
    return &cache->entries[cache->n];
}

mu_err mu_plan_cache_get(mu_plan_cache *cache, const mu_plan_key *key, mu_plan_build_fn *build, void *user, mu_plan **out)
{
    for (int i = 0; i < cache->n; i++)
        if (matches(&cache->entries[i], key)) {
            cache->entries[i].last_use = ++cache->now;
            *out = cache->entries[i].plan;
            return MU_OK;
        }
    entry *e = make_room(cache);
    MU_TRY(make_entry(key, build, user, e));
    e->last_use = ++cache->now;
    cache->n++;
    *out = e->plan;
    return MU_OK;
}

int mu_plan_cache_count(const mu_plan_cache *cache)
{
    return cache->n;
}

void mu_plan_cache_refresh(mu_plan_cache *cache)
{
    for (int i = 0; i < cache->n; i++)
        mu_plan_refresh(cache->entries[i].plan);
}

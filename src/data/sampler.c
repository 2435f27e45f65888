#include "data/sampler.h"

#include "core/mem.h"
#include "core/mt19937.h"

#include <stddef.h>

static const mu_sampler_ops *ops_of(const mu_sampler *sampler)
{
    return mu_component_of(sampler)->ops;
}

mu_err mu_sampler_bind(mu_sampler *sampler, int64_t n_samples, int rank, int world_size, uint64_t seed)
{
    if (n_samples < 1) {
        MU_FAIL(MU_ERR_CONFIG, "%s: the dataset is empty", mu_component_of(sampler)->name);
        return mu_error_hint("a sampler needs at least one sample; look at the dataset with: muster data info FILE");
    }
    if (world_size < 1 || rank < 0 || rank >= world_size)
        return MU_FAIL(MU_ERR_USAGE, "rank %d of %d ranks does not exist", rank, world_size);
    if (sampler->n_samples)
        return MU_FAIL(MU_ERR_USAGE, "%s is bound already", mu_component_of(sampler)->name);
    int64_t *order = NULL;
    if (sampler->shuffle)
        MU_TRY(mu_calloc(&order, (size_t)n_samples, sizeof *order));
    sampler->order = order;
    sampler->n_samples = n_samples;
    sampler->rank = rank;
    sampler->world_size = world_size;
    sampler->bound_seed = sampler->seed >= 0 ? (uint64_t)sampler->seed : seed;
    mu_err err = ops_of(sampler)->bind ? ops_of(sampler)->bind(sampler) : MU_OK;
    if (err) {
        mu_sampler_destroy(sampler);
        sampler->n_samples = 0;
        return err;
    }
    sampler->start = (mu_cursor){0};
    sampler->taken = 0;
    ops_of(sampler)->seek(sampler);
    return MU_OK;
}

void mu_sampler_set_epoch(mu_sampler *sampler, int64_t epoch)
{
    if (ops_of(sampler)->endless) {
        sampler->start.epoch = epoch;
        return;
    }
    sampler->start = (mu_cursor){.epoch = epoch};
    sampler->taken = 0;
    ops_of(sampler)->seek(sampler);
}

/* Of this rank, of `left` samples. */
static int64_t share_of(const mu_sampler *sampler, int64_t left)
{
    int64_t share = left / sampler->world_size, rest = left % sampler->world_size;
    return share + (sampler->round_up || ops_of(sampler)->endless ? rest > 0 : sampler->rank < rest);
}

int64_t mu_sampler_length(const mu_sampler *sampler)
{
    if (ops_of(sampler)->endless)
        return mu_sampler_epoch_length(sampler);
    return share_of(sampler, sampler->n_samples - sampler->start.position);
}

int64_t mu_sampler_epoch_length(const mu_sampler *sampler)
{
    return share_of(sampler, sampler->n_samples);
}

bool mu_sampler_next(mu_sampler *sampler, int64_t *index)
{
    if (!ops_of(sampler)->endless && sampler->taken >= mu_sampler_length(sampler))
        return false;
    int64_t position = sampler->start.position + sampler->rank + sampler->taken * sampler->world_size;
    *index = ops_of(sampler)->at(sampler, position);
    sampler->taken++;
    return true;
}

int64_t mu_sampler_pass(const mu_sampler *sampler)
{
    if (!ops_of(sampler)->endless)
        return sampler->start.epoch;
    int64_t taken = sampler->taken ? sampler->taken - 1 : 0;
    return (sampler->start.position + sampler->rank + taken * sampler->world_size) / sampler->n_samples;
}

bool mu_sampler_endless(const mu_sampler *sampler)
{
    return ops_of(sampler)->endless;
}

mu_cursor mu_sampler_cursor(const mu_sampler *sampler, int64_t used)
{
    mu_cursor cursor = sampler->start;
    cursor.position += used * sampler->world_size;
    if (!ops_of(sampler)->endless && cursor.position > sampler->n_samples)
        cursor.position = sampler->n_samples;
    return cursor;
}

mu_err mu_sampler_seek(mu_sampler *sampler, mu_cursor cursor)
{
    bool endless = ops_of(sampler)->endless;
    if (cursor.epoch < 0 || cursor.position < 0 || (!endless && cursor.position > sampler->n_samples)) {
        MU_FAIL(MU_ERR_CONFIG, "%s cannot go on at epoch %lld, sample %lld: the dataset has %lld samples",
                mu_component_of(sampler)->name, (long long)cursor.epoch, (long long)cursor.position,
                (long long)sampler->n_samples);
        return mu_error_hint("a run goes on only with the dataset that it was begun with");
    }
    sampler->start = cursor;
    sampler->taken = 0;
    ops_of(sampler)->seek(sampler);
    return MU_OK;
}

void mu_sampler_destroy(void *object)
{
    mu_sampler *sampler = object;
    mu_free(sampler->order);
    mu_free(sampler->state);
    sampler->order = NULL;
    sampler->state = NULL;
}

/* One permutation per epoch, seeded with seed + epoch. */
static void default_seek(mu_sampler *sampler)
{
    if (!sampler->shuffle)
        return;
    mu_mt19937 rng;
    mu_mt19937_seed(&rng, sampler->bound_seed + (uint64_t)sampler->start.epoch);
    mu_mt19937_permutation(&rng, sampler->n_samples, sampler->order);
}

/* Positions beyond the last are padding: the list from its beginning, as often as it takes. */
static int64_t default_at(mu_sampler *sampler, int64_t position)
{
    int64_t i = position % sampler->n_samples;
    return sampler->shuffle ? sampler->order[i] : i;
}

/* The generator behind the permutations, and which of them `order` holds. */
typedef struct {
    mu_mt19937 rng;
    int64_t pass;
} infinite_state;

static mu_err infinite_bind(mu_sampler *sampler)
{
    return sampler->shuffle ? mu_calloc(&sampler->state, 1, sizeof(infinite_state)) : MU_OK;
}

static void draw_until(mu_sampler *sampler, int64_t pass)
{
    infinite_state *s = sampler->state;
    for (; s->pass < pass; s->pass++)
        mu_mt19937_permutation(&s->rng, sampler->n_samples, sampler->order);
}

static void infinite_seek(mu_sampler *sampler)
{
    infinite_state *s = sampler->state;
    if (!sampler->shuffle)
        return;
    mu_mt19937_seed(&s->rng, sampler->bound_seed);
    s->pass = -1;
    draw_until(sampler, sampler->start.position / sampler->n_samples);
}

static int64_t infinite_at(mu_sampler *sampler, int64_t position)
{
    if (!sampler->shuffle)
        return position % sampler->n_samples;
    draw_until(sampler, position / sampler->n_samples);
    return sampler->order[position % sampler->n_samples];
}

#define SHUFFLE                                                                                                        \
    MU_OPTION(mu_sampler, shuffle, MU_OPT_BOOL, .boolean_default = true,                                               \
              .help = "a random order, the same on every rank; else the order of the dataset")
#define SEED                                                                                                           \
    MU_OPTION(mu_sampler, seed, MU_OPT_INT, .int_default = -1, .nullable = true, .text_default = "null",               \
              .bounded_below = true, .min = 0, .help = "of the order; null: the seed of the run")

static const mu_option default_options[] = {
    SHUFFLE,
    SEED,
    MU_OPTION(mu_sampler, round_up, MU_OPT_BOOL, .boolean_default = true,
              .help = "repeat the first samples until every rank has equally many"),
    MU_OPTION_END,
};

static const mu_option infinite_options[] = {SHUFFLE, SEED, MU_OPTION_END};

const mu_component mu_component_default_sampler = {
    .kind = "sampler",
    .name = "DefaultSampler",
    .doc = "A fresh permutation each epoch, dealt out to the ranks in turn.",
    .size = sizeof(mu_sampler),
    .options = default_options,
    .destroy = mu_sampler_destroy,
    .ops = &(const mu_sampler_ops){.seek = default_seek, .at = default_at},
};

const mu_component mu_component_infinite_sampler = {
    .kind = "sampler",
    .name = "InfiniteSampler",
    .doc = "Permutations that follow each other without end, dealt out to the ranks in turn across their borders. "
           "For training by iterations.",
    .size = sizeof(mu_sampler),
    .options = infinite_options,
    .destroy = mu_sampler_destroy,
    .ops = &(const mu_sampler_ops){.bind = infinite_bind, .seek = infinite_seek, .at = infinite_at, .endless = true},
};

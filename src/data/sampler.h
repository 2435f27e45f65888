/* Samplers: components (kind "sampler") that say which samples a rank reads, in which order.
 *
 * Every sampler orders one global stream that all ranks share: position p belongs to rank (p - start) % world_size, where
 * start is 0 or where the stream was last taken up. The order is MMEngine's for the same seed. What has to be kept to go on
 * exactly, at any world size, is mu_cursor. One thread uses a sampler at a time. */
#ifndef MU_DATA_SAMPLER_H
#define MU_DATA_SAMPLER_H

#include "registry/registry.h"

/* Where the global stream is: the first `position` samples of the epoch (InfiniteSampler: of the whole stream) are
 * taken. */
typedef struct {
    int64_t epoch, position;
} mu_cursor;

/* The first member of every sampler's struct. The options come first, the rest belongs to this room. */
typedef struct {
    bool shuffle, round_up;
    int64_t seed; /* -1: what mu_sampler_bind is given */

    uint64_t bound_seed;
    int64_t n_samples; /* 0: not bound */
    int rank, world_size;
    mu_cursor start;  /* where the stream was taken up */
    int64_t taken;    /* by this rank, since then */
    int64_t *order;   /* [n_samples] the permutation that is drawn; NULL without shuffling */
    void *state;      /* of the kind */
} mu_sampler;

/* The component's table of functions. */
typedef struct {
    mu_err (*bind)(mu_sampler *sampler);
    /* The stream continues at sampler->start: makes what is needed to be asked for samples. */
    void (*seek)(mu_sampler *sampler);
    /* The sample at a global position; positions never go back between seeks. */
    int64_t (*at)(mu_sampler *sampler, int64_t position);
    bool endless; /* there is no last sample */
} mu_sampler_ops;

extern const mu_component mu_component_default_sampler, mu_component_infinite_sampler;

/* To be called once, before anything below. 1 <= n_samples, 0 <= rank < world_size; seed: the one that all ranks share,
 * used unless the options set one; like PyTorch's generator its low 32 bits count. Starts at epoch 0. */
MU_CHECKED mu_err mu_sampler_bind(mu_sampler *sampler, int64_t n_samples, int rank, int world_size, uint64_t seed);

/* Starts this epoch from its beginning. An InfiniteSampler stays where it is. */
void mu_sampler_set_epoch(mu_sampler *sampler, int64_t epoch);

/* Samples of this rank from where the stream was taken up to the end of the epoch: a whole epoch after set_epoch. Of an
 * InfiniteSampler: those of a pass over the data, ceil(n_samples / world_size). */
int64_t mu_sampler_length(const mu_sampler *sampler);

/* The same of an epoch from its beginning, wherever the stream stands. */
int64_t mu_sampler_epoch_length(const mu_sampler *sampler);

/* The next sample of this rank; false at the end of the epoch (never with an InfiniteSampler). */
bool mu_sampler_next(mu_sampler *sampler, int64_t *index);
/* The pass over the data to which the sample that next gave last belongs: the epoch; of an InfiniteSampler its own count. */
int64_t mu_sampler_pass(const mu_sampler *sampler);
/* Whether there is no last sample. */
bool mu_sampler_endless(const mu_sampler *sampler);

/* The cursor to keep once every rank has used `used` samples since the stream was taken up. A rank may have asked for more
 * (prefetching); they come again after mu_sampler_seek. Padding of round_up does not count. */
mu_cursor mu_sampler_cursor(const mu_sampler *sampler, int64_t used);

/* Takes the stream up at a cursor, also of a run at another world size: what is left of the epoch is shared out anew, none
 * twice, none lost, and padded with the first samples of the epoch where round_up asks for it. MU_ERR_CONFIG for a cursor that
 * does not fit n_samples. The state is two numbers; an InfiniteSampler draws again what was drawn before them. */
MU_CHECKED mu_err mu_sampler_seek(mu_sampler *sampler, mu_cursor cursor);

/* destroy of every component here. */
void mu_sampler_destroy(void *sampler);

#endif

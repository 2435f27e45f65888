/* The loader: dataset, sampler, collate and threads: batches in the sampler's order, ahead of time.
 *
 * Every batch is made by one thread in a slot of a ring; threads wait when the ring is full. What comes out
 * does not depend on the number of threads.
 *
 * For a device batches can lie in memory that it copies from (mu_batch.lent), and stay there while it does (`keep`): graph/plan.h says how long. */
#ifndef MU_DATA_LOADER_H
#define MU_DATA_LOADER_H

#include "data/batch.h"
#include "data/dataset.h"
#include "data/sampler.h"

typedef struct mu_loader mu_loader;

/* Where batches lie. Called by the thread that calls the loader. Blocks are MU_ALIGN-aligned; where there is none the loader warns once, and goes on in
 * ordinary memory. */
typedef struct {
    mu_err (*alloc)(void *user, size_t bytes, void **out); /* NULL: in ordinary memory, and none is lent */
    void (*dealloc)(void *user, void *block);
    void *user;
} mu_loader_memory;

typedef struct {
    int rank, world_size;
    uint64_t seed;  /* the one that all ranks share: order and augmentation */
    bool training;  /* the default sampler shuffles; others may have no end */
    int keep;       /* so many batches stay as they are, counted from the last one given backwards; 0 is 1 */
    mu_loader_memory memory;
} mu_loader_options;

/* cfg: a dataloader's dict (mu_loader_keys); borrowed while the loader lives. Builds dataset, sampler and collate. An empty dataset is
 * MU_ERR_CONFIG, and so are drop_last with a batch larger than this rank's share, and a sampler without end but for training. Not collective. */
MU_CHECKED mu_err mu_loader_new(const mu_cfg *cfg, const char *path, const mu_loader_options *options, mu_loader **out);
/* NULL is allowed; ends the threads. Nothing reads the batches any more. */
void mu_loader_release(mu_loader *loader);
/* The keys of a dataloader. */
extern const mu_option mu_loader_keys[];

mu_dataset *mu_loader_dataset(const mu_loader *loader);
mu_sampler *mu_loader_sampler(const mu_loader *loader);
int64_t mu_loader_batch_size(const mu_loader *loader); /* of this rank */
/* Batches of this rank in a whole epoch (InfiniteSampler: in a pass over the data). */
int64_t mu_loader_length(const mu_loader *loader);

/* Starts an epoch from its beginning; what was prefetched is dropped, what was given stays. Needed before the first next. */
MU_CHECKED mu_err mu_loader_start(mu_loader *loader, int64_t epoch);
/* Goes on from a cursor, also of another world size; O(1) but for an InfiniteSampler. */
MU_CHECKED mu_err mu_loader_seek(mu_loader *loader, mu_cursor cursor);
/* The next batch, *out NULL at the end of the epoch. Borrowed until the next call, or `keep` calls. A loader thread's error comes at the batch where it
 * happened, with its record, and again at every further call. */
MU_CHECKED mu_err mu_loader_next(mu_loader *loader, const mu_batch **out);
/* What to keep in a checkpoint: behind the batches that next has given, when every rank has been given as many. */
mu_cursor mu_loader_cursor(const mu_loader *loader);
/* Batches of this rank left in the epoch, from where it stands; of an endless sampler, those of a whole pass. */
int64_t mu_loader_remaining(const mu_loader *loader);

/* One batch as `next` would give it first (epoch 0), without disturbing anything: for shapes. *out is owned by the caller. `size` samples at
 * most; the real batch size when 0. */
MU_CHECKED mu_err mu_loader_example(mu_loader *loader, int64_t size, mu_batch_buffer **out);

typedef struct {
    int64_t batches, samples, bytes; /* given out so far */
    double wait_seconds;             /* that next waited */
    int64_t slots;                   /* batches that it holds at most */
} mu_loader_stats;
mu_loader_stats mu_loader_get_stats(const mu_loader *loader);

#endif

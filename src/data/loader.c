#include "config.h"

#include "data/loader.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

/* A batch being made, or waiting to be given. The thread of mu_loader_next fills in what is wanted and hands the slot to a thread of the
 * pool, which hands it back by `ready`. */
typedef struct {
    mu_loader *loader;
    mu_batch_buffer *buffer;
    void *room; /* of options.memory, lent to the buffer */
    size_t room_bytes;
    mu_sample sample;
    int64_t n, *index, *pass; /* wanted */
    bool ready;               /* under the lock */
    mu_err err;
    mu_error error;
} slot;

typedef struct {
    const mu_cfg *dataset, *sampler, *collate;
    int64_t batch_size, num_workers, prefetch_factor;
    bool drop_last, persistent_workers, pin_memory;
} settings;

struct mu_loader {
    settings set;
    mu_loader_options options;
    mu_cfg *default_sampler, *default_collate; /* owned; NULL where the config names one */
    mu_dataset *dataset;
    mu_sampler *sampler;
    void *collate;
    bool whole_rows; /* batches are read without samples between */
    mu_tensors row;  /* then: names and types of one sample */

    mu_pool *pool;
    pthread_mutex_t lock;
    pthread_cond_t some_ready;
    atomic_bool cancelled;

    slot *slot; /* a ring: `filled` slots from `head` on, of which the first `given` are given out */
    int64_t n_slots, head, filled, given;
    size_t room_bytes; /* what the largest batch so far takes of a slot's room */
    bool started;
    int64_t asked, used; /* samples of this rank since the stream was taken up: asked of the sampler, given out */
    mu_loader_stats stats;
};

const mu_option mu_loader_keys[] = {
    MU_OPTION(settings, dataset, MU_OPT_COMPONENT, .required = true, .component_kind = "dataset", .help = "what is read"),
    MU_OPTION(settings, batch_size, MU_OPT_INT, .required = true, .bounded_below = true, .min = 1, .unit = "samples",
              .help = "of one rank"),
    MU_OPTION(settings, num_workers, MU_OPT_INT, .bounded_below = true, .bounded_above = true, .max = 1024,
              .help = "loader threads of one rank; 0 reads in the training thread"),
    MU_OPTION(settings, sampler, MU_OPT_COMPONENT, .nullable = true, .component_kind = "sampler",
              .text_default = "DefaultSampler", .help = "the order; by default DefaultSampler, shuffling for training only"),
    {"collate_fn", MU_OPT_COMPONENT, offsetof(settings, collate), .nullable = true, .component_kind = "collate",
     .text_default = "default_collate", .help = "makes a batch of samples"},
    MU_OPTION(settings, drop_last, MU_OPT_BOOL, .help = "leave out a last batch that is not full"),
    MU_OPTION(settings, prefetch_factor, MU_OPT_INT, .int_default = 2, .nullable = true, .bounded_below = true, .min = 1,
              .bounded_above = true, .max = 1024, .help = "batches ahead of each thread"),
    MU_OPTION(settings, persistent_workers, MU_OPT_BOOL, .help = "accepted, without effect: threads always stay"),
    MU_OPTION(settings, pin_memory, MU_OPT_BOOL, .help = "accepted, without effect: batches for a device always are"),
    MU_OPTION_END,
};

/* {type: NAME}, with shuffle unless that is negative. */
static mu_err make_cfg(const char *type, int shuffle, mu_cfg **out)
{
    const mu_pos pos = {.file = "<default>", .line = 1, .column = 1};
    mu_cfg *dict, *value;
    mu_err err;
    MU_TRY(mu_cfg_new_dict(pos, &dict));
    MU_TRY_GOTO(err, mu_cfg_new_string(type, strlen(type), pos, &value), fail);
    MU_TRY_GOTO(err, mu_cfg_set(dict, "type", pos, value), fail);
    if (shuffle >= 0) {
        MU_TRY_GOTO(err, mu_cfg_new_bool(shuffle > 0, pos, &value), fail);
        MU_TRY_GOTO(err, mu_cfg_set(dict, "shuffle", pos, value), fail);
    }
    *out = dict;
    return MU_OK;
fail:
    mu_cfg_release(dict);
    return err;
}

static mu_err build_part(const char *kind, const mu_cfg *cfg, const char *path, const char *key, void *out)
{
    char *where;
    void **object = out;
    MU_TRY(mu_asprintf(&where, "%s%s%s", path, path[0] ? "." : "", key));
    mu_err err = mu_build(kind, cfg, NULL, where, object);
    mu_free(where);
    return err;
}

static mu_err make_sampler(const mu_loader *loader, const char *path, mu_sampler **out)
{
    const mu_cfg *cfg = loader->set.sampler ? loader->set.sampler : loader->default_sampler;
    const mu_loader_options *o = &loader->options;
    mu_sampler *sampler;
    MU_TRY(build_part("sampler", cfg, path, "sampler", &sampler));
    mu_err err = mu_sampler_bind(sampler, mu_dataset_length(loader->dataset), o->rank, o->world_size, o->seed);
    if (err) {
        mu_destroy(sampler);
        return err;
    }
    *out = sampler;
    return MU_OK;
}

static mu_err read_settings(mu_loader *loader, const mu_cfg *cfg, const char *path)
{
    mu_diagnostics list = {0};
    mu_err err = mu_check_keys(mu_loader_keys, cfg, path, &list);
    err = err ? err : mu_diagnostics_status(&list);
    mu_diagnostics_release(&list);
    MU_TRY(err);
    err = mu_options_parse(mu_loader_keys, cfg, path, &loader->set, &list);
    mu_diagnostics_release(&list);
    return err;
}

static mu_err build_parts(mu_loader *loader, const char *path)
{
    settings *s = &loader->set;
    if (!s->sampler)
        MU_TRY(make_cfg("DefaultSampler", loader->options.training, &loader->default_sampler));
    if (!s->collate)
        MU_TRY(make_cfg("default_collate", -1, &loader->default_collate));
    MU_TRY(build_part("collate", s->collate ? s->collate : loader->default_collate, path, "collate_fn", &loader->collate));
    return build_part("dataset", s->dataset, path, "dataset", &loader->dataset);
}

/* What all ranks find out alike. */
static mu_err check_sizes(const mu_loader *loader)
{
    int64_t n = mu_dataset_length(loader->dataset), world = loader->options.world_size;
    if (n < 1) {
        MU_FAIL(MU_ERR_CONFIG, "the dataset is empty");
        return mu_error_hint("a loader needs at least one sample; look at the dataset with: muster data info FILE");
    }
    if (n < world) {
        MU_FAIL(MU_ERR_CONFIG, "the dataset has %lld samples for %lld ranks", (long long)n, (long long)world);
        return mu_error_hint("start at most %lld ranks", (long long)n);
    }
    return MU_OK;
}

/* With the share of the rank that has least. */
static mu_err check_drop_last(const mu_loader *loader)
{
    int64_t n = mu_dataset_length(loader->dataset), world = loader->options.world_size;
    int64_t share = loader->sampler->round_up || mu_sampler_endless(loader->sampler) ? (n + world - 1) / world : n / world;
    if (!loader->set.drop_last || loader->set.batch_size <= share)
        return MU_OK;
    MU_FAIL(MU_ERR_CONFIG, "drop_last leaves nothing: batch_size is %lld, a rank has %lld of %lld samples",
            (long long)loader->set.batch_size, (long long)share, (long long)n);
    return mu_error_hint("set batch_size to at most %lld, or drop_last: false", (long long)share);
}

/* Validation and test are over when the data are: they would never be. */
static mu_err check_end(const mu_loader *loader)
{
    if (loader->options.training || !mu_sampler_endless(loader->sampler))
        return MU_OK;
    MU_FAIL(MU_ERR_CONFIG, "sampler: %s never ends, and is for training only", mu_component_of(loader->sampler)->name);
    return mu_error_hint("sampler: {type: DefaultSampler, shuffle: false} gives every sample once");
}

static int64_t largest_batch(const mu_loader *loader)
{
    int64_t share = mu_sampler_epoch_length(loader->sampler);
    return mu_sampler_endless(loader->sampler) || loader->set.batch_size < share ? loader->set.batch_size : share;
}

static mu_err make_slots(mu_loader *loader)
{
    const settings *s = &loader->set;
    int64_t ahead = s->num_workers * s->prefetch_factor;
    /* Besides those that are given out. */
    int64_t n = s->num_workers == 0 ? 0 : ahead < 2 ? 2 : ahead, size = largest_batch(loader);
    n += loader->options.keep;
    MU_TRY(mu_calloc(&loader->slot, (size_t)n, sizeof *loader->slot));
    loader->n_slots = loader->stats.slots = n;
    for (int64_t i = 0; i < n; i++) {
        slot *o = &loader->slot[i];
        o->loader = loader;
        MU_TRY(mu_batch_buffer_new(&o->buffer));
        MU_TRY(mu_calloc(&o->index, (size_t)size, sizeof *o->index));
        MU_TRY(mu_calloc(&o->pass, (size_t)size, sizeof *o->pass));
    }
    return mu_pool_new((int)s->num_workers, (int)n, &loader->pool);
}

static mu_err set_up(mu_loader *loader, const mu_cfg *cfg, const char *path)
{
    MU_TRY(read_settings(loader, cfg, path));
    MU_TRY(build_parts(loader, path));
    mu_err err = check_sizes(loader);
    err = err ? err : make_sampler(loader, path, &loader->sampler);
    err = err ? err : check_end(loader);
    err = err ? err : check_drop_last(loader);
    if (err) {
        mu_error_context("%s (%s:%d:%d)", path, mu_cfg_pos(cfg).file, mu_cfg_pos(cfg).line, mu_cfg_pos(cfg).column);
        return err;
    }
    const mu_collate_ops *collate = mu_component_of(loader->collate)->ops;
    loader->whole_rows = collate->stacks && mu_dataset_types(loader->dataset, &loader->row);
    return make_slots(loader);
}

mu_err mu_loader_new(const mu_cfg *cfg, const char *path, const mu_loader_options *options, mu_loader **out)
{
    mu_loader *loader;
    if (options->world_size < 1 || options->rank < 0 || options->rank >= options->world_size)
        return MU_FAIL(MU_ERR_USAGE, "rank %d of %d ranks does not exist", options->rank, options->world_size);
    MU_TRY(mu_calloc(&loader, 1, sizeof *loader));
    loader->options = *options;
    loader->options.keep = options->keep > 1 ? options->keep : 1;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->some_ready, NULL);
    mu_err err = set_up(loader, cfg, path);
    if (err) {
        mu_loader_release(loader);
        return err;
    }
    *out = loader;
    return MU_OK;
}

/* Waits until no thread makes a batch any more, and drops what was made. */
static void stop(mu_loader *loader)
{
    atomic_store(&loader->cancelled, true);
    mu_err err = loader->pool ? mu_pool_wait(loader->pool) : MU_OK;
    (void)err; /* jobs do not fail */
    atomic_store(&loader->cancelled, false);
    loader->filled = loader->given; /* may still be read */
}

static void release_room(const mu_loader *loader, slot *o)
{
    mu_batch_buffer_lend(o->buffer, NULL, 0);
    if (o->room)
        loader->options.memory.dealloc(loader->options.memory.user, o->room);
    o->room = NULL;
    o->room_bytes = 0;
}

void mu_loader_release(mu_loader *loader)
{
    if (!loader)
        return;
    stop(loader);
    mu_pool_release(loader->pool);
    for (int64_t i = 0; i < loader->n_slots; i++) {
        if (loader->slot[i].room)
            release_room(loader, &loader->slot[i]);
        mu_batch_buffer_release(loader->slot[i].buffer);
        mu_sample_release(&loader->slot[i].sample);
        mu_free(loader->slot[i].index);
        mu_free(loader->slot[i].pass);
    }
    mu_free(loader->slot);
    pthread_cond_destroy(&loader->some_ready);
    pthread_mutex_destroy(&loader->lock);
    mu_destroy(loader->sampler);
    mu_destroy(loader->dataset);
    mu_destroy(loader->collate);
    mu_cfg_release(loader->default_sampler);
    mu_cfg_release(loader->default_collate);
    mu_free(loader);
}

mu_dataset *mu_loader_dataset(const mu_loader *loader)
{
    return loader->dataset;
}

mu_sampler *mu_loader_sampler(const mu_loader *loader)
{
    return loader->sampler;
}

int64_t mu_loader_batch_size(const mu_loader *loader)
{
    return loader->set.batch_size;
}

static int64_t batches_of(const mu_loader *loader, int64_t samples)
{
    int64_t size = loader->set.batch_size;
    return samples / size + (!loader->set.drop_last && samples % size);
}

int64_t mu_loader_length(const mu_loader *loader)
{
    return batches_of(loader, mu_sampler_epoch_length(loader->sampler));
}

int64_t mu_loader_remaining(const mu_loader *loader)
{
    if (mu_sampler_endless(loader->sampler))
        return mu_loader_length(loader);
    return batches_of(loader, mu_sampler_length(loader->sampler) - loader->used);
}

mu_cursor mu_loader_cursor(const mu_loader *loader)
{
    return mu_sampler_cursor(loader->sampler, loader->used);
}

mu_err mu_loader_seek(mu_loader *loader, mu_cursor cursor)
{
    stop(loader);
    MU_TRY(mu_sampler_seek(loader->sampler, cursor));
    loader->asked = loader->used = 0;
    loader->started = true;
    return MU_OK;
}

mu_err mu_loader_start(mu_loader *loader, int64_t epoch)
{
    mu_cursor cursor = {.epoch = epoch};
    if (mu_sampler_endless(loader->sampler)) {
        if (loader->asked == loader->used) { /* nothing to draw again */
            stop(loader);
            mu_sampler_set_epoch(loader->sampler, epoch);
            loader->started = true;
            return MU_OK;
        }
        cursor.position = mu_loader_cursor(loader).position;
    }
    return mu_loader_seek(loader, cursor);
}

/* All rows at once. */
static mu_err read_rows(const mu_loader *loader, const slot *o)
{
    mu_tensors rows = loader->row;
    MU_TRY(mu_batch_buffer_begin(o->buffer, o->n));
    for (int i = 0; i < rows.n; i++)
        MU_TRY(mu_batch_buffer_field(o->buffer, rows.item[i].name, &rows.item[i].type, &rows.item[i].data));
    MU_TRY(mu_dataset_read_rows(loader->dataset, o->index, o->n, &rows));
    memcpy(mu_batch_buffer_index(o->buffer), o->index, (size_t)o->n * sizeof *o->index);
    return MU_OK;
}

static mu_err read_samples(mu_loader *loader, slot *o)
{
    const mu_collate_ops *collate = mu_component_of(loader->collate)->ops;
    for (int64_t i = 0; i < o->n && !atomic_load(&loader->cancelled); i++) {
        MU_TRY(mu_dataset_get(loader->dataset, o->index[i], &o->sample, loader->options.seed, o->pass[i]));
        MU_TRY(collate->add(loader->collate, o->buffer, i, o->n, &o->sample));
    }
    return MU_OK;
}

static mu_err make_batch(mu_loader *loader, slot *o)
{
    MU_TRY(loader->whole_rows ? read_rows(loader, o) : read_samples(loader, o));
    mu_batch *batch = mu_batch_buffer_batch(o->buffer);
    batch->first = loader->options.rank;
    batch->stride = loader->options.world_size;
    return MU_OK;
}

/* In a thread of the pool. A failure stays in the slot: it belongs to this batch alone. */
static mu_err run_slot(void *user)
{
    slot *o = user;
    mu_loader *loader = o->loader;
    if (atomic_load(&loader->cancelled))
        return MU_OK;
    o->err = make_batch(loader, o);
    if (o->err)
        o->error = *mu_error_last();
    pthread_mutex_lock(&loader->lock);
    o->ready = true;
    pthread_cond_signal(&loader->some_ready);
    pthread_mutex_unlock(&loader->lock);
    return MU_OK;
}

/* Asks the sampler for a batch; its size, 0 at the end. */
static int64_t draw(mu_sampler *sampler, int64_t size, int64_t *index, int64_t *pass)
{
    int64_t n = 0;
    while (n < size && mu_sampler_next(sampler, &index[n]))
        pass[n++] = mu_sampler_pass(sampler);
    return n;
}

/* In the thread of the loader's caller, who may have a device: the threads of the pool know nothing of it. A slot grows when a larger batch has been seen. */
static void make_room(mu_loader *loader, slot *o)
{
    const mu_loader_memory *memory = &loader->options.memory;
    void *room;
    if (!memory->alloc || loader->room_bytes <= o->room_bytes)
        return;
    release_room(loader, o);
    if (memory->alloc(memory->user, loader->room_bytes, &room) == MU_OK) {
        o->room = room;
        o->room_bytes = loader->room_bytes;
        mu_batch_buffer_lend(o->buffer, room, o->room_bytes);
        return;
    }
    MU_WARN("data", "%zu bytes for a batch cannot be had where the device copies from, batches are copied once more: %s", loader->room_bytes,
            mu_error_last()->message);
    mu_error_clear();
    loader->options.memory.alloc = NULL;
}

static void note_room(mu_loader *loader, const mu_batch *batch)
{
    size_t bytes = mu_batch_room(batch);
    loader->room_bytes = bytes > loader->room_bytes ? bytes : loader->room_bytes;
}

/* Sets the threads to work on all slots that are free; without threads one batch is made, and no other before it is given. */
static mu_err fill(mu_loader *loader)
{
    int64_t most = loader->n_slots - loader->options.keep + 1;
    while (loader->filled - loader->given < most) {
        slot *o = &loader->slot[(loader->head + loader->filled) % loader->n_slots];
        o->n = draw(loader->sampler, largest_batch(loader), o->index, o->pass);
        loader->asked += o->n;
        if (o->n == 0 || (loader->set.drop_last && o->n < loader->set.batch_size))
            return MU_OK;
        make_room(loader, o);
        o->ready = false;
        loader->filled++;
        MU_TRY(mu_pool_submit(loader->pool, run_slot, o));
    }
    return MU_OK;
}

static void wait_for(mu_loader *loader, const slot *o)
{
    double begun = mu_clock();
    pthread_mutex_lock(&loader->lock);
    while (!o->ready)
        pthread_cond_wait(&loader->some_ready, &loader->lock);
    pthread_mutex_unlock(&loader->lock);
    loader->stats.wait_seconds += mu_clock() - begun;
}

static void count(mu_loader *loader, const mu_batch *batch)
{
    loader->stats.batches++;
    loader->stats.samples += batch->size;
    for (int i = 0; i < batch->fields.n; i++)
        loader->stats.bytes += (int64_t)mu_type_bytes(&batch->fields.item[i].type);
}

mu_err mu_loader_next(mu_loader *loader, const mu_batch **out)
{
    if (!loader->started)
        return MU_FAIL(MU_ERR_USAGE, "the loader was not started");
    if (loader->given == loader->options.keep) {
        loader->head = (loader->head + 1) % loader->n_slots;
        loader->filled--;
        loader->given--;
    }
    MU_TRY(fill(loader));
    if (loader->filled == loader->given) {
        *out = NULL;
        return MU_OK;
    }
    slot *o = &loader->slot[(loader->head + loader->given) % loader->n_slots];
    wait_for(loader, o);
    if (o->err) /* the slot stays: it is told again */
        return mu_error_restore(&o->error);
    const mu_batch *batch = mu_batch_buffer_batch(o->buffer);
    loader->given++;
    loader->used += batch->size;
    note_room(loader, batch);
    count(loader, batch);
    *out = batch;
    return MU_OK;
}

mu_err mu_loader_example(mu_loader *loader, int64_t size, mu_batch_buffer **out)
{
    int64_t n = largest_batch(loader);
    n = size > 0 && size < n ? size : n;
    slot o = {.loader = loader};
    mu_sampler *sampler = NULL;
    mu_err err;
    MU_TRY_GOTO(err, make_sampler(loader, "", &sampler), done);
    MU_TRY_GOTO(err, mu_batch_buffer_new(&o.buffer), done);
    MU_TRY_GOTO(err, mu_calloc(&o.index, (size_t)n, sizeof *o.index), done);
    MU_TRY_GOTO(err, mu_calloc(&o.pass, (size_t)n, sizeof *o.pass), done);
    o.n = draw(sampler, n, o.index, o.pass);
    MU_TRY_GOTO(err, make_batch(loader, &o), done);
    if (n == largest_batch(loader))
        note_room(loader, mu_batch_buffer_batch(o.buffer));
    *out = o.buffer;
    o.buffer = NULL;
done:
    mu_batch_buffer_release(o.buffer);
    mu_sample_release(&o.sample);
    mu_free(o.index);
    mu_free(o.pass);
    mu_destroy(sampler);
    return err;
}

mu_loader_stats mu_loader_get_stats(const mu_loader *loader)
{
    return loader->stats;
}

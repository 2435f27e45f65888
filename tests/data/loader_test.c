#include "core/log.h"
#include "data/loader.h"

#include <pthread.h>

#include "toy_set.h"

enum { N = 53 };

static mu_config *config;

static void setup(void)
{
    toy_register();
}

static void teardown(void)
{
    mu_registry_reset();
}

static const mu_cfg *parse(const char *yaml)
{
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &config));
    return mu_config_root(config);
}

static mu_loader *open_loader(const char *yaml, int rank, int world)
{
    mu_loader *loader;
    ck_ok(mu_loader_new(parse(yaml), "train_dataloader",
                        &(mu_loader_options){.rank = rank, .world_size = world, .seed = 7, .training = true}, &loader));
    return loader;
}

static void close_loader(mu_loader *loader)
{
    mu_loader_release(loader);
    mu_config_release(config);
}

static mu_err fails_to_open(const char *yaml, int rank, int world)
{
    mu_loader *loader;
    mu_err err = mu_loader_new(parse(yaml), "train_dataloader",
                               &(mu_loader_options){.rank = rank, .world_size = world, .training = true}, &loader);
    ck_assert_int_ne(err, MU_OK);
    mu_config_release(config);
    return err;
}

/* The samples that came, in order. */
typedef struct {
    int64_t n, batches, index[4 * N], number[4 * N];
    double draw[4 * N];
} record;

static void check_batch(const mu_batch *batch, record *r)
{
    const mu_tensor *img = mu_tensors_find(&batch->fields, "img"), *label = mu_tensors_find(&batch->fields, "gt_label");
    const mu_tensor *draw = mu_tensors_find(&batch->fields, "draw");
    const mu_type image = MU_TYPE(MU_U8, batch->size, 2, 3, 2), one = MU_TYPE(MU_I64, batch->size);
    ck_assert(mu_type_equal(&img->type, &image) && mu_type_equal(&label->type, &one));
    for (int64_t i = 0; i < batch->size; i++) {
        for (int64_t k = 0; k < 12; k++)
            ck_assert_int_eq(((uint8_t *)img->data)[i * 12 + k], toy_pixel(batch->index[i], k));
        ck_assert_int_eq(((int64_t *)label->data)[i], batch->index[i] % 10);
        ck_assert_int_lt(r->n, 4 * N);
        r->index[r->n] = batch->index[i];
        r->number[r->n] = batch->first + i * batch->stride;
        r->draw[r->n++] = ((double *)draw->data)[i];
    }
    r->batches++;
}

/* Takes `most` batches, or what is left. */
static void take(mu_loader *loader, int64_t most, record *r)
{
    const mu_batch *batch;
    for (int64_t i = 0; i < most; i++) {
        ck_ok(mu_loader_next(loader, &batch));
        if (!batch)
            return;
        check_batch(batch, r);
    }
}

static void same_record(const record *a, const record *b)
{
    ck_assert_int_eq(a->n, b->n);
    ck_assert_int_eq(a->batches, b->batches);
    ck_assert_mem_eq(a->index, b->index, (size_t)a->n * sizeof *a->index);
    ck_assert_mem_eq(a->draw, b->draw, (size_t)a->n * sizeof *a->draw);
}

static const char *with_threads(int threads, const char *more)
{
    static char yaml[256];
    snprintf(yaml, sizeof yaml, "{dataset: {type: ToySet, n: %d}, batch_size: 4, num_workers: %d%s}", N, threads, more);
    return yaml;
}

/* Order, contents and random numbers, over two epochs and from the middle of one. */
START_TEST(threads_do_not_matter)
{
    static const int threads[] = {0, 1, 4};
    record first = {0};
    for (int k = 0; k < 3; k++) {
        mu_loader *loader = open_loader(with_threads(threads[k], ", prefetch_factor: 3"), 0, 1);
        record r = {0};
        for (int epoch = 0; epoch < 2; epoch++) {
            ck_ok(mu_loader_start(loader, epoch));
            take(loader, 5, &r);
            ck_ok(mu_loader_start(loader, epoch)); /* from the beginning again */
            ck_assert_int_eq(mu_loader_remaining(loader), 14);
            take(loader, 100, &r);
            ck_assert_int_eq(mu_loader_remaining(loader), 0);
        }
        ck_assert_int_eq(r.batches, 2 * (5 + 14));
        ck_assert_int_eq(mu_loader_get_stats(loader).batches, r.batches);
        ck_assert_int_eq(mu_loader_get_stats(loader).samples, r.n);
        ck_assert_int_eq(mu_loader_get_stats(loader).bytes, r.n * (12 + 8 + 8));
        ck_assert_int_eq(memcmp(r.index, r.index + 20, 20 * sizeof *r.index), 0);
        ck_assert_int_ne(memcmp(r.index, r.index + 20 + N, 20 * sizeof *r.index), 0); /* epochs differ */
        if (k == 0)
            first = r;
        same_record(&first, &r);
        close_loader(loader);
    }
}
END_TEST

/* The ranks' batches together are those of one rank with the global batch; so are the random numbers. */
START_TEST(ranks_share_the_global_batch)
{
    record one = {0};
    mu_loader *loader = open_loader("{dataset: {type: ToySet, n: 53}, batch_size: 12}", 0, 1);
    ck_ok(mu_loader_start(loader, 3));
    take(loader, 100, &one);
    close_loader(loader);
    for (int rank = 0; rank < 3; rank++) {
        record r = {0};
        loader = open_loader("{dataset: {type: ToySet, n: 53}, batch_size: 4, num_workers: 1}", rank, 3);
        ck_assert_int_eq(mu_loader_length(loader), 5);
        ck_ok(mu_loader_start(loader, 3));
        take(loader, 100, &r);
        ck_assert_int_eq(r.n, 18);
        for (int64_t i = 0; i < r.n; i++) {
            int64_t at = i / 4 * 12 + r.number[i];
            if (at >= N)
                continue; /* padding of round_up */
            ck_assert_int_eq(r.index[i], one.index[at]);
            ck_assert(r.draw[i] == one.draw[at]);
        }
        close_loader(loader);
    }
}
END_TEST

static void resume(int world, int64_t batches, int world_after, const char *sampler)
{
    int seen[N] = {0};
    int64_t total = 0;
    mu_cursor cursor = {0};
    char yaml[256];
    snprintf(yaml, sizeof yaml, "{dataset: {type: ToySet, n: %d}, batch_size: 3, num_workers: 2, sampler: {type: %s}}", N, sampler);
    for (int after = 0; after < 2; after++)
        for (int rank = 0; rank < (after ? world_after : world); rank++) {
            record r = {0};
            mu_loader *loader = open_loader(yaml, rank, after ? world_after : world);
            if (after)
                ck_ok(mu_loader_seek(loader, cursor));
            else
                ck_ok(mu_loader_start(loader, 2));
            take(loader, after ? 100 : batches, &r);
            for (int64_t i = 0; i < r.n; i++)
                seen[r.index[i]]++;
            total += r.n;
            if (!after && rank == 0) {
                cursor = mu_loader_cursor(loader);
                ck_assert_int_eq(cursor.epoch, 2);
                ck_assert_int_eq(cursor.position, batches * 3 * world); /* not what was prefetched */
            }
            close_loader(loader);
        }
    for (int i = 0; i < N; i++)
        ck_assert_int_ge(seen[i], 1);
    ck_assert_int_lt(total, N + world_after); /* round_up pads the last round only */
}

START_TEST(cursor_at_other_world_sizes)
{
    for (int after = 1; after <= 4; after++) {
        resume(1, 7, after, "DefaultSampler");
        resume(2, 4, after, "DefaultSampler");
        resume(3, 5, after, "DefaultSampler, shuffle: false");
    }
}
END_TEST

/* Passes of an InfiniteSampler differ in order and in random numbers, a seek goes on exactly, and a new epoch goes on. */
START_TEST(endless)
{
    record all = {0}, part = {0};
    mu_loader *loader = open_loader(with_threads(1, ", sampler: {type: InfiniteSampler, shuffle: false}"), 0, 1);
    ck_ok(mu_loader_start(loader, 0));
    ck_assert_int_eq(mu_loader_length(loader), 14);
    take(loader, 30, &all);
    ck_assert_int_eq(all.batches, 30);
    for (int64_t i = 0; i + N < all.n; i++) {
        ck_assert_int_eq(all.index[i], all.index[i + N]);
        ck_assert(all.draw[i] != all.draw[i + N]);
    }
    close_loader(loader);
    loader = open_loader(with_threads(2, ", sampler: {type: InfiniteSampler, shuffle: false}"), 0, 1);
    ck_ok(mu_loader_start(loader, 0));
    take(loader, 3, &part);
    ck_ok(mu_loader_start(loader, 1));
    take(loader, 13, &part);
    mu_cursor cursor = mu_loader_cursor(loader);
    ck_assert_int_eq(cursor.position, 64);
    close_loader(loader);
    loader = open_loader(with_threads(0, ", sampler: {type: InfiniteSampler, shuffle: false}"), 0, 1);
    ck_ok(mu_loader_seek(loader, cursor));
    take(loader, 14, &part);
    same_record(&all, &part);
    close_loader(loader);
}
END_TEST

START_TEST(short_batches)
{
    record r = {0};
    mu_loader *loader = open_loader(with_threads(1, ", drop_last: true"), 0, 1);
    ck_assert_int_eq(mu_loader_length(loader), 13);
    ck_ok(mu_loader_start(loader, 0));
    take(loader, 100, &r);
    ck_assert_int_eq(r.n, 52);
    ck_assert_int_eq(mu_loader_remaining(loader), 0);
    close_loader(loader);
    r = (record){0};
    loader = open_loader("{dataset: {type: ToySet, n: 53, indices: 5}, batch_size: 64}", 0, 1);
    ck_assert_int_eq(mu_loader_length(loader), 1);
    ck_ok(mu_loader_start(loader, 0));
    take(loader, 100, &r);
    ck_assert_int_eq(r.n, 5);
    close_loader(loader);
}
END_TEST

/* The order is that of the dataset unless the loader is for training. */
START_TEST(default_sampler)
{
    for (int training = 0; training < 2; training++) {
        mu_loader *loader;
        const mu_batch *batch;
        bool ordered = true;
        ck_ok(mu_loader_new(parse("{dataset: {type: ToySet, n: 53}, batch_size: 53}"), "x",
                            &(mu_loader_options){.world_size = 1, .training = training}, &loader));
        ck_ok(mu_loader_start(loader, 0));
        ck_ok(mu_loader_next(loader, &batch));
        for (int64_t i = 0; i < N; i++)
            ordered = ordered && batch->index[i] == i;
        ck_assert_int_eq(ordered, !training);
        close_loader(loader);
    }
}
END_TEST

START_TEST(errors_come_at_their_batch)
{
    for (int threads = 0; threads < 3; threads++) {
        char yaml[256];
        const mu_batch *batch;
        record r = {0};
        snprintf(yaml, sizeof yaml,
                 "{dataset: {type: ToySet, n: 53, bad: [22, 30], broken: [40]}, batch_size: 4, num_workers: %d, "
                 "sampler: {type: DefaultSampler, shuffle: false}}", threads);
        mu_loader *loader = open_loader(yaml, 0, 1);
        ck_ok(mu_loader_start(loader, 0));
        take(loader, 5, &r);
        ck_assert_int_eq(r.n, 20);
        for (int again = 0; again < 2; again++)
            ck_fails(mu_loader_next(loader, &batch), MU_ERR_FORMAT, "ToySet, sample 22: not an image");
        ck_assert_int_eq(mu_loader_cursor(loader).position, 20);
        ck_ok(mu_loader_seek(loader, (mu_cursor){.position = 36}));
        take(loader, 1, &r);
        ck_fails(mu_loader_next(loader, &batch), MU_ERR_IO, "ToySet, sample 40: no such disk");
        ck_ok(mu_loader_start(loader, 1));
        take(loader, 5, &r);
        close_loader(loader);
    }
}
END_TEST

START_TEST(corrupt_samples_are_replaced)
{
    for (int threads = 0; threads < 3; threads++) {
        char yaml[256];
        const mu_batch *batch;
        snprintf(yaml, sizeof yaml,
                 "{dataset: {type: ToySet, n: 6, bad: [1, 2, 5], on_corrupt: skip}, batch_size: 6, num_workers: %d, "
                 "sampler: {type: DefaultSampler, shuffle: false}}", threads);
        mu_loader *loader = open_loader(yaml, 0, 1);
        for (int epoch = 0; epoch < 2; epoch++) {
            static const int64_t wanted[] = {0, 3, 3, 3, 4, 0};
            ck_ok(mu_loader_start(loader, epoch));
            ck_ok(mu_loader_next(loader, &batch));
            ck_assert_mem_eq(batch->index, wanted, sizeof wanted);
            ck_assert_int_eq(*(uint8_t *)batch->fields.item[0].data, toy_pixel(0, 0));
        }
        ck_assert_int_eq(mu_loader_dataset(loader)->n_corrupt, 3); /* each once */
        close_loader(loader);
    }
    const mu_batch *batch;
    mu_loader *loader = open_loader("{dataset: {type: ToySet, n: 2, bad: [0, 1], on_corrupt: skip}, batch_size: 1}", 0, 1);
    ck_ok(mu_loader_start(loader, 0));
    ck_fails(mu_loader_next(loader, &batch), MU_ERR_FORMAT, "ToySet, 2 samples: no sample can be read");
    close_loader(loader);
}
END_TEST

/* Many of them, one after the other, take the memory of one. */
START_TEST(corrupt_samples_take_no_memory)
{
    enum { BAD = 900 };
    char yaml[8 * BAD];
    mu_sample sample = {0};
    int n = snprintf(yaml, sizeof yaml, "{dataset: {type: ToySet, n: %d, on_corrupt: skip, bad: [0", BAD + 1);
    for (int i = 1; i < BAD; i++)
        n += snprintf(yaml + n, sizeof yaml - (size_t)n, ", %d", i);
    snprintf(yaml + n, sizeof yaml - (size_t)n, "]}, batch_size: 1}");
    mu_loader *loader = open_loader(yaml, 0, 1);
    int64_t before = mu_mem_get_counts().live_bytes;
    ck_ok(mu_dataset_get(mu_loader_dataset(loader), 0, &sample, 7, 0));
    ck_assert_int_eq(sample.index, BAD);
    ck_assert_int_le(mu_mem_get_counts().live_bytes - before, 8192);
    mu_sample_release(&sample);
    close_loader(loader);
}
END_TEST

START_TEST(wrong_settings)
{
    ck_assert_int_eq(fails_to_open("{dataset: {type: ToySet, n: 0}, batch_size: 4}", 0, 1), MU_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(test_error_text(), "train_dataloader (<string>:1:1): the dataset is empty"));
    ck_assert_int_eq(fails_to_open("{dataset: {type: ToySet, n: 3}, batch_size: 4}", 0, 4), MU_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(test_error_text(), "3 samples for 4 ranks"));
    ck_assert_int_eq(fails_to_open("{dataset: {type: ToySet, n: 9}, batch_size: 4, drop_last: true, "
                                   "sampler: {type: DefaultSampler, round_up: false}}", 0, 3), MU_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(test_error_text(), "batch_size is 4, a rank has 3 of 9 samples"));
    ck_assert_int_eq(fails_to_open("{dataset: {type: ToySet, n: 9}, batch_size: 0, workers: 3}", 0, 1), MU_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(test_error_text(), "train_dataloader.batch_size"));
    ck_assert_ptr_nonnull(strstr(test_error_text(), "train_dataloader.workers"));
    ck_assert_int_eq(fails_to_open("{dataset: {type: Toyset, n: 9}, batch_size: 1}", 0, 1), MU_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(test_error_text(), "ToySet"));
    ck_assert_int_eq(fails_to_open("{dataset: {type: ToySet, n: 9}, batch_size: 1}", 2, 2), MU_ERR_USAGE);
    const mu_batch *batch;
    mu_loader *loader;
    ck_fails(mu_loader_new(parse("{dataset: {type: ToySet, n: 9}, batch_size: 1, sampler: {type: InfiniteSampler}}"), "val_dataloader",
                           &(mu_loader_options){.world_size = 1}, &loader),
             MU_ERR_CONFIG, "val_dataloader (<string>:1:1): sampler: InfiniteSampler never ends");
    mu_config_release(config);
    loader = open_loader(with_threads(1, ""), 0, 1);
    ck_fails(mu_loader_next(loader, &batch), MU_ERR_USAGE, "not started");
    ck_fails(mu_loader_seek(loader, (mu_cursor){.position = 54}), MU_ERR_CONFIG, "cannot go on");
    close_loader(loader);
}
END_TEST

/* Threads end at any time, and never run further ahead than the ring allows. */
START_TEST(back_pressure_and_shutdown)
{
    for (int batches = 0; batches < 6; batches++) {
        record r = {0};
        mu_loader *loader = open_loader(with_threads(2, ", prefetch_factor: 2"), 0, 1);
        toy_set *set = (toy_set *)mu_loader_dataset(loader);
        ck_ok(mu_loader_start(loader, 0));
        for (int i = 0; i < batches; i++) {
            take(loader, 1, &r);
            ck_assert_int_le(__atomic_load_n(&set->reads, __ATOMIC_RELAXED), 4 * (i + 5));
        }
        close_loader(loader);
    }
}
END_TEST

START_TEST(steady_state_allocates_nothing)
{
    for (int threads = 0; threads < 3; threads++) {
        record r = {0};
        mu_loader *loader = open_loader(with_threads(threads, ""), 0, 1);
        ck_ok(mu_loader_start(loader, 0));
        take(loader, 100, &r);
        int64_t before = mu_mem_get_counts().total_blocks;
        ck_ok(mu_loader_start(loader, 1));
        take(loader, 100, &r);
        ck_assert_int_eq(mu_mem_get_counts().total_blocks, before);
        ck_assert_int_eq(r.n, 2 * N);
        close_loader(loader);
    }
}
END_TEST

START_TEST(example_disturbs_nothing)
{
    record first = {0}, r = {0};
    mu_batch_buffer *buffer;
    mu_loader *loader = open_loader(with_threads(1, ""), 0, 1);
    ck_ok(mu_loader_example(loader, 0, &buffer));
    check_batch(mu_batch_buffer_batch(buffer), &first);
    mu_batch_buffer_release(buffer);
    ck_ok(mu_loader_start(loader, 0));
    take(loader, 1, &r);
    same_record(&first, &r);
    ck_ok(mu_loader_example(loader, 2, &buffer));
    ck_assert_int_eq(mu_batch_buffer_batch(buffer)->size, 2);
    ck_assert_mem_eq(mu_batch_buffer_batch(buffer)->index, first.index, 2 * sizeof *first.index);
    mu_batch_buffer_release(buffer);
    take(loader, 100, &r);
    ck_assert_int_eq(r.n, N);
    close_loader(loader);
}
END_TEST

/* ---- batches that stay, and memory of the caller's ---- */

/* All bytes of a batch, field after field. */
typedef struct {
    int64_t size;
    size_t bytes;
    char data[4096];
} image;

static image image_of(const mu_batch *batch)
{
    image im = {.size = batch->size};
    for (int i = 0; i < batch->fields.n; i++) {
        size_t bytes = mu_type_bytes(&batch->fields.item[i].type);
        ck_assert_uint_le(im.bytes + bytes, sizeof im.data);
        memcpy(im.data + im.bytes, batch->fields.item[i].data, bytes);
        im.bytes += bytes;
    }
    return im;
}

static void same_image(const mu_batch *batch, const image *was)
{
    image is = image_of(batch);
    ck_assert_int_eq(is.size, was->size);
    ck_assert_uint_eq(is.bytes, was->bytes);
    ck_assert_mem_eq(is.data, was->data, is.bytes);
}

/* Blocks that are out, and what the allocator was asked for. */
typedef struct {
    pthread_t thread; /* the only one that may ask */
    int n, out, fail_at, failures;
    size_t largest;
} memory;

static mu_err memory_alloc(void *user, size_t bytes, void **out)
{
    memory *m = user;
    ck_assert(pthread_equal(m->thread, pthread_self()));
    if (++m->n == m->fail_at) {
        m->failures++;
        return MU_FAIL(MU_ERR_MEMORY, "none of that kind");
    }
    MU_TRY(mu_alloc(out, bytes));
    m->largest = bytes > m->largest ? bytes : m->largest;
    m->out++;
    return MU_OK;
}

static void memory_dealloc(void *user, void *block)
{
    memory *m = user;
    ck_assert(pthread_equal(m->thread, pthread_self()));
    ck_assert_ptr_nonnull(block);
    m->out--;
    mu_free(block);
}

static mu_loader *open_with(const char *yaml, int keep, memory *m)
{
    mu_loader *loader;
    mu_loader_options options = {.world_size = 1, .seed = 7, .training = true, .keep = keep};
    if (m) {
        m->thread = pthread_self();
        options.memory = (mu_loader_memory){.alloc = memory_alloc, .dealloc = memory_dealloc, .user = m};
    }
    ck_ok(mu_loader_new(parse(yaml), "train_dataloader", &options, &loader));
    return loader;
}

/* The last `keep` batches are as they were when they came, also when an epoch begins anew in between. */
START_TEST(batches_stay)
{
    for (int threads = 0; threads < 3; threads++)
        for (int keep = 1; keep <= 3; keep++) {
            const mu_batch *last[3] = {0};
            image was[3];
            int64_t n = 0, slots;
            record r = {0}, alone = {0};
            mu_loader *loader = open_with(with_threads(threads, ""), keep, NULL);
            slots = mu_loader_get_stats(loader).slots;
            for (int epoch = 0; epoch < 3; epoch++) {
                ck_ok(mu_loader_start(loader, 0));
                for (int64_t i = 0; i < (epoch == 1 ? 2 : 100); i++) {
                    const mu_batch *batch;
                    ck_ok(mu_loader_next(loader, &batch));
                    for (int64_t k = 1; k < keep && k <= n; k++)
                        same_image(last[(n - k) % 3], &was[(n - k) % 3]);
                    if (!batch)
                        break;
                    check_batch(batch, &r);
                    last[n % 3] = batch;
                    was[n % 3] = image_of(batch);
                    n++;
                }
            }
            ck_assert_int_eq(r.batches, 14 + 2 + 14);
            close_loader(loader);
            loader = open_with(with_threads(threads, ""), 0, NULL);
            ck_assert_int_eq(mu_loader_get_stats(loader).slots, slots - (keep - 1)); /* as many ahead */
            for (int epoch = 0; epoch < 3; epoch++) {
                ck_ok(mu_loader_start(loader, 0));
                take(loader, epoch == 1 ? 2 : 100, &alone);
            }
            same_record(&alone, &r);
            close_loader(loader);
        }
}
END_TEST

/* Without threads nothing is read before it is asked for, however much is kept. */
START_TEST(keeping_does_not_read_ahead)
{
    record r = {0};
    mu_loader *loader = open_with(with_threads(0, ""), 3, NULL);
    ck_ok(mu_loader_start(loader, 0));
    for (int i = 1; i < 6; i++) {
        take(loader, 1, &r);
        ck_assert_int_eq(((toy_set *)mu_loader_dataset(loader))->reads, 4 * i);
    }
    close_loader(loader);
}
END_TEST

/* Fields of a lent batch, in their order, each on a multiple of MU_ALIGN where the one before it ends. */
static void check_lent(const mu_batch *batch)
{
    const char *at = batch->fields.item[0].data;
    ck_assert(batch->lent);
    ck_assert_uint_eq((uintptr_t)at % MU_ALIGN, 0);
    for (int i = 0; i < batch->fields.n; i++) {
        ck_assert_ptr_eq(batch->fields.item[i].data, at);
        at += mu_align_up(mu_type_bytes(&batch->fields.item[i].type));
    }
}

static const mu_batch *next(mu_loader *loader)
{
    const mu_batch *batch;
    ck_ok(mu_loader_next(loader, &batch));
    return batch;
}

/* Batches lie in the caller's memory: from the first on where an example has told how large they are, else once the slots go round again. */
START_TEST(memory_of_the_callers)
{
    for (int threads = 0; threads < 3; threads++)
        for (int example = 0; example < 2; example++) {
            memory m = {0};
            record r = {0}, plain = {0};
            mu_batch_buffer *buffer;
            const mu_batch *batch;
            mu_loader *loader = open_with(with_threads(threads, ""), 2, &m);
            int slots = (int)mu_loader_get_stats(loader).slots;
            for (int i = 0; i < 2 * example; i++) {
                ck_ok(mu_loader_example(loader, i ? 0 : 1, &buffer)); /* a smaller one does not count */
                ck_assert(!mu_batch_buffer_batch(buffer)->lent);
                mu_batch_buffer_release(buffer);
            }
            ck_assert_int_eq(m.n, 0);
            for (int epoch = 0; epoch < 2; epoch++) {
                ck_ok(mu_loader_start(loader, epoch));
                for (int i = 0; (batch = next(loader)); i++) {
                    if (example || epoch || i >= slots)
                        check_lent(batch);
                    else if (i == 0)
                        ck_assert(!batch->lent);
                    check_batch(batch, &r);
                }
            }
            ck_assert_int_eq(r.batches, 28);
            ck_assert_int_eq(m.n, slots);
            ck_assert_int_eq(m.out, slots);
            ck_assert_uint_eq(m.largest, 3 * MU_ALIGN); /* 48 bytes of images, 32 of labels, 32 of numbers */
            close_loader(loader);
            ck_assert_int_eq(m.out, 0);
            loader = open_with(with_threads(threads, ""), 0, NULL);
            for (int epoch = 0; epoch < 2; epoch++) {
                ck_ok(mu_loader_start(loader, epoch));
                take(loader, 100, &plain);
            }
            same_record(&plain, &r);
            close_loader(loader);
        }
}
END_TEST

static int n_warned;

static void count_warning(void *user, mu_log_level level, const char *room, const char *line)
{
    (void)user, (void)room;
    n_warned += level == MU_LOG_WARNING && strstr(line, "192 bytes for a batch") && strstr(line, "none of that kind");
}

/* It warns once, and goes on with what it has. */
START_TEST(no_memory_of_that_kind)
{
    mu_log_set_sink(count_warning, NULL);
    for (int fail_at = 1; fail_at <= 5; fail_at++) {
        memory m = {.fail_at = fail_at};
        record r = {0};
        mu_batch_buffer *buffer;
        const mu_batch *batch;
        int lent = 0;
        n_warned = 0;
        mu_loader *loader = open_with(with_threads(2, ""), 2, &m);
        ck_ok(mu_loader_example(loader, 0, &buffer));
        mu_batch_buffer_release(buffer);
        for (int epoch = 0; epoch < 2; epoch++) {
            ck_ok(mu_loader_start(loader, epoch));
            for (; (batch = next(loader)); lent += batch->lent)
                check_batch(batch, &r);
        }
        ck_assert_int_eq(r.batches, 28);
        ck_assert_int_eq(m.n, fail_at);
        ck_assert_int_eq(m.failures, 1);
        ck_assert_int_eq(n_warned, 1);
        ck_assert_int_eq(m.out, fail_at - 1);
        ck_assert(fail_at == 1 ? lent == 0 : lent > 0 && lent < 28);
        close_loader(loader);
        ck_assert_int_eq(m.out, 0);
    }
    mu_log_set_sink(NULL, NULL);
}
END_TEST

/* Images that grow while a batch is made do not stay in the room; all batches are what they are without one. */
START_TEST(batches_that_grow)
{
    static const char yaml[] = "{dataset: {type: ToySet, n: 53, vary: true}, batch_size: 4, num_workers: 1, collate_fn: {type: pseudo_collate}}";
    memory m = {0};
    int lent = 0, n = 0;
    static image plain[28];
    for (int with = 0; with < 2; with++) {
        mu_loader *loader = open_with(yaml, 2, with ? &m : NULL);
        const mu_batch *batch;
        n = 0;
        for (int epoch = 0; epoch < 2; epoch++) {
            ck_ok(mu_loader_start(loader, epoch));
            while ((batch = next(loader))) {
                if (!with)
                    plain[n] = image_of(batch);
                else
                    same_image(batch, &plain[n]);
                if (batch->lent)
                    check_lent(batch);
                lent += batch->lent;
                n++;
            }
        }
        ck_assert_int_eq(n, 28);
        close_loader(loader);
    }
    ck_assert(lent > 0 && lent < 28);
    ck_assert_int_eq(m.out, 0);
}
END_TEST

START_TEST(rooms_of_buffers)
{
    enum { ROOM = 4 * MU_ALIGN };
    mu_batch_buffer *buffer;
    char *room, *a, *b, *c;
    ck_ok(mu_alloc(&room, ROOM));
    ck_ok(mu_batch_buffer_new(&buffer));
    const mu_batch *batch = mu_batch_buffer_batch(buffer);
    mu_batch_buffer_lend(buffer, room, ROOM);
    ck_ok(mu_batch_buffer_begin(buffer, 3));
    ck_assert(batch->lent);
    ck_assert_uint_eq(mu_batch_room(batch), 0);
    ck_ok(mu_batch_buffer_field(buffer, "a", &MU_TYPE(MU_U8, 22), (void **)&a)); /* 66 bytes */
    ck_ok(mu_batch_buffer_field(buffer, "empty", &MU_TYPE(MU_U8, 0), (void **)&b));
    ck_ok(mu_batch_buffer_field(buffer, "b", &MU_TYPE(MU_U8, 30), (void **)&b));
    ck_assert_ptr_eq(a, room);
    ck_assert_ptr_eq(b, room + 2 * MU_ALIGN);
    ck_assert(batch->lent);
    ck_assert_uint_eq(mu_batch_room(batch), ROOM);
    memset(a, 'a', 66);
    ck_ok(mu_batch_buffer_field(buffer, "a", &MU_TYPE(MU_U8, 22), (void **)&c)); /* the same again */
    ck_assert_ptr_eq(c, a);
    ck_assert(batch->lent);
    ck_ok(mu_batch_buffer_field(buffer, "a", &MU_TYPE(MU_U8, 40), (void **)&c)); /* it grows */
    ck_assert(c < room || c >= room + ROOM);
    ck_assert(!batch->lent);
    for (int i = 0; i < 66; i++)
        ck_assert_int_eq(c[i], 'a');
    memset(c, 'c', 120);
    ck_ok(mu_batch_buffer_field(buffer, "a", &MU_TYPE(MU_U8, 50), (void **)&c));
    for (int i = 0; i < 120; i++)
        ck_assert_int_eq(c[i], 'c');
    ck_ok(mu_batch_buffer_begin(buffer, 3)); /* anew, and then too large */
    ck_assert(batch->lent);
    ck_ok(mu_batch_buffer_field(buffer, "a", &MU_TYPE(MU_U8, 80), (void **)&a));
    ck_assert(batch->lent && a == room);
    ck_ok(mu_batch_buffer_field(buffer, "b", &MU_TYPE(MU_U8, 1), (void **)&b));
    ck_assert(!batch->lent);
    mu_batch_buffer_lend(buffer, NULL, 0);
    ck_ok(mu_batch_buffer_begin(buffer, 1));
    ck_assert(!batch->lent);
    mu_batch_buffer_release(buffer);
    mu_free(room);
}
END_TEST

static mu_err open_and_take(const mu_cfg *cfg, const mu_loader_options *options)
{
    mu_loader *loader;
    mu_batch_buffer *example;
    const mu_batch *batch;
    MU_TRY(mu_loader_new(cfg, "train_dataloader", options, &loader));
    mu_err err = mu_loader_start(loader, 0);
    err = err ? err : mu_loader_next(loader, &batch);
    err = err ? err : mu_loader_next(loader, &batch);
    err = err ? err : mu_loader_example(loader, 0, &example);
    if (!err)
        mu_batch_buffer_release(example);
    mu_loader_release(loader);
    return err;
}

START_TEST(no_memory)
{
    const mu_cfg *cfg = parse(with_threads(0, ""));
    mu_loader_options options = {.world_size = 1, .training = true};
    ck_survives_oom(open_and_take(cfg, &options), (void)0);
    memory m = {.thread = pthread_self()};
    options.keep = 2;
    options.memory = (mu_loader_memory){.alloc = memory_alloc, .dealloc = memory_dealloc, .user = &m};
    mu_log_set_sink(count_warning, NULL); /* it goes on where there is none for a batch */
    int64_t live = mu_mem_get_counts().live_blocks, before = mu_mem_get_counts().total_blocks;
    ck_ok(open_and_take(cfg, &options));
    int64_t blocks = mu_mem_get_counts().total_blocks - before;
    for (int64_t n = 1; n <= blocks; n++) {
        mu_mem_fail_at(n);
        mu_err err = open_and_take(cfg, &options);
        mu_mem_fail_at(0);
        ck_assert(err == MU_OK || err == MU_ERR_MEMORY);
        ck_assert_int_eq(m.out, 0);
        ck_assert_int_eq(mu_mem_get_counts().live_blocks, live);
    }
    mu_log_set_sink(NULL, NULL);
    mu_config_release(config);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loader");
    TCase *tcase = tcase_create("loader");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, threads_do_not_matter);
    tcase_add_test(tcase, ranks_share_the_global_batch);
    tcase_add_test(tcase, cursor_at_other_world_sizes);
    tcase_add_test(tcase, endless);
    tcase_add_test(tcase, short_batches);
    tcase_add_test(tcase, default_sampler);
    tcase_add_test(tcase, errors_come_at_their_batch);
    tcase_add_test(tcase, corrupt_samples_are_replaced);
    tcase_add_test(tcase, corrupt_samples_take_no_memory);
    tcase_add_test(tcase, wrong_settings);
    tcase_add_test(tcase, back_pressure_and_shutdown);
    tcase_add_test(tcase, steady_state_allocates_nothing);
    tcase_add_test(tcase, example_disturbs_nothing);
    tcase_add_test(tcase, batches_stay);
    tcase_add_test(tcase, keeping_does_not_read_ahead);
    tcase_add_test(tcase, memory_of_the_callers);
    tcase_add_test(tcase, no_memory_of_that_kind);
    tcase_add_test(tcase, batches_that_grow);
    tcase_add_test(tcase, rooms_of_buffers);
    tcase_add_test(tcase, no_memory);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}

#include "data/loader.h"

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
    mu_loader *loader = open_loader(with_threads(1, ""), 0, 1);
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

static mu_err open_and_take(const mu_cfg *cfg)
{
    mu_loader *loader;
    mu_batch_buffer *example;
    const mu_batch *batch;
    MU_TRY(mu_loader_new(cfg, "train_dataloader", &(mu_loader_options){.world_size = 1, .training = true}, &loader));
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
    ck_survives_oom(open_and_take(cfg), (void)0);
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
    tcase_add_test(tcase, wrong_settings);
    tcase_add_test(tcase, back_pressure_and_shutdown);
    tcase_add_test(tcase, steady_state_allocates_nothing);
    tcase_add_test(tcase, example_disturbs_nothing);
    tcase_add_test(tcase, no_memory);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}

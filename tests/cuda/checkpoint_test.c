/* Checkpoints from the emulated device: what is saved is the state at the moment of the call, though training goes on at once, and no kernel waits. */
#include "../runner/toy_run.h"

#include "backend/host.h"

#include <pthread.h>

static void open_on_device(run *t, uint64_t seed)
{
    toy_device = "cuda";
    run_open(t, PLAIN, seed);
}

static size_t device_memory(const run *t)
{
    size_t used;
    t->r.backend->ops->memory(t->r.backend, &used, NULL);
    return used;
}

static const mu_checkpoint_sequel sequel = {.last = true};

/* Five times, as the order in which lanes are worked at differs; two are on their way one after the other. */
START_TEST(beside_training)
{
    run t;
    open_on_device(&t, 3);
    run_close(&t);
    int64_t live = mu_mem_get_counts().live_blocks; /* the registry's */
    open_on_device(&t, 3);
    train(&t, 4, 16); /* the last batch of an epoch is a smaller one; each kind has come often enough to be recorded */
    ck_ok(mu_checkpoint_begin(&t.r, path, everything, &sequel, true));
    ck_ok(mu_checkpoint_wait(&t.r));
    size_t before = device_memory(&t);
    for (int i = 0; i < 5; i++) {
        ck_ok(mu_checkpoint_save(&t.r, other, everything, NULL));
        ck_ok(mu_checkpoint_begin(&t.r, path, everything, &sequel, true));
        train(&t, 4, t.r.iter + 2);
        ck_ok(mu_checkpoint_wait(&t.r));
        same_files(path, other);
        ck_assert_uint_eq(device_memory(&t), before);
    }
    /* the memory is given back as soon as somebody looks */
    ck_ok(mu_checkpoint_begin(&t.r, path, everything, &sequel, true));
    for (int i = 0; i < 10000 && device_memory(&t) > before; i++) {
        ck_assert(!mu_checkpoint_failed(&t.r));
        usleep(1000);
    }
    ck_assert_uint_eq(device_memory(&t), before);
    /* in the foreground, and given up */
    ck_ok(mu_checkpoint_begin(&t.r, other, everything, &sequel, false));
    ck_ok(mu_checkpoint_wait(&t.r));
    same_files(path, other);
    ck_ok(mu_checkpoint_begin(&t.r, path, everything, &sequel, true));
    mu_checkpoint_close(&t.r);
    same_files(path, other);
    run_close(&t);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, live);
}
END_TEST

/* ---- nothing waits, but for the few numbers of the optimizer that the main thread writes ---- */

enum { FEW = 256 };

static mu_backend_ops watching;
static int n_waits;
static bool watched;

static mu_err watch_synchronize(mu_backend *b)
{
    n_waits += watched;
    return mu_backend_cuda.synchronize(b);
}

static mu_err watch_download(mu_backend *b, void *host, const void *device, size_t bytes)
{
    n_waits += watched && bytes > FEW;
    return mu_backend_cuda.download(b, host, device, bytes);
}

static pthread_t trainer;

static mu_err watch_wait(mu_backend *b, const mu_mark *mark)
{
    n_waits += watched && pthread_equal(trainer, pthread_self());
    return mu_backend_cuda.wait(b, mark);
}

START_TEST(nothing_waits)
{
    run t;
    open_on_device(&t, 3);
    train(&t, 4, 5);
    const mu_backend_ops *own = t.r.backend->ops;
    watching = mu_backend_cuda;
    watching.synchronize = watch_synchronize;
    watching.download = watch_download;
    watching.wait = watch_wait;
    trainer = pthread_self();
    t.r.backend->ops = &watching;
    ck_ok(mu_checkpoint_save(&t.r, other, everything, NULL));
    watched = true;
    ck_ok(mu_checkpoint_begin(&t.r, path, everything, &sequel, true));
    watched = false;
    ck_assert_int_eq(n_waits, 0);
    ck_ok(mu_checkpoint_wait(&t.r));
    same_files(path, other);
    t.r.backend->ops = own;
    run_close(&t);
}
END_TEST

/* ---- without memory for it ---- */

static size_t most;

static mu_err limited_alloc(mu_backend *b, size_t bytes, void **out)
{
    if (most && bytes > most)
        return MU_FAIL(MU_ERR_MEMORY, "as the test wants it");
    return mu_backend_cuda.alloc(b, bytes, out);
}

START_TEST(without_room_for_copies)
{
    run t;
    open_on_device(&t, 3);
    train(&t, 4, 5);
    const mu_backend_ops *own = t.r.backend->ops;
    watching = mu_backend_cuda;
    watching.alloc = limited_alloc;
    t.r.backend->ops = &watching;
    ck_ok(mu_checkpoint_save(&t.r, other, everything, NULL));
    most = 20000;
    ck_ok(mu_checkpoint_begin(&t.r, path, everything, &sequel, true));
    most = 0;
    train(&t, 4, 7);
    ck_ok(mu_checkpoint_wait(&t.r));
    same_files(path, other);
    t.r.backend->ops = own;
    run_close(&t);
}
END_TEST

/* From one that was taken beside training a run goes on as the first one did. */
START_TEST(resuming_is_exact)
{
    run t;
    open_on_device(&t, 3);
    train(&t, 4, 9);
    ck_ok(mu_checkpoint_begin(&t.r, path, everything, &sequel, true));
    train(&t, 4, 16);
    ck_ok(mu_checkpoint_wait(&t.r));
    ck_ok(mu_checkpoint_save(&t.r, other, everything, NULL));
    run_close(&t);

    open_on_device(&t, 99);
    ck_ok(mu_checkpoint_resume(&t.r, path, false));
    ck_assert_int_eq(t.r.iter, 9);
    train(&t, 4, 16);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, NULL));
    run_close(&t);
    same_files(path, other);
    ck_assert_str_eq(warnings, "");
}
END_TEST

/* Damage is found by the checksums that came late. */
START_TEST(checksums)
{
    run t;
    mu_tensor_file *f;
    open_on_device(&t, 3);
    train(&t, 4, 3);
    mu_checkpoint_parts parts = everything;
    for (int shards = 0; shards < 3; shards += 2) {
        parts.shards = shards;
        ck_ok(mu_checkpoint_begin(&t.r, path, parts, &sequel, true));
        ck_ok(mu_checkpoint_wait(&t.r));
        for (int small = 0; small < 2; small++) {
            ck_ok(mu_tensor_file_open(path, MU_CHECKPOINT_FORMAT, 1, &f));
            ck_assert_int_lt(mu_tensor_file_find(f, "/muster_checksums"), 0);
            int i = mu_tensor_file_find(f, small ? "/state_dict/backbone.fc1.bias" : "/state_dict/backbone.fc1.weight");
            for (int k = 0; k < mu_tensor_file_count(f); k++) {
                ck_assert(mu_tensor_file_at(f, k)->hashed);
                ck_ok(mu_tensor_file_verify(f, k));
            }
            const mu_tensor_entry *e = mu_tensor_file_at(f, i);
            FILE *file = fopen(e->file, "r+b");
            ck_assert_ptr_nonnull(file);
            fseek(file, (long)e->offset + 5, SEEK_SET);
            int byte = fgetc(file);
            fseek(file, (long)e->offset + 5, SEEK_SET);
            fputc(byte ^ 1, file);
            ck_assert_int_eq(fclose(file), 0);
            ck_fails(mu_tensor_file_verify(f, i), MU_ERR_FORMAT, "its checksum is");
            mu_tensor_file_release(f);
            file = NULL;
            ck_ok(mu_checkpoint_begin(&t.r, path, parts, &sequel, true));
            ck_ok(mu_checkpoint_wait(&t.r));
        }
    }
    run_close(&t);
}
END_TEST

START_TEST(no_memory)
{
    run t;
    open_on_device(&t, 3);
    run_close(&t);
    int64_t live = mu_mem_get_counts().live_blocks;
    open_on_device(&t, 3);
    train(&t, 4, 3);
    ck_ok(mu_checkpoint_begin(&t.r, path, everything, &sequel, false));
    for (int64_t n = 1;; n++) {
        mu_mem_fail_at(n);
        mu_err err = mu_checkpoint_begin(&t.r, path, everything, &sequel, false);
        mu_mem_fail_at(0);
        t.r.agreed = false;
        if (!err)
            break;
        ck_assert_int_eq(err, MU_ERR_MEMORY);
    }
    ck_ok(mu_checkpoint_save(&t.r, other, everything, NULL));
    same_files(path, other);
    mu_checkpoint_close(&t.r);
    run_close(&t);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, live);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cuda checkpoints");
    TCase *tests = tcase_create("checkpoints");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, beside_training);
    tcase_add_test(tests, nothing_waits);
    tcase_add_test(tests, without_room_for_copies);
    tcase_add_test(tests, resuming_is_exact);
    tcase_add_test(tests, checksums);
    tcase_add_test(tests, no_memory);
    suite_add_tcase(suite, tests);
    setenv("MU_FALLBACK", "error", 1);
    return test_run(suite);
}

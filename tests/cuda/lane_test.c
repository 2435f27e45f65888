/* Lanes and marks on the emulated device, which does the work of different lanes in any order that the marks allow. */
#include "backend/host.h"
#include "test.h"

#include <pthread.h>

enum { N = 64, ROUNDS = 40 };

static mu_backend *opened(void)
{
    mu_backend *b;
    ck_ok(mu_backend_open("cuda", &(mu_backend_options){.cache_dir = ""}, &b));
    return b;
}

static void *device_block(mu_backend *b, int fill)
{
    char host[N];
    void *block;
    memset(host, fill, sizeof host);
    ck_ok(b->ops->alloc(b, N, &block));
    ck_ok(b->ops->upload(b, block, host, N));
    return block;
}

static void *host_block(mu_backend *b, int fill)
{
    void *block;
    ck_ok(b->ops->alloc_host(b, N, &block));
    return memset(block, fill, N);
}

/* The byte of which all of a block consist; -1: they differ. */
static int all_of(const void *block)
{
    const unsigned char *byte = block;
    return memcmp(byte, byte + 1, N - 1) == 0 ? byte[0] : -1;
}

static int device_byte(mu_backend *b, const void *block)
{
    char host[N];
    ck_ok(b->ops->download(b, host, block, N));
    return all_of(host);
}

/* Host memory to the device in one lane, there onward in the next, and back to the host in a third. */
START_TEST(marks_order_lanes)
{
    mu_backend *b = opened();
    void *landing = device_block(b, 1), *place = device_block(b, 2), *from = host_block(b, 3), *to = host_block(b, 4);
    mu_mark *begun, *landed, *moved, *left;
    ck_ok(b->ops->mark_new(b, &begun));
    ck_ok(b->ops->mark_new(b, &landed));
    ck_ok(b->ops->mark_new(b, &moved));
    ck_ok(b->ops->mark_new(b, &left));
    for (int i = 0; i < ROUNDS; i++) {
        memset(from, 10 + i, N);
        ck_ok(b->ops->mark(b, begun, MU_LANE_KERNELS));
        ck_ok(b->ops->follow(b, MU_LANE_IN, begun));
        ck_ok(b->ops->copy(b, MU_LANE_IN, landing, from, N));
        ck_ok(b->ops->mark(b, landed, MU_LANE_IN));
        ck_ok(b->ops->follow(b, MU_LANE_KERNELS, landed));
        ck_ok(b->ops->copy(b, MU_LANE_KERNELS, place, landing, N));
        ck_ok(b->ops->mark(b, moved, MU_LANE_KERNELS));
        ck_ok(b->ops->follow(b, MU_LANE_OUT, moved));
        ck_ok(b->ops->copy(b, MU_LANE_OUT, to, place, N));
        ck_ok(b->ops->mark(b, left, MU_LANE_OUT));
        ck_ok(b->ops->wait(b, left));
        ck_assert_int_eq(all_of(to), 10 + i);
    }
    ck_ok(b->ops->copy(b, MU_LANE_IN, place, from, 0)); /* nothing */
    b->ops->mark_release(b, begun);
    b->ops->mark_release(b, landed);
    b->ops->mark_release(b, moved);
    b->ops->mark_release(b, left);
    b->ops->mark_release(b, NULL);
    b->ops->dealloc_host(b, from);
    b->ops->dealloc_host(b, to);
    b->ops->dealloc(b, landing);
    b->ops->dealloc(b, place);
    mu_backend_close(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

/* Where the mark is forgotten the emulated device finds an order that shows it. */
START_TEST(a_missing_mark_shows)
{
    mu_backend *b = opened();
    void *block = device_block(b, 1), *from = host_block(b, 2), *to = host_block(b, 3);
    int early = 0;
    for (int i = 0; i < ROUNDS; i++) {
        memset(from, i % 200, N);
        ck_ok(b->ops->copy(b, MU_LANE_IN, block, from, N));
        ck_ok(b->ops->copy(b, MU_LANE_OUT, to, block, N));
        ck_ok(b->ops->synchronize(b));
        early += all_of(to) != i % 200;
    }
    ck_assert_int_gt(early, 0);
    ck_assert_int_lt(early, ROUNDS);
    /* memory is there from where the kernels are when it is asked for */
    for (int i = early = 0; i < ROUNDS; i++) {
        void *fresh;
        ck_ok(b->ops->alloc(b, N, &fresh));
        ck_ok(b->ops->copy(b, MU_LANE_IN, fresh, from, N));
        ck_ok(b->ops->synchronize(b));
        early += device_byte(b, fresh) == 0xff;
        b->ops->dealloc(b, fresh);
    }
    ck_assert_int_gt(early, 0);
    b->ops->dealloc(b, block);
    b->ops->dealloc_host(b, from);
    b->ops->dealloc_host(b, to);
    mu_backend_close(b);
}
END_TEST

START_TEST(marks_are_looked_at)
{
    mu_backend *b = opened();
    void *block = device_block(b, 1), *to = host_block(b, 2);
    mu_mark *mark;
    bool passed = false;
    int n = 0;
    ck_ok(b->ops->mark_new(b, &mark));
    ck_ok(b->ops->passed(b, mark, &passed));
    ck_assert(passed); /* it stands at the beginning */
    ck_ok(b->ops->wait(b, mark));
    ck_ok(b->ops->follow(b, MU_LANE_OUT, mark));
    ck_ok(b->ops->copy(b, MU_LANE_KERNELS, to, block, N));
    ck_ok(b->ops->mark(b, mark, MU_LANE_KERNELS));
    ck_ok(b->ops->passed(b, mark, &passed));
    ck_assert(!passed);
    for (; !passed && n < 100; n++)
        ck_ok(b->ops->passed(b, mark, &passed));
    ck_assert(passed);
    ck_assert_int_eq(all_of(to), 1);
    b->ops->mark_release(b, mark);
    b->ops->dealloc(b, block);
    b->ops->dealloc_host(b, to);
    mu_backend_close(b);
}
END_TEST

typedef struct {
    mu_backend *backend;
    mu_mark *mark;
    const void *to;
    int saw;
} waiter;

static void *wait_for_it(void *user)
{
    waiter *self = user;
    bool passed;
    self->saw = -2;
    if (self->backend->ops->wait(self->backend, self->mark) == MU_OK && self->backend->ops->passed(self->backend, self->mark, &passed) == MU_OK &&
        passed)
        self->saw = all_of(self->to);
    return NULL;
}

START_TEST(another_thread_waits)
{
    setenv("MUSTER_EMULATE_DEVICES", "2", 1);
    mu_backend *b;
    ck_ok(mu_backend_open("cuda:1", &(mu_backend_options){.cache_dir = ""}, &b));
    void *block = device_block(b, 7), *to = host_block(b, 0);
    waiter w = {.backend = b, .to = to};
    pthread_t thread;
    ck_ok(b->ops->mark_new(b, &w.mark));
    for (int i = 0; i < ROUNDS; i++) {
        memset(to, 0, N);
        ck_ok(b->ops->mark(b, w.mark, MU_LANE_KERNELS));
        ck_ok(b->ops->follow(b, MU_LANE_OUT, w.mark));
        ck_ok(b->ops->copy(b, MU_LANE_OUT, to, block, N));
        ck_ok(b->ops->mark(b, w.mark, MU_LANE_OUT));
        ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_it, &w), 0);
        device_byte(b, block); /* meanwhile */
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_int_eq(w.saw, 7);
    }
    b->ops->mark_release(b, w.mark);
    b->ops->dealloc(b, block);
    b->ops->dealloc_host(b, to);
    mu_backend_close(b);
}
END_TEST

/* What a lane was given is done before the device is closed. */
START_TEST(closing_waits)
{
    mu_backend *b = opened(), *other = opened();
    void *block = device_block(b, 9), *to = host_block(other, 0);
    ck_ok(b->ops->synchronize(b));
    ck_ok(b->ops->copy(b, MU_LANE_OUT, to, block, N));
    mu_backend_close(b);
    ck_assert_int_eq(all_of(to), 9);
    other->ops->dealloc_host(other, to);
    mu_backend_close(other);
}
END_TEST

/* Memory that is given back while another lane still copies from it. */
START_TEST(freed_too_early)
{
    mu_backend *b = opened();
    void *to = host_block(b, 0);
    mu_err err = MU_OK;
    for (int i = 0; i < ROUNDS && !err; i++) {
        void *block = device_block(b, 9);
        ck_ok(b->ops->synchronize(b));
        ck_ok(b->ops->copy(b, MU_LANE_OUT, to, block, N));
        b->ops->dealloc(b, block); /* in the order of the kernels */
        err = b->ops->synchronize(b);
    }
    ck_fails(err, MU_ERR_BACKEND, "memory that has been freed");
    b->ops->dealloc_host(b, to);
    mu_backend_close(b);
}
END_TEST

/* ---- recordings ---- */

/* Two lanes beside each other, which come together again. */
static mu_err fork_and_join(mu_backend *b, void *const at[4], mu_mark *forked, mu_mark *joined, bool join)
{
    MU_TRY(b->ops->copy(b, MU_LANE_KERNELS, at[1], at[0], N));
    MU_TRY(b->ops->mark(b, forked, MU_LANE_KERNELS));
    MU_TRY(b->ops->follow(b, MU_LANE_RANKS, forked));
    MU_TRY(b->ops->copy(b, MU_LANE_RANKS, at[2], at[1], N));
    MU_TRY(b->ops->mark(b, joined, MU_LANE_RANKS));
    if (join)
        MU_TRY(b->ops->follow(b, MU_LANE_KERNELS, joined));
    MU_TRY(b->ops->copy(b, MU_LANE_KERNELS, at[3], at[2], N));
    return MU_OK;
}

START_TEST(lanes_are_recorded)
{
    mu_backend *b = opened();
    void *at[4];
    mu_mark *forked, *joined;
    mu_recording *recording;
    bool passed;
    ck_ok(b->ops->mark_new(b, &forked));
    ck_ok(b->ops->mark_new(b, &joined));
    for (int i = 0; i < 4; i++)
        at[i] = device_block(b, i);
    ck_ok(b->ops->record_begin(b));
    ck_ok(fork_and_join(b, at, forked, joined, true));
    ck_ok(b->ops->record_end(b, &recording));
    ck_assert_int_eq(device_byte(b, at[3]), 3); /* noted, not done */
    for (int round = 0; round < ROUNDS; round++) {
        char host[N];
        memset(host, 100 + round, N);
        ck_ok(b->ops->upload(b, at[0], host, N));
        ck_ok(b->ops->replay(b, recording));
        ck_assert_int_eq(device_byte(b, at[3]), 100 + round);
    }
    b->ops->recording_release(b, recording);
    /* a mark of a recording stands nowhere outside of it, until it is set again */
    ck_fails(b->ops->wait(b, joined), MU_ERR_BACKEND, "cudaErrorCapturedEvent");
    ck_ok(b->ops->mark(b, joined, MU_LANE_RANKS));
    ck_ok(b->ops->wait(b, joined));
    ck_ok(b->ops->passed(b, joined, &passed));
    /* the other lane has not come back */
    ck_ok(b->ops->record_begin(b));
    ck_ok(fork_and_join(b, at, forked, joined, false));
    ck_fails(b->ops->record_end(b, &recording), MU_ERR_BACKEND, "cudaErrorStreamCaptureUnjoined");
    ck_assert_ptr_null(recording);
    /* a mark from before */
    ck_ok(b->ops->mark(b, forked, MU_LANE_IN));
    ck_ok(b->ops->record_begin(b));
    ck_fails(b->ops->follow(b, MU_LANE_KERNELS, forked), MU_ERR_BACKEND, "cudaErrorStreamCaptureIsolation");
    ck_assert_int_ne(b->ops->record_end(b, &recording), MU_OK);
    /* and all lanes work as before */
    ck_ok(fork_and_join(b, at, forked, joined, true));
    ck_assert_int_eq(device_byte(b, at[3]), 100 + ROUNDS - 1);
    for (int i = 0; i < 4; i++)
        b->ops->dealloc(b, at[i]);
    b->ops->mark_release(b, forked);
    b->ops->mark_release(b, joined);
    mu_backend_close(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

/* A recording does not mind what other threads wait for meanwhile. */
START_TEST(waiting_beside_a_recording)
{
    mu_backend *b = opened();
    void *at[4], *to = host_block(b, 0);
    mu_mark *forked, *joined;
    mu_recording *recording;
    waiter w = {.backend = b, .to = to};
    pthread_t thread;
    for (int i = 0; i < 4; i++)
        at[i] = device_block(b, 5);
    ck_ok(b->ops->mark_new(b, &forked));
    ck_ok(b->ops->mark_new(b, &joined));
    ck_ok(b->ops->mark_new(b, &w.mark));
    ck_ok(b->ops->synchronize(b));
    ck_ok(b->ops->copy(b, MU_LANE_OUT, to, at[0], N));
    ck_ok(b->ops->mark(b, w.mark, MU_LANE_OUT));
    ck_ok(b->ops->record_begin(b));
    ck_ok(fork_and_join(b, at, forked, joined, true));
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_it, &w), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(w.saw, 5);
    ck_ok(b->ops->record_end(b, &recording));
    b->ops->recording_release(b, recording);
    for (int i = 0; i < 4; i++)
        b->ops->dealloc(b, at[i]);
    b->ops->mark_release(b, forked);
    b->ops->mark_release(b, joined);
    b->ops->mark_release(b, w.mark);
    b->ops->dealloc_host(b, to);
    mu_backend_close(b);
}
END_TEST

START_TEST(memory_is_counted)
{
    mu_backend *b = opened();
    size_t before, used, peak;
    b->ops->memory(b, &before, NULL);
    void *block = device_block(b, 1);
    b->ops->memory(b, &used, &peak);
    ck_assert_uint_eq(used - before, N);
    ck_assert_uint_eq(peak, used);
    b->ops->dealloc(b, block);
    b->ops->memory(b, &used, NULL);
    ck_assert_uint_eq(used, before);
    b->ops->memory(b, NULL, &used);
    ck_assert_uint_eq(used, peak);
    mu_backend_close(b);
}
END_TEST

START_TEST(marks_without_memory)
{
    mu_backend *b = opened();
    mu_mark *mark;
    ck_survives_oom(b->ops->mark_new(b, &mark), b->ops->mark_release(b, mark));
    mu_backend_close(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cuda lanes");
    TCase *tests = tcase_create("lanes");
    tcase_add_test(tests, marks_order_lanes);
    tcase_add_test(tests, a_missing_mark_shows);
    tcase_add_test(tests, marks_are_looked_at);
    tcase_add_test(tests, another_thread_waits);
    tcase_add_test(tests, closing_waits);
    tcase_add_test(tests, lanes_are_recorded);
    tcase_add_test(tests, waiting_beside_a_recording);
    tcase_add_test(tests, memory_is_counted);
    tcase_add_test(tests, marks_without_memory);
    tcase_add_test(tests, freed_too_early); /* loses the device */
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

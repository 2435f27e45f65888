#include "parallel/courier.h"

#include "core/clock.h"
#include "core/log.h"

#include "fake_comm.h"
#include "test.h"

#include <math.h>
#include <sched.h>

enum { N = 24, MANY = 40 };

static fake_net net;
static mu_comm *comm;
static mu_courier *courier;

static void open_courier(int rank, int size, bool threads, size_t wire_bytes)
{
    net = (fake_net){.looks = 3};
    ck_ok(fake_comm_new(&net, rank, size, threads, &comm));
    ck_ok(mu_courier_new(comm, &(mu_courier_options){.n_threads = 1, .wire_bytes = wire_bytes}, &courier));
}

static void close_courier(void)
{
    mu_courier_release(courier);
    mu_comm_release(comm);
    ck_assert_int_eq(net.users, 0);
}

static void begin(void)
{
    comm = NULL;
}

static void end(void)
{
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static double value(int parcel, int64_t i)
{
    return parcel + 0.25 * (double)i;
}

static void fill(void *data, mu_dtype dtype, int parcel, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        fake_set(data, dtype, i, value(parcel, i));
}

/* Of ranks 0 .. size-1, of which `rank` has x: the mean. */
static double mean(double x, int rank, int size)
{
    return x + (size - 1) / 2.0 - rank;
}

/* Threads or none; 2 or 3 ranks. */
static const struct {
    int rank, size;
    bool threads;
} ways[] = {{0, 2, true}, {1, 2, false}, {2, 3, true}, {1, 3, false}};

START_TEST(many_parcels_arrive_in_any_order)
{
    static float data[MANY][N];
    mu_parcel parcel[MANY];
    open_courier(ways[_i].rank, ways[_i].size, ways[_i].threads, 0);
    int64_t blocks = mu_mem_get_counts().total_blocks;
    for (int p = 0; p < MANY; p++) {
        fill(data[p], MU_F32, p, N);
        parcel[p] = (mu_parcel){.kind = MU_PARCEL_REDUCE, .data = data[p], .count = N, .dtype = MU_F32};
        mu_courier_send(courier, &parcel[p]);
        if (p % 7 == 6)
            sched_yield();
    }
    for (int k = 0; k < MANY; k++) {
        int p = (k * 7) % MANY; /* not the order of sending */
        ck_ok(mu_courier_wait(courier, &parcel[p]));
        ck_ok(mu_courier_wait(courier, &parcel[p]));
        for (int i = 0; i < N; i++)
            ck_assert_double_eq(data[p][i], mean(value(p, i), comm->rank, comm->size));
        ck_assert(parcel[p].ended >= parcel[p].began && parcel[p].began > 0);
    }
    ck_assert_int_eq(mu_mem_get_counts().total_blocks, blocks);
    ck_assert_int_eq(net.started, MANY);
    ck_assert_int_le(net.most, MU_COMM_INFLIGHT);
    ck_assert_int_gt(net.most, 1);
    for (int p = 0; p < MANY; p++)
        ck_assert_ptr_eq(net.began[p], data[p]);
    ck_assert_int_eq(pthread_equal(net.driver, pthread_self()) != 0, !ways[_i].threads);
    mu_courier_times times = mu_courier_take_times(courier);
    ck_assert_int_eq(times.parcels, MANY);
    ck_assert_int_eq(times.bytes, MANY * N * 4);
    ck_assert(times.busy > 0 && times.waited > 0);
    times = mu_courier_take_times(courier);
    ck_assert(times.parcels == 0 && times.bytes == 0 && times.busy == 0 && times.waited == 0);
    close_courier();
}
END_TEST

/* The thread works while the caller does something else, and nobody waits. */
START_TEST(travels_meanwhile)
{
    float data[N];
    double limit = mu_clock() + 20;
    open_courier(0, 2, true, 0);
    fill(data, MU_F32, 1, N);
    mu_parcel parcel = {.kind = MU_PARCEL_REDUCE, .data = data, .count = N, .dtype = MU_F32};
    mu_courier_send(courier, &parcel);
    while (mu_courier_take_times(courier).parcels == 0)
        ck_assert(mu_clock() < limit);
    ck_ok(mu_courier_wait(courier, &parcel));
    ck_assert_double_eq(mu_courier_take_times(courier).waited, 0);
    close_courier();
}
END_TEST

START_TEST(pieces)
{
    static const mu_dtype dtypes[] = {MU_F32, MU_F64};
    int rank = ways[_i].rank, size = ways[_i].size;
    int64_t share = N / size;
    open_courier(rank, size, ways[_i].threads, 0);
    for (int d = 0; d < 2; d++) {
        double whole[N], piece[N];
        fill(whole, dtypes[d], 0, N);
        mu_parcel scatter = {.kind = MU_PARCEL_REDUCE_SCATTER, .data = whole, .piece = piece, .count = N, .dtype = dtypes[d]};
        mu_parcel gather = {.kind = MU_PARCEL_GATHER, .data = whole, .piece = piece, .count = N, .dtype = dtypes[d]};
        mu_courier_send(courier, &scatter);
        ck_ok(mu_courier_wait(courier, &scatter));
        for (int64_t i = 0; i < share; i++)
            ck_assert_double_eq(fake_get(piece, dtypes[d], i), mean(value(0, rank * share + i), rank, size));
        mu_courier_send(courier, &gather);
        ck_ok(mu_courier_wait(courier, &gather));
        for (int64_t i = 0; i < N; i++)
            ck_assert_double_eq(fake_get(whole, dtypes[d], i),
                                mean(value(0, rank * share + i % share), rank, size) + (double)(i / share) - rank);
    }
    close_courier();
}
END_TEST

/* 1 + 2^-9 is no bf16: it is rounded before the sum, which is taken apart in f32. */
START_TEST(narrow_on_the_wire)
{
    float data[N], piece[N];
    int rank = ways[_i].rank, size = ways[_i].size;
    int64_t share = N / size;
    open_courier(rank, size, ways[_i].threads, sizeof data);
    for (int i = 0; i < N; i++)
        data[i] = 1 + 0x1p-9f;
    mu_parcel p = {.kind = MU_PARCEL_REDUCE, .data = data, .count = N, .dtype = MU_F32, .wire = MU_BF16};
    mu_courier_send(courier, &p);
    ck_ok(mu_courier_wait(courier, &p));
    for (int i = 0; i < N; i++)
        ck_assert_float_eq(data[i], (float)(mean(1, rank, size) * size) * (float)(1.0 / size));
    ck_assert_int_eq(mu_courier_take_times(courier).bytes, N * 2);
    for (int i = 0; i < N; i++)
        data[i] = piece[i] = 3 + (float)rank;
    p = (mu_parcel){.kind = MU_PARCEL_REDUCE_SCATTER, .data = data, .piece = piece, .count = N, .dtype = MU_F32, .wire = MU_BF16};
    mu_courier_send(courier, &p);
    ck_ok(mu_courier_wait(courier, &p));
    for (int64_t i = 0; i < N; i++)
        ck_assert_float_eq_tol(piece[i], i < share ? (float)mean(3 + rank, rank, size) : 3 + (float)rank, 1e-6f);
    for (int64_t i = 0; i < share; i++)
        piece[i] = 5 + (float)rank + 0x1p-9f;
    p = (mu_parcel){.kind = MU_PARCEL_GATHER, .data = data, .piece = piece, .count = N, .dtype = MU_F32, .wire = MU_BF16};
    mu_courier_send(courier, &p);
    ck_ok(mu_courier_wait(courier, &p));
    for (int64_t i = 0; i < N; i++)
        ck_assert_float_eq(data[i], 5 + (float)(i / share));
    close_courier();
}
END_TEST

/* One failure is told by all that was on its way or waits, and is not the end of the process. */
START_TEST(failures_are_told)
{
    static float data[MANY][N];
    static const struct {
        int fail_start, fail_test;
        bool threads;
        const char *text;
    } cases[] = {{5, 0, true, "cable is cut"}, {5, 0, false, "cable is cut"}, {0, 9, true, "peer has gone"}, {0, 9, false, "peer has gone"}};
    mu_parcel parcel[MANY];
    int failed = 0;
    open_courier(0, 2, cases[_i].threads, 0);
    net.fail_start = cases[_i].fail_start;
    net.fail_test = cases[_i].fail_test;
    for (int p = 0; p < MANY; p++) {
        parcel[p] = (mu_parcel){.kind = MU_PARCEL_REDUCE, .data = data[p], .count = N, .dtype = MU_F32};
        mu_courier_send(courier, &parcel[p]);
    }
    for (int p = 0; p < MANY; p++) {
        mu_error_clear();
        mu_err err = mu_courier_wait(courier, &parcel[p]);
        if (!err)
            continue;
        failed++;
        ck_assert_int_eq(err, MU_ERR_COMM);
        ck_assert_ptr_nonnull(strstr(mu_error_last()->message, cases[_i].text));
    }
    ck_assert_int_ge(failed, MANY - 8);
    mu_courier_send(courier, &parcel[0]);
    ck_fails(mu_courier_wait(courier, &parcel[0]), MU_ERR_COMM, cases[_i].text);
    close_courier();
}
END_TEST

START_TEST(wrong_parcels_are_refused_alone)
{
    float data[N] = {0}, good[N] = {0};
    open_courier(0, 2, true, sizeof data / 2);
    mu_parcel uneven = {.kind = MU_PARCEL_GATHER, .data = data, .piece = data, .count = 3, .dtype = MU_F32};
    mu_parcel large = {.kind = MU_PARCEL_REDUCE, .data = data, .count = N, .dtype = MU_F32, .wire = MU_BF16};
    mu_parcel fits = {.kind = MU_PARCEL_REDUCE, .data = good, .count = N / 2, .dtype = MU_F32, .wire = MU_BF16};
    mu_courier_send(courier, &uneven);
    ck_fails(mu_courier_wait(courier, &uneven), MU_ERR_USAGE, "3 elements does not divide");
    mu_courier_send(courier, &large);
    ck_fails(mu_courier_wait(courier, &large), MU_ERR_USAGE, "larger than was said");
    mu_courier_send(courier, &fits);
    ck_ok(mu_courier_wait(courier, &fits));
    ck_assert_float_eq(good[0], 0.5f);
    mu_parcel never = {0};
    ck_ok(mu_courier_wait(courier, &never));
    close_courier();
}
END_TEST

/* Released with parcels on their way: they arrive before it returns. */
START_TEST(release_delivers)
{
    static float data[MANY][N];
    mu_parcel parcel[MANY];
    open_courier(0, 2, _i == 0, 0);
    for (int p = 0; p < MANY; p++) {
        fill(data[p], MU_F32, p, N);
        parcel[p] = (mu_parcel){.kind = MU_PARCEL_REDUCE, .data = data[p], .count = N, .dtype = MU_F32};
        mu_courier_send(courier, &parcel[p]);
    }
    close_courier();
    for (int p = 0; p < MANY; p++)
        ck_assert_float_eq(data[p][1], (float)mean(value(p, 1), 0, 2));
    mu_courier_release(NULL);
}
END_TEST

START_TEST(one_rank_changes_nothing)
{
    float data[N], before[N], piece[N] = {0};
    for (int i = 0; i < N; i++)
        data[i] = i % 2 ? NAN : -0.0f + (float)i / 3;
    memcpy(before, data, sizeof data);
    ck_ok(mu_comm_self_new(&comm));
    ck_ok(mu_courier_new(comm, &(mu_courier_options){.n_threads = 1, .wire_bytes = sizeof data}, &courier));
    mu_parcel reduce = {.kind = MU_PARCEL_REDUCE, .data = data, .count = N, .dtype = MU_F32, .wire = MU_BF16};
    mu_parcel scatter = {.kind = MU_PARCEL_REDUCE_SCATTER, .data = data, .piece = piece, .count = N, .dtype = MU_F32};
    mu_courier_send(courier, &reduce);
    ck_ok(mu_courier_wait(courier, &reduce));
    ck_assert_mem_eq(data, before, sizeof data);
    mu_courier_send(courier, &scatter);
    ck_ok(mu_courier_wait(courier, &scatter));
    ck_assert_mem_eq(piece, before, sizeof data);
    memset(data, 0, sizeof data);
    mu_parcel gather = {.kind = MU_PARCEL_GATHER, .data = data, .piece = piece, .count = N, .dtype = MU_F32};
    mu_courier_send(courier, &gather);
    ck_ok(mu_courier_wait(courier, &gather));
    ck_assert_mem_eq(data, before, sizeof data);
    mu_courier_release(courier);
    mu_comm_release(comm);
}
END_TEST

static mu_err make(void)
{
    return mu_courier_new(comm, &(mu_courier_options){.n_threads = 1, .wire_bytes = 4096}, &courier);
}

START_TEST(out_of_memory)
{
    net = (fake_net){.looks = 1};
    ck_ok(fake_comm_new(&net, 0, 2, true, &comm));
    ck_survives_oom(make(), mu_courier_release(courier));
    mu_comm_release(comm);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("courier");
    TCase *tests = tcase_create("courier");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, many_parcels_arrive_in_any_order, 0, 4);
    tcase_add_test(tests, travels_meanwhile);
    tcase_add_loop_test(tests, pieces, 0, 4);
    tcase_add_loop_test(tests, narrow_on_the_wire, 0, 4);
    tcase_add_loop_test(tests, failures_are_told, 0, 4);
    tcase_add_test(tests, wrong_parcels_are_refused_alone);
    tcase_add_loop_test(tests, release_delivers, 0, 2);
    tcase_add_test(tests, one_rank_changes_nothing);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

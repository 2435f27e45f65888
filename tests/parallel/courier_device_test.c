/* The courier on memory of a device (fake_device.h): what it asks of it, in which order, and what arrives when. */
#include "parallel/courier.h"

#include "fake_comm.h"
#include "fake_device.h"
#include "test.h"

#include <math.h>

enum { N = 24, MANY = 70 };

static fake_net net;
static fake_device device;
static mu_comm *comm;
static mu_backend *backend;
static mu_courier *courier;

static void open_backend(void)
{
    ck_ok(mu_backend_open("cpu:ref", &(mu_backend_options){.n_threads = 1, .cache_dir = ""}, &backend));
    fake_device_make(backend, &device);
}

static mu_err make(void)
{
    return mu_courier_new(comm, &(mu_courier_options){.backend = backend, .n_threads = 1, .wire_bytes = N * 4}, &courier);
}

static void begin(void)
{
    net = (fake_net){.looks = 1};
    open_backend();
}

static void end(void)
{
    mu_backend_close(backend);
    mu_comm_release(comm);
    comm = NULL;
    ck_assert_int_eq(net.users, 0);
    ck_assert_int_eq(device.open_comms, 0);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static void open_courier(int rank, int size)
{
    ck_ok(fake_comm_new(&net, rank, size, true, &comm));
    ck_ok(make());
    device.words[0] = '\0';
    device.uploads = device.downloads = 0;
}

static float value(int parcel, int i)
{
    return (float)parcel + 0.25f * (float)i;
}

static void fill(float *data, int parcel, int n)
{
    for (int i = 0; i < n; i++)
        data[i] = value(parcel, i);
}

/* Of ranks 0 .. size-1, of which this one has x, and each has 1 more than the one before it. */
static float mean(float x)
{
    return x + (float)(comm->size - 1) / 2.0f - (float)comm->rank;
}

/* Behind the kernels so far; kernels that come after wait are behind it; nobody waits, and nothing passes through the host. */
START_TEST(in_order_with_kernels)
{
    float data[2][N];
    open_courier(1, 2);
    mu_parcel parcel[2];
    for (int p = 0; p < 2; p++) {
        fill(data[p], p, N);
        parcel[p] = (mu_parcel){.kind = MU_PARCEL_REDUCE, .data = data[p], .count = N, .dtype = MU_F32};
        mu_courier_send(courier, &parcel[p]);
    }
    ck_assert_str_eq(device.words, "mark 0, follow 3, collect 3, mark 3, mark 0, follow 3, collect 3, mark 3, ");
    ck_assert_float_eq(data[0][1], value(0, 1));
    device.words[0] = '\0';
    ck_ok(mu_courier_wait(courier, &parcel[0]));
    ck_ok(mu_courier_wait(courier, &parcel[0]));
    ck_assert_str_eq(device.words, "follow 0, ");
    for (int i = 0; i < N; i++) {
        ck_assert_float_eq(data[0][i], mean(value(0, i)));
        ck_assert_float_eq(data[1][i], value(1, i));
    }
    ck_ok(mu_courier_wait(courier, &parcel[1]));
    ck_assert_float_eq(data[1][3], mean(value(1, 3)));
    ck_assert(device.uploads == 0 && device.downloads == 0);
    mu_courier_times times = mu_courier_take_times(courier);
    ck_assert(times.parcels == 2 && times.bytes == 2 * N * 4 && times.busy == 0 && times.waited == 0);
    times = mu_courier_take_times(courier);
    ck_assert(times.parcels == 0 && times.bytes == 0);
    mu_courier_release(courier);
}
END_TEST

/* More than there are marks. */
START_TEST(many_parcels_arrive_in_any_order)
{
    static float data[MANY][N];
    mu_parcel parcel[MANY];
    open_courier(2, 3);
    int64_t blocks = mu_mem_get_counts().total_blocks;
    for (int p = 0; p < MANY; p++) {
        fill(data[p], p, N);
        parcel[p] = (mu_parcel){.kind = MU_PARCEL_REDUCE, .data = data[p], .count = N, .dtype = MU_F32};
        mu_courier_send(courier, &parcel[p]);
    }
    for (int k = 0; k < MANY; k++) {
        int p = (k * 9) % MANY;
        ck_ok(mu_courier_wait(courier, &parcel[p]));
        for (int i = 0; i < N; i++)
            ck_assert_float_eq_tol(data[p][i], mean(value(p, i)), 1e-5);
    }
    ck_assert_int_eq(mu_mem_get_counts().total_blocks, blocks);
    ck_assert_int_eq(net.started, MANY);
    mu_courier_release(courier);
}
END_TEST

/* Plain and in bf16, in which these numbers are exact. */
START_TEST(pieces)
{
    float data[6] = {0}, piece[2];
    mu_dtype wire = _i ? MU_BF16 : MU_NONE;
    open_courier(1, 3);
    mu_parcel gather = {.kind = MU_PARCEL_GATHER, .data = data, .piece = piece, .count = 6, .dtype = MU_F32, .wire = wire};
    fill(piece, 7, 2);
    mu_courier_send(courier, &gather);
    ck_ok(mu_courier_wait(courier, &gather));
    for (int i = 0; i < 6; i++)
        ck_assert_float_eq(data[i], value(7, i % 2) + (float)(i / 2 - 1));
    fill(data, 5, 6);
    mu_parcel scatter = {.kind = MU_PARCEL_REDUCE_SCATTER, .data = data, .piece = piece, .count = 6, .dtype = MU_F32, .wire = wire};
    mu_courier_send(courier, &scatter);
    ck_ok(mu_courier_wait(courier, &scatter));
    for (int i = 0; i < 2; i++)
        ck_assert_float_eq_tol(piece[i], mean(value(5, 2 + i)), 1e-6);
    fill(data, 5, 6);
    scatter.piece = data + 2; /* in its place */
    mu_courier_send(courier, &scatter);
    ck_ok(mu_courier_wait(courier, &scatter));
    for (int i = 0; i < 2; i++)
        ck_assert_float_eq_tol(data[2 + i], mean(value(5, 2 + i)), 1e-6);
    uint8_t bytes[3] = {1, 2, 3};
    mu_parcel broadcast = {.kind = MU_PARCEL_BROADCAST, .data = bytes, .count = 3, .dtype = MU_U8};
    mu_courier_send(courier, &broadcast);
    ck_ok(mu_courier_wait(courier, &broadcast));
    ck_assert(strstr(device.words, "collect 3") && device.downloads == 0 && device.uploads == 0);
    mu_courier_release(courier);
}
END_TEST

/* There are fewer buffers than parcels: the oldest come back before they are waited for. Only the first parcel of a size allocates. */
START_TEST(narrow_on_the_wire)
{
    static double wide[MANY][N];
    static float data[MANY][N];
    mu_parcel parcel[MANY];
    int64_t blocks = 0;
    open_courier(0, 2);
    (void)mu_courier_take_times(courier);
    for (int round = 0; round < 2; round++) {
        for (int p = 0; p < MANY; p++) {
            bool doubles = p % 2;
            for (int i = 0; i < N; i++) {
                data[p][i] = 1.0f / 3 + value(p, i);
                wide[p][i] = 1.0 / 3 + value(p, i);
            }
            parcel[p] = (mu_parcel){.kind = MU_PARCEL_REDUCE, .data = doubles ? (void *)wide[p] : data[p], .count = N,
                                    .dtype = doubles ? MU_F64 : MU_F32, .wire = MU_BF16};
            if (doubles)
                parcel[p].count = N / 2;
            mu_courier_send(courier, &parcel[p]);
        }
        for (int p = MANY - 1; p >= 0; p--) {
            double worst = 0;
            ck_ok(mu_courier_wait(courier, &parcel[p]));
            for (int i = 0; i < parcel[p].count; i++) {
                double x = 1.0 / 3 + value(p, i) + 0.5, found = p % 2 ? wide[p][i] : data[p][i];
                ck_assert_double_le(fabs(found - x), 1.01 * 0x1p-7 * x); /* two roundings to 8 bits */
                worst = fmax(worst, fabs(found - x));
            }
            ck_assert_double_gt(worst, 1e-5);
        }
        ck_assert(round == 0 || mu_mem_get_counts().total_blocks == blocks);
        blocks = mu_mem_get_counts().total_blocks;
    }
    ck_assert_int_eq(mu_courier_take_times(courier).bytes, 2 * MANY * (N + N / 2));
    ck_assert(device.uploads == 0 && device.downloads == 0);
    mu_courier_release(courier);
}
END_TEST

/* Nothing is sent any more, no device waits for another, and all are told of the first error. */
START_TEST(failures_are_told)
{
    float data[4][N] = {{0}};
    mu_parcel parcel[4];
    open_courier(0, 2);
    device.fail_collect = _i ? 0 : device.collects + 2;
    for (int p = 0; p < 4; p++) {
        parcel[p] = (mu_parcel){.kind = MU_PARCEL_REDUCE, .data = data[p], .count = N, .dtype = MU_F32, .wire = p % 2 ? MU_BF16 : MU_NONE};
        mu_courier_send(courier, &parcel[p]);
    }
    device.fail_late = _i;
    for (int p = 3; p >= 0; p--)
        ck_fails(mu_courier_wait(courier, &parcel[p]), _i ? MU_ERR_COMM : MU_ERR_BACKEND, _i ? "has gone" : "the device is lost");
    ck_fails(mu_courier_wait(courier, &parcel[2]), _i ? MU_ERR_COMM : MU_ERR_BACKEND, "");
    ck_assert_int_eq(device.aborts, 1);
    int collects = device.collects;
    mu_courier_send(courier, &parcel[0]);
    ck_assert_int_eq(device.collects, collects);
    ck_fails(mu_courier_wait(courier, &parcel[0]), _i ? MU_ERR_COMM : MU_ERR_BACKEND, _i ? "has gone" : "the device is lost");
    mu_courier_release(courier);
}
END_TEST

START_TEST(wrong_parcels_are_refused_alone)
{
    float data[N] = {0};
    open_courier(0, 2);
    mu_parcel uneven = {.kind = MU_PARCEL_GATHER, .data = data, .piece = data, .count = 3, .dtype = MU_F32};
    mu_parcel fits = {.kind = MU_PARCEL_REDUCE, .data = data, .count = N, .dtype = MU_F32}, never = {0};
    mu_courier_send(courier, &uneven);
    ck_fails(mu_courier_wait(courier, &uneven), MU_ERR_USAGE, "3 elements does not divide");
    mu_courier_send(courier, &fits);
    ck_ok(mu_courier_wait(courier, &fits));
    ck_assert_float_eq(data[0], 0.5f);
    ck_ok(mu_courier_wait(courier, &never));
    mu_courier_release(courier);
}
END_TEST

START_TEST(release_delivers)
{
    float data[8][N];
    mu_parcel parcel[8];
    open_courier(0, 2);
    for (int p = 0; p < 8; p++) {
        fill(data[p], p, N);
        parcel[p] = (mu_parcel){.kind = MU_PARCEL_REDUCE, .data = data[p], .count = N, .dtype = MU_F32, .wire = p % 2 ? MU_BF16 : MU_NONE};
        mu_courier_send(courier, &parcel[p]);
    }
    mu_courier_release(courier);
    for (int p = 0; p < 8; p++)
        ck_assert_float_eq(data[p][2], mean(value(p, 2)));
}
END_TEST

START_TEST(one_rank_changes_nothing)
{
    float data[N], before[N], piece[N] = {0};
    fill(data, 1, N);
    data[3] = NAN;
    memcpy(before, data, sizeof data);
    ck_ok(mu_comm_self_new(&comm));
    ck_ok(make());
    mu_parcel reduce = {.kind = MU_PARCEL_REDUCE, .data = data, .count = N, .dtype = MU_F32, .wire = MU_BF16};
    mu_parcel scatter = {.kind = MU_PARCEL_REDUCE_SCATTER, .data = data, .piece = piece, .count = N, .dtype = MU_F32};
    mu_courier_send(courier, &reduce);
    mu_courier_send(courier, &scatter);
    ck_ok(mu_courier_wait(courier, &reduce));
    ck_ok(mu_courier_wait(courier, &scatter));
    ck_assert_mem_eq(data, before, sizeof data);
    ck_assert_mem_eq(piece, before, sizeof data);
    ck_assert_int_eq(device.collects, 0);
    ck_assert_int_eq(device.downloads, 0);
    mu_courier_release(courier);
}
END_TEST

START_TEST(devices_that_exchange_nothing)
{
    ck_ok(fake_comm_new(&net, 0, 2, true, &comm));
    device.ops.comm_open = NULL;
    ck_fails(make(), MU_ERR_UNSUPPORTED, "2 ranks cannot train on fake devices");
}
END_TEST

START_TEST(out_of_memory)
{
    ck_ok(fake_comm_new(&net, 0, 2, true, &comm));
    ck_survives_oom(make(), mu_courier_release(courier));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("courier_device");
    TCase *tests = tcase_create("courier_device");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, in_order_with_kernels);
    tcase_add_test(tests, many_parcels_arrive_in_any_order);
    tcase_add_loop_test(tests, pieces, 0, 2);
    tcase_add_test(tests, narrow_on_the_wire);
    tcase_add_loop_test(tests, failures_are_told, 0, 2);
    tcase_add_test(tests, wrong_parcels_are_refused_alone);
    tcase_add_test(tests, release_delivers);
    tcase_add_test(tests, one_rank_changes_nothing);
    tcase_add_test(tests, devices_that_exchange_nothing);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

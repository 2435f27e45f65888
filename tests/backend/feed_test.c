/* What is sent is what the kernels after it read, however far the host is ahead of the device. */
#include "backend/feed.h"
#include "backend/readback.h"

#include "devices.h"

enum { N = 1000, ROUNDS = 40 };

/* Every round writes other bytes into the slot as soon as it is given; a readback of each tells what the kernels would have seen. */
START_TEST(each_sees_its_own)
{
    mu_backend *b = open_device(_i);
    mu_feed *feed;
    mu_readback *r;
    if (!b)
        return;
    void *device = device_block(b, N);
    ck_ok(mu_feed_new(b, N, &feed));
    ck_ok(mu_readback_new(b, N, ROUNDS, &r));
    for (int i = 0; i < ROUNDS; i++) {
        void *slot, *again;
        ck_ok(mu_feed_slot(feed, &slot));
        ck_ok(mu_feed_slot(feed, &again));
        ck_assert_ptr_eq(slot, again);
        if (i < 2)
            ck_assert_int_eq(((char *)slot)[N - 1], 0);
        memset(slot, 100 + i, N);
        ck_ok(mu_feed_send(feed, device));
        ck_ok(mu_readback_post(r, &(mu_span){device, N}, 1, i));
    }
    for (int i = 0; i < ROUNDS; i++) {
        int64_t tag;
        const void *got;
        ck_ok(mu_readback_take(r, true, &tag, &got));
        const unsigned char *byte = got;
        ck_assert_int_eq(byte[0], 100 + i);
        ck_assert_int_eq(memcmp(byte, byte + 1, N - 1), 0);
    }
    mu_readback_release(r);
    void *slot;
    ck_ok(mu_feed_slot(feed, &slot));
    ck_ok(mu_feed_send(feed, device));
    mu_feed_release(feed); /* with bytes on their way */
    mu_feed_release(NULL);
    b->ops->dealloc(b, device);
    mu_backend_close(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

START_TEST(parts)
{
    mu_backend *b = open_device(_i);
    mu_feed *feed;
    char host[N], *slot;
    if (!b)
        return;
    void *device = device_block(b, N);
    memset(host, 'a', N);
    ck_ok(b->ops->upload(b, device, host, N));
    ck_ok(mu_feed_new(b, N, &feed));
    ck_ok(mu_feed_slot(feed, (void **)&slot));
    memset(slot, 'b', N);
    ck_ok(mu_feed_send_ranges(feed, device, (mu_feed_range[]){{0, 10}, {500, 0}, {990, 10}}, 3));
    ck_ok(b->ops->download(b, host, device, N));
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(host[i], i < 10 || i >= 990 ? 'b' : 'a');
    ck_fails(mu_feed_send_ranges(feed, device, &(mu_feed_range){991, 10}, 1), MU_ERR_USAGE, "10 bytes at 991");
    ck_fails(mu_feed_send_ranges(feed, device, &(mu_feed_range){SIZE_MAX, 10}, 1), MU_ERR_USAGE, "");
    mu_feed_release(feed);
    b->ops->dealloc(b, device);
    mu_backend_close(b);
}
END_TEST

START_TEST(without_memory)
{
    mu_backend *b = open_device(_i);
    mu_feed *feed;
    if (!b)
        return;
    ck_survives_oom(mu_feed_new(b, N, &feed), mu_feed_release(feed));
    mu_backend_close(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("feed");
    TCase *tests = tcase_create("feed");
    tcase_add_loop_test(tests, each_sees_its_own, 0, N_DEVICES);
    tcase_add_loop_test(tests, parts, 0, N_DEVICES);
    tcase_add_loop_test(tests, without_memory, 0, N_DEVICES);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

/* What is sent is what the kernels after it read, however far the host is ahead of the device. */
#include "backend/feed.h"
#include "backend/lanes.h"
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
    ck_ok(mu_feed_send_ranges(feed, device, (mu_feed_range[]){{0, 10, NULL}, {500, 0, NULL}, {990, 10, NULL}}, 3));
    ck_ok(b->ops->download(b, host, device, N));
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(host[i], i < 10 || i >= 990 ? 'b' : 'a');
    ck_fails(mu_feed_send_ranges(feed, device, &(mu_feed_range){991, 10, NULL}, 1), MU_ERR_USAGE, "10 bytes at 991");
    ck_fails(mu_feed_send_ranges(feed, device, &(mu_feed_range){SIZE_MAX, 10, NULL}, 1), MU_ERR_USAGE, "");
    mu_feed_release(feed);
    b->ops->dealloc(b, device);
    mu_backend_close(b);
}
END_TEST

/* Ops that count copies out of host memory, in whatever way they go, and those that follow within the device. */
static const mu_backend_ops *real;
static int n_in, n_within;

static mu_err count_copy(mu_backend *b, mu_lane lane, void *to, const void *from, size_t bytes)
{
    *(lane == MU_LANE_IN ? &n_in : &n_within) += 1;
    return real->copy(b, lane, to, from, bytes);
}

static mu_err count_upload(mu_backend *b, void *device, const void *host, size_t bytes)
{
    n_in++;
    return real->upload(b, device, host, bytes);
}

static void send(mu_backend *b, mu_feed *feed, void *device, const mu_feed_range *range, size_t n, int in, int within)
{
    n_in = n_within = 0;
    ck_ok(mu_feed_send_ranges(feed, device, range, n));
    ck_assert_int_eq(n_in, in);
    ck_assert_int_eq(n_within, mu_backend_has_lanes(b) ? within : 0);
}

/* What is neighbours on both sides goes in one copy; from memory of the caller's as from the slot. */
START_TEST(neighbours)
{
    enum { A = 128, B = 64, C = 192 };
    mu_backend *b = open_device(_i);
    mu_feed *feed;
    char host[N], *slot, *own;
    if (!b)
        return;
    real = b->ops;
    mu_backend_ops counting = *real;
    counting.copy = real->copy ? count_copy : NULL;
    counting.upload = count_upload;
    b->ops = &counting;
    void *device = device_block(b, N);
    ck_ok(mu_feed_new(b, N, &feed));
    ck_ok(mu_host_room_new(b, N, (void **)&own));
    for (int i = 0; i < N; i++)
        own[i] = (char)(i % 100);
    struct {
        mu_feed_range range[3];
        size_t n;
        int in, within;
    } sends[] = {
        {{{0, A, NULL}, {A, B, NULL}, {A + B, C, NULL}}, 3, 1, 1},
        {{{0, A, NULL}, {A + B, C, NULL}}, 2, 2, 2},                     /* a gap */
        {{{0, A, own}, {A, B, own + A}, {A + B, C, own + A + B}}, 3, 1, 1},
        {{{0, A, own}, {A, B, own + A + 64}, {A + B, C, own + A + B + 64}}, 3, 2, 1}, /* only where they go */
        {{{0, A, own + B}, {A, B, own}}, 2, 2, 1},
        {{{0, A, own}, {A, B, NULL}, {A + B, C, NULL}}, 3, 2, 1},        /* of the slot, and not of it */
        {{{A, B, own}, {0, A, own + B}}, 2, 2, 2},                       /* the other way round */
        {{{0, 0, NULL}, {0, A, NULL}}, 2, 1, 1},
    };
    for (size_t i = 0; i < sizeof sends / sizeof *sends; i++) {
        char want[N];
        ck_ok(mu_feed_slot(feed, (void **)&slot));
        memset(slot, 's', N);
        memset(host, 'd', N);
        memcpy(want, host, N);
        ck_ok(b->ops->upload(b, device, host, N));
        for (size_t k = 0; k < sends[i].n; k++) {
            const mu_feed_range *r = &sends[i].range[k];
            memcpy(want + r->offset, r->from ? (const char *)r->from : slot + r->offset, r->bytes);
        }
        send(b, feed, device, sends[i].range, sends[i].n, sends[i].in, sends[i].within);
        ck_ok(b->ops->download(b, host, device, N));
        ck_assert_mem_eq(host, want, N);
    }
    ck_ok(mu_feed_wait(feed));
    memset(own, 0, N); /* nobody reads it any more */
    mu_feed_release(feed);
    mu_host_room_release(b, own);
    b->ops->dealloc(b, device);
    mu_backend_close(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

typedef enum { AFTER_NEXT, AFTER_WAIT, AT_ONCE } rule_kind;

/* Rounds whose kernels saw other bytes than were given to it, when memory is written again at a time. */
static int wrong_rounds(mu_backend *b, rule_kind rule)
{
    mu_feed *feed;
    mu_readback *r;
    char *own[2];
    int wrong = 0;
    void *device = device_block(b, N), *slot;
    ck_ok(mu_feed_new(b, N, &feed));
    ck_ok(mu_readback_new(b, N, ROUNDS, &r));
    ck_ok(mu_host_room_new(b, N, (void **)&own[0]));
    ck_ok(mu_host_room_new(b, N, (void **)&own[1]));
    for (int i = 0; i < ROUNDS; i++) {
        char *from = own[rule == AFTER_NEXT ? i % 2 : 0];
        memset(from, 100 + i, N);
        ck_ok(mu_feed_send_ranges(feed, device, &(mu_feed_range){0, N, from}, 1));
        ck_ok(mu_feed_slot(feed, &slot)); /* waits for what was sent before */
        if (rule == AFTER_WAIT)
            ck_ok(mu_feed_wait(feed));
        ck_ok(mu_readback_post(r, &(mu_span){device, N}, 1, i));
    }
    for (int i = 0; i < ROUNDS; i++) {
        int64_t tag;
        const void *got;
        ck_ok(mu_readback_take(r, true, &tag, &got));
        const unsigned char *byte = got;
        wrong += byte[0] != 100 + i || memcmp(byte, byte + 1, N - 1) != 0;
    }
    mu_readback_release(r);
    mu_feed_release(feed);
    mu_host_room_release(b, own[0]);
    mu_host_room_release(b, own[1]);
    b->ops->dealloc(b, device);
    return wrong;
}

/* Two blocks by turns are enough, one is not: the emulated device copies late enough to show it. */
START_TEST(how_long_memory_is_read)
{
    mu_backend *b = open_device(_i);
    if (!b)
        return;
    ck_assert_int_eq(wrong_rounds(b, AFTER_NEXT), 0);
    ck_assert_int_eq(wrong_rounds(b, AFTER_WAIT), 0);
#ifdef HAVE_CUDA_EMULATED
    if (_i == WITH_LANES)
        ck_assert_int_gt(wrong_rounds(b, AT_ONCE), 0);
#endif
    mu_backend_close(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
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
    tcase_add_loop_test(tests, neighbours, 0, N_DEVICES);
    tcase_add_loop_test(tests, how_long_memory_is_read, 0, N_DEVICES);
    tcase_add_loop_test(tests, without_memory, 0, N_DEVICES);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

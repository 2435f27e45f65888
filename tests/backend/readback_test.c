/* Numbers that the host looks at late are those of the moment at which they were asked for. */
#include "backend/readback.h"

#include "devices.h"

enum { DEPTH = 3, ROUNDS = 30 };

static void write_number(mu_backend *b, double *at, double value)
{
    ck_ok(b->ops->upload(b, at, &value, sizeof value));
}

/* Takes the oldest, which must be round `want`. */
static void take(mu_readback *r, bool wait, int64_t want)
{
    const double *got = NULL;
    int64_t tag = -1;
    for (int i = 0; !got && i < 1000; i++) {
        ck_ok(mu_readback_take(r, wait, &tag, (const void **)&got));
        ck_assert(!wait || got);
    }
    ck_assert_ptr_nonnull(got);
    ck_assert_int_eq(tag, want);
    ck_assert_double_eq(got[0], (double)want);
    ck_assert_double_eq(got[1], (double)want + 0.5);
    ck_assert_double_eq(got[2], -(double)want);
}

START_TEST(in_order_and_late)
{
    mu_backend *b = open_device(_i);
    if (!b)
        return;
    double *pair = device_block(b, 2 * sizeof *pair), *one = device_block(b, sizeof *one);
    const mu_span span[] = {{pair, 2 * sizeof *pair}, {one, 0}, {one, sizeof *one}};
    mu_readback *r;
    int64_t taken = 0, tag;
    const void *none = b;
    ck_ok(mu_readback_new(b, 3 * sizeof(double), DEPTH, &r));
    ck_ok(mu_readback_take(r, true, &tag, &none));
    ck_assert_ptr_null(none);
    for (int64_t i = 0; i < ROUNDS; i++) {
        write_number(b, pair, (double)i);
        write_number(b, pair + 1, (double)i + 0.5);
        write_number(b, one, -(double)i);
        ck_ok(mu_readback_post(r, span, 3, i));
        ck_assert_int_eq(mu_readback_pending(r), (int)(i + 1 - taken));
        if (i + 1 - taken == DEPTH) {
            ck_fails(mu_readback_post(r, span, 3, 99), MU_ERR_USAGE, "all 3 places");
            for (int k = 0; k < 1 + i % DEPTH; k++)
                take(r, i % 2 == 0, taken++);
        }
        ck_assert_int_eq(mu_readback_pending(r), (int)(i + 1 - taken));
    }
    while (taken < ROUNDS)
        take(r, true, taken++);
    ck_ok(mu_readback_take(r, false, &tag, &none));
    ck_assert_ptr_null(none);
    ck_fails(mu_readback_post(r, (mu_span[]){{pair, 16}, {pair, 16}}, 2, 0), MU_ERR_USAGE, "room for 24 bytes");
    ck_ok(mu_readback_post(r, span, 0, 7)); /* nothing but the tag */
    ck_ok(mu_readback_take(r, true, &tag, &none));
    ck_assert_int_eq(tag, 7);
    ck_assert_ptr_nonnull(none);
    ck_ok(mu_readback_post(r, span, 3, 0));
    mu_readback_release(r); /* with one on its way */
    mu_readback_release(NULL);
    b->ops->dealloc(b, pair);
    b->ops->dealloc(b, one);
    mu_backend_close(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

#ifdef HAVE_CUDA_EMULATED
/* Asking for numbers waits for nothing: the kernels before them have not run, where work is done late. */
START_TEST(nothing_waits)
{
    mu_backend *b = open_device(WITH_LANES);
    double *block = device_block(b, sizeof *block);
    mu_readback *r;
    const void *got;
    int64_t tag;
    ck_ok(mu_readback_new(b, sizeof(double), DEPTH, &r));
    ck_ok(b->ops->synchronize(b));
    for (int i = 0; i < DEPTH; i++) {
        write_number(b, block, i);
        ck_ok(mu_readback_post(r, &(mu_span){block, sizeof *block}, 1, i));
    }
    ck_ok(mu_readback_take(r, false, &tag, &got));
    ck_assert_ptr_null(got);
    for (int i = 0; i < DEPTH; i++) {
        ck_ok(mu_readback_take(r, true, &tag, &got));
        ck_assert_double_eq(*(const double *)got, i);
    }
    mu_readback_release(r);
    b->ops->dealloc(b, block);
    mu_backend_close(b);
}
END_TEST
#endif

START_TEST(without_memory)
{
    mu_backend *b = open_device(_i);
    mu_readback *r;
    if (!b)
        return;
    ck_fails(mu_readback_new(b, 8, 0, &r), MU_ERR_USAGE, "");
    ck_fails(mu_readback_new(b, SIZE_MAX / 2, 4, &r), MU_ERR_OVERFLOW, "");
    ck_survives_oom(mu_readback_new(b, 8, 2, &r), mu_readback_release(r));
    mu_backend_close(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("readback");
    TCase *tests = tcase_create("readback");
    tcase_add_loop_test(tests, in_order_and_late, 0, N_DEVICES);
#ifdef HAVE_CUDA_EMULATED
    tcase_add_test(tests, nothing_waits);
#endif
    tcase_add_loop_test(tests, without_memory, 0, N_DEVICES);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

#include "test.h"

#include <string.h>

static mu_err inner(void)
{
    MU_FAIL(MU_ERR_SHAPE, "weight [%d] is too long", 3);
    return mu_error_hint("shorten it");
}

static mu_err outer(void)
{
    MU_TRY(inner());
    return MU_OK;
}

START_TEST(record)
{
    ck_fails(outer(), MU_ERR_SHAPE, "weight [3] is too long");
    ck_assert_int_eq(mu_error_last()->n_frames, 2);
    ck_assert_str_eq(mu_error_last()->frame[0].function, "inner");
    ck_assert_str_eq(mu_error_last()->frame[1].function, "outer");
    mu_error_context("conv2d \"%s\"", "stem");
    char text[256];
    mu_error_format(mu_error_last(), 0, text, sizeof text);
    ck_assert_str_eq(text, "conv2d \"stem\": weight [3] is too long\n  hint: shorten it");
}
END_TEST

START_TEST(format_is_always_terminated)
{
    ck_fails(outer(), MU_ERR_SHAPE, "weight");
    char small[8];
    size_t need = mu_error_format(mu_error_last(), 0, small, sizeof small);
    ck_assert_str_eq(small, "weight ");
    ck_assert_uint_gt(need, sizeof small);
}
END_TEST

START_TEST(exit_status)
{
    ck_assert_int_eq(mu_err_exit_status(MU_OK), 0);
    ck_assert_int_eq(mu_err_exit_status(MU_ERR_CONFIG), 2);
    ck_assert_int_eq(mu_err_exit_status(MU_ERR_USAGE), 2);
    ck_assert_int_eq(mu_err_exit_status(MU_ERR_MEMORY), 1);
}
END_TEST

START_TEST(injected_allocation_failure)
{
    int64_t live = mu_mem_get_counts().live_blocks;
    char *a = NULL, *b = NULL;
    mu_mem_fail_at(2);
    ck_ok(mu_alloc(&a, 10));
    ck_fails(mu_alloc(&b, 10), MU_ERR_MEMORY, "10 bytes were asked");
    ck_assert_ptr_null(b);
    ck_ok(mu_alloc(&b, 0));
    mu_free(a);
    mu_free(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, live);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("error");
    TCase *tests = tcase_create("error");
    tcase_add_test(tests, record);
    tcase_add_test(tests, format_is_always_terminated);
    tcase_add_test(tests, exit_status);
    tcase_add_test(tests, injected_allocation_failure);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

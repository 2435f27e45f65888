#include "test.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>

/* The next byte is none of the block's, though its memory goes on to a multiple of MU_ALIGN. */
START_TEST(ends_where_it_was_asked_to)
{
    for (size_t bytes = 0; bytes < 3 * MU_ALIGN; bytes++) {
        char *block;
        ck_ok(mu_alloc(&block, bytes));
        ck_assert(bytes == 0 || !__asan_address_is_poisoned(block + bytes - 1));
        ck_assert(__asan_address_is_poisoned(block + bytes));
        mu_free(block);
    }
}
END_TEST
#endif

START_TEST(aligned_and_counted)
{
    mu_mem_counts before = mu_mem_get_counts();
    char *p[4];
    size_t size[4] = {0, 1, 64, 1000};
    for (int i = 0; i < 4; i++) {
        ck_ok(mu_alloc(&p[i], size[i]));
        ck_assert_uint_eq((uintptr_t)p[i] % MU_ALIGN, 0);
        memset(p[i], 1, size[i]);
    }
    mu_mem_counts now = mu_mem_get_counts();
    ck_assert_int_eq(now.live_blocks - before.live_blocks, 4);
    ck_assert_int_eq(now.live_bytes - before.live_bytes, 1065);
    ck_assert_int_eq(now.total_blocks - before.total_blocks, 4);
    ck_assert_int_ge(now.peak_bytes, now.live_bytes);
    for (int i = 0; i < 4; i++)
        mu_free(p[i]);
    mu_free(NULL);
    ck_assert_int_eq(mu_mem_get_counts().live_bytes, before.live_bytes);
    ck_assert_int_eq(mu_mem_get_counts().peak_bytes, now.peak_bytes);
    mu_mem_reset_peak();
    ck_assert_int_eq(mu_mem_get_counts().peak_bytes, before.live_bytes);
}
END_TEST

START_TEST(too_large)
{
    void *p = &p;
    ck_fails(mu_alloc(&p, SIZE_MAX), MU_ERR_MEMORY, "were asked");
    ck_assert_ptr_null(p);
    ck_fails(mu_alloc(&p, SIZE_MAX - 200), MU_ERR_MEMORY, "were asked");
    ck_fails(mu_calloc(&p, SIZE_MAX / 2, 3), MU_ERR_OVERFLOW, "does not fit");
    ck_assert_ptr_null(p);
    size_t size = 7, capacity = 0;
    ck_fails(mu_add_size(SIZE_MAX, 1, &size), MU_ERR_OVERFLOW, "does not fit");
    ck_fails(mu_grow(&p, &capacity, SIZE_MAX / 2 + 2, 1), MU_ERR_OVERFLOW, "does not fit");
    ck_fails(mu_grow(&p, &capacity, SIZE_MAX / 4, 8), MU_ERR_OVERFLOW, "does not fit");
    ck_assert(p == NULL && capacity == 0);
    int64_t product;
    ck_fails(mu_mul_i64(INT64_MIN, -1, &product), MU_ERR_OVERFLOW, "64 bits");
    ck_ok(mu_mul_i64(INT64_MAX, -1, &product));
    ck_assert_int_eq(product, -INT64_MAX);
}
END_TEST

START_TEST(growing)
{
    int *array = NULL;
    size_t capacity = 0;
    int64_t blocks = mu_mem_get_counts().total_blocks;
    for (int i = 0; i < 1000; i++) {
        ck_ok(mu_grow(&array, &capacity, (size_t)i + 1, sizeof *array));
        array[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(array[i], i);
    ck_assert_uint_eq(capacity, 1024);
    ck_assert_int_eq(mu_mem_get_counts().total_blocks - blocks, 8);
    mu_mem_fail_at(1);
    ck_fails(mu_grow(&array, &capacity, 1025, sizeof *array), MU_ERR_MEMORY, "8192 bytes were asked");
    ck_assert(capacity == 1024 && array[999] == 999);
    ck_ok(mu_realloc(&array, 2 * sizeof *array));
    ck_assert_int_eq(array[1], 1);
    mu_free(array);
}
END_TEST

static mu_err three_strings(char *out[3])
{
    mu_err err;
    out[0] = out[1] = out[2] = NULL;
    MU_TRY_GOTO(err, mu_strdup(&out[0], "one"), undo);
    MU_TRY_GOTO(err, mu_strndup(&out[1], "twofold", 3), undo);
    MU_TRY_GOTO(err, mu_asprintf(&out[2], "%s%d", "thr", 33), undo);
    return MU_OK;
undo:
    for (int i = 0; i < 3; i++)
        mu_free(out[i]);
    return err;
}

START_TEST(strings)
{
    char *s[3];
    ck_survives_oom(three_strings(s), (mu_free(s[0]), mu_free(s[1]), mu_free(s[2])));
    ck_ok(three_strings(s));
    ck_assert_str_eq(s[0], "one");
    ck_assert_str_eq(s[1], "two");
    ck_assert_str_eq(s[2], "thr33");
    for (int i = 0; i < 3; i++)
        mu_free(s[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mem");
    TCase *tests = tcase_create("mem");
#ifdef __SANITIZE_ADDRESS__
    tcase_add_test(tests, ends_where_it_was_asked_to);
#endif
    tcase_add_test(tests, aligned_and_counted);
    tcase_add_test(tests, too_large);
    tcase_add_test(tests, growing);
    tcase_add_test(tests, strings);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

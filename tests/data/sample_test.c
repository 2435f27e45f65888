#include "data/sample.h"

#include "test.h"

static uint8_t *put_image(mu_sample *s, int64_t h, int64_t w)
{
    void *data;
    ck_ok(mu_sample_put(s, "img", MU_TYPE(MU_U8, 3, h, w), &data));
    return data;
}

START_TEST(fields_come_and_go)
{
    mu_sample s = {0};
    const mu_tensor *field;
    void *label, *score;
    mu_sample_begin(&s, 7, 1, 0);
    ck_assert_int_eq(s.index, 7);
    uint8_t *img = put_image(&s, 5, 4);
    ck_ok(mu_sample_put(&s, "gt_label", MU_SCALAR(MU_I64), &label));
    ck_ok(mu_sample_put(&s, "score", MU_TYPE(MU_F32, 0), &score));
    ck_assert_uint_eq((uintptr_t)img % MU_ALIGN, 0);
    ck_assert_uint_eq((uintptr_t)label % MU_ALIGN, 0);
    ck_ok(mu_sample_image(&s, "test", &field));
    ck_assert_ptr_eq(field->data, img);
    mu_sample_drop(&s, "gt_label");
    mu_sample_drop(&s, "gt_label");
    ck_assert_int_eq(s.fields.n, 2);
    ck_ok(mu_sample_get(&s, "score", "test", &field));
    ck_assert_ptr_eq(field->data, score);
    mu_sample_begin(&s, 8, 1, 0);
    ck_assert_int_eq(s.fields.n, 0);
    mu_sample_release(&s);
    ck_assert_ptr_null(s.blocks);
}
END_TEST

START_TEST(what_was_replaced_stays_readable)
{
    mu_sample s = {0};
    uint8_t *first, *other;
    mu_sample_begin(&s, 0, 0, 0);
    first = put_image(&s, 100, 100);
    memset(first, 17, 30000);
    for (int i = 0; i < 20; i++) {
        other = put_image(&s, 200 + i, 100);
        memset(other, 99, (size_t)(200 + i) * 300);
    }
    for (int i = 0; i < 30000; i++)
        ck_assert_int_eq(first[i], 17);
    ck_assert_int_eq(s.fields.n, 1);
    mu_sample_release(&s);
}
END_TEST

START_TEST(steady_state_allocates_nothing)
{
    mu_sample s = {0};
    int64_t total = 0;
    for (int pass = 0; pass < 4; pass++) {
        for (int i = 0; i < 50; i++) {
            mu_sample_begin(&s, i, 0, pass);
            put_image(&s, 10 + 7 * i, 90);
            put_image(&s, 300 - 5 * i, 60);
            put_image(&s, 32, 32);
        }
        if (pass == 0)
            total = mu_mem_get_counts().total_blocks;
    }
    ck_assert_int_eq(mu_mem_get_counts().total_blocks, total);
    mu_sample_release(&s);
}
END_TEST

/* Draws depend on seed, pass and index alone, and differ in each of them. */
START_TEST(random_numbers_are_keyed)
{
    mu_sample s = {0}, again = {0};
    double first[4];
    for (int i = 0; i < 4; i++) {
        mu_sample_begin(&s, 5 + (i == 1), 9 + (i == 2), 2 + (i == 3));
        first[i] = mu_sample_uniform(&s);
        for (int j = 0; j < i; j++)
            ck_assert(first[i] != first[j]);
    }
    mu_sample_begin(&s, 5, 9, 2);
    mu_sample_begin(&again, 1, 1, 1);
    put_image(&again, 4, 4);
    (void)mu_sample_uniform(&again);
    mu_sample_begin(&again, 5, 9, 2);
    for (int i = 0; i < 100; i++) {
        ck_assert(mu_sample_uniform(&s) == mu_sample_uniform(&again));
        ck_assert_int_eq(mu_sample_below(&s, 10), mu_sample_below(&again, 10));
    }
    mu_sample_release(&s);
    mu_sample_release(&again);
}
END_TEST

/* Uniform and integer draws, mixed, are independent of each other: a chi-square of pairs of consecutive draws. */
START_TEST(draws_do_not_share_bits)
{
    enum { N = 20000, K = 8 };
    static int pairs[K][K];
    mu_sample s = {0};
    int before = 0;
    double chi = 0;
    mu_sample_begin(&s, 0, 3, 0);
    memset(pairs, 0, sizeof pairs);
    for (int i = 0; i < N; i++) {
        int now = i % 3 ? (int)mu_sample_below(&s, K) : (int)(mu_sample_uniform(&s) * K);
        ck_assert(now >= 0 && now < K);
        pairs[before][now]++;
        before = now;
    }
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++) {
            double d = pairs[i][j] - (double)N / (K * K);
            chi += d * d * K * K / N;
        }
    ck_assert_double_lt(chi, 110); /* 63 degrees of freedom: beyond with probability 2e-4 */
    mu_sample_release(&s);
}
END_TEST

START_TEST(missing_and_wrong_fields)
{
    mu_sample s = {0};
    const mu_tensor *field = NULL;
    void *data;
    mu_sample_begin(&s, 0, 0, 0);
    ck_fails(mu_sample_image(&s, "RandomFlip", &field), MU_ERR_CONFIG,
             "RandomFlip: the sample has no field 'img' (it has nothing)");
    ck_ok(mu_sample_put(&s, "gt_label", MU_SCALAR(MU_I64), &data));
    ck_fails(mu_sample_get(&s, "img", NULL, &field), MU_ERR_CONFIG,
             "the sample has no field 'img' (it has gt_label i64[])");
    ck_ok(mu_sample_put(&s, "img", MU_TYPE(MU_U8, 812), &data));
    ck_fails(mu_sample_image(&s, "Resize", &field), MU_ERR_CONFIG, "put DecodeImage before");
    ck_ok(mu_sample_put(&s, "img", MU_TYPE(MU_U8, 28, 28), &data));
    ck_fails(mu_sample_image(&s, "Resize", &field), MU_ERR_CONFIG, "Resize: 'img' is u8[28,28], expected an image");
    ck_ok(mu_sample_put(&s, "img", MU_TYPE(MU_I64, 1, 28, 28), &data));
    ck_fails(mu_sample_image(&s, "Resize", &field), MU_ERR_CONFIG, "'img' is i64[1,28,28]");
    ck_ok(mu_sample_put(&s, "img", MU_TYPE(MU_U8, 3, 0, 28), &data));
    ck_fails(mu_sample_image(&s, "Resize", &field), MU_ERR_CONFIG, "none of them 0");
    ck_assert_ptr_null(field);
    ck_fails(mu_sample_put(&s, "img", MU_TYPE(MU_U8, 3, INT64_MAX / 2, 28), &data), MU_ERR_OVERFLOW, "");
    ck_ok(mu_sample_get(&s, "img", NULL, &field));
    ck_assert_int_eq(field->type.dim[1], 0);
    mu_sample_release(&s);
}
END_TEST

START_TEST(too_many_fields)
{
    static char name[MU_MAX_TENSORS + 1][8];
    mu_sample s = {0};
    void *data;
    mu_sample_begin(&s, 0, 0, 0);
    for (int i = 0; i <= MU_MAX_TENSORS; i++)
        snprintf(name[i], sizeof name[i], "f%d", i);
    for (int i = 0; i < MU_MAX_TENSORS; i++)
        ck_ok(mu_sample_put(&s, name[i], MU_SCALAR(MU_F32), &data));
    ck_fails(mu_sample_put(&s, name[MU_MAX_TENSORS], MU_SCALAR(MU_F32), &data), MU_ERR_OVERFLOW, "'f32'");
    mu_sample_release(&s);
}
END_TEST

static mu_err put_twice(mu_sample *s)
{
    void *data;
    mu_sample_begin(s, 0, 0, 0);
    mu_err err = mu_sample_put(s, "a", MU_TYPE(MU_U8, 100), &data);
    if (!err)
        err = mu_sample_put(s, "b", MU_TYPE(MU_U8, 100000), &data);
    if (err)
        mu_sample_release(s);
    return err;
}

START_TEST(out_of_memory)
{
    mu_sample s = {0};
    ck_survives_oom(put_twice(&s), mu_sample_release(&s));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sample");
    TCase *t = tcase_create("sample");
    tcase_add_test(t, fields_come_and_go);
    tcase_add_test(t, what_was_replaced_stays_readable);
    tcase_add_test(t, steady_state_allocates_nothing);
    tcase_add_test(t, random_numbers_are_keyed);
    tcase_add_test(t, draws_do_not_share_bits);
    tcase_add_test(t, missing_and_wrong_fields);
    tcase_add_test(t, too_many_fields);
    tcase_add_test(t, out_of_memory);
    suite_add_tcase(suite, t);
    return test_run(suite);
}

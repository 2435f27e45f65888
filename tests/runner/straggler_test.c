/* Who is slow, by the ranks' times. */
#include "runner/hooks/straggler.h"

#include "test.h"

enum { MOST = 8 };
static mu_rank_record record[MOST];
static double scratch[MOST];

static void begin(void)
{
    memset(record, 0, sizeof record);
}

/* Milliseconds of n ranks. */
static mu_straggler judge(int n, const double *ms, double factor)
{
    mu_rank_time time[MOST];
    for (int r = 0; r < n; r++)
        time[r] = (mu_rank_time){.own = 1e-3 * ms[r]};
    return mu_straggler_judge(time, n, factor, record, scratch);
}
#define JUDGE(factor, ...) judge((int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]){__VA_ARGS__}, (factor))

static void expect(mu_straggler found, int rank, int others, double median_ms)
{
    ck_assert_int_eq(found.rank, rank);
    ck_assert_int_eq(found.others, others);
    ck_assert_double_eq_tol(found.median, 1e-3 * median_ms, 1e-12);
}

START_TEST(one_is_slow)
{
    expect(JUDGE(1.5, 100, 171, 120, 312, 90), 3, 0, 120);
    ck_assert_int_eq(record[1].slow, 0); /* 1.43 times */
    ck_assert_int_eq(record[3].slow, 1);
}
END_TEST

START_TEST(even_numbers_of_ranks)
{
    expect(JUDGE(1.5, 100, 160), 1, 0, 100);
    expect(JUDGE(1.5, 170, 100), 0, 0, 100);
    begin();
    expect(JUDGE(1.5, 10, 20, 30, 40), 3, 0, 20); /* 30 is not more than 1.5 times 20 */
}
END_TEST

START_TEST(nobody_is_slow)
{
    expect(JUDGE(1.5, 100, 100, 100), -1, 0, 100);
    expect(JUDGE(1.5, 100, 150, 100), -1, 0, 100);
    expect(JUDGE(1.5, 7), -1, 0, 7);
    expect(JUDGE(1.5, 0, 0, 0), -1, 0, 0);
    expect(JUDGE(1.5, 300, 300, 1), -1, 0, 300); /* one that is fast */
    expect(JUDGE(1.5, 0.5, 1.4, 0.5), -1, 0, 0.5); /* 2.8 times, but not by 1 ms */
    for (int r = 0; r < MOST; r++)
        ck_assert_int_eq(record[r].slow, 0);
    expect(JUDGE(1.5, 0.5, 1.6, 0.5), 1, 0, 0.5);
    expect(JUDGE(1.5, 0, 0, 5), 2, 0, 0);
}
END_TEST

START_TEST(told_once_until_worse)
{
    expect(JUDGE(1.5, 100, 200, 100), 1, 0, 100);
    expect(JUDGE(1.5, 100, 200, 100), -1, 0, 100);
    expect(JUDGE(1.5, 100, 290, 100), -1, 0, 100);
    expect(JUDGE(1.5, 100, 310, 100), 1, 0, 100); /* worse by half */
    expect(JUDGE(1.5, 100, 400, 100), -1, 0, 100);
    expect(JUDGE(1.5, 100, 130, 100), -1, 0, 100); /* at the edge: not forgotten */
    expect(JUDGE(1.5, 100, 400, 100), -1, 0, 100);
    expect(JUDGE(1.5, 100, 120, 100), -1, 0, 100); /* caught up */
    expect(JUDGE(1.5, 100, 200, 100), 1, 0, 100);
    ck_assert_int_eq(record[1].slow, 7);
}
END_TEST

START_TEST(several_are_slow)
{
    expect(JUDGE(1.5, 100, 200, 100, 300, 100), 3, 1, 100);
    expect(JUDGE(1.5, 100, 200, 100, 300, 100), -1, 0, 100);
    expect(JUDGE(1.5, 200, 200, 100, 300, 100, 100, 100), 0, 2, 100); /* only rank 0 is news */
}
END_TEST

START_TEST(worst_of_a_run)
{
    int others = -1;
    record[1].slow = 5;
    ck_assert_int_eq(mu_straggler_worst(record, 4, 10, &others), -1); /* half is not more than half */
    ck_assert_int_eq(others, 0);
    ck_assert_int_eq(mu_straggler_worst(record, 4, 9, &others), 1);
    ck_assert_int_eq(others, 0);
    record[0].slow = 6;
    record[3].slow = 8;
    ck_assert_int_eq(mu_straggler_worst(record, 4, 10, &others), 3);
    ck_assert_int_eq(others, 1);
    begin();
    ck_assert_int_eq(mu_straggler_worst(record, 4, 0, &others), -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("straggler");
    TCase *tc = tcase_create("straggler");
    tcase_add_checked_fixture(tc, begin, NULL);
    tcase_add_test(tc, one_is_slow);
    tcase_add_test(tc, even_numbers_of_ranks);
    tcase_add_test(tc, nobody_is_slow);
    tcase_add_test(tc, told_once_until_worse);
    tcase_add_test(tc, several_are_slow);
    tcase_add_test(tc, worst_of_a_run);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

#include "runner/history.h"

#include "test.h"

#include <float.h>
#include <locale.h>
#include <math.h>

static mu_message_hub *hub;

static void begin(void)
{
    ck_ok(mu_message_hub_new(&hub));
}

static void end(void)
{
    mu_message_hub_release(hub);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static void tell(const char *name, double value)
{
    ck_ok(mu_message_hub_scalar(hub, name, value, 1, true));
}

START_TEST(windows)
{
    for (int i = 1; i <= 6; i++)
        tell("a", i * i); /* 1 4 9 16 25 36 */
    const mu_history *a = mu_message_hub_history(hub, "a");
    ck_assert_int_eq(mu_history_length(a), 6);
    ck_assert(mu_history_current(a) == 36);
    ck_assert(mu_history_mean(a, 2) == 30.5);
    ck_assert(mu_history_mean(a, 1) == 36);
    ck_assert(mu_history_mean(a, 6) == 91.0 / 6);
    ck_assert(mu_history_mean(a, 7) == 91.0 / 6);
    ck_assert(mu_history_mean(a, 0) == 91.0 / 6);
    ck_assert(mu_history_mean(a, INT64_MAX) == 91.0 / 6);
    ck_assert(mu_history_min(a, 3) == 16);
    ck_assert(mu_history_min(a, 0) == 1);
    tell("a", 2);
    ck_assert(mu_history_max(a, 2) == 36);
    ck_assert(mu_history_max(a, 1) == 2);
    ck_assert_ptr_null(mu_message_hub_history(hub, "b"));
}
END_TEST

START_TEST(values_are_sums_over_counts)
{
    ck_ok(mu_message_hub_scalar(hub, "a", 30, 10, true));
    ck_ok(mu_message_hub_scalar(hub, "a", 8, 2, true));
    const mu_history *a = mu_message_hub_history(hub, "a");
    ck_assert(mu_history_mean(a, 0) == 38.0 / 12);
    ck_assert(mu_history_current(a) == 4);
    ck_assert(mu_history_min(a, 0) == 3);
    ck_assert(mu_history_max(a, 0) == 4);
}
END_TEST

START_TEST(empty_and_nan)
{
    tell("a", 1);
    mu_message_hub_clear(hub, "a");
    const mu_history *a = mu_message_hub_history(hub, "a");
    ck_assert_int_eq(mu_history_length(a), 0);
    ck_assert(isnan(mu_history_current(a)) && isnan(mu_history_mean(a, 3)));
    ck_assert(isnan(mu_history_min(a, 0)) && isnan(mu_history_max(a, 0)));
    tell("a", 1);
    tell("a", NAN);
    tell("a", 2);
    ck_assert(isnan(mu_history_min(a, 0)) && isnan(mu_history_max(a, 2)) && isnan(mu_history_mean(a, 2)));
    ck_assert(mu_history_min(a, 1) == 2);
}
END_TEST

/* Beyond the capacity the oldest entries go, also a second time round. */
START_TEST(capacity)
{
    int64_t n = 2 * (int64_t)MU_HISTORY_CAPACITY + 3;
    for (int64_t i = 0; i < n; i++)
        ck_ok(mu_message_hub_scalar(hub, "a", (double)i, 1, true));
    const mu_history *a = mu_message_hub_history(hub, "a");
    ck_assert_int_eq(mu_history_length(a), MU_HISTORY_CAPACITY);
    ck_assert(mu_history_current(a) == (double)(n - 1));
    ck_assert(mu_history_min(a, 0) == (double)(n - MU_HISTORY_CAPACITY));
    ck_assert(mu_history_mean(a, 5) == (double)(n - 3));
}
END_TEST

START_TEST(names_keep_their_order)
{
    char name[16];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "n%d", (i * 37) % 100);
        tell(name, i);
    }
    tell("n37", 5);
    ck_assert_uint_eq(mu_message_hub_n_scalars(hub), 100);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "n%d", (i * 37) % 100);
        ck_assert_str_eq(mu_message_hub_scalar_name(hub, (size_t)i), name);
    }
    ck_assert_int_eq(mu_history_length(mu_message_hub_history(hub, "n37")), 2);
    mu_message_hub_clear(hub, "n3");
    ck_assert_int_eq(mu_history_length(mu_message_hub_history(hub, "n37")), 0);
    ck_assert_int_eq(mu_history_length(mu_message_hub_history(hub, "n73")), 1);
    ck_assert_uint_eq(mu_message_hub_n_scalars(hub), 100);
}
END_TEST

START_TEST(facts)
{
    ck_assert_ptr_null(mu_message_hub_get(hub, "iter"));
    ck_ok(mu_message_hub_set_i64(hub, "iter", 7, true));
    ck_ok(mu_message_hub_set_i64(hub, "iter", INT64_MIN, true));
    ck_ok(mu_message_hub_set_f64(hub, "eta", 1.5, false));
    ck_ok(mu_message_hub_set_text(hub, "best_ckpt", "a/b", true));
    ck_ok(mu_message_hub_set_text(hub, "best_ckpt", "c", true));
    ck_assert(mu_cfg_int(mu_message_hub_get(hub, "iter")) == INT64_MIN);
    ck_assert(mu_cfg_float(mu_message_hub_get(hub, "eta")) == 1.5);
    ck_assert_str_eq(mu_cfg_string(mu_message_hub_get(hub, "best_ckpt")), "c");
    ck_ok(mu_message_hub_set_f64(hub, "iter", 2, true)); /* another kind */
    ck_assert_int_eq(mu_cfg_kind_of(mu_message_hub_get(hub, "iter")), MU_CFG_FLOAT);
    ck_fails(mu_message_hub_set_f64(hub, "eta", 1, true), MU_ERR_USAGE, "'eta' is told as resumed");
    tell("a", 1);
    ck_fails(mu_message_hub_scalar(hub, "a", 1, 1, false), MU_ERR_USAGE, "'a' is told as not resumed");
}
END_TEST

START_TEST(known_names_allocate_nothing)
{
    for (int i = 0; i < 5; i++)
        tell("a", i);
    ck_ok(mu_message_hub_set_i64(hub, "iter", 7, true));
    ck_ok(mu_message_hub_set_f64(hub, "eta", 7, false));
    int64_t before = mu_mem_get_counts().total_blocks;
    tell("a", 1); /* there is room for 8 */
    ck_ok(mu_message_hub_set_i64(hub, "iter", 8, true));
    ck_ok(mu_message_hub_set_f64(hub, "eta", 8, false));
    ck_assert_int_eq(mu_mem_get_counts().total_blocks, before);
    ck_assert(mu_cfg_int(mu_message_hub_get(hub, "iter")) == 8 && mu_cfg_float(mu_message_hub_get(hub, "eta")) == 8);
}
END_TEST

static const double awkward[] = {0.1,     -0.0,      1.0 / 3, DBL_MIN / 8, DBL_TRUE_MIN, DBL_MAX, 1e22,
                                 -123456, INFINITY,  -INFINITY, NAN,       2.5e-310,     1e16,    4503599627370497.5};
enum { N_AWKWARD = sizeof awkward / sizeof awkward[0] };

static void fill(void)
{
    tell("train/loss \"x\"\n\xc3\xa9", 0);
    for (int i = 0; i < N_AWKWARD; i++)
        ck_ok(mu_message_hub_scalar(hub, "train/odd", awkward[i], i + 0.5, true));
    ck_ok(mu_message_hub_scalar(hub, "train/time", 3, 1, false));
    for (int i = 0; i < N_AWKWARD; i++) {
        char key[8];
        snprintf(key, sizeof key, "f%d", i);
        ck_ok(mu_message_hub_set_f64(hub, key, awkward[i], true));
    }
    ck_ok(mu_message_hub_set_i64(hub, "iter", INT64_MAX, true));
    ck_ok(mu_message_hub_set_text(hub, "t", "nan", true));
    ck_ok(mu_message_hub_set_text(hub, "name", "a\\\"\t\xe2\x82\xac", true));
    ck_ok(mu_message_hub_set_f64(hub, "eta", 3, false));
}

static int same_bits(double a, double b)
{
    return isnan(a) ? isnan(b) : memcmp(&a, &b, sizeof a) == 0;
}

START_TEST(dump_and_restore)
{
    char *text, *again;
    mu_message_hub *other;
    fill();
    ck_ok(mu_message_hub_dump(hub, 100, &text));
    ck_ok(mu_message_hub_new(&other));
    ck_ok(mu_message_hub_scalar(other, "train/odd", 1, 1, true)); /* replaced */
    ck_ok(mu_message_hub_scalar(other, "mine", 1, 1, true));      /* left */
    ck_ok(mu_message_hub_restore(other, text));
    ck_assert_int_eq(mu_history_length(mu_message_hub_history(other, "mine")), 1);
    ck_assert_ptr_null(mu_message_hub_history(other, "train/time"));
    ck_assert_ptr_null(mu_message_hub_get(other, "eta"));
    const mu_history *odd = mu_message_hub_history(other, "train/odd");
    ck_assert_int_eq(mu_history_length(odd), N_AWKWARD);
    for (int i = 0; i < N_AWKWARD; i++) {
        char key[8];
        double value, count;
        mu_history_at(odd, i, &value, &count);
        ck_assert_msg(same_bits(value, awkward[i]), "%.17g became %.17g", awkward[i], value);
        ck_assert(count == i + 0.5);
        snprintf(key, sizeof key, "f%d", i);
        const mu_cfg *fact = mu_message_hub_get(other, key);
        ck_assert_int_eq(mu_cfg_kind_of(fact), MU_CFG_FLOAT);
        ck_assert(same_bits(mu_cfg_float(fact), awkward[i]));
    }
    ck_assert(mu_cfg_int(mu_message_hub_get(other, "iter")) == INT64_MAX);
    ck_assert_str_eq(mu_cfg_string(mu_message_hub_get(other, "t")), "nan");
    ck_assert_str_eq(mu_cfg_string(mu_message_hub_get(other, "name")), "a\\\"\t\xe2\x82\xac");
    mu_message_hub_release(other);

    ck_ok(mu_message_hub_new(&other));
    ck_ok(mu_message_hub_restore(other, text));
    ck_ok(mu_message_hub_dump(other, 100, &again));
    ck_assert_str_eq(again, text); /* the order too */
    mu_free(again);
    ck_ok(mu_message_hub_dump(other, 2, &again));
    mu_message_hub_release(other);
    ck_ok(mu_message_hub_new(&other));
    ck_ok(mu_message_hub_restore(other, again));
    odd = mu_message_hub_history(other, "train/odd");
    ck_assert_int_eq(mu_history_length(odd), 2);
    double value, count;
    mu_history_at(odd, 0, &value, &count);
    ck_assert(value == awkward[N_AWKWARD - 2] && count == N_AWKWARD - 1.5);
    mu_message_hub_release(other);
    mu_free(again);
    mu_free(text);
}
END_TEST

START_TEST(dump_in_another_locale)
{
    char *text;
    if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "fr_FR.UTF-8"))
        return; /* no locale with a decimal comma on this machine */
    tell("a", 0.5);
    ck_ok(mu_message_hub_dump(hub, 1, &text));
    ck_assert_str_eq(text, "{\"scalars\": {\"a\": [[0.5, 1.0]]}, \"facts\": {}}");
    mu_free(text);
    setlocale(LC_ALL, "C");
}
END_TEST

START_TEST(dump_of_nothing)
{
    char *text;
    ck_ok(mu_message_hub_dump(hub, 10, &text));
    ck_assert_str_eq(text, "{\"scalars\": {}, \"facts\": {}}");
    ck_ok(mu_message_hub_restore(hub, text));
    mu_free(text);
}
END_TEST

START_TEST(damaged_dumps)
{
    static const char *const bad[] = {
        "", "[", "[]", "3", "{}", "{\"scalars\": {}}", "{\"scalars\": [], \"facts\": {}}",
        "{\"scalars\": {\"a\": 1}, \"facts\": {}}", "{\"scalars\": {\"a\": [1]}, \"facts\": {}}",
        "{\"scalars\": {\"a\": [[1]]}, \"facts\": {}}", "{\"scalars\": {\"a\": [[1, \"infinity\"]]}, \"facts\": {}}",
        "{\"scalars\": {\"a\": [[1, null]]}, \"facts\": {}}", "{\"scalars\": {}, \"facts\": {\"a\": {}}}",
        "{\"scalars\": {}, \"facts\": {\"a\": [1, 2]}}", "{\"scalars\": {}, \"facts\": {\"a\": true}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_fails(mu_message_hub_restore(hub, bad[i]), MU_ERR_FORMAT, "message hub");
}
END_TEST

static mu_err use(void)
{
    mu_message_hub *h;
    char *text = NULL;
    MU_TRY(mu_message_hub_new(&h));
    mu_err err;
    for (int i = 0; i < 20; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%d", i);
        MU_TRY_GOTO(err, mu_message_hub_scalar(h, name, i, 1, true), out);
    }
    MU_TRY_GOTO(err, mu_message_hub_set_text(h, "t", "x", true), out);
    MU_TRY_GOTO(err, mu_message_hub_set_f64(h, "f", 1, false), out);
    MU_TRY_GOTO(err, mu_message_hub_dump(h, 5, &text), out);
    MU_TRY_GOTO(err, mu_message_hub_restore(h, text), out);
out:
    mu_free(text);
    mu_message_hub_release(h);
    return err;
}

START_TEST(memory)
{
    ck_survives_oom(use(), );
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hub");
    TCase *tc = tcase_create("hub");
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, windows);
    tcase_add_test(tc, values_are_sums_over_counts);
    tcase_add_test(tc, empty_and_nan);
    tcase_add_test(tc, capacity);
    tcase_add_test(tc, names_keep_their_order);
    tcase_add_test(tc, facts);
    tcase_add_test(tc, known_names_allocate_nothing);
    tcase_add_test(tc, dump_and_restore);
    tcase_add_test(tc, dump_in_another_locale);
    tcase_add_test(tc, dump_of_nothing);
    tcase_add_test(tc, damaged_dumps);
    tcase_add_test(tc, memory);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

/* The list of mistakes: order, wording, truncation, ownership. */
#include "config/diagnostic.h"

#include "test.h"

#include <math.h>

START_TEST(formats_and_sorts)
{
    mu_diagnostics list = {0};
    char text[256], file[] = "b.yaml";
    ck_ok(mu_diagnostics_status(&list));
    ck_ok(mu_diagnostics_add(&list, (mu_pos){file, 9, 1}, "lr", "float > 0", "float -1", NULL));
    memset(file, '?', sizeof file - 1); /* copied */
    ck_ok(mu_diagnostics_add(&list, (mu_pos){"a.yaml", 10, 2}, "model.backbon", "a key of ImageClassifier",
                             "dictionary with 1 key", "backbone"));
    ck_ok(mu_diagnostics_add(&list, (mu_pos){"a.yaml", 9, 3}, "", "x", "y", NULL));
    ck_ok(mu_diagnostics_add(&list, (mu_pos){"a.yaml", 9, 1}, "p", "x", "y", NULL));
    mu_diagnostics_sort(&list);
    static const char *const expected[] = {
        "a.yaml:9:1: p: expected x, found y",
        "a.yaml:9:3: expected x, found y",
        "a.yaml:10:2: model.backbon: expected a key of ImageClassifier, found dictionary with 1 key; did you mean 'backbone'?",
        "b.yaml:9:1: lr: expected float > 0, found float -1",
    };
    ck_assert_uint_eq(list.n, 4);
    for (size_t i = 0; i < list.n; i++) {
        ck_assert_uint_eq(mu_diagnostic_format(&list.item[i], text, sizeof text), strlen(expected[i]));
        ck_assert_str_eq(text, expected[i]);
    }
    ck_assert_uint_eq(mu_diagnostic_format(&list.item[0], text, 7), strlen(expected[0]));
    ck_assert_str_eq(text, "a.yaml");
    ck_fails(mu_diagnostics_status(&list), MU_ERR_CONFIG, "4 mistakes in the configuration:\n  a.yaml:9:1: p: expected x");
    ck_assert_ptr_nonnull(strstr(test_error_text(), "\n  b.yaml:9:1: lr"));
    mu_diagnostics_release(&list);
    ck_ok(mu_diagnostics_status(&list));
}
END_TEST

START_TEST(says_how_many_more)
{
    mu_diagnostics list = {0};
    char path[300];
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    for (int i = 0; i < 100; i++)
        ck_ok(mu_diagnostics_add(&list, (mu_pos){"a.yaml", i, 1}, path, "x", "y", NULL));
    ck_fails(mu_diagnostics_status(&list), MU_ERR_CONFIG, "100 mistakes");
    int lines = 0;
    for (const char *s = mu_error_last()->message; (s = strchr(s, '\n')); s++)
        lines++;
    char tail[32];
    snprintf(tail, sizeof tail, "\n  and %d more", 100 - (lines - 1));
    ck_assert_int_ge(lines, 3);
    ck_assert_ptr_nonnull(strstr(mu_error_last()->message, tail));
    mu_diagnostics_release(&list);
}
END_TEST

static void ck_describes(mu_cfg *cfg, const char *expected)
{
    char text[128];
    mu_cfg_describe(cfg, text, sizeof text);
    ck_assert_str_eq(text, expected);
    mu_cfg_release(cfg);
}

START_TEST(describes_values)
{
    mu_pos at = {0};
    mu_cfg *cfg, *child;
    ck_ok(mu_cfg_new_null(at, &cfg));
    ck_describes(cfg, "null");
    ck_ok(mu_cfg_new_bool(false, at, &cfg));
    ck_describes(cfg, "boolean false");
    ck_ok(mu_cfg_new_int(INT64_MIN, at, &cfg));
    ck_describes(cfg, "integer -9223372036854775808");
    ck_ok(mu_cfg_new_float(0.1, at, &cfg));
    ck_describes(cfg, "float 0.1");
    ck_ok(mu_cfg_new_string("two\nlines", 9, at, &cfg));
    ck_describes(cfg, "string 'two lines'");
    const char *longer = "0123456789012345678901234567890123456789x";
    ck_ok(mu_cfg_new_string(longer, 40, at, &cfg));
    ck_describes(cfg, "string '0123456789012345678901234567890123456789'");
    ck_ok(mu_cfg_new_string(longer, 41, at, &cfg));
    ck_describes(cfg, "string '0123456789012345678901234567890123456789...'");
    const char *across = "012345678901234567890123456789012345678\xc3\xa9"; /* a character is not cut in two */
    ck_ok(mu_cfg_new_string(across, 41, at, &cfg));
    ck_describes(cfg, "string '012345678901234567890123456789012345678...'");
    ck_ok(mu_cfg_new_list(at, &cfg));
    ck_ok(mu_cfg_new_null(at, &child));
    ck_ok(mu_cfg_append(cfg, child));
    ck_describes(cfg, "list of 1 item");
    ck_ok(mu_cfg_new_list(at, &cfg));
    ck_describes(cfg, "empty list");
    ck_ok(mu_cfg_new_dict(at, &cfg));
    ck_describes(cfg, "empty dictionary");
    ck_ok(mu_cfg_new_dict(at, &cfg));
    for (int i = 0; i < 2; i++) {
        ck_ok(mu_cfg_new_null(at, &child));
        ck_ok(mu_cfg_set(cfg, i ? "a" : "b", at, child));
    }
    ck_describes(cfg, "dictionary with 2 keys");
}
END_TEST

static mu_err add_and_release(void)
{
    mu_diagnostics list = {0};
    mu_err err = mu_diagnostics_add(&list, (mu_pos){"a.yaml", 1, 1}, "p", "x", "y", "z");
    ck_assert_uint_eq(list.n, err == MU_OK);
    mu_diagnostics_release(&list);
    return err;
}

START_TEST(survives_lack_of_memory)
{
    ck_survives_oom(add_and_release(), );
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("diagnostic");
    TCase *tcase = tcase_create("diagnostic");
    tcase_add_test(tcase, formats_and_sorts);
    tcase_add_test(tcase, says_how_many_more);
    tcase_add_test(tcase, describes_values);
    tcase_add_test(tcase, survives_lack_of_memory);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}

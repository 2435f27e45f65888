#include "core/text.h"

#include "test.h"

static mu_err compose(char **out)
{
    mu_text text = {0};
    for (int i = 0; i < 100; i++)
        mu_text_printf(&text, "%d,", i);
    mu_text_append(&text, "end");
    mu_text_append_n(&text, "xyz", 1);
    mu_err err = mu_text_take(&text, out);
    mu_text_release(&text);
    return err;
}

START_TEST(growing)
{
    char *s = NULL;
    ck_survives_oom(compose(&s), mu_free(s));
    ck_ok(compose(&s));
    ck_assert_uint_eq(strlen(s), 10 * 2 + 90 * 3 + 4);
    ck_assert_str_eq(s + strlen(s) - 8, ",99,endx");
    mu_free(s);
    mu_text empty = {0};
    ck_ok(mu_text_take(&empty, &s));
    ck_assert_str_eq(s, "");
    mu_free(s);
}
END_TEST

START_TEST(errors_stick)
{
    mu_text text = {0};
    mu_text_append(&text, "abc");
    mu_mem_fail_at(1);
    mu_text_printf(&text, "%100d", 1);
    mu_mem_fail_at(0);
    mu_text_append(&text, "d");
    ck_assert_int_eq(mu_text_status(&text), MU_ERR_MEMORY);
    ck_assert_str_eq(text.data, "abc");
    char *s = NULL;
    ck_assert_int_eq(mu_text_take(&text, &s), MU_ERR_MEMORY);
    ck_assert_ptr_null(s);
    mu_text_append_n(&text, "x", SIZE_MAX);
    mu_text_release(&text);
    mu_text_append_n(&text, "x", SIZE_MAX);
    ck_assert_int_eq(mu_text_status(&text), MU_ERR_OVERFLOW);
    mu_text_release(&text);
}
END_TEST

START_TEST(json)
{
    static const char raw[] = "a\"b\\c/\b\f\n\r\t\x01\x7f\0\xc3\xa4\xff\xf0\x9f\x98\x80\xe2\x82";
    mu_text text = {0};
    mu_text_append_json(&text, raw, sizeof raw - 1);
    ck_ok(mu_text_status(&text));
    ck_assert_str_eq(text.data, "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u007f\\u0000\xc3\xa4\xef\xbf\xbd\xf0\x9f\x98\x80"
                                "\xef\xbf\xbd\xef\xbf\xbd\"");
    mu_text_release(&text);
}
END_TEST

/* Against a decoder by value: every sequence of up to three bytes, and the four-byte ones at their borders. */
static int utf8_oracle(const unsigned char *s, size_t n)
{
    if (n >= 1 && s[0] < 0x80)
        return 1;
    static const struct {
        unsigned lead, mask, least;
        int length;
    } form[] = {{0xc0, 0xe0, 0x80, 2}, {0xe0, 0xf0, 0x800, 3}, {0xf0, 0xf8, 0x10000, 4}};
    for (int f = 0; f < 3; f++) {
        if (n < (size_t)form[f].length || (s[0] & form[f].mask) != form[f].lead)
            continue;
        unsigned code = s[0] & ~form[f].mask;
        for (int i = 1; i < form[f].length; i++) {
            if (s[i] >> 6 != 2)
                return 0;
            code = code << 6 | (s[i] & 0x3f);
        }
        return code >= form[f].least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? form[f].length : 0;
    }
    return 0;
}

START_TEST(utf8)
{
    unsigned char s[4];
    ck_assert_int_eq(mu_utf8_length("", 0), 0);
    for (unsigned v = 0; v < 1u << 24; v++) {
        s[0] = (unsigned char)(v >> 16), s[1] = (unsigned char)(v >> 8), s[2] = (unsigned char)v, s[3] = 0x80;
        for (size_t n = 1; n <= 4; n++)
            if (mu_utf8_length((char *)s, n) != utf8_oracle(s, n))
                ck_abort_msg("%02x %02x %02x of %zu bytes", s[0], s[1], s[2], n);
        if (s[0] < 0xe0)
            v |= 0xff; /* the third byte does not matter */
    }
    ck_assert_int_eq(mu_utf8_length("\xf0\x9f\x98\xc0", 4), 0);
}
END_TEST

START_TEST(article)
{
    ck_assert_str_eq(mu_article("model"), "a");
    ck_assert_str_eq(mu_article("optimizer"), "an");
    ck_assert_str_eq(mu_article("evaluator"), "an");
    ck_assert_str_eq(mu_article(""), "a");
}
END_TEST

START_TEST(nearest)
{
    static const char *const names[] = {"ResNet", "LeNet", "MobileNet", "SGD", "AdamW", "Adam"};
    enum { N = sizeof names / sizeof names[0] };
    ck_assert_str_eq(mu_nearest("ResNte", names, N), "ResNet"); /* a swap */
    ck_assert_str_eq(mu_nearest("resnet", names, N), "ResNet"); /* case */
    ck_assert_str_eq(mu_nearest("ReNet", names, N), "ResNet");
    ck_assert_str_eq(mu_nearest("MobilNetx", names, N), "MobileNet");
    ck_assert_str_eq(mu_nearest("adm", names, N), "Adam"); /* the nearest, not the first within reach */
    ck_assert_str_eq(mu_nearest("SGD", names, N), "SGD");
    ck_assert_str_eq(mu_nearest("sg", names, N), "SGD"); /* one third of two, rounded up */
    ck_assert_ptr_null(mu_nearest("s", names + 1, 1));
    ck_assert_ptr_null(mu_nearest("Transformer", names, N));
    ck_assert_ptr_null(mu_nearest("", names, N));
    ck_assert_ptr_null(mu_nearest("SGD", names, 0));
    char word[200];
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    ck_assert_ptr_null(mu_nearest(word, names, N));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    TCase *tests = tcase_create("text");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, growing);
    tcase_add_test(tests, errors_stick);
    tcase_add_test(tests, json);
    tcase_add_test(tests, utf8);
    tcase_add_test(tests, article);
    tcase_add_test(tests, nearest);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

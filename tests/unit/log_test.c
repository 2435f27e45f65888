#include "core/log.h"

#include "core/text.h"

#include "test.h"

static void collect(void *user, mu_log_level level, const char *room, const char *line)
{
    mu_text_printf(user, "%d/%s/%s\n", (int)level, room, line);
}

static mu_text text;

static void begin(void)
{
    unsetenv("MU_LOG");
    unsetenv("MU_LOG_RANKS");
    mu_log_set_sink(collect, &text);
}

static void end(void)
{
    mu_text_release(&text);
    mu_log_set_sink(NULL, NULL);
}

static void speak(void)
{
    text.length = 0;
    mu_text_append(&text, "");
    MU_WARN("graph", "w%d", 1);
    MU_INFO("graph", "i");
    MU_INFO("config", "i");
    MU_DEBUG("graph", "d");
}

START_TEST(levels)
{
    ck_ok(mu_log_configure(0, 1));
    speak();
    ck_assert_str_eq(text.data, "1/graph/w1\n2/graph/i\n2/config/i\n");
    setenv("MU_LOG", "error,debug:graph", 1);
    ck_ok(mu_log_configure(0, 1));
    speak();
    ck_assert_str_eq(text.data, "1/graph/w1\n2/graph/i\n3/graph/d\n");
    setenv("MU_LOG", "error:graph", 1);
    ck_ok(mu_log_configure(0, 1));
    speak();
    ck_assert_str_eq(text.data, "2/config/i\n");
}
END_TEST

START_TEST(set_level)
{
    ck_ok(mu_log_configure(0, 1));
    mu_log_set_level(MU_LOG_WARNING);
    speak();
    ck_assert_str_eq(text.data, "1/graph/w1\n");
    ck_ok(mu_log_configure(3, 8)); /* a silent rank stays silent */
    mu_log_set_level(MU_LOG_DEBUG);
    speak();
    ck_assert_str_eq(text.data, "1/graph/w1\n");
    setenv("MU_LOG", "info", 1); /* and MU_LOG wins */
    ck_ok(mu_log_configure(0, 1));
    mu_log_set_level(MU_LOG_ERROR);
    speak();
    ck_assert_str_eq(text.data, "1/graph/w1\n2/graph/i\n2/config/i\n");
}
END_TEST

START_TEST(ranks)
{
    ck_ok(mu_log_configure(3, 8));
    speak();
    ck_assert_str_eq(text.data, "1/graph/w1\n");
    setenv("MU_LOG_RANKS", "0,3", 1);
    ck_ok(mu_log_configure(3, 8));
    speak();
    ck_assert_str_eq(text.data, "1/graph/w1\n2/graph/i\n2/config/i\n");
    ck_ok(mu_log_configure(2, 8));
    ck_assert(!mu_log_enabled(MU_LOG_INFO, "graph"));
    ck_ok(mu_log_configure(0, 0)); /* before anybody knows how many there are */
    ck_assert(mu_log_enabled(MU_LOG_INFO, "graph"));
    setenv("MU_LOG_RANKS", "all", 1);
    ck_ok(mu_log_configure(2, 8));
    ck_assert(mu_log_enabled(MU_LOG_INFO, "graph"));
}
END_TEST

START_TEST(bad_values)
{
    ck_ok(mu_log_configure(0, 1));
    setenv("MU_LOG", "debgu:graph", 1);
    ck_fails(mu_log_configure(0, 1), MU_ERR_USAGE, "did you mean \"debug\"?");
    ck_assert(mu_log_enabled(MU_LOG_INFO, "graph"));
    setenv("MU_LOG", "info:", 1);
    ck_fails(mu_log_configure(0, 1), MU_ERR_USAGE, "a room is");
    setenv("MU_LOG", "info,", 1);
    ck_ok(mu_log_configure(0, 1));
    setenv("MU_LOG_RANKS", "0,8", 1);
    ck_fails(mu_log_configure(0, 8), MU_ERR_USAGE, "from 0 to 7");
    setenv("MU_LOG_RANKS", "one", 1);
    ck_fails(mu_log_configure(0, 8), MU_ERR_USAGE, "expected all");
    ck_fails(mu_log_configure(0, 0), MU_ERR_USAGE, "expected all");
    setenv("MU_LOG_RANKS", "-1", 1);
    ck_fails(mu_log_configure(0, 0), MU_ERR_USAGE, "expected all");
}
END_TEST

START_TEST(lines)
{
    ck_ok(mu_log_configure(0, 1));
    text.length = 0;
    MU_INFO("core", "a\nb\n");
    ck_assert_str_eq(text.data, "2/core/a\n2/core/b\n");
    text.length = 0;
    MU_INFO("core", "%5000d", 1);
    ck_assert_uint_eq(text.length, strlen("2/core/") + 4095 + 1);
    ck_assert_str_eq(text.data + text.length - 4, "...\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tests = tcase_create("log");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, levels);
    tcase_add_test(tests, set_level);
    tcase_add_test(tests, ranks);
    tcase_add_test(tests, bad_values);
    tcase_add_test(tests, lines);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

#include "runner/run_log.h"

#include "core/log.h"

#include "test.h"

#include <fcntl.h>
#include <regex.h>
#include <unistd.h>

static char console[4096], file[4096];
static const char path[] = "run_log_test.log", console_path[] = "run_log_test.err";

static void read_text(const char *name, char *out, size_t size)
{
    FILE *f = fopen(name, "r");
    size_t n = f ? fread(out, 1, size - 1, f) : 0;
    out[n] = '\0';
    if (f)
        fclose(f);
}

static void talk(void)
{
    MU_INFO("run", "Epoch(train)  [1][ 50/100]  loss: 0.6931");
    MU_WARN("io", "two\nlines");
}

/* What is on stderr while `say` logs. */
static void capture(void (*say)(void))
{
    int out = open(console_path, O_CREAT | O_TRUNC | O_WRONLY, 0666), saved = dup(2);
    dup2(out, 2);
    say();
    dup2(saved, 2);
    close(saved);
    close(out);
    read_text(console_path, console, sizeof console);
    read_text(path, file, sizeof file);
}

static void matches(const char *text, const char *pattern)
{
    regex_t regex;
    ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    ck_assert_msg(regexec(&regex, text, 0, NULL, 0) == 0, "\"%s\" is not %s", text, pattern);
    regfree(&regex);
}

static void begin(void)
{
    unlink(path);
    ck_ok(mu_log_configure(0, 2));
}

static void end(void)
{
    unlink(path);
    unlink(console_path);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

#define CLOCK "[01][0-9]/[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]"

START_TEST(lines)
{
    mu_run_log *log;
    ck_ok(mu_run_log_open(path, 0, 2, &log));
    capture(talk);
    matches(console, "^" CLOCK " - muster - INFO - Epoch\\(train\\)  \\[1\\]\\[ 50/100\\]  loss: 0.6931\n" CLOCK
                     " - muster - WARNING - io: two\n" CLOCK " - muster - WARNING - io: lines\n$");
    matches(file, "^20[0-9][0-9]/" CLOCK " - muster - INFO - Epoch\\(train\\)  \\[1\\]\\[ 50/100\\]  loss: 0.6931\n20[0-9][0-9]/" CLOCK
                  " - muster - WARNING - io: two\n20[0-9][0-9]/" CLOCK " - muster - WARNING - io: lines\n$");
    mu_run_log_release(log);
    mu_run_log_release(NULL);
    ck_ok(mu_run_log_open(path, 0, 2, &log)); /* appends */
    size_t before = strlen(file);
    capture(talk);
    ck_assert_uint_eq(strlen(file), 2 * before);
    mu_run_log_release(log);
    capture(talk); /* the sink is given back */
    ck_assert_uint_eq(strlen(file), 2 * before);
    matches(console, "^muster: rank 0/2: info: run: Epoch");
}
END_TEST

START_TEST(other_ranks)
{
    mu_run_log *log;
    ck_ok(mu_log_configure(1, 2));
    ck_ok(mu_run_log_open(NULL, 1, 2, &log));
    capture(talk);
    matches(console, "^" CLOCK " - muster - WARNING - rank 1/2: io: two\n" CLOCK " - muster - WARNING - rank 1/2: io: lines\n$");
    ck_assert_str_eq(file, "");
    mu_run_log_release(log);
}
END_TEST

static void clear_bar(void *user)
{
    ++*(int *)user;
    fprintf(stderr, "<clear>");
}

START_TEST(bars_are_cleared)
{
    mu_run_log *log;
    int calls = 0;
    mu_run_log_before_line(clear_bar, &calls);
    ck_ok(mu_run_log_open(path, 0, 1, &log));
    capture(talk);
    ck_assert_int_eq(calls, 3);
    matches(console, "^<clear>" CLOCK " - muster - INFO - Epoch[^\n]*\n<clear>");
    mu_run_log_before_line(NULL, NULL);
    capture(talk);
    ck_assert_int_eq(calls, 3);
    mu_run_log_release(log);
}
END_TEST

/* /dev/full says that the disk is full. */
START_TEST(full_disk)
{
    mu_run_log *log;
    ck_ok(mu_run_log_open("/dev/full", 0, 1, &log));
    capture(talk);
    matches(console, "^" CLOCK " - muster - INFO - Epoch[^\n]*\n" CLOCK
                     " - muster - WARNING - the log file '/dev/full' cannot be written: No space left on device; the run goes on without it\n" CLOCK
                     " - muster - WARNING - io: two\n" CLOCK " - muster - WARNING - io: lines\n$");
    mu_run_log_release(log);
}
END_TEST

START_TEST(no_such_folder)
{
    mu_run_log *log = NULL;
    ck_fails(mu_run_log_open("no_such_folder/a.log", 0, 1, &log), MU_ERR_IO, "the log file 'no_such_folder/a.log' cannot be opened");
    ck_assert_ptr_null(log);
    ck_survives_oom(mu_run_log_open(path, 0, 1, &log), mu_run_log_release(log));
}
END_TEST

static void talk_long(void)
{
    char text[6000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    MU_INFO("some_room", "%s", text);
}

START_TEST(long_lines)
{
    mu_run_log *log;
    ck_ok(mu_run_log_open(NULL, 0, 1, &log));
    capture(talk_long);
    matches(console, "^" CLOCK " - muster - INFO - some_room: x+");
    ck_assert_uint_eq(strlen(console), sizeof console - 1);
    mu_run_log_release(log);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run_log");
    TCase *tc = tcase_create("run_log");
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, lines);
    tcase_add_test(tc, other_ranks);
    tcase_add_test(tc, bars_are_cleared);
    tcase_add_test(tc, full_disk);
    tcase_add_test(tc, no_such_folder);
    tcase_add_test(tc, long_lines);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

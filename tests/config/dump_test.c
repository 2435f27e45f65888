/* Dumps read back equal, in both formats, whatever the tree holds; diffs turn one dump into the other. */
#include "parse.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

static void ck_round_trip(const mu_cfg *root, const char *format)
{
    char *text, *again;
    mu_config *back;
    ck_ok(mu_cfg_dump(root, format, &text));
    mu_err err = mu_config_parse(text, strlen(text), format, &back);
    ck_assert_msg(err == MU_OK, "%s of\n%s", test_error_text(), text);
    ck_assert_msg(mu_cfg_equal(root, mu_config_root(back)), "%s reads back otherwise:\n%s", format, text);
    ck_ok(mu_config_dump(back, format, &again));
    ck_assert_str_eq(text, again);
    mu_free(text);
    mu_free(again);
    mu_config_release(back);
}

START_TEST(looks_as_written)
{
    const char *text = "model:\n  type: LeNet\n  lr: 1.0e-05\n  dims: [1, 2, 3]\n  name: 'no'\n  path: ./a b/c.yaml\n"
                       "hooks:\n  - type: A\n    on: true\n  - - 1\n    - - 2\n      - {}\n  - []\nlog: |\n  one\n   two\n\n"
                       "note: |-\n  # three\n  four\nlast: |+\n  x\n\nx: 'it''s: #1'\n'1': null\n"
                       "t: \"a\\tb\"\n";
    mu_config *config = test_parse(text, "yaml");
    char *dump;
    ck_ok(mu_config_dump(config, "yaml", &dump));
    static const char *const lines[] = {"  lr: 1.0e-05\n", "  dims: [1, 2, 3]\n", "  name: 'no'\n", "  path: ./a b/c.yaml\n",
                                        "  - type: A\n    'on': true\n", "log: |\n  one\n   two\n", "note: |-\n  # three\n  four\n",
                                        "last: |+\n  x\n\n", "x: 'it''s: #1'\n", "'1': null\n", "t: \"a\\tb\"\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        ck_assert_msg(strstr(dump, lines[i]) != NULL, "no %s in\n%s", lines[i], dump);
    mu_free(dump);
    ck_round_trip(mu_config_root(config), "yaml");
    ck_round_trip(mu_config_root(config), "json");
    mu_config_release(config);
}
END_TEST

START_TEST(strings)
{
    static const char *const texts[] = {"", " ", "x ", " x", "null", "~", "true", "1", "1.5", "0x1f", "0o7", ".inf", "-.inf", ".nan",
        "yes", "No", "on", "1e3", "1_000", "12:30", "2020-01-01", "<<", "=", "-", "- x", "?", "? x", ":", "a: b", "a:b", "a #b", "#a",
        "[x", "{x", "}", "]", ",", "a, b", "&a", "*a", "!a", "|", ">", "'", "\"", "'x'", "\"x\"", "%a", "@a", "`a", "---", "...",
        "a\nb", "a\n", "\na", "a\n\n", " a\nb", "a\n b\n\n c", "a \nb", "a\tb", "\ta\nb", "a\r\nb", "a\rb", "\x01", "\x7f", "\\",
        "\\n", "caf\xc3\xa9", "\xc2\x85", "\xc2\x80", "\xc2\xa0", "\xe2\x80\xa8", "a\xe2\x80\xa9" "b\nc", "\xef\xbb\xbf",
        "x\xef\xbb\xbf\ny", "\xef\xbf\xbd", "\xef\xbf\xbe", "\xef\xbf\xbf", "\xf0\x9f\x98\x80", "\xf4\x8f\xbc\x90", "\xf4\x8f\xbf\xbf",
        "{{ fileDirname }}", "{{$HOME:x}}", "{{{$HOME:x}}}", "a\n{{_base_.x}}\n", "{{", "{ {", "/a/b", "./x", "../x", ".x", "..",
        "None", "y", "n", "a%b", "a@b", "\x1b[0m"};
    mu_config *config = test_parse("", "yaml");
    mu_cfg *root, *list, *value;
    mu_pos at = {"x", 1, 1};
    ck_ok(mu_cfg_new_dict(at, &root));
    ck_ok(mu_cfg_new_list(at, &list));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_ok(mu_cfg_new_string(texts[i], strlen(texts[i]), at, &value));
        ck_ok(mu_cfg_append(list, value));
        ck_ok(mu_cfg_new_string(texts[i], strlen(texts[i]), at, &value));
        if (strcmp(texts[i], "<<") != 0 || i > 0)
            ck_ok(mu_cfg_set(root, texts[i], at, value));
    }
    ck_ok(mu_cfg_set(root, "list", at, list));
    ck_round_trip(root, "yaml");
    ck_round_trip(root, "json");
    mu_cfg_release(root);
    mu_config_release(config);
}
END_TEST

START_TEST(long_keys)
{
    mu_cfg *root, *value;
    mu_pos at = {"x", 1, 1};
    ck_ok(mu_cfg_new_dict(at, &root));
    for (size_t length = 100; length < 1500; length += 30) {
        char key[1501];
        memset(key, length % 60 ? 'k' : '\x01', length);
        key[length] = '\0';
        ck_ok(mu_cfg_new_dict(at, &value));
        ck_ok(mu_cfg_set(root, key, at, value));
        mu_cfg *inner = value;
        ck_ok(mu_cfg_new_int(1, at, &value));
        ck_ok(mu_cfg_set(inner, length % 4 ? "k" : key, at, value));
    }
    ck_round_trip(root, "yaml");
    ck_round_trip(root, "json");
    mu_cfg_release(root);
}
END_TEST

START_TEST(floats)
{
    static const double values[] = {0.0, -0.0, 1.0, -1.5, 0.1, 1e-5, 1e15, 1e16, 1e22, 123456789.125, 5e-324, 2.2250738585072014e-308,
                                    1.7976931348623157e308, 1.0 / 3, 100.0};
    mu_cfg *root, *value;
    mu_pos at = {"a.yaml", 2, 3};
    char key[16], *text;
    ck_ok(mu_cfg_new_dict(at, &root));
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        snprintf(key, sizeof key, "k%zu", i);
        ck_ok(mu_cfg_new_float(values[i], at, &value));
        ck_ok(mu_cfg_set(root, key, at, value));
    }
    ck_round_trip(root, "json");
    static const double special[] = {INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "s%zu", i);
        ck_ok(mu_cfg_new_float(special[i], at, &value));
        ck_ok(mu_cfg_set(root, key, at, value));
    }
    ck_round_trip(root, "yaml");
    ck_fails(mu_cfg_dump(root, "json", &text), MU_ERR_UNSUPPORTED, "a.yaml:2:3: JSON cannot hold .inf");
    ck_fails(mu_cfg_dump(root, "toml", &text), MU_ERR_USAGE, "yaml or json, not 'toml'");
    mu_cfg_release(root);
}
END_TEST

/* A generator of its own: the trees of a seed must never change. */
static uint64_t state;

static unsigned draw(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)((state >> 16) % n);
}

static size_t random_text(char *buf)
{
    static const char *const parts[] = {"a", "B", "7", " ", "  ", "\n", "\n\n", "\t", "\r", ":", ": ", " #", "-", "- ", "?", "'", "\"",
        "\\", "{", "{{", "}}", "[", "]", ",", "&", "*", "!", "|", ">", "%", "@", "`", "~", "null", "true", "1.5", "e", ".", "\x01",
        "\xc3\xa9", "\xc2\x85", "\xe2\x80\xa8", "\xef\xbb\xbf", "\xf0\x9f\x98\x80", "\xf4\x8f\xbc\x91", "$A:", "_base_.x", "<<", "=", "\x7f"};
    size_t n = 0;
    for (unsigned i = draw(7); i > 0; i--) {
        const char *part = parts[draw(sizeof parts / sizeof *parts)];
        memcpy(buf + n, part, strlen(part));
        n += strlen(part);
    }
    buf[n] = '\0';
    return n;
}

static mu_cfg *random_tree(int depth, bool json)
{
    mu_cfg *cfg, *child;
    mu_pos at = {"x", 1, 1};
    char text[128];
    uint64_t bits;
    double x;
    unsigned kind = draw(depth > 0 ? 9 : 6);
    switch (kind) {
    case 0: ck_ok(mu_cfg_new_null(at, &cfg)); break;
    case 1: ck_ok(mu_cfg_new_bool(draw(2), at, &cfg)); break;
    case 2: ck_ok(mu_cfg_new_int((int64_t)state >> draw(64), at, &cfg)); break;
    case 3:
        bits = state * 0x9e3779b97f4a7c15u;
        memcpy(&x, &bits, sizeof x);
        ck_ok(mu_cfg_new_float(json && !isfinite(x) ? 0.5 : x, at, &cfg));
        break;
    case 4:
    case 5:
        bits = random_text(text);
        ck_ok(mu_cfg_new_string(text, bits, at, &cfg));
        break;
    default:
        if (kind == 6)
            ck_ok(mu_cfg_new_list(at, &cfg));
        else
            ck_ok(mu_cfg_new_dict(at, &cfg));
        for (unsigned n = draw(kind == 8 ? 24 : 5); n > 0; n--) {
            child = random_tree(depth - 1, json);
            random_text(text);
            if (kind == 6)
                ck_ok(mu_cfg_append(cfg, child));
            else
                ck_ok(mu_cfg_set(cfg, text, at, child));
        }
    }
    return cfg;
}

START_TEST(random_trees)
{
    uint64_t seed = getenv("MU_TEST_SEED") ? strtoull(getenv("MU_TEST_SEED"), NULL, 0) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    state = seed * 2 + 1;
    for (int i = 0; i < 2000; i++) {
        bool json = i % 2;
        mu_cfg *root, *child;
        ck_ok(mu_cfg_new_dict((mu_pos){"x", 1, 1}, &root));
        child = random_tree(4, json);
        ck_ok(mu_cfg_set(root, "k", (mu_pos){"x", 1, 1}, child));
        ck_round_trip(root, json ? "json" : "yaml");
        mu_cfg_release(root);
    }
}
END_TEST

/* Applies a unified diff; the caller frees. */
static char *patch(const char *text, const char *diff)
{
    char *out = calloc(strlen(text) + strlen(diff) + 1, 1), *end = out;
    int line = 1, start;
    for (const char *at = diff, *next; *at; at = next) {
        next = strchr(at, '\n') + 1;
        size_t length = (size_t)(next - at - 1);
        if (strncmp(at, "--- ", 4) == 0 || strncmp(at, "+++ ", 4) == 0)
            continue;
        if (*at == '@') {
            int count;
            ck_assert_int_eq(sscanf(at, "@@ -%d,%d", &start, &count), 2);
            for (start += count == 0; line < start; line++) {
                const char *stop = strchr(text, '\n') + 1;
                memcpy(end, text, (size_t)(stop - text));
                end += stop - text;
                text = stop;
            }
            continue;
        }
        if (*at != '-') {
            memcpy(end, at + 1, length);
            end += length;
        }
        if (*at != '+') {
            ck_assert_msg(strncmp(text, at + 1, length) == 0, "'%.*s' is not in the text", (int)length, at);
            text += length;
            line++;
        }
    }
    strcpy(end, text);
    return out;
}

static void ck_diff(mu_config *a, mu_config *b)
{
    char *a_text, *b_text, *diff;
    ck_ok(mu_config_dump(a, "yaml", &a_text));
    ck_ok(mu_config_dump(b, "yaml", &b_text));
    ck_ok(mu_config_diff(a, b, &diff));
    char *patched = patch(a_text, diff);
    ck_assert_str_eq(patched, b_text);
    free(patched);
    mu_free(a_text);
    mu_free(b_text);
    mu_free(diff);
}

START_TEST(diffs)
{
    mu_config *a = test_parse("a: 1\nb: 2\nc: 3\nd: 4\ne: 5\nf: 6\ng: 7\nh: 8\ni: 9\n", "yaml");
    mu_config *b = test_parse("a: 1\nb: 2\nc: x\nd: 4\ne: 5\nf: 6\ng: 7\nh: 8\nk: 0\ni: 9\n", "yaml");
    char *diff;
    ck_ok(mu_config_diff(a, b, &diff));
    ck_assert_str_eq(diff, "--- a\n+++ b\n@@ -1,9 +1,10 @@\n a: 1\n b: 2\n-c: 3\n+c: x\n d: 4\n e: 5\n f: 6\n g: 7\n h: 8\n+k: 0\n i: 9\n");
    mu_free(diff);
    ck_ok(mu_config_diff(a, a, &diff));
    ck_assert_str_eq(diff, "");
    mu_free(diff);
    ck_diff(b, a);
    mu_config_release(a);
    mu_config_release(b);
    state = 12345;
    for (int i = 0; i < 300; i++) { /* lists of few words: many ways to match */
        mu_config *pair[2];
        for (int k = 0; k < 2; k++) {
            char yaml[4096] = "l:\n", *at = yaml + 3;
            for (unsigned n = draw(i < 280 ? 40 : 400); n > 0; n--)
                at += sprintf(at, "- [[%u]]\n", draw(3 + (unsigned)i % 5));
            pair[k] = test_parse(yaml, "yaml");
        }
        ck_diff(pair[0], pair[1]);
        mu_config_release(pair[0]);
        mu_config_release(pair[1]);
    }
}
END_TEST

START_TEST(far_apart)
{
    enum { N = 3000 };
    static char yaml[2][64 * N];
    mu_config *pair[2];
    for (int k = 0; k < 2; k++) {
        char *at = yaml[k];
        for (int i = 0; i < N; i++)
            at += sprintf(at, "k%d_%d: %d\n", k, i, i);
        pair[k] = test_parse(yaml[k], "yaml");
    }
    ck_diff(pair[0], pair[1]);
    mu_config_release(pair[0]);
    mu_config_release(pair[1]);
}
END_TEST

START_TEST(files)
{
    char path[] = "/tmp/muster-dump-XXXXXX.yaml";
    int fd = mkstemps(path, 5);
    ck_assert_int_ge(fd, 0);
    close(fd);
    mu_config *config = test_parse("a: {b: [1, {c: 'no'}]}\n", "yaml"), *back;
    ck_ok(mu_config_write(config, path));
    ck_ok(mu_config_read(path, &back));
    ck_assert(mu_cfg_equal(mu_config_root(config), mu_config_root(back)));
    mu_config_release(back);
    unlink(path);
    ck_fails(mu_config_write(config, "/nonexistent/x.json"), MU_ERR_IO, "'/nonexistent/x.json' cannot be opened for writing");
    ck_fails(mu_config_write(config, "/tmp/x.txt"), MU_ERR_USAGE, "'/tmp/x.txt'");
    ck_fails(mu_config_write(config, "/dev/full.yaml/x.yaml"), MU_ERR_IO, "cannot be opened");
    mu_config_release(config);
}
END_TEST

START_TEST(too_deep)
{
    mu_cfg *inner, *outer;
    char *text;
    ck_ok(mu_cfg_new_int(1, (mu_pos){0}, &inner));
    for (int i = 0; i < 10000; i++) {
        ck_ok(mu_cfg_new_list((mu_pos){0}, &outer));
        ck_ok(mu_cfg_append(outer, inner));
        inner = outer;
    }
    ck_fails(mu_cfg_dump(inner, "yaml", &text), MU_ERR_CONFIG, "deeper than 512 levels");
    mu_cfg_release(inner);
}
END_TEST

START_TEST(survives_lack_of_memory)
{
    mu_config *a = test_parse("a: {b: [1, 2.5], c: \"x\\ty\"}\nd: [{e: 1}, [2]]\n", "yaml");
    mu_config *b = test_parse("a: {b: [1, 3.5], c: \"x\\ty\"}\n", "yaml");
    char *text;
    ck_survives_oom(mu_config_dump(a, "yaml", &text), mu_free(text));
    ck_survives_oom(mu_config_dump(a, "json", &text), mu_free(text));
    ck_survives_oom(mu_config_diff(a, b, &text), mu_free(text));
    mu_config_release(a);
    mu_config_release(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dump");
    TCase *tcase = tcase_create("dump");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, looks_as_written);
    tcase_add_test(tcase, strings);
    tcase_add_test(tcase, long_keys);
    tcase_add_test(tcase, floats);
    tcase_add_test(tcase, random_trees);
    tcase_add_test(tcase, diffs);
    tcase_add_test(tcase, far_apart);
    tcase_add_test(tcase, files);
    tcase_add_test(tcase, too_deep);
    tcase_add_test(tcase, survives_lack_of_memory);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}

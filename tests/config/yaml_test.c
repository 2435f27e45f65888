/* Reading YAML: the scalars of the core schema, anchors, merge keys, tags, bounds, and what is refused, with its place. */
#include "parse.h"

#include <math.h>

/* {a: TEXT}; the value of a. */
static mu_config *parse_value(const char *text, const mu_cfg **value)
{
    char yaml[256];
    snprintf(yaml, sizeof yaml, "a: %s\n", text);
    mu_config *config = test_parse(yaml, "yaml");
    *value = mu_cfg_get(mu_config_root(config), "a");
    return config;
}

START_TEST(strings)
{
    static const char *const same[] = {"no",      "yes",      "on",     "off",    "y",       "n",      "nUll",   "tRue",  "None",
                                       "1_000",   "12:30:45", "0b11",   "0x",     "0xg",     "0o8",    "0X1f",   "-0x1",  "+",
                                       "-.",      ".",        "1e",     "1e+",    "e3",      ".e3",    "1.2.3",  "inf",   "nan",
                                       ".infinity", "+.nan",  "2020-01-01", "1 2", "a b",    "<",      "=",      "1,5",   "--1"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const mu_cfg *value;
        mu_config *config = parse_value(same[i], &value);
        ck_assert_msg(mu_cfg_kind_of(value) == MU_CFG_STRING, "%s is a %s", same[i], mu_cfg_kind_name(mu_cfg_kind_of(value)));
        ck_assert_str_eq(mu_cfg_string(value), same[i]);
        mu_config_release(config);
    }
    ck_reads("a: '1'\nb: \"true\"\nc: |\n  1\nd: ''\ne: !!str 12\nf: 'it''s'\ng: \"\\x41\\u00e9\\U0001F600\\n\"\n", "yaml",
             "{\"a\": \"1\", \"b\": \"true\", \"c\": \"1\\n\", \"d\": \"\", \"e\": \"12\", \"f\": \"it's\", "
             "\"g\": \"A\xc3\xa9\xf0\x9f\x98\x80\\n\"}");
}
END_TEST

START_TEST(integers)
{
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {{"0", 0}, {"-0", 0}, {"+7", 7}, {"010", 10}, {"0x1fF", 511}, {"0o17", 15}, {"-12", -12},
                 {"9223372036854775807", INT64_MAX}, {"-9223372036854775808", INT64_MIN}, {"0x7fffffffffffffff", INT64_MAX},
                 {"0o777777777777777777777", INT64_MAX}, {"00000000000000000000000000001", 1}, {"!!int 3", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mu_cfg *value;
        mu_config *config = parse_value(cases[i].text, &value);
        ck_assert_msg(mu_cfg_kind_of(value) == MU_CFG_INT, "%s is a %s", cases[i].text,
                      mu_cfg_kind_name(mu_cfg_kind_of(value)));
        ck_assert_int_eq(mu_cfg_int(value), cases[i].value);
        mu_config_release(config);
    }
}
END_TEST

START_TEST(floats)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"1e-3", 1e-3}, {"1.", 1}, {".5", .5}, {"-.5", -.5}, {"+1.5E+3", 1500}, {"1e3", 1000}, {"-0.0", -0.0},
                 {".inf", INFINITY}, {"-.Inf", -INFINITY}, {"+.INF", INFINITY}, {".nan", NAN}, {".NaN", NAN}, {".NAN", NAN},
                 {"0.1", 0.1}, {"1.7976931348623157e308", 1.7976931348623157e308}, {"5e-324", 5e-324}, {"1e-999", 0},
                 {"!!float 3", 3}, {"!!float .inf", INFINITY}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mu_cfg *value;
        mu_config *config = parse_value(cases[i].text, &value);
        ck_assert_msg(mu_cfg_kind_of(value) == MU_CFG_FLOAT, "%s is a %s", cases[i].text,
                      mu_cfg_kind_name(mu_cfg_kind_of(value)));
        double x = mu_cfg_float(value);
        ck_assert_msg(isnan(cases[i].value) ? isnan(x) : x == cases[i].value && signbit(x) == signbit(cases[i].value),
                      "%s is %a", cases[i].text, x);
        mu_config_release(config);
    }
}
END_TEST

START_TEST(nulls_and_booleans)
{
    ck_reads("a:\nb: ~\nc: null\nd: Null\ne: NULL\nf: !!null ''\ng: [true, True, TRUE, false, False, FALSE, !!bool true]\n",
             "yaml",
             "{\"a\": null, \"b\": null, \"c\": null, \"d\": null, \"e\": null, \"f\": null, "
             "\"g\": [true, true, true, false, false, false, true]}");
}
END_TEST

START_TEST(structure)
{
    ck_reads("", "yaml", "{}");
    ck_reads("# only a comment\n", "yaml", "{}");
    ck_reads("---\na: 1\n...\n", "yaml", "{\"a\": 1}");
    ck_reads("\xef\xbb\xbf" "a: 1", "yaml", "{\"a\": 1}");
    ck_reads("%YAML 1.2\n---\na: 1\n", "yaml", "{\"a\": 1}");
    ck_reads("a: 1\r\nb:\r\n  - 2\r\n", "yaml", "{\"a\": 1, \"b\": [2]}");
    ck_reads("a: {b: [1, {c: }], d: []}\ne: {}\n", "yaml", "{\"a\": {\"b\": [1, {\"c\": null}], \"d\": []}, \"e\": {}}");
    ck_reads("a:\n- 1\n- - 2\n  - 3\n-\n  b: 4\n", "yaml", "{\"a\": [1, [2, 3], {\"b\": 4}]}");
    ck_reads("a: >\n  one\n  two\n\n  three\nb: |+\n  x\n\nc: |-\n  y\n", "yaml",
             "{\"a\": \"one two\\nthree\\n\", \"b\": \"x\\n\\n\", \"c\": \"y\"}");
    ck_reads("0: a\n'1': b\n0x10: c\nno: d\n\"\": e\n'~': f\n? g\n: h\n", "yaml",
             "{\"0\": \"a\", \"1\": \"b\", \"0x10\": \"c\", \"no\": \"d\", \"\": \"e\", \"~\": \"f\", \"g\": \"h\"}");
    ck_reads("a: !!map {b: !!seq [1]}\n", "yaml", "{\"a\": {\"b\": [1]}}");
}
END_TEST

START_TEST(anchors)
{
    ck_reads("a: &x {b: [1, &y 2]}\nc: *x\nd: [*y, *x]\ne: &x 5\nf: *x\n", "yaml",
             "{\"a\": {\"b\": [1, 2]}, \"c\": {\"b\": [1, 2]}, \"d\": [2, {\"b\": [1, 2]}], \"e\": 5, \"f\": 5}");
    mu_config *config = test_parse("a: &x {b: 1}\nc: *x\n", "yaml");
    const mu_cfg *a = mu_cfg_find(mu_config_root(config), "a.b"), *c = mu_cfg_find(mu_config_root(config), "c.b");
    ck_assert_ptr_ne(a, c);
    ck_assert_int_eq(mu_cfg_pos(c).line, 1); /* where the value is written */
    ck_assert_int_eq(mu_cfg_key_pos(mu_cfg_get(mu_config_root(config), "c")).line, 2);
    mu_config_release(config);
}
END_TEST

START_TEST(merge_keys)
{
    ck_reads("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {y: 3, <<: *a}\n", "yaml",
             "{\"a\": {\"x\": 1, \"y\": 2}, \"b\": {\"x\": 1, \"y\": 3}, \"c\": {\"x\": 1, \"y\": 3}}");
    ck_reads("a: &a {x: 1}\nb: &b {x: 2, z: 4}\nc: {<<: [*a, *b, {w: 5}]}\nd: {<<: {q: &q [1]}, r: *q}\n", "yaml",
             "{\"a\": {\"x\": 1}, \"b\": {\"x\": 2, \"z\": 4}, \"c\": {\"x\": 1, \"z\": 4, \"w\": 5}, \"d\": {\"q\": [1], \"r\": [1]}}");
    ck_reads("a: &a {x: 1}\nb: &b\n  <<: *a\n  y: 2\nc: {<<: *b}\nd: {'<<': 1, e: '<<'}\n", "yaml",
             "{\"a\": {\"x\": 1}, \"b\": {\"x\": 1, \"y\": 2}, \"c\": {\"x\": 1, \"y\": 2}, \"d\": {\"<<\": 1, \"e\": \"<<\"}}");
    ck_reads("a: &a {m: {<<: {k: 1}, l: 2}}\nb: {<<: {<<: *a, n: 3}}\n", "yaml",
             "{\"a\": {\"m\": {\"k\": 1, \"l\": 2}}, \"b\": {\"m\": {\"k\": 1, \"l\": 2}, \"n\": 3}}");
}
END_TEST

START_TEST(places)
{
    mu_config *config = test_parse("\xef\xbb\xbf# caf\xc3\xa9\na: 1\n\xc3\xa9t\xc3\xa9: {b: [x,\n  {c: &n\n    y}]}\n", "yaml");
    static const struct {
        const char *path;
        int line, column, key_line, key_column;
    } cases[] = {{"a", 2, 4, 2, 1}, {"\xc3\xa9t\xc3\xa9", 3, 6, 3, 1}, {"\xc3\xa9t\xc3\xa9.b", 3, 10, 3, 7},
                 {"\xc3\xa9t\xc3\xa9.b.0", 3, 11, 3, 11}, {"\xc3\xa9t\xc3\xa9.b.1", 4, 3, 4, 3},
                 {"\xc3\xa9t\xc3\xa9.b.1.c", 4, 7, 4, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mu_cfg *value = mu_cfg_find(mu_config_root(config), cases[i].path);
        ck_assert_ptr_nonnull(value);
        mu_pos pos = mu_cfg_pos(value), key = mu_cfg_key_pos(value);
        ck_assert_str_eq(pos.file, "<string>");
        ck_assert_msg(pos.line == cases[i].line && pos.column == cases[i].column, "%s at %d:%d", cases[i].path, pos.line,
                      pos.column);
        ck_assert_msg(key.line == cases[i].key_line && key.column == cases[i].key_column, "key %s at %d:%d", cases[i].path,
                      key.line, key.column);
    }
    mu_config_release(config);
}
END_TEST

static const struct {
    const char *text, *message;
} broken[] = {
    {"a: 1\nb: 2\n  a: 3\n", "<string>:3:4: mapping values are not allowed in this context"},
    {"a: 1\nb: {a: 2,\n b: 2, a: 3}\n", "<string>:3:8: duplicate key 'a': it stands at line 2, column 5 already"},
    {"a: 1\n'a': 2\n", "<string>:2:1: duplicate key 'a': it stands at line 1, column 1 already"},
    {"a: {b: 1\n", "<string>:2:1: did not find expected ',' or '}', while parsing a flow mapping at line 1, column 4"},
    {"a: [1, 2\nb: 3\n", "<string>:2:2: did not find expected ',' or ']', while parsing a flow sequence at line 1, column 4"},
    {"a: 'x\n", "<string>:2:1: found unexpected end of stream, while scanning a quoted scalar at line 1, column 4"},
    {"a:\n\tb: 1\n", "<string>:2:1: found character that cannot start any token"},
    {"a: b: c\n", "<string>:1:5: mapping values are not allowed in this context"},
    {"a: @x\n", "<string>:1:4: found character that cannot start any token"},
    {"a: \"\\q\"\n", "<string>:1:5: found unknown escape character"},
    {"a: \"\\ud800\"\n", "<string>:1:7: found invalid Unicode character escape code"},
    {"a: x\x01y\n", "<string>:1:5: control characters are not allowed: U+0001"},
    {"a: 1\nb: caf\xe9\n", "<string>:2:7: byte 0xe9 is not valid UTF-8"},
    {"a: \xed\xa0\x80\n", "<string>:1:4: byte 0xed is not valid UTF-8"},
    {"\xff\xfe" "a", "<string>:1:1: byte 0xff is not valid UTF-8"},
    {"a: \"x\\0y\"\n", "<string>:1:4: a string of a config cannot hold a NUL character"},
    {"a: 1\n---\nb: 2\n", "<string>:2:1: a second document begins here"},
    {"- 1\n", "<string>:1:1: a config is a dictionary, found list of 1 item"},
    {"just text\n", "<string>:1:1: a config is a dictionary, found string 'just text'"},
    {"a: 9223372036854775808\n", "<string>:1:4: '9223372036854775808' is an integer that does not fit in 64 bits"},
    {"a: -9223372036854775809\n", "<string>:1:4: '-9223372036854775809' is an integer that does not fit in 64 bits"},
    {"a: 0x8000000000000000\n", "<string>:1:4: '0x8000000000000000' is an integer that does not fit in 64 bits"},
    {"a: 1e999\n", "<string>:1:4: '1e999' is a number beyond the range of a double"},
    {"a: !!int 1.5\n", "<string>:1:4: '1.5' is no integer, as its tag says"},
    {"a: !!bool yes\n", "<string>:1:4: 'yes' is no boolean, as its tag says"},
    {"a: !!float x\n", "<string>:1:4: 'x' is no float, as its tag says"},
    {"a: !!seq {b: 1}\n", "<string>:1:4: a dictionary is no list, as its tag says"},
    {"a: !!python/tuple [1]\n", "<string>:1:4: the tag !!python/tuple is not supported"},
    {"a: !x 1\n", "<string>:1:4: the tag !x is not supported"},
    {"~: 1\n", "<string>:1:1: a key must be a string, '~' is a null"},
    {"a: {true: 1}\n", "<string>:1:5: a key must be a string, 'true' is a boolean"},
    {"1.5: 1\n", "<string>:1:1: a key must be a string, '1.5' is a float"},
    {"{a: 1}: 2\n", "<string>:1:1: a key must be a string, not a dictionary"},
    {"? [a]\n: 1\n", "<string>:1:3: a key must be a string, not a list"},
    {"a: &x b\n*x : 1\n", "<string>:2:1: the alias *x cannot be a key"},
    {"&x a: 1\n", "<string>:1:1: a key cannot have an anchor"},
    {"a: &xy 1\nb: *xz\n", "<string>:2:4: the alias *xz has no anchor before it"},
    {"a: &x {b: [*x]}\n", "<string>:1:12: the alias *x stands inside of what it refers to"},
    {"a: &x {<<: *x}\n", "<string>:1:12: the alias *x stands inside of what it refers to"},
    {"a: {<<: 5}\n", "<string>:1:5: the merge key << takes a dictionary or a list of dictionaries, found integer 5"},
    {"a: {<<: [{b: 1}, x]}\n", "<string>:1:5: the merge key << takes a dictionary or a list of dictionaries, found string 'x'"},
    {"a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a\n", "<string>:4:3: duplicate key '<<': it stands at line 3, column 3 already"},
    {"filename: x\n", "<string>:1:1: the top-level key 'filename' is reserved"},
    {"a: 1\nenv_variables: {}\n", "<string>:2:1: the top-level key 'env_variables' is reserved"},
};

START_TEST(refusals)
{
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        ck_no_leak(ck_refuses(broken[i].text, strlen(broken[i].text), "yaml", broken[i].message));
    ck_refuses("a\0b: 1", 6, "yaml", "<string>:1:2: control characters are not allowed: U+0000");
}
END_TEST

START_TEST(hints)
{
    ck_refuses("a:\n\tb: 1\n", 8, "yaml", "<string>:2:1");
    ck_assert_ptr_nonnull(strstr(mu_error_last()->hint, "tab"));
    ck_refuses("\xff\xfe" "a", 3, "yaml", "<string>:1:1");
    ck_assert_ptr_nonnull(strstr(mu_error_last()->hint, "UTF-16"));
    ck_refuses("a: &lenet 1\nb: *lenat\n", 22, "yaml", "<string>:2:4");
    ck_assert_str_eq(mu_error_last()->hint, "did you mean *lenet?");
}
END_TEST

static char *repeat(const char *head, const char *part, int n, const char *tail)
{
    size_t length = strlen(part);
    char *text = malloc(strlen(head) + (size_t)n * length + strlen(tail) + 1), *at = text;
    ck_assert_ptr_nonnull(text);
    at = stpcpy(at, head);
    for (int i = 0; i < n; i++, at += length)
        memcpy(at, part, length);
    strcpy(at, tail);
    return text;
}

START_TEST(depth)
{
    char *text = repeat("a: ", "[", 10000, "");
    ck_refuses(text, strlen(text), "yaml", "<string>:1:515: nesting is deeper than 512 levels");
    free(text);
    text = repeat("", "{a: ", 10000, "");
    ck_refuses(text, strlen(text), "yaml", "<string>:1:2049: nesting is deeper than 512 levels");
    free(text);
    text = repeat("a:\n", "- ", 10000, "1");
    ck_refuses(text, strlen(text), "yaml", "<string>:2:1023: nesting is deeper than 512 levels");
    free(text);
    text = repeat("a: ", "[", 511, "");
    char *closed = repeat(text, "]", 511, "\n");
    mu_config_release(test_parse(closed, "yaml"));
    free(text);
    free(closed);
    /* By aliases: 100 levels in each of 10 anchors. */
    char yaml[8192] = "", *at = yaml;
    for (int i = 0; i < 10; i++) {
        at += sprintf(at, "k%d: &k%d ", i, i);
        for (int k = 0; k < 100; k++)
            *at++ = '[';
        at += i ? sprintf(at, "*k%d", i - 1) : 0;
        for (int k = 0; k < 100; k++)
            *at++ = ']';
        *at++ = '\n';
    }
    *at = '\0';
    ck_refuses(yaml, strlen(yaml), "yaml", "<string>:6:109: nesting is deeper than 512 levels");
}
END_TEST

START_TEST(billion_laughs)
{
    char yaml[4096], *at = yaml;
    at += sprintf(at, "k0: &k0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 10; i++) {
        at += sprintf(at, "k%d: &k%d [", i, i);
        for (int k = 0; k < 10; k++)
            at += sprintf(at, "*k%d%s", i - 1, k < 9 ? ", " : "]\n");
    }
    ck_no_leak(ck_refuses(yaml, strlen(yaml), "yaml", "<string>:7:20: the config comes to more than 4194304 values"));
    /* Few values, much text. */
    char *head = repeat("a: &a ", "x", 1 << 20, "\nb: ["), *text = repeat(head, "*a, ", 100, "]\n");
    ck_no_leak(ck_refuses(text, strlen(text), "yaml", "<string>:2:257: the config comes to more than 4194304 values or 64 MiB"));
    free(head);
    free(text);
    /* By merge keys. */
    head = repeat("a: &a {<<: {<<: {? ", "", 0, "");
    text = repeat(head, "x", 1 << 20, " : 1}}}\nb: [");
    char *all = repeat(text, "{<<: *a}, ", 100, "]\n");
    ck_no_leak(ck_refuses(all, strlen(all), "yaml", "<string>:2:"));
    free(head);
    free(text);
    free(all);
}
END_TEST

START_TEST(size)
{
    char *text = repeat("a: ", "x", (64 << 20) - 2, "");
    ck_refuses(text, strlen(text), "yaml", "the text of the config has 67108865 bytes, more than the 67108864 that may be read");
    free(text);
}
END_TEST

static mu_err parse(const char *text)
{
    mu_config *config;
    MU_TRY(mu_config_parse(text, strlen(text), "yaml", &config));
    mu_config_release(config);
    return MU_OK;
}

START_TEST(survives_lack_of_memory)
{
    const char *text = "a: &x {b: [1, 2.5, ~, true, 'q']}\nc: {<<: *x, d: *x}\n<<: [*x, {e: 1}]\nf: {{$NO_SUCH_VARIABLE:f}}\n";
    ck_survives_oom(parse(text), );
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("yaml");
    TCase *tcase = tcase_create("yaml");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, strings);
    tcase_add_test(tcase, integers);
    tcase_add_test(tcase, floats);
    tcase_add_test(tcase, nulls_and_booleans);
    tcase_add_test(tcase, structure);
    tcase_add_test(tcase, anchors);
    tcase_add_test(tcase, merge_keys);
    tcase_add_test(tcase, places);
    tcase_add_test(tcase, refusals);
    tcase_add_test(tcase, hints);
    tcase_add_test(tcase, depth);
    tcase_add_test(tcase, billion_laughs);
    tcase_add_test(tcase, size);
    tcase_add_test(tcase, survives_lack_of_memory);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}

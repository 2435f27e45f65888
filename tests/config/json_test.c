/* Reading JSON by the letter of RFC 8259: what it holds, with places, and what is refused. */
#include "parse.h"

#include <math.h>

START_TEST(values)
{
    ck_reads("a: 0\nb: -1\nc: 1.0\nd: 1e3\ne: -0.0\nf: [true, false, null]\ng: {}\nh: []\ni: 9223372036854775807\n", "yaml",
             " {\"a\":0,\"b\" : -1,\r\n\t\"c\":1.0,\"d\":1E+3,\"e\":-0.0,\"f\":[ true,false , null ],\"g\":{ },\"h\":[\n],"
             "\"i\":9223372036854775807}\n ");
    ck_reads("a: \"\\\"\\\\/\\b\\f\\n\\r\\t\\u00e9\\U0001F600 \\u20AC\"\n", "yaml",
             "{\"a\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\uDE00 \\u20ac\"}");
    ck_reads("a: ''\n'': b\n", "yaml", "{\"a\": \"\", \"\": \"b\"}");
    ck_reads("a: 1\n", "yaml", "\xef\xbb\xbf{\"a\": 1}");
    mu_config *config = test_parse("{\"i\": -0, \"f\": 1E2, \"s\": 5e-324}", "json");
    const mu_cfg *root = mu_config_root(config);
    ck_assert_int_eq(mu_cfg_kind_of(mu_cfg_get(root, "i")), MU_CFG_INT);
    ck_assert_int_eq(mu_cfg_kind_of(mu_cfg_get(root, "f")), MU_CFG_FLOAT);
    ck_assert_double_eq(mu_cfg_float(mu_cfg_get(root, "s")), 5e-324);
    mu_config_release(config);
}
END_TEST

START_TEST(places)
{
    mu_config *config = test_parse("{\"a\": 1,\r\n \"\xc3\xa9\": [\"\xc3\xa9\xf0\x9f\x98\x80\", {\"b\":\n2}]}", "json");
    static const struct {
        const char *path;
        int line, column, key_line, key_column;
    } cases[] = {{"a", 1, 7, 1, 2}, {"\xc3\xa9", 2, 7, 2, 2}, {"\xc3\xa9.0", 2, 8, 2, 8}, {"\xc3\xa9.1", 2, 14, 2, 14},
                 {"\xc3\xa9.1.b", 3, 1, 2, 15}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mu_cfg *value = mu_cfg_find(mu_config_root(config), cases[i].path);
        ck_assert_ptr_nonnull(value);
        mu_pos pos = mu_cfg_pos(value), key = mu_cfg_key_pos(value);
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
    {"", "<string>:1:1: expected a value, found the end of the text"},
    {"{", "<string>:1:2: expected a key in double quotes, found the end of the text"},
    {"{\"a\"", "<string>:1:5: expected ':', found the end of the text"},
    {"{\"a\": 1", "<string>:1:8: expected ',' or '}', found the end of the text"},
    {"{\"a\": 1]", "<string>:1:8: expected ',' or '}', found ']'"},
    {"{\"a\": [1}", "<string>:1:9: expected ',' or ']', found '}'"},
    {"{\"a\": [1 2]}", "<string>:1:10: expected ',' or ']', found '2'"},
    {"{\"a\": [1,]}", "<string>:1:10: expected a value, found ']'"},
    {"{\"a\": [,1]}", "<string>:1:8: expected a value, found ','"},
    {"{\"a\": 1,}", "<string>:1:9: expected a key in double quotes, found '}'"},
    {"{a: 1}", "<string>:1:2: expected a key in double quotes, found 'a'"},
    {"{'a': 1}", "<string>:1:2: expected a key in double quotes, found '''"},
    {"{\"a\": 1} x", "<string>:1:10: expected the end of the text behind the value, found 'x'"},
    {"{\"a\": 1}{}", "<string>:1:9: expected the end of the text behind the value, found '{'"},
    {"{\"a\": 1, // x\n\"b\": 2}", "<string>:1:10: expected a key in double quotes, found '/'"},
    {"{\"a\": 1,\n \"b\": 2,\n \"a\": 3}", "<string>:3:2: duplicate key 'a': it stands at line 1, column 2 already"},
    {"{\"a\": 1, \"\\u0061\": 3}", "<string>:1:10: duplicate key 'a': it stands at line 1, column 2 already"},
    {"{\"a\": 01}", "<string>:1:7: a number cannot begin with a zero"},
    {"{\"a\": -}", "<string>:1:8: expected a digit, found '}'"},
    {"{\"a\": +1}", "<string>:1:7: expected a value, found '+'"},
    {"{\"a\": .5}", "<string>:1:7: expected a value, found '.'"},
    {"{\"a\": 1.}", "<string>:1:9: expected a digit behind the point, found '}'"},
    {"{\"a\": 1e}", "<string>:1:9: expected a digit of the exponent, found '}'"},
    {"{\"a\": 1e+}", "<string>:1:10: expected a digit of the exponent, found '}'"},
    {"{\"a\": 0x10}", "<string>:1:8: expected ',' or '}', found 'x'"},
    {"{\"a\": 9223372036854775808}", "<string>:1:7: '9223372036854775808' is an integer that does not fit in 64 bits"},
    {"{\"a\": 1e999}", "<string>:1:7: '1e999' is a number beyond the range of a double"},
    {"{\"a\": NaN}", "<string>:1:7: JSON has no NaN"},
    {"{\"a\": Infinity}", "<string>:1:7: JSON has no Infinity"},
    {"{\"a\": -Infinity}", "<string>:1:7: JSON has no -Infinity"},
    {"{\"a\": True}", "<string>:1:7: JSON has no True"},
    {"{\"a\": nul}", "<string>:1:7: expected a value, found 'n'"},
    {"{\"a\": truex}", "<string>:1:11: expected ',' or '}', found 'x'"},
    {"{\"a\": \"x}", "<string>:1:7: the string that begins here has no end"},
    {"{\"a\": \"x\\", "<string>:1:10: expected one of"},
    {"{\"a\": \"x\ty\"}", "<string>:1:9: the byte 0x09 cannot stand in a string"},
    {"{\"a\": \"x\ny\"}", "<string>:1:9: the byte 0x0a cannot stand in a string"},
    {"{\"a\": \"\\x41\"}", "<string>:1:9: expected one of \" \\ / b f n r t u behind '\\', found 'x'"},
    {"{\"a\": \"\\u12g4\"}", "<string>:1:9: \\u needs four hexadecimal digits"},
    {"{\"a\": \"\\u12", "<string>:1:9: \\u needs four hexadecimal digits"},
    {"{\"a\": \"\\ud800\"}", "<string>:1:9: the surrogate \\ud800 stands alone"},
    {"{\"a\": \"\\ud800\\u0041\"}", "<string>:1:9: the surrogate \\ud800 stands alone"},
    {"{\"a\": \"\\udc00\"}", "<string>:1:9: the surrogate \\udc00 stands alone"},
    {"{\"a\": \"\\u0000\"}", "<string>:1:9: a string of a config cannot hold a NUL character"},
    {"{\"a\": \"caf\xe9\"}", "<string>:1:11: byte 0xe9 is not valid UTF-8"},
    {"{\"a\": \"\xc0\x80\"}", "<string>:1:8: byte 0xc0 is not valid UTF-8"},
    {"[1]", "<string>:1:1: a config is a dictionary, found list of 1 item"},
    {"\"x\"", "<string>:1:1: a config is a dictionary, found string 'x'"},
    {"{\"text\": 1}", "<string>:1:2: the top-level key 'text' is reserved"},
};

START_TEST(refusals)
{
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        ck_no_leak(ck_refuses(broken[i].text, strlen(broken[i].text), "json", broken[i].message));
    ck_refuses("{\"a\0\": 1}", 9, "json", "<string>:1:4: the byte 0x00 cannot stand in a string");
    ck_refuses("{\0}", 3, "json", "<string>:1:2: expected a key in double quotes, found the byte 0x00");
}
END_TEST

START_TEST(hints)
{
    ck_refuses("{\"a\": [1,]}", 11, "json", "<string>:1:10");
    ck_assert_str_eq(mu_error_last()->hint, "take out the comma before it");
    ck_refuses("{'a': 1}", 8, "json", "<string>:1:2");
    ck_assert_str_eq(mu_error_last()->hint, "JSON has double quotes only");
    ck_refuses("{# x\n}", 6, "json", "<string>:1:2");
    ck_assert_str_eq(mu_error_last()->hint, "JSON has no comments");
}
END_TEST

START_TEST(depth)
{
    static char text[40100];
    char *at = text;
    for (int i = 0; i < 10000; i++)
        at = stpcpy(at, "{\"\":");
    ck_refuses(text, strlen(text), "json", "<string>:1:2049: nesting is deeper than 512 levels");
    memset(text, '[', 10000);
    text[10000] = '\0';
    ck_refuses(text, 10000, "json", "<string>:1:513: nesting is deeper than 512 levels");
    at = stpcpy(text, "{\"a\": ");
    memset(at, '[', 511);
    memset(at + 511, ']', 511);
    strcpy(at + 1022, "}");
    mu_config_release(test_parse(text, "json"));
}
END_TEST

static mu_err parse(const char *text)
{
    mu_config *config;
    MU_TRY(mu_config_parse(text, strlen(text), "json", &config));
    mu_config_release(config);
    return MU_OK;
}

START_TEST(survives_lack_of_memory)
{
    ck_survives_oom(parse("{\"a\": [1, 2.5, null, true, \"q\\n\"], \"b\\t\": {\"c\": {{$NO_SUCH_VARIABLE:x}}}}"), );
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json");
    TCase *tcase = tcase_create("json");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, values);
    tcase_add_test(tcase, places);
    tcase_add_test(tcase, refusals);
    tcase_add_test(tcase, hints);
    tcase_add_test(tcase, depth);
    tcase_add_test(tcase, survives_lack_of_memory);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}

/* Overrides from the command line and merges of trees: values, paths, list elements, and what is refused. */
#include "parse.h"

static const char base[] = "model: {depth: 18, name: x, opt: {lr: 0.1}}\nhooks:\n  - {type: A}\n  - {type: B, n: [1, 2]}\nempty: []\n";

/* The base after the assignments, as JSON. */
static void ck_overrides(const char *const *assignments, const char *json)
{
    mu_config *config = test_parse(base, "yaml"), *expected = test_parse(json, "json");
    char *dump;
    for (; *assignments; assignments++)
        ck_ok(mu_config_override(config, *assignments));
    ck_ok(mu_config_dump(config, "json", &dump));
    ck_assert_msg(mu_cfg_equal(mu_config_root(config), mu_config_root(expected)), "%s", dump);
    mu_free(dump);
    mu_config_release(config);
    mu_config_release(expected);
}

START_TEST(values)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"5", "5"}, {"-0x", "\"-0x\""}, {"1e-3", "0.001"}, {"1.", "1.0"}, {"true", "true"}, {"null", "null"}, {"None", "null"},
        {"~", "null"}, {"", "\"\""}, {"  x y ", "\"x y\""}, {"no", "\"no\""}, {"'5'", "\"5\""}, {"\"a, b\"", "\"a, b\""},
        {"''", "\"\""}, {"it's", "\"it's\""}, {"a=b", "\"a=b\""}, {"1,2", "[1, 2]"}, {"1,", "[1]"}, {"a, 'b,c' ,2.5", "[\"a\", \"b,c\", 2.5]"},
        {"[]", "[]"}, {"()", "[]"}, {"[1]", "[1]"}, {"(1,)", "[1]"}, {"[(1,2),(3,4)]", "[[1, 2], [3, 4]]"},
        {"(1,2),[3]", "[[1, 2], [3]]"}, {"[ [ ] , x ]", "[[], \"x\"]"}, {"f(x)", "\"f(x)\""}, {"{epoch}", "\"{epoch}\""},
        {"caf\xc3\xa9", "\"caf\xc3\xa9\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char assignment[64], json[128];
        snprintf(assignment, sizeof assignment, "v=%s", cases[i].text);
        snprintf(json, sizeof json, "{\"v\": %s}", cases[i].json);
        mu_config *config = test_parse("", "yaml"), *expected = test_parse(json, "json");
        ck_ok(mu_config_override(config, assignment));
        ck_assert_msg(mu_cfg_equal(mu_config_root(config), mu_config_root(expected)), "%s", assignment);
        mu_config_release(config);
        mu_config_release(expected);
    }
}
END_TEST

START_TEST(paths)
{
    ck_overrides((const char *const[]){"model.depth=50", "model.opt.lr=1", "hooks.0.type=C", "hooks.1.n.1=7", "new.a.b=1,2",
                                       "model.opt._delete_=true", "model.opt.m=2", "empty=x", NULL},
                 "{\"model\": {\"depth\": 50, \"name\": \"x\", \"opt\": {\"m\": 2}}, \"hooks\": [{\"type\": \"C\"}, "
                 "{\"type\": \"B\", \"n\": [1, 7]}], \"empty\": \"x\", \"new\": {\"a\": {\"b\": [1, 2]}}}");
    mu_config *config = test_parse(base, "yaml");
    ck_ok(mu_config_override(config, "model.name=y"));
    ck_ok(mu_config_override(config, "model.dims= 1, 2"));
    mu_pos pos = mu_cfg_pos(mu_cfg_find(mu_config_root(config), "model.dims.1"));
    ck_assert_str_eq(pos.file, "<command line>");
    ck_assert_int_eq(pos.line, 2);
    ck_assert_int_eq(pos.column, 16);
    ck_assert_int_eq(mu_cfg_key_pos(mu_cfg_find(mu_config_root(config), "model.name")).column, 1);
    ck_assert_str_eq(mu_cfg_pos(mu_cfg_find(mu_config_root(config), "model.depth")).file, "<string>");
    mu_config_release(config);
}
END_TEST

START_TEST(refusals)
{
    static const struct {
        const char *assignment;
        mu_err code;
        const char *message;
    } cases[] = {
        {"model.depth", MU_ERR_USAGE, "'model.depth' is not an assignment"},
        {"", MU_ERR_USAGE, "'' is not an assignment"},
        {"=1", MU_ERR_CONFIG, "'=1': <command line>:1:1: the key '' has an empty part"},
        {"a..b=1", MU_ERR_CONFIG, "'a..b=1': <command line>:1:1: the key 'a..b' has an empty part"},
        {"a.=1", MU_ERR_CONFIG, "'a.=1': <command line>:1:1: the key 'a.' has an empty part"},
        {"model.depth.x=1", MU_ERR_CONFIG,
         "'model.depth.x=1': <command line>:1:1: model.depth: a dictionary cannot be merged into integer 18 (<string>:1:16)"},
        {"hooks.2.type=X", MU_ERR_CONFIG, "'hooks.2.type=X': <command line>:1:1: hooks.2: there is no such element in the list at "
                                          "<string>:3:3, which has 2 items\n  hint: indices go from 0 to 1"},
        {"hooks.-1=X", MU_ERR_CONFIG, "'hooks.-1=X': <command line>:1:1: hooks.-1: not the index of an element of the list"},
        {"hooks.99999999999999999999=X", MU_ERR_CONFIG, "hooks.99999999999999999999: there is no such element"},
        {"hooks.0.type.x=1", MU_ERR_CONFIG, "hooks.0.type: a dictionary cannot be merged into string 'A'"},
        {"empty.0=1", MU_ERR_CONFIG, "empty.0: there is no such element in the list at <string>:5:8, which has 0 items"},
        {"hook.0.type=1", MU_ERR_CONFIG, "hook: there is no such list to take element 0 of\n  hint: did you mean 'hooks'?"},
        {"a=[1,2", MU_ERR_CONFIG, "<command line>:1:3: the '[' that stands here is not closed"},
        {"a=[1,(2]", MU_ERR_CONFIG, "<command line>:1:8: expected ',' or ')', found ']'"},
        {"a=[1]2", MU_ERR_CONFIG, "<command line>:1:6: expected the end, found '2'"},
        {"a=1,[2]3", MU_ERR_CONFIG, "<command line>:1:8: expected ',', found '3'"},
        {"a=1,,2", MU_ERR_CONFIG, "<command line>:1:5: an item of the list is empty"},
        {"a=[,1]", MU_ERR_CONFIG, "<command line>:1:4: an item of the list is empty"},
        {"a='x", MU_ERR_CONFIG, "<command line>:1:3: the quote that begins here has no end"},
        {"a='x'y", MU_ERR_CONFIG, "<command line>:1:6: expected the end, found 'y'"},
        {"a=9223372036854775808", MU_ERR_CONFIG, "'9223372036854775808' is an integer that does not fit in 64 bits"},
        {"a=caf\xe9", MU_ERR_CONFIG, "'a=caf...': <command line>:1:1: 'a=caf...' is not valid UTF-8"},
        {"text=1", MU_ERR_CONFIG, "the top-level key 'text' is reserved"},
        {"_base_=x.yaml", MU_ERR_CONFIG, "the top-level key '_base_' is reserved"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mu_config *config = test_parse(base, "yaml"), *same = test_parse(base, "yaml");
        char text[512];
        mu_err err = mu_config_override(config, cases[i].assignment);
        mu_error_format(mu_error_last(), 0, text, sizeof text);
        ck_assert_msg(err == cases[i].code, "%s: %s", cases[i].assignment, mu_err_name(err));
        ck_assert_msg(strstr(text, cases[i].message) != NULL, "\"%s\" lacks \"%s\"", text, cases[i].message);
        ck_assert_msg(mu_cfg_equal(mu_config_root(config), mu_config_root(same)), "%s left a trace", cases[i].assignment);
        mu_config_release(config);
        mu_config_release(same);
    }
}
END_TEST

START_TEST(depth)
{
    static char assignment[30000];
    mu_config *config = test_parse("", "yaml");
    memcpy(assignment, "a=", 2);
    memset(assignment + 2, '[', 10000);
    ck_fails(mu_config_override(config, assignment), MU_ERR_CONFIG, "<command line>:1:515: nesting is deeper than 512 levels");
    for (int i = 0; i < 10000; i++)
        memcpy(assignment + 2 * i, "a.", 2);
    memcpy(assignment + 20000, "a=1", 4);
    ck_fails(mu_config_override(config, assignment), MU_ERR_CONFIG, "has more than 511 parts");
    mu_config_release(config);
}
END_TEST

START_TEST(trees)
{
    mu_config *config = test_parse(base, "yaml");
    mu_config *options = test_parse("model.depth: 50\nhooks: {'1': {n: {'0': 9}}}\nmodel: {name: z}\n", "yaml");
    ck_ok(mu_config_merge(config, mu_config_root(options), true));
    ck_assert_int_eq(mu_cfg_int(mu_cfg_find(mu_config_root(config), "model.depth")), 50);
    ck_assert_str_eq(mu_cfg_string(mu_cfg_find(mu_config_root(config), "model.name")), "z");
    ck_assert_int_eq(mu_cfg_int(mu_cfg_find(mu_config_root(config), "hooks.1.n.0")), 9);
    ck_fails(mu_config_merge(config, mu_config_root(options), false), MU_ERR_CONFIG,
             "<string>:2:1: hooks: a dictionary cannot be merged into list of 2 items (<string>:3:3)");
    ck_fails(mu_config_merge(config, mu_cfg_get(mu_config_root(config), "hooks"), false), MU_ERR_USAGE,
             "options to merge are a dictionary, not a list");
    mu_config_release(config);
    mu_config_release(options);
}
END_TEST

START_TEST(survives_lack_of_memory)
{
    for (int64_t n = 1;; n++) {
        int64_t live = mu_mem_get_counts().live_blocks;
        mu_config *config = test_parse(base, "yaml");
        mu_mem_fail_at(n);
        mu_err err = mu_config_override(config, "hooks.1.n=[1, ('a', null)], 2.5");
        mu_mem_fail_at(0);
        mu_config_release(config);
        ck_assert(err == MU_OK || err == MU_ERR_MEMORY);
        ck_assert_int_eq(mu_mem_get_counts().live_blocks, live);
        if (err == MU_OK)
            break;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("override");
    TCase *tcase = tcase_create("override");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, values);
    tcase_add_test(tcase, paths);
    tcase_add_test(tcase, refusals);
    tcase_add_test(tcase, depth);
    tcase_add_test(tcase, trees);
    tcase_add_test(tcase, survives_lack_of_memory);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}

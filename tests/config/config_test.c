/* Files and what they inherit: variables, environment, bases, _delete_, reserved names, and all that can be wrong with them. */
#include "parse.h"

#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static void enter_directory(void)
{
    strcpy(dir, "/tmp/muster-config-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chdir(dir), 0);
}

static void leave_directory(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(system(command), 0);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* The file composes to what the JSON says. */
static mu_config *ck_composes(const char *path, const char *json)
{
    mu_config *config, *expected = test_parse(json, "json");
    char *dump;
    ck_ok(mu_config_read(path, &config));
    ck_ok(mu_config_dump(config, "json", &dump));
    ck_assert_msg(mu_cfg_equal(mu_config_root(config), mu_config_root(expected)), "%s is\n%s", path, dump);
    mu_free(dump);
    mu_config_release(expected);
    return config;
}

static void ck_file_fails(const char *path, const char *message)
{
    mu_config *config = NULL;
    int64_t live = mu_mem_get_counts().live_blocks;
    mu_err err = mu_config_read(path, &config);
    ck_assert_msg(err == MU_ERR_CONFIG, "%s: %s", path, mu_err_name(err));
    ck_assert_ptr_null(config);
    ck_assert_msg(strncmp(mu_error_last()->message, message, strlen(message)) == 0, "\"%s\" instead of \"%s\"",
                  mu_error_last()->message, message);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, live);
}

START_TEST(inheritance)
{
    ck_assert_int_eq(mkdir("base", 0777), 0);
    write_text("base/model.yaml", "model: {type: A, depth: 50, opt: {lr: 0.1, m: 2}, dims: [1, 2]}\n");
    write_text("base/run.json", "{\"_base_\": [\"more.yml\"], \"run\": {\"n\": 1}}");
    write_text("base/more.yml", "more: [1, {a: 2}]\nrun: {n: 0, k: 1}\n");
    write_text("a.yaml", "_base_: [base/model.yaml, ./base/run.json]\nmodel: {depth: 101, opt: {lr: 1}, dims: [3]}\nnew: x\n");
    mu_config *config = ck_composes("a.yaml", "{\"model\": {\"type\": \"A\", \"depth\": 101, \"opt\": {\"lr\": 1, \"m\": 2}, "
                                              "\"dims\": [3]}, \"run\": {\"n\": 1, \"k\": 1}, \"more\": [1, {\"a\": 2}], \"new\": \"x\"}");
    static const struct {
        const char *path, *file;
        int line, column;
    } places[] = {{"model.type", "base/model.yaml", 1, 15}, {"model.depth", "a.yaml", 2, 16},
                  {"model.opt.m", "base/model.yaml", 1, 47}, {"run.n", "./base/run.json", 1, 39},
                  {"run.k", "./base/more.yml", 2, 16}, {"more.1.a", "./base/more.yml", 1, 15}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        mu_pos pos = mu_cfg_pos(mu_cfg_find(mu_config_root(config), places[i].path));
        ck_assert_msg(strcmp(pos.file, places[i].file) == 0 && pos.line == places[i].line && pos.column == places[i].column,
                      "%s at %s:%d:%d", places[i].path, pos.file, pos.line, pos.column);
    }
    ck_assert_str_eq(mu_config_filename(config), "a.yaml");
    ck_assert_ptr_nonnull(strstr(mu_config_text(config), "# base/model.yaml\nmodel: {type: A"));
    ck_assert_ptr_nonnull(strstr(mu_config_text(config), "\n# a.yaml\n_base_: [base/model.yaml"));
    mu_config_release(config);
    char path[128], text[256];
    snprintf(text, sizeof text, "_base_: %s/base/more.yml\n", dir);
    write_text("base/absolute.yaml", text);
    snprintf(path, sizeof path, "%s/base/absolute.yaml", dir);
    mu_config_release(ck_composes(path, "{\"more\": [1, {\"a\": 2}], \"run\": {\"n\": 0, \"k\": 1}}"));
    write_text("none.yaml", "_base_: []\na: 1\n");
    mu_config_release(ck_composes("none.yaml", "{\"a\": 1}"));
}
END_TEST

START_TEST(deletion)
{
    write_text("b.yaml", "a: {x: 1, y: {z: 1}}\nb: 5\nc: {d: {e: 1}}\n");
    write_text("a.yaml", "_base_: b.yaml\na: {_delete_: true, w: 2}\nb: {_delete_: true, v: 1}\nc: {_delete_: false, d: {f: 2}}\n"
                         "new: {_delete_: true, g: [{_delete_: true, h: 1}]}\nlist: [{_delete_: false}]\n");
    mu_config_release(ck_composes("a.yaml", "{\"a\": {\"w\": 2}, \"b\": {\"v\": 1}, \"c\": {\"d\": {\"e\": 1, \"f\": 2}}, "
                                            "\"new\": {\"g\": [{\"h\": 1}]}, \"list\": [{}]}"));
    write_text("alone.yaml", "a: {_delete_: true, b: {_delete_: true}}\n");
    mu_config_release(ck_composes("alone.yaml", "{\"a\": {\"b\": {}}}"));
    write_text("bad.yaml", "_base_: b.yaml\na: {x: {y: 1}}\n");
    ck_file_fails("bad.yaml", "bad.yaml:2:5: a.x: a dictionary cannot be merged into integer 1 (b.yaml:1:8)");
    ck_assert_ptr_nonnull(strstr(mu_error_last()->hint, "_delete_: true"));
    write_text("bad.yaml", "_base_: b.yaml\na: {_delete_: 1}\n");
    ck_file_fails("bad.yaml", "bad.yaml:2:15: _delete_ is true or false, found integer 1");
    write_text("bad.yaml", "_base_: b.yaml\n_delete_: true\n");
    ck_file_fails("bad.yaml", "bad.yaml:2:1: _delete_ at the top level");
}
END_TEST

START_TEST(base_variables)
{
    write_text("b.yaml", "m: {d: 50, l: [1, {k: v}], s: 'a: \"b\"', f: 1.0, t: true, n: null}\n");
    write_text("a.yaml", "_base_: b.yaml\nd: {{_base_.m.d}}\nl: {{ _base_.m.l }}\ns: '{{_base_.m.s}}'\n"
                         "in: \"{{_base_.m.s}}/{{_base_.m.d}}-{{_base_.m.f}}-{{_base_.m.t}}-{{_base_.m.n}}\"\n"
                         "e: [{{_base_.m.l.1.k}}, {x: {{_base_.m.t}}}]\n# {{_base_.not.there}}\n{{_other_}}: 1\n");
    ck_file_fails("a.yaml", "a.yaml:8:");
    write_text("a.yaml", "_base_: b.yaml\nd: {{_base_.m.d}}\nl: {{ _base_.m.l }}\ns: '{{_base_.m.s}}'\n"
                         "in: \"{{_base_.m.s}}/{{_base_.m.d}}-{{_base_.m.f}}-{{_base_.m.t}}-{{_base_.m.n}}\"\n"
                         "e: [{{_base_.m.l.1.k}}, {x: {{_base_.m.t}}}]\n# {{_base_.not.there}}\no: '{{ other }}'\n");
    mu_config_release(ck_composes("a.yaml", "{\"m\": {\"d\": 50, \"l\": [1, {\"k\": \"v\"}], \"s\": \"a: \\\"b\\\"\", \"f\": 1.0, "
        "\"t\": true, \"n\": null}, \"d\": 50, \"l\": [1, {\"k\": \"v\"}], \"s\": \"a: \\\"b\\\"\", "
        "\"in\": \"a: \\\"b\\\"/50-1.0-true-null\", \"e\": [\"v\", {\"x\": true}], \"o\": \"\\u007b\\u007b other }}\"}"));
    write_text("a.json", "{\"_base_\": \"b.yaml\", \"d\": {{_base_.m.d}}, \"s\": \"x{{_base_.m.s}}\"}");
    mu_config *config;
    ck_ok(mu_config_read("a.json", &config));
    ck_assert_int_eq(mu_cfg_int(mu_cfg_get(mu_config_root(config), "d")), 50);
    ck_assert_str_eq(mu_cfg_string(mu_cfg_get(mu_config_root(config), "s")), "xa: \"b\"");
    mu_config_release(config);
    static const struct {
        const char *line, *message;
    } bad[] = {
        {"x: {{_base_.m.dd}}\n", "bad.yaml:2:4: {{_base_.m.dd}} refers to nothing: 'dd' is not in the dictionary with 6 keys at b.yaml:1:4"},
        {"x: {{_base_.m.l.2}}\n", "bad.yaml:2:4: {{_base_.m.l.2}} refers to nothing: '2' is not in the list of 2 items at b.yaml:1:15"},
        {"x: a{{_base_.m.l}}\n", "bad.yaml:2:4: {{_base_.m.l}} is a list of 2 items and cannot stand inside a string"},
        {"{{_base_.m.d}}: 1\n", "bad.yaml:2:1: a base variable cannot be part of a key"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[256];
        snprintf(text, sizeof text, "_base_: b.yaml\n%s", bad[i].line);
        write_text("bad.yaml", text);
        ck_file_fails("bad.yaml", bad[i].message);
    }
    write_text("bad.yaml", "x: {{_base_.m}}\n");
    ck_file_fails("bad.yaml", "bad.yaml:1:4: {{_base_.m}} in a file without _base_");
}
END_TEST

START_TEST(predefined_variables)
{
    char text[512], expected[1024];
    ck_assert_int_eq(mkdir("it's \"q\": {x} #\\", 0777), 0); /* every character that could break the syntax */
    ck_assert_int_eq(chdir("it's \"q\": {x} #\\"), 0);
    write_text("lenet.v2.yaml", "a: {{ fileDirname }}/x\nb: '{{fileBasename}}'\nc: \"{{ fileBasenameNoExtension }}\"\n"
                                "d: [{{fileExtname}}, after]\n{{ fileBasename }}: 1\n");
    snprintf(expected, sizeof expected,
             "{\"a\": \"%s/it's \\\"q\\\": {x} #\\\\/x\", \"b\": \"lenet.v2.yaml\", \"c\": \"lenet.v2\", "
             "\"d\": [\".yaml\", \"after\"], \"lenet.v2.yaml\": 1}", dir);
    mu_config *config = ck_composes("lenet.v2.yaml", expected);
    ck_assert_int_eq(mu_cfg_pos(mu_cfg_find(mu_config_root(config), "d.1")).column, 22); /* as in the file */
    mu_config_release(config);
    mu_config_release(ck_composes("./lenet.v2.yaml", expected));
    ck_assert_int_eq(mkdir("sub", 0777), 0);
    write_text("sub/base.yaml", "where: {{ fileBasename }}\n");
    snprintf(text, sizeof text, "_base_: '{{ fileDirname }}/sub/base.yaml'\n");
    write_text("a.yaml", text);
    mu_config_release(ck_composes("a.yaml", "{\"where\": \"base.yaml\"}"));
    ck_refuses("a: {{ fileDirname }}", 20, "yaml", "<string>:1:4: {{ fileDirname }} needs a file, the config comes from text");
}
END_TEST

START_TEST(environment)
{
    ck_assert_int_eq(setenv("MUSTER_T_S", "it's \"a\": [b", 1), 0);
    ck_assert_int_eq(setenv("MUSTER_T_N", "8", 1), 0);
    ck_assert_int_eq(setenv("MUSTER_T_L", "[1, x, [2.5, null]]", 1), 0);
    ck_assert_int_eq(setenv("MUSTER_T_E", "", 1), 0);
    ck_assert_int_eq(unsetenv("MUSTER_T_U"), 0);
    write_text("a.yaml", "a: {{$MUSTER_T_S:x}}\nb: {{$MUSTER_T_N:1}}\nc: {{'$MUSTER_T_N:1'}}\nd: {{'$MUSTER_T_L'}}\n"
                         "e: '{{'$MUSTER_T_N:1'}}'\nf: {{ $MUSTER_T_U : /a/b }}\ng: {{ \"$MUSTER_T_U:2.5\" }}\n"
                         "h: {{$MUSTER_T_E:z}}\ni: pre{{$MUSTER_T_N:1}}post\nj: {{$MUSTER_T_U:a:b}}\n# {{$MUSTER_T_U:}}\n");
    mu_config *config = ck_composes("a.yaml", "{\"a\": \"it's \\\"a\\\": [b\", \"b\": \"8\", \"c\": 8, \"d\": [1, \"x\", [2.5, null]], "
        "\"e\": \"8\", \"f\": \"/a/b\", \"g\": 2.5, \"h\": \"z\", \"i\": \"pre8post\", \"j\": \"a:b\"}");
    const mu_cfg *env = mu_config_env_variables(config);
    ck_assert_uint_eq(mu_cfg_size(env), 3);
    ck_assert_str_eq(mu_cfg_string(mu_cfg_get(env, "MUSTER_T_N")), "8");
    mu_config_release(config);
    write_text("a.json", "{\"a\": {{'$MUSTER_T_N:1'}}, \"b\": {{$MUSTER_T_S:x}}, \"c\": \"{{$MUSTER_T_S:x}}\"}");
    mu_config_release(ck_composes("a.json", "{\"a\": 8, \"b\": \"it's \\\"a\\\": [b\", \"c\": \"it's \\\"a\\\": [b\"}"));
    write_text("bad.yaml", "a: 1\nb: x{{$MUSTER_T_U:}}\n");
    ck_file_fails("bad.yaml", "bad.yaml:2:4: the environment variable MUSTER_T_U is not set and has no default");
    write_text("bad.yaml", "b: {{$MUSTER_T_E:}}\n");
    ck_file_fails("bad.yaml", "bad.yaml:1:4: the environment variable MUSTER_T_E is empty and has no default");
    ck_assert_int_eq(setenv("MUSTER_T_E", "caf\xe9", 1), 0);
    ck_file_fails("bad.yaml", "bad.yaml:1:4: the environment variable MUSTER_T_E='caf...' is not valid UTF-8");
    write_text("bad.yaml", "a: b\n\xf4\x8f\xbc\x90: c\n");
    ck_file_fails("bad.yaml", "bad.yaml:2:1: the private-use characters U+10FF00 to U+10FF3F are reserved");
}
END_TEST

START_TEST(packages)
{
    char search[160];
    ck_assert_int_eq(system("mkdir -p one two/pkg/sub"), 0);
    snprintf(search, sizeof search, "%s/one::%s/two", dir, dir);
    write_text("two/pkg/sub/b.yaml", "model: {type: A, head: {type: B}}\nhooks: [{type: C, _scope_: own}, {d: {type: D}}]\nn: 1\n");
    write_text("a.yaml", "_base_: pkg::sub/b.yaml\n");
    unsetenv("MUSTER_CONFIG_PATH");
    ck_file_fails("a.yaml", "a.yaml:1:9: 'pkg::sub/b.yaml' names a base in a package, and MUSTER_CONFIG_PATH is not set");
    ck_assert_int_eq(setenv("MUSTER_CONFIG_PATH", search, 1), 0);
    mu_config_release(ck_composes("a.yaml", "{\"model\": {\"type\": \"A\", \"head\": {\"type\": \"B\"}, \"_scope_\": \"pkg\"}, "
        "\"hooks\": [{\"type\": \"C\", \"_scope_\": \"own\"}, {\"d\": {\"type\": \"D\", \"_scope_\": \"pkg\"}}], \"n\": 1}"));
    write_text("a.yaml", "_base_: pkg::c.yaml\n");
    ck_file_fails("a.yaml", "a.yaml:1:9: 'pkg::c.yaml' is in none of the directories of MUSTER_CONFIG_PATH=");
}
END_TEST

START_TEST(bad_bases)
{
    write_text("one.yaml", "a: 1\nmodel: {x: 1}\n");
    write_text("two.yaml", "b: 1\nmodel: {y: 1}\n");
    write_text("a.yaml", "_base_: [one.yaml, two.yaml]\n");
    ck_file_fails("a.yaml", "two.yaml:2:1: two bases of one file have the top-level key 'model': the other is at one.yaml:2:1");
    write_text("a.yaml", "x: 1\n_base_:\n  - one.yaml\n  - three.yaml\n");
    ck_file_fails("a.yaml", "a.yaml:4:5: the config 'three.yaml' cannot be opened: No such file or directory");
    write_text("a.yaml", "_base_: b.yaml\n");
    write_text("b.yaml", "x: 1\n_base_: [one.yaml, c.yaml]\n");
    write_text("c.yaml", "_base_: ../x/./a.yaml\n");
    ck_assert_int_eq(system("d=$(basename $PWD); sed -i s/x/$d/ c.yaml"), 0);
    ck_file_fails("a.yaml", "c.yaml:1:9: a file is its own base: a.yaml -> b.yaml -> c.yaml -> ../muster-config-");
    write_text("a.yaml", "_base_: a.yaml\n");
    ck_file_fails("a.yaml", "a.yaml:1:9: a file is its own base: a.yaml -> a.yaml");
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"_base_: 5\n", "bad.yaml:1:9: _base_ is a path or a list of paths, found integer 5"},
        {"_base_: [one.yaml, [two.yaml]]\n", "bad.yaml:1:20: _base_ is a path or a list of paths, found list of 1 item"},
        {"_base_: ''\n", "bad.yaml:1:9: _base_ is a path or a list of paths, found string ''"},
        {"_base_: one.py\n", "bad.yaml:1:9: the config 'one.py' is not named .yaml, .yml or .json"},
        {"_base_: dir.yaml\n", "bad.yaml:1:9: the config 'dir.yaml' is a directory"},
        {"_base_: fifo.yaml\n", "bad.yaml:1:9: the config 'fifo.yaml' is not a regular file"},
        {"_base_: broken.yaml\n", "broken.yaml:2:1: "},
        {"_base_: reserved.yaml\n", "reserved.yaml:1:7: the top-level key 'pretty_text' is reserved"},
    };
    ck_assert_int_eq(mkdir("dir.yaml", 0777), 0);
    ck_assert_int_eq(mkfifo("fifo.yaml", 0666), 0);
    write_text("broken.yaml", "a: [1\n");
    write_text("reserved.yaml", "{a: 1,pretty_text: 2}\n");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text("bad.yaml", bad[i].text);
        ck_file_fails("bad.yaml", bad[i].message);
    }
    ck_file_fails("none.yaml", "the config 'none.yaml' cannot be opened: No such file or directory");
    ck_file_fails("none", "the config 'none' is not named .yaml, .yml or .json");
}
END_TEST

START_TEST(bounds)
{
    /* 100 MB: refused by its size, before it is read. */
    write_text("big.yaml", "a: 1\n");
    ck_assert_int_eq(truncate("big.yaml", 100000000), 0);
    mu_mem_reset_peak();
    ck_file_fails("big.yaml", "the config 'big.yaml' has 100000000 bytes, more than the 67108864 that may be read");
    ck_assert_int_lt(mu_mem_get_counts().peak_bytes, 1 << 20);
    /* Bases that double: 2^30 files. */
    for (int i = 0; i < 30; i++) {
        char name[32], text[64];
        snprintf(name, sizeof name, "d%d.yaml", i);
        snprintf(text, sizeof text, "_base_: [d%d.yaml, d%d.yaml]\n", i + 1, i + 1);
        write_text(name, text);
    }
    write_text("d30.yaml", "");
    ck_file_fails("d0.yaml", "d");
    ck_assert_ptr_nonnull(strstr(mu_error_last()->message, "the config has more than 1024 files"));
    for (int i = 0; i < 70; i++) {
        char name[32], text[64];
        snprintf(name, sizeof name, "c%d.yaml", i);
        snprintf(text, sizeof text, "_base_: c%d.yaml\n", i + 1);
        write_text(name, text);
    }
    ck_file_fails("c0.yaml", "c63.yaml:1:9: a chain of more than 64 bases");
    /* Base variables that double. */
    write_text("v0.yaml", "a: [1, 2, 3, 4, 5, 6, 7, 8]\n");
    for (int i = 1; i < 30; i++) {
        char name[32], text[128];
        snprintf(name, sizeof name, "v%d.yaml", i);
        snprintf(text, sizeof text, "_base_: v%d.yaml\na: [{{_base_.a}}, {{_base_.a}}]\n", i - 1);
        write_text(name, text);
    }
    ck_file_fails("v29.yaml", "v");
    ck_assert_ptr_nonnull(strstr(mu_error_last()->message, "the config comes to more than 4194304 values"));
}
END_TEST

static mu_err read_file(const char *path)
{
    mu_config *config;
    MU_TRY(mu_config_read(path, &config));
    mu_config_release(config);
    return MU_OK;
}

START_TEST(survives_lack_of_memory)
{
    write_text("one.yaml", "a: {x: 1, y: {z: [1, 2]}}\ns: str\n");
    write_text("two.json", "{\"b\": {\"c\": [1, {\"d\": null}]}}");
    write_text("a.yaml", "_base_: [one.yaml, two.json]\na: {y: {_delete_: true, w: {{_base_.b.c}}}}\n"
                         "t: x{{_base_.s}} {{ fileDirname }} {{$MUSTER_T_U:v}}\nu: {{$HOME:/}}\n");
    ck_survives_oom(read_file("a.yaml"), );
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tcase = tcase_create("config");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, enter_directory, leave_directory);
    tcase_add_test(tcase, inheritance);
    tcase_add_test(tcase, deletion);
    tcase_add_test(tcase, base_variables);
    tcase_add_test(tcase, predefined_variables);
    tcase_add_test(tcase, environment);
    tcase_add_test(tcase, packages);
    tcase_add_test(tcase, bad_bases);
    tcase_add_test(tcase, bounds);
    tcase_add_test(tcase, survives_lack_of_memory);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}

#include "registry/registry.h"

#include "config/config.h"
#include "core/text.h"

#include "test.h"

static mu_registry *root;
static mu_text events; /* what create and destroy did, in order */

typedef struct {
    bool flag;
    int64_t count;
    double rate;
    char *name;
    int mode;
    mu_ints dims;
    mu_floats scales;
    mu_strings tags, words;
    const mu_cfg *extra;
} part;

static const char *const modes[] = {"sum", "mean", NULL};
static const char *const tag_choices[] = {"red", "green", NULL};

static const mu_option part_options[] = {
    MU_OPTION(part, flag, MU_OPT_BOOL, .boolean_default = true),
    MU_OPTION(part, count, MU_OPT_INT, .int_default = 3, .nullable = true, .bounded_below = true, .min = 1),
    MU_OPTION(part, rate, MU_OPT_FLOAT, .float_default = 0.5, .bounded_below = true, .above_min = true,
              .bounded_above = true, .max = 1),
    MU_OPTION(part, name, MU_OPT_STRING, .text_default = "part"),
    MU_OPTION(part, mode, MU_OPT_CHOICE, .choices = modes, .int_default = 1),
    MU_OPTION(part, dims, MU_OPT_INTS, .min_items = 1, .max_items = 3, .bounded_below = true, .min = 1),
    MU_OPTION(part, scales, MU_OPT_FLOATS),
    MU_OPTION(part, tags, MU_OPT_STRINGS, .choices = tag_choices),
    MU_OPTION(part, extra, MU_OPT_ANY),
    MU_OPTION(part, words, MU_OPT_STRINGS, .bare_item = true, .choices = tag_choices),
    MU_OPTION_END,
};

static mu_err part_create(void *object, const mu_cfg *cfg)
{
    part *p = object;
    (void)cfg;
    if (p->count == 13)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "13 parts bring bad luck");
    mu_text_printf(&events, "+%s ", p->name);
    return MU_OK;
}

static void part_destroy(void *object)
{
    mu_text_printf(&events, "-%s ", ((part *)object)->name);
}

static const mu_component part_component = {.kind = "layer",
                                            .name = "Part",
                                            .size = sizeof(part),
                                            .options = part_options,
                                            .create = part_create,
                                            .destroy = part_destroy};
static const mu_component scoped_part = {.kind = "layer",
                                         .name = "OnlyHere",
                                         .size = sizeof(part),
                                         .options = part_options,
                                         .create = part_create,
                                         .destroy = part_destroy};
static const mu_component absent = {.kind = "layer", .name = "CudaPart", .not_built = "configure --with-cuda"};

typedef struct {
    const mu_cfg *first, *rest, *named, *settings, *mixed;
    part *made;
} whole;

static const mu_option setting_fields[] = {
    {.key = "depth", .type = MU_OPT_INT, .required = true},
    {.key = "inner", .type = MU_OPT_COMPONENT, .component_kind = "layer"},
    MU_OPTION_END,
};

static const mu_option whole_options[] = {
    MU_OPTION(whole, first, MU_OPT_COMPONENT, .required = true, .component_kind = "layer"),
    MU_OPTION(whole, rest, MU_OPT_COMPONENTS, .component_kind = "layer"),
    MU_OPTION(whole, named, MU_OPT_COMPONENT_MAP, .component_kind = "layer"),
    MU_OPTION(whole, settings, MU_OPT_DICT, .component_kind = "layer", .fields = setting_fields),
    MU_OPTION(whole, mixed, MU_OPT_COMPONENTS, .component_kind = "layer", .fields = setting_fields),
    MU_OPTION_END,
};

static mu_err whole_create(void *object, const mu_cfg *cfg)
{
    whole *w = object;
    (void)cfg;
    MU_TRY(mu_build("layer", w->first, NULL, "first", (void **)&w->made));
    mu_text_append(&events, "+whole ");
    return MU_OK;
}

static void whole_destroy(void *object)
{
    mu_text_append(&events, "-whole ");
    mu_destroy(((whole *)object)->made);
}

static const mu_component whole_component = {.kind = "model",
                                             .name = "Whole",
                                             .size = sizeof(whole),
                                             .options = whole_options,
                                             .create = whole_create,
                                             .destroy = whole_destroy};
static const mu_component bare_component = {.kind = "model", .name = "Bare"};

static void begin(void)
{
    mu_registry *scope;
    ck_ok(mu_registry_root(&root));
    ck_ok(mu_registry_add(root, &part_component, false));
    ck_ok(mu_registry_add(root, &absent, false));
    ck_ok(mu_registry_add(root, &whole_component, false));
    ck_ok(mu_registry_add(root, &bare_component, false));
    ck_ok(mu_registry_child(root, "side", &scope));
    ck_ok(mu_registry_add(scope, &scoped_part, false));
    mu_text_append(&events, "");
}

static void end(void)
{
    mu_text_release(&events);
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static mu_config *parse(const char *yaml)
{
    mu_config *config;
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &config));
    return config;
}

/* All mistakes in the text, one a line. */
static char *mistakes(const char *kind, const char *yaml)
{
    static char text[8192];
    mu_config *config = parse(yaml);
    mu_diagnostics list = {0};
    ck_ok(mu_check(kind, mu_config_root(config), "m", &list));
    mu_diagnostics_sort(&list);
    text[0] = '\0';
    for (size_t i = 0; i < list.n; i++) {
        size_t at = strlen(text);
        mu_diagnostic_format(&list.item[i], text + at, sizeof text - at - 1);
        strcat(text, "\n");
    }
    mu_diagnostics_release(&list);
    mu_config_release(config);
    return text;
}

START_TEST(default_values)
{
    part p = {0};
    mu_diagnostics list = {0};
    ck_ok(mu_options_parse(part_options, NULL, "", &p, &list));
    ck_assert_uint_eq(list.n, 0);
    ck_assert(p.flag && p.count == 3 && p.rate == 0.5 && p.mode == 1 && !p.dims.n && !p.tags.n && !p.extra);
    ck_assert_str_eq(p.name, "part");
    mu_options_release(part_options, &p);
    ck_assert_ptr_null(p.name);
}
END_TEST

START_TEST(values)
{
    mu_config *config = parse("type: Part\nflag: false\ncount: 7\nrate: 1\nname: abc\nmode: sum\ndims: [4, 5]\n"
                              "scales: [1, 2.5]\ntags: [green, red]\nextra: {a: [1]}\n_mine: x\n");
    const mu_cfg *cfg = mu_config_root(config);
    part p = {0};
    mu_diagnostics list = {0};
    ck_ok(mu_options_parse(part_options, cfg, "m", &p, &list));
    ck_assert_uint_eq(list.n, 0);
    ck_assert(!p.flag && p.count == 7 && p.rate == 1.0 && p.mode == 0);
    ck_assert_str_eq(p.name, "abc");
    ck_assert(p.dims.n == 2 && p.dims.v[0] == 4 && p.dims.v[1] == 5);
    ck_assert(p.scales.n == 2 && p.scales.v[0] == 1 && p.scales.v[1] == 2.5);
    ck_assert_uint_eq(p.tags.n, 2);
    ck_assert_str_eq(p.tags.v[0], "green");
    ck_assert_ptr_eq(p.extra, mu_cfg_get(cfg, "extra"));
    mu_options_release(part_options, &p);
    part q = {0};
    ck_survives_oom(mu_options_parse(part_options, cfg, "m", &q, &list), mu_options_release(part_options, &q));
    mu_config_release(config);
}
END_TEST

START_TEST(an_element_stands_for_a_list)
{
    static const char *const texts[] = {"words: green\n", "words: [green]\n"};
    for (int i = 0; i < 2; i++) {
        mu_config *config = parse(texts[i]);
        part p = {0};
        mu_diagnostics list = {0};
        ck_ok(mu_options_parse(part_options, mu_config_root(config), "", &p, &list));
        ck_assert_uint_eq(list.n, 0);
        ck_assert_uint_eq(p.words.n, 1);
        ck_assert_str_eq(p.words.v[0], "green");
        mu_options_release(part_options, &p);
        mu_config_release(config);
    }
    ck_assert_str_eq(mistakes("layer", "type: Part\nwords: gren\n"),
                     "<string>:2:8: m.words: expected string or list of strings, each one of red, green, found string "
                     "'gren'; did you mean 'green'?\n");
    ck_assert_str_eq(mistakes("layer", "type: Part\nwords: {a: 1}\n"),
                     "<string>:2:8: m.words: expected string or list of strings, each one of red, green, found "
                     "dictionary with 1 key\n");
}
END_TEST

START_TEST(null_leaves_the_default)
{
    mu_config *config = parse("count: null\n");
    part p = {0};
    mu_diagnostics list = {0};
    ck_ok(mu_options_parse(part_options, mu_config_root(config), "", &p, &list));
    ck_assert(list.n == 0 && p.count == 3);
    mu_options_release(part_options, &p);
    mu_config_release(config);
    ck_assert_str_eq(mistakes("layer", "type: Part\nflag: null\n"),
                     "<string>:2:7: m.flag: expected true or false, found null\n");
}
END_TEST

START_TEST(wrong_values)
{
    static const char *const cases[][2] = {
        {"flag: 1", "2:7: m.flag: expected true or false, found integer 1"},
        {"flag: no", "2:7: m.flag: expected true or false, found string 'no'"},
        {"count: 0", "2:8: m.count: expected integer >= 1 or null, found integer 0"},
        {"count: 2.0", "2:8: m.count: expected integer >= 1 or null, found float 2.0"},
        {"count: true", "2:8: m.count: expected integer >= 1 or null, found boolean true"},
        {"rate: 0", "2:7: m.rate: expected number > 0 and <= 1, found integer 0"},
        {"rate: 1.5", "2:7: m.rate: expected number > 0 and <= 1, found float 1.5"},
        {"rate: .nan", "2:7: m.rate: expected number > 0 and <= 1, found float .nan"},
        {"rate: fast", "2:7: m.rate: expected number > 0 and <= 1, found string 'fast'"},
        {"name: 5", "2:7: m.name: expected string, found integer 5"},
        {"mode: maen", "2:7: m.mode: expected one of sum, mean, found string 'maen'; did you mean 'mean'?"},
        {"mode: 0", "2:7: m.mode: expected one of sum, mean, found integer 0"},
        {"dims: 3", "2:7: m.dims: expected list of 1 to 3 integers >= 1, found integer 3"},
        {"dims: []", "2:7: m.dims: expected list of 1 to 3 integers >= 1, found empty list"},
        {"dims: [1, 2, 3, 4]", "2:7: m.dims: expected list of 1 to 3 integers >= 1, found list of 4 items"},
        {"dims: [1, 0]", "2:11: m.dims.1: expected integer >= 1, found integer 0"},
        {"scales: [1, x]", "2:13: m.scales.1: expected number, found string 'x'"},
        {"tags: [red, gren]", "2:13: m.tags.1: expected one of red, green, found string 'gren'; did you mean 'green'?"},
        {"dmis: [1]",
         "2:1: m.dmis: expected one of the keys flag, count, rate, name, mode, dims, scales, tags, ..., found "
         "unknown key 'dmis'; did you mean 'dims'?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[128], line[512];
        snprintf(yaml, sizeof yaml, "type: Part\n%s\n", cases[i][0]);
        snprintf(line, sizeof line, "<string>:%s\n", cases[i][1]);
        ck_assert_str_eq(mistakes("layer", yaml), line);
    }
}
END_TEST

START_TEST(wrong_types)
{
    ck_assert_str_eq(mistakes("model", "first: 1\n"),
                     "<string>:1:1: m.type: expected the name of a model, found no such key\n");
    ck_assert_str_eq(mistakes("model", "type: 1\n"),
                     "<string>:1:7: m.type: expected the name of a model, found integer 1\n");
    ck_assert_str_eq(
        mistakes("model", "type: Whoel\n"),
        "<string>:1:7: m.type: expected the name of a model, found string 'Whoel'; did you mean 'Whole'?\n");
    ck_assert_str_eq(
        mistakes("model", "type: Part\n"),
        "<string>:1:7: m.type: expected the name of a model (this is the name of a layer), found string 'Part'\n");
    ck_assert_str_eq(
        mistakes("hook", "type: Quux\n"),
        "<string>:1:7: m.type: expected the name of a hook (muster list shows them), found string 'Quux'\n");
    ck_assert_str_eq(mistakes("layer", "type: CudaPart\nx: 1\n"),
                     "<string>:1:7: m.type: expected a layer of this build (configure --with-cuda), found string "
                     "'CudaPart'\n");
    ck_assert_str_eq(mistakes("model", "type: Bare\nx: 1\n"),
                     "<string>:2:1: m.x: expected no keys, found unknown key 'x'\n");
}
END_TEST

START_TEST(everything_below_is_checked)
{
    ck_assert_str_eq(mistakes("model", "type: Whole\n"
                                       "rest:\n"
                                       "  - {type: Part, count: -1}\n"
                                       "  - 7\n"
                                       "named:\n"
                                       "  a: {type: Part, nmae: x}\n"
                                       "  b: null\n"
                                       "  c: []\n"
                                       "settings: {inner: {type: Prat}}\n"),
                     "<string>:1:1: m.first: expected dictionary with the type of a layer, found no such key\n"
                     "<string>:3:25: m.rest.0.count: expected integer >= 1 or null, found integer -1\n"
                     "<string>:4:5: m.rest.1: expected dictionary with the type of a layer, found integer 7\n"
                     "<string>:6:19: m.named.a.nmae: expected one of the keys flag, count, rate, name, mode, dims, "
                     "scales, tags, ..., "
                     "found unknown key 'nmae'; did you mean 'name'?\n"
                     "<string>:8:6: m.named.c: expected dictionary with the type of a layer, found empty list\n"
                     "<string>:9:11: m.settings.depth: expected integer, found no such key\n"
                     "<string>:9:26: m.settings.inner.type: expected the name of a layer, found string 'Prat'; did you "
                     "mean 'Part'?\n");
    /* A single component for a list; a dict with a type where fields would do. */
    ck_assert_str_eq(mistakes("model", "type: Whole\nfirst: {type: Part}\nrest: {type: Part, rate: 2}\n"
                                       "settings: {type: Part, count: 0}\n"),
                     "<string>:3:26: m.rest.rate: expected number > 0 and <= 1, found integer 2\n"
                     "<string>:4:31: m.settings.count: expected integer >= 1 or null, found integer 0\n");
    ck_assert_str_eq(mistakes("model", "type: Whole\nfirst: [1]\nrest: x\nsettings: 3\n"),
                     "<string>:2:8: m.first: expected dictionary with the type of a layer, found list of 1 item\n"
                     "<string>:3:7: m.rest: expected list of dictionaries with the type of a layer, found string 'x'\n"
                     "<string>:4:11: m.settings: expected dictionary, found integer 3\n");
}
END_TEST

START_TEST(components_or_fields)
{
    ck_assert_str_eq(mistakes("model", "type: Whole\nfirst: {type: Part}\nmixed: {depth: 1}\n"), "");
    ck_assert_str_eq(mistakes("model", "type: Whole\nfirst: {type: Part}\nmixed: [{depth: 1}, {type: Part}, "
                                       "{depth: x}, {type: Part, count: 0}, 5]\n"),
                     "<string>:3:43: m.mixed.2.depth: expected integer, found string 'x'\n"
                     "<string>:3:67: m.mixed.3.count: expected integer >= 1 or null, found integer 0\n"
                     "<string>:3:71: m.mixed.4: expected dictionary with the type of a layer, found integer 5\n");
}
END_TEST

START_TEST(scopes)
{
    ck_assert_str_eq(mistakes("layer", "type: OnlyHere\n"),
                     "<string>:1:7: m.type: expected the name of a layer (muster list shows them), found string "
                     "'OnlyHere'\n");
    ck_assert_str_eq(mistakes("layer", "type: side.OnlyHere\n"), "");
    ck_assert_str_eq(mistakes("layer", "type: OnlyHere\n_scope_: side\n"), "");
    /* It holds for all below, and ends with the dict. */
    ck_assert_str_eq(mistakes("model", "type: Whole\n_scope_: side\nfirst: {type: OnlyHere}\n"), "");
    ck_assert_str_eq(
        mistakes("model", "type: Whole\nfirst: {type: OnlyHere, _scope_: side}\nrest: [{type: OnlyHere}]\n"),
        "<string>:3:15: m.rest.0.type: expected the name of a layer (muster list shows them), found string "
        "'OnlyHere'\n");
    ck_assert_str_eq(mistakes("layer", "type: Part\n_scope_: sied\n"),
                     "<string>:2:10: m._scope_: expected the scope of a registry, found string 'sied'; did you mean "
                     "'side'?\n");
    ck_assert_str_eq(mistakes("layer", "type: Part\n_scope_: 3\n"),
                     "<string>:2:10: m._scope_: expected the scope of a registry, found integer 3\n");
    ck_ok(mu_registry_set_default_scope("side"));
    ck_assert_str_eq(mistakes("layer", "type: OnlyHere\n"), "");
    mu_registry *now;
    ck_ok(mu_registry_current(&now));
    ck_assert_str_eq(mu_registry_scope(now), "side");
}
END_TEST

START_TEST(build_and_destroy)
{
    mu_config *config = parse("type: Whole\n_scope_: side\nfirst: {type: OnlyHere, name: inner}\n");
    whole *w = NULL;
    ck_ok(mu_build("model", mu_config_root(config), NULL, "model", (void **)&w));
    ck_assert_ptr_eq(mu_component_of(w), &whole_component);
    ck_assert_ptr_eq(mu_component_of(w->made), &scoped_part);
    ck_assert_uint_eq((uintptr_t)w % MU_ALIGN, 0);
    mu_destroy(w);
    mu_destroy(NULL);
    ck_assert_str_eq(events.data, "+inner +whole -whole -inner ");
    mu_registry *now;
    ck_ok(mu_registry_current(&now));
    ck_assert_ptr_eq(now, root);
    mu_config_release(config);
}
END_TEST

START_TEST(build_with_defaults)
{
    mu_config *config = parse("count: 5\n"), *defaults = parse("type: Part\ncount: 1\nname: given\n");
    part *p = NULL;
    ck_fails(mu_build("layer", mu_config_root(config), NULL, "x", (void **)&p), MU_ERR_CONFIG, "the name of a layer");
    ck_ok(mu_build("layer", mu_config_root(config), mu_config_root(defaults), "x", (void **)&p));
    mu_config_release(config);
    mu_config_release(defaults);
    ck_assert_int_eq(p->count, 5);
    ck_assert_str_eq(p->name, "given");
    mu_destroy(p);
}
END_TEST

START_TEST(build_failures)
{
    whole *w = NULL;
    mu_config *config = parse("type: Whole\nfirst: {type: Part, count: 13}\n");
    ck_fails(mu_build("model", mu_config_root(config), NULL, "model", (void **)&w), MU_ERR_UNSUPPORTED,
             "model \"Whole\" (<string>:1:1): first \"Part\" (<string>:2:8): 13 parts bring bad luck");
    ck_assert_ptr_null(w);
    ck_assert_str_eq(events.data, "");
    mu_config_release(config);
    config = parse("type: Whole\nfirst: {type: Part, count: -1, rate: 7}\nx: 1\n");
    ck_fails(mu_build("model", mu_config_root(config), NULL, "", (void **)&w), MU_ERR_CONFIG, "3 mistakes");
    ck_fails(mu_build("model", mu_config_root(config), NULL, "", (void **)&w), MU_ERR_CONFIG,
             "<string>:2:38: first.rate: expected number > 0 and <= 1, found integer 7");
    mu_config_release(config);
}
END_TEST

static mu_err check_quietly(const mu_cfg *cfg)
{
    mu_diagnostics list = {0};
    mu_err err = mu_check("model", cfg, "m", &list);
    mu_diagnostics_release(&list);
    return err;
}

START_TEST(out_of_memory)
{
    mu_config *good = parse("type: Whole\nfirst: {type: Part, name: x, dims: [1], tags: [red, green]}\n"
                            "rest: [{type: Part, scales: [1, 2]}]\nnamed: {a: {type: Part}}\nsettings: {depth: 1}\n");
    mu_config *bad =
        parse("type: Whole\n_scope_: nowhere\nrest: [{type: Part, count: 0}, 5]\nnamed: {a: {type: Prat}}\n");
    mu_config *more = parse("named: {b: {type: Part}}\nsettings: {depth: 2}\n");
    whole *w;
    for (int i = 0; i < 100; i++) /* the test's own events take their memory before */
        mu_text_append(&events, "some room ");
    events.length = 0;
    ck_survives_oom((events.length = 0, mu_build("model", mu_config_root(good), NULL, "m", (void **)&w)),
                    mu_destroy(w));
    ck_survives_oom(
        (events.length = 0, mu_build("model", mu_config_root(good), mu_config_root(more), "m", (void **)&w)),
        mu_destroy(w));
    ck_survives_oom(check_quietly(mu_config_root(good)), (void)0);
    ck_survives_oom(check_quietly(mu_config_root(bad)), (void)0);
    mu_config_release(good);
    mu_config_release(bad);
    mu_config_release(more);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("build");
    TCase *tests = tcase_create("build");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, default_values);
    tcase_add_test(tests, values);
    tcase_add_test(tests, an_element_stands_for_a_list);
    tcase_add_test(tests, null_leaves_the_default);
    tcase_add_test(tests, wrong_values);
    tcase_add_test(tests, wrong_types);
    tcase_add_test(tests, everything_below_is_checked);
    tcase_add_test(tests, components_or_fields);
    tcase_add_test(tests, scopes);
    tcase_add_test(tests, build_and_destroy);
    tcase_add_test(tests, build_with_defaults);
    tcase_add_test(tests, build_failures);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

#include "registry/registry.h"

#include "core/text.h"

#include "test.h"

static mu_component hook_a = {.kind = "hook", .name = "A", .doc = "first"};
static mu_component hook_b = {.kind = "hook", .name = "B"};
static mu_component hook_c = {.kind = "hook", .name = "C"};
static mu_component other_a = {.kind = "hook", .name = "A", .doc = "another"};
static mu_component model_a = {.kind = "model", .name = "A"};

/* muster (A, B) over det (C) over deep (), and over cls (A, another). */
static mu_registry *root, *det, *deep, *cls;

static void begin(void)
{
    ck_ok(mu_registry_root(&root));
    ck_ok(mu_registry_child(root, "det", &det));
    ck_ok(mu_registry_child(det, "deep", &deep));
    ck_ok(mu_registry_child(root, "cls", &cls));
    ck_ok(mu_registry_add(root, &hook_a, false));
    ck_ok(mu_registry_add(root, &hook_b, false));
    ck_ok(mu_registry_add(root, &model_a, false));
    ck_ok(mu_registry_add(det, &hook_c, false));
    ck_ok(mu_registry_add(cls, &other_a, false));
}

static void end(void)
{
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

START_TEST(lookup_without_scope)
{
    ck_assert_ptr_eq(mu_registry_get(root, "hook", "A"), &hook_a);
    ck_assert_ptr_eq(mu_registry_get(root, "model", "A"), &model_a);
    ck_assert_ptr_eq(mu_registry_get(det, "hook", "A"), &hook_a); /* its parent's */
    ck_assert_ptr_eq(mu_registry_get(deep, "hook", "B"), &hook_b);
    ck_assert_ptr_eq(mu_registry_get(deep, "hook", "C"), &hook_c);
    ck_assert_ptr_eq(mu_registry_get(cls, "hook", "A"), &other_a);
    ck_assert_ptr_null(mu_registry_get(root, "hook", "C")); /* not the children's */
    ck_assert_ptr_null(mu_registry_get(root, "hook", "a"));
    ck_assert_ptr_null(mu_registry_get(root, "hooks", "A"));
}
END_TEST

START_TEST(lookup_with_scope)
{
    /* Its own scope: only here. */
    ck_assert_ptr_eq(mu_registry_get(cls, "hook", "cls.A"), &other_a);
    ck_assert_ptr_null(mu_registry_get(cls, "hook", "cls.B"));
    /* A child's, and then what the child sees. */
    ck_assert_ptr_eq(mu_registry_get(root, "hook", "det.C"), &hook_c);
    ck_assert_ptr_eq(mu_registry_get(root, "hook", "det.A"), &hook_a);
    ck_assert_ptr_eq(mu_registry_get(root, "hook", "det.deep.C"), &hook_c);
    /* A sibling's and the root's, by way of the root. */
    ck_assert_ptr_eq(mu_registry_get(det, "hook", "cls.A"), &other_a);
    ck_assert_ptr_eq(mu_registry_get(deep, "hook", "cls.A"), &other_a);
    ck_assert_ptr_eq(mu_registry_get(cls, "hook", "muster.A"), &hook_a);
    ck_assert_ptr_null(mu_registry_get(cls, "hook", "muster.C"));
    /* Neither a child's nor one of the root's children. */
    ck_assert_ptr_null(mu_registry_get(cls, "hook", "deep.C"));
    ck_assert_ptr_null(mu_registry_get(root, "hook", "nowhere.A"));
    ck_assert_ptr_null(mu_registry_get(root, "hook", ".A"));
    ck_assert_ptr_null(mu_registry_get(root, "hook", "det."));
}
END_TEST

START_TEST(adding)
{
    ck_fails(mu_registry_add(root, &other_a, false), MU_ERR_USAGE, "hook \"A\" is in scope \"muster\" already");
    ck_ok(mu_registry_add(root, &other_a, true));
    ck_assert_ptr_eq(mu_registry_get(root, "hook", "A"), &other_a);
    ck_ok(mu_registry_add_as(root, &hook_a, "Alias", false));
    ck_assert_ptr_eq(mu_registry_get(root, "hook", "Alias"), &hook_a);
    ck_fails(mu_registry_add_as(root, &hook_a, "a.b", false), MU_ERR_USAGE, "\"a.b\" cannot be a component's name");
    ck_fails(mu_registry_add_as(root, &hook_a, "", false), MU_ERR_USAGE, "cannot be");
    ck_fails(mu_registry_add(root, &(mu_component){.kind = "hook"}, false), MU_ERR_USAGE, "cannot be");
    ck_fails(mu_registry_add(root, &(mu_component){.kind = "hok", .name = "X"}, false), MU_ERR_USAGE,
             "there is no kind \"hok\"; did you mean \"hook\"?");
    ck_fails(mu_registry_add(root, &(mu_component){.name = "X"}, false), MU_ERR_USAGE, "there is no kind");
    mu_registry *child;
    ck_fails(mu_registry_child(root, "a b", &child), MU_ERR_USAGE, "cannot be a scope");
    ck_ok(mu_registry_child(root, "det", &child));
    ck_assert_ptr_eq(child, det);
    ck_assert_str_eq(mu_registry_scope(child), "det");
}
END_TEST

START_TEST(option_tables_are_checked)
{
    struct {
        int64_t x;
    } object;
    static const mu_option rows[][3] = {
        {{.key = "x", .type = MU_OPT_INT}, {.key = "x", .type = MU_OPT_INT}},
        {{.key = "type", .type = MU_OPT_INT}},
        {{.key = "_x", .type = MU_OPT_INT}},
        {{.key = "x", .type = MU_OPT_INT, .offset = 8}},
        {{.key = "x", .type = MU_OPT_CHOICE}},
        {{.key = "x", .type = MU_OPT_COMPONENT}},
        {{.key = "x", .type = MU_OPT_COMPONENTS, .component_kind = "modell"}},
        {{.key = "x", .type = MU_OPT_DICT, .fields = rows[4]}},
    };
    static const char *const wrong[] = {"stands there twice", "reserved",       "reserved",       "outside",
                                        "no choices",         "component_kind", "component_kind", "no choices"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        mu_component c = {.kind = "hook", .name = "Bad", .size = sizeof object, .options = rows[i]};
        ck_fails(mu_registry_add(root, &c, false), MU_ERR_USAGE, wrong[i]);
        ck_assert_ptr_null(mu_registry_get(root, "hook", "Bad"));
    }
}
END_TEST

START_TEST(nearest)
{
    static const mu_component weather = {.kind = "hook", .name = "WeatherForecastHook"};
    ck_ok(mu_registry_add(root, &weather, false));
    ck_assert_str_eq(mu_registry_nearest(deep, "hook", "WeatherForcastHook"), "WeatherForecastHook");
    ck_assert_str_eq(mu_registry_nearest(deep, "hook", "muster.weatherforecasthook"), "WeatherForecastHook");
    ck_assert_ptr_null(mu_registry_nearest(root, "hook", "Landscape"));
    ck_assert_ptr_null(mu_registry_nearest(root, "hook", "nowhere.WeatherForecastHook"));
    ck_assert_ptr_null(mu_registry_nearest(root, "dataset", "WeatherForecastHook"));
}
END_TEST

START_TEST(default_scope)
{
    mu_registry *now;
    ck_ok(mu_registry_current(&now));
    ck_assert_ptr_eq(now, root);
    ck_ok(mu_registry_set_default_scope("deep"));
    ck_ok(mu_registry_current(&now));
    ck_assert_ptr_eq(now, deep);
    ck_ok(mu_registry_set_default_scope("fresh"));
    ck_ok(mu_registry_current(&now));
    ck_assert_str_eq(mu_registry_scope(now), "fresh");
    ck_assert_ptr_eq(mu_registry_get(now, "hook", "A"), &hook_a);
    ck_ok(mu_registry_set_default_scope(NULL));
    ck_ok(mu_registry_current(&now));
    ck_assert_ptr_eq(now, root);
    ck_fails(mu_registry_set_default_scope("a.b"), MU_ERR_USAGE, "cannot be a scope");
}
END_TEST

/* Only of hooks and models: what is built in may grow. */
static void collect(void *user, const mu_registry *registry, const char *name, const mu_component *component)
{
    if (strlen(name) == 1)
        mu_text_printf(user, "%s:%s.%s ", component->kind, mu_registry_scope(registry), name);
}

START_TEST(traversal)
{
    mu_text text = {0};
    mu_registry_visit(root, collect, &text);
    ck_assert_str_eq(text.data, "model:muster.A hook:muster.A hook:muster.B hook:cls.A hook:det.C ");
    text.length = 0;
    mu_registry_visit(det, collect, &text);
    ck_assert_str_eq(text.data, "hook:det.C ");
    mu_text_release(&text);
}
END_TEST

START_TEST(json)
{
    ck_ok(mu_registry_add_as(det, &model_a, "Q\"", false));
    char *buf;
    size_t size;
    FILE *file = open_memstream(&buf, &size);
    ck_ok(mu_registry_write_json(det, file));
    fclose(file);
    ck_assert_str_eq(buf, "{\"scope\": \"det\", \"count\": 2, \"total\": 2,\n"
                          " \"modules\": {\n   \"model\": [\"Q\\\"\"],\n   \"hook\": [\"C\"]},\n"
                          " \"children\": [\n   {\"scope\": \"deep\", \"count\": 0, \"total\": 0,\n"
                          "   \"modules\": {},\n   \"children\": []}]}\n");
    free(buf);
    file = fopen("/dev/full", "w");
    ck_assert_ptr_nonnull(file);
    setvbuf(file, NULL, _IONBF, 0);
    ck_fails(mu_registry_write_json(det, file), MU_ERR_IO, "could not be written");
    fclose(file);
}
END_TEST

static const char *const some_choices[] = {"sum", "mean", NULL};
static const mu_option nested_options[] = {
    {.key = "max_norm", .type = MU_OPT_FLOAT, .bounded_below = true, .above_min = true, .help = "of all gradients"},
    MU_OPTION_END,
};

typedef struct {
    bool b;
    int64_t i;
    double f;
    char *s;
    int c;
    mu_ints is;
    mu_floats fs;
    mu_strings ss;
    const mu_cfg *one, *many, *map, *dict, *any;
} everything;

static const mu_option all_types[] = {
    MU_OPTION(everything, b, MU_OPT_BOOL, .boolean_default = true, .help = "a switch"),
    MU_OPTION(everything, i, MU_OPT_INT, .required = true, .bounded_below = true, .min = 1, .unit = "samples"),
    MU_OPTION(everything, f, MU_OPT_FLOAT, .float_default = 0.1, .bounded_below = true, .above_min = true,
              .bounded_above = true, .max = 1),
    MU_OPTION(everything, s, MU_OPT_STRING, .text_default = "auto", .nullable = true),
    MU_OPTION(everything, c, MU_OPT_CHOICE, .choices = some_choices, .int_default = 1),
    MU_OPTION(everything, is, MU_OPT_INTS, .min_items = 2, .max_items = 2, .text_default = "[1, 1]"),
    MU_OPTION(everything, fs, MU_OPT_FLOATS, .min_items = 1, .bounded_below = true, .bounded_above = true, .max = 5),
    MU_OPTION(everything, ss, MU_OPT_STRINGS, .max_items = 3, .choices = some_choices),
    MU_OPTION(everything, one, MU_OPT_COMPONENT, .component_kind = "model"),
    MU_OPTION(everything, many, MU_OPT_COMPONENTS, .component_kind = "hook"),
    MU_OPTION(everything, map, MU_OPT_COMPONENT_MAP, .component_kind = "hook"),
    MU_OPTION(everything, dict, MU_OPT_DICT, .fields = nested_options),
    MU_OPTION(everything, any, MU_OPT_ANY),
    MU_OPTION_END,
};

START_TEST(option_texts)
{
    static const char *const expected[][2] = {
        {"true or false", "true"},
        {"integer >= 1", "required"},
        {"number > 0 and <= 1", "0.1"},
        {"string or null", "auto"},
        {"one of sum, mean", "mean"},
        {"list of 2 integers", "[1, 1]"},
        {"list of 1 or more numbers from 0 to 5", "[]"},
        {"list of at most 3 strings, each one of sum, mean", "[]"},
        {"dictionary with the type of a model", "null"},
        {"list of dictionaries with the type of a hook", "null"},
        {"dictionary of names, each with a dictionary with the type of a hook", "null"},
        {"dictionary", "null"},
        {"any value", "null"},
    };
    char text[200];
    for (int i = 0; all_types[i].key; i++) {
        ck_assert_str_eq(mu_option_expects(&all_types[i], text, sizeof text), expected[i][0]);
        ck_assert_str_eq(mu_option_default(&all_types[i], text, sizeof text), expected[i][1]);
    }
    ck_assert_str_eq(mu_option_expects(&all_types[10], text, 12), "dictionary ");
}
END_TEST

static char *described(const mu_component *component, bool json_)
{
    char *buf;
    size_t size;
    FILE *file = open_memstream(&buf, &size);
    ck_ok(mu_component_describe(component, file, json_));
    fclose(file);
    return buf;
}

START_TEST(describe)
{
    mu_component c = {.kind = "model",
                      .name = "All",
                      .doc = "Has \"all\".",
                      .size = sizeof(everything),
                      .options = all_types + 9,
                      .not_built = "configure --with-all"};
    char *text = described(&c, false);
    ck_assert_str_eq(text,
                     "All (model)\n  Has \"all\".\n  Not in this build: configure --with-all.\n\n"
                     "  option         value                                     default  meaning\n"
                     "  many           list of dictionaries with the type of a hook  null     \n"
                     "  map            dictionary of names, each with a dictionary with the type of a hook  null     \n"
                     "  dict           dictionary                                null     \n"
                     "  dict.max_norm  number > 0                                0        of all gradients\n"
                     "  any            any value                                 null     \n");
    free(text);
    text = described(&hook_b, false);
    ck_assert_str_eq(text, "B (hook)\n\nIt has no options.\n");
    free(text);
    c.options = all_types + 11;
    text = described(&c, true);
    ck_assert_str_eq(
        text,
        "{\"name\": \"All\", \"kind\": \"model\",\n \"doc\": \"Has \\\"all\\\".\",\n"
        " \"not_built\": \"configure --with-all\",\n \"options\": [\n"
        "  {\"key\": \"dict\", \"expects\": \"dictionary\", \"required\": false, \"default\": \"null\", \"unit\": "
        "null, "
        "\"help\": null, \"options\": [\n"
        "  {\"key\": \"max_norm\", \"expects\": \"number > 0\", \"required\": false, \"default\": \"0\", \"unit\": "
        "null, "
        "\"help\": \"of all gradients\"}]},\n"
        "  {\"key\": \"any\", \"expects\": \"any value\", \"required\": false, \"default\": \"null\", \"unit\": null, "
        "\"help\": null}]}\n");
    free(text);
}
END_TEST

START_TEST(kinds)
{
    int n = 0;
    for (const mu_kind *k = mu_kinds(); k->name; k++, n++) {
        ck_assert(k->doc && k->doc[0]);
        static mu_component c[32];
        c[n] = (mu_component){.kind = k->name, .name = "OneOfEach"};
        ck_ok(mu_registry_add(root, &c[n], false));
        ck_assert_ptr_eq(mu_registry_get(root, k->name, "OneOfEach"), &c[n]);
    }
    ck_assert_int_gt(n, 20);
}
END_TEST

/* Enough names to make the hash table grow. */
static mu_err fill(mu_registry **out)
{
    static mu_component many[400];
    static char names[400][8];
    mu_registry *child = NULL;
    MU_TRY(mu_registry_root(out));
    MU_TRY(mu_registry_child(*out, "many", &child));
    for (int i = 0; i < 400; i++) {
        snprintf(names[i], sizeof names[i], "N%03d", (i * 37) % 400);
        many[i] = (mu_component){.kind = "hook", .name = names[i]};
        MU_TRY(mu_registry_add(child, &many[i], false));
    }
    MU_TRY(mu_registry_set_default_scope("other"));
    return MU_OK;
}

START_TEST(out_of_memory)
{
    mu_registry *filled;
    for (int64_t n = 1;; n++) {
        mu_registry_reset();
        ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
        mu_mem_fail_at(n);
        mu_err err = fill(&filled);
        mu_mem_fail_at(0);
        if (!err)
            break;
        ck_assert_int_eq(err, MU_ERR_MEMORY);
    }
    for (int i = 0; i < 400; i++) {
        char name[16];
        snprintf(name, sizeof name, "many.N%03d", i);
        ck_assert_ptr_nonnull(mu_registry_get(filled, "hook", name));
    }
    char *buf;
    size_t size;
    FILE *file = open_memstream(&buf, &size);
    ck_survives_oom(mu_registry_write_json(filled, file), (void)0);
    ck_survives_oom(mu_component_describe(&hook_a, file, false), (void)0);
    fclose(file);
    free(buf);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("registry");
    TCase *tests = tcase_create("registry");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, lookup_without_scope);
    tcase_add_test(tests, lookup_with_scope);
    tcase_add_test(tests, adding);
    tcase_add_test(tests, option_tables_are_checked);
    tcase_add_test(tests, nearest);
    tcase_add_test(tests, default_scope);
    tcase_add_test(tests, traversal);
    tcase_add_test(tests, json);
    tcase_add_test(tests, option_texts);
    tcase_add_test(tests, describe);
    tcase_add_test(tests, kinds);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

#include "registry/registry.h"

#include "test.h"

#include <unistd.h>

/* The tests of a build lie in its own folder, the shared objects where libtool puts them. */
#define PLUGINS MU_TEST_BUILDDIR "/unit/.libs/"

static mu_registry *root;
static const mu_component test_hook = {.kind = "hook", .name = "TestHook"};

static void begin(void)
{
    unsetenv("MUSTER_PLUGIN_PATH");
    ck_ok(mu_registry_root(&root));
    ck_ok(mu_registry_add(root, &test_hook, false));
}

static void end(void)
{
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

START_TEST(by_path)
{
    ck_assert_ptr_null(mu_registry_get(root, "model", "DemoClassifier"));
    ck_ok(mu_plugin_load(PLUGINS "demo_plugin.so", NULL));
    ck_assert_ptr_nonnull(mu_registry_get(root, "model", "DemoClassifier"));
    ck_assert_str_eq(mu_registry_get(root, "backbone", "demo.DemoNet")->doc, "Another DemoNet.");
    int64_t blocks = mu_mem_get_counts().live_blocks;
    ck_ok(mu_plugin_load(PLUGINS "demo_plugin.so", NULL)); /* once */
    ck_ok(mu_plugin_load("./demo_plugin.so", PLUGINS "some.yaml"));
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, blocks);
    mu_registry_reset();
    ck_ok(mu_registry_root(&root));
    ck_assert_ptr_null(mu_registry_get(root, "model", "DemoClassifier"));
    ck_ok(mu_plugin_load(PLUGINS "demo_plugin.so", NULL)); /* and again in a new registry */
    ck_assert_ptr_nonnull(mu_registry_get(root, "model", "DemoClassifier"));
}
END_TEST

START_TEST(by_name)
{
    ck_fails(mu_plugin_load("demo_plugin", NULL), MU_ERR_PLUGIN, "plug-in \"demo_plugin\" was not found in ., ");
    ck_fails(mu_plugin_load("demo_plugin", NULL), MU_ERR_PLUGIN, "MUSTER_PLUGIN_PATH");
    ck_ok(mu_plugin_load("demo_plugin", PLUGINS "some.yaml")); /* beside the config */
    mu_registry_reset();
    setenv("MUSTER_PLUGIN_PATH", "/nowhere::" PLUGINS, 1);
    ck_ok(mu_plugin_load("demo_plugin.so", NULL));
    ck_fails(mu_plugin_load("other", "/tmp/x.yaml"), MU_ERR_PLUGIN, "not found in /tmp, /nowhere, " PLUGINS);
    ck_ok(mu_registry_root(&root));
    ck_assert_ptr_nonnull(mu_registry_get(root, "model", "DemoClassifier"));
}
END_TEST

START_TEST(unusable)
{
    int64_t blocks = mu_mem_get_counts().live_blocks;
    ck_fails(mu_plugin_load("./nothing.so", NULL), MU_ERR_PLUGIN, "there is no file \"./nothing.so\"");
    ck_fails(mu_plugin_load(MU_TEST_SRCDIR "/test.h", NULL), MU_ERR_PLUGIN, "cannot be loaded: ");
    ck_fails(mu_plugin_load(PLUGINS "version_plugin.so", NULL), MU_ERR_PLUGIN, "built for version 42");
    ck_fails(mu_plugin_load(PLUGINS "version_plugin.so", NULL), MU_ERR_PLUGIN, "build it again");
    ck_fails(mu_plugin_load(PLUGINS "nosymbol_plugin.so", NULL), MU_ERR_PLUGIN,
             "does not export muster_plugin_version");
    ck_fails(mu_plugin_load(PLUGINS "undefined_plugin.so", NULL), MU_ERR_PLUGIN, "muster_function_of_tomorrow");
    ck_fails(mu_plugin_load(PLUGINS "silent_plugin.so", NULL), MU_ERR_PLUGIN, "returned 6 and said nothing");
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, blocks);
}
END_TEST

START_TEST(failing_to_register_takes_all_back)
{
    ck_fails(mu_plugin_load(PLUGINS "failing_plugin.so", NULL), MU_ERR_PLUGIN, "did you mean \"hook\"?");
    ck_assert_int_eq(mu_error_last()->n_frames > 0, 1);
    ck_assert_ptr_null(mu_registry_get(root, "hook", "BadHook"));
    ck_assert_ptr_eq(mu_registry_get(root, "hook", "TestHook"), &test_hook);
}
END_TEST

static mu_err load_afresh(void)
{
    mu_registry_reset();
    return mu_plugin_load(PLUGINS "demo_plugin.so", NULL);
}

START_TEST(out_of_memory)
{
    mu_registry_reset();
    for (int64_t n = 1;; n++) {
        mu_mem_fail_at(n);
        mu_err err = load_afresh();
        mu_mem_fail_at(0);
        if (!err)
            break;
        ck_assert_msg(err == MU_ERR_MEMORY, "%s", test_error_text());
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plugin");
    TCase *tests = tcase_create("plugin");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, by_path);
    tcase_add_test(tests, by_name);
    tcase_add_test(tests, unusable);
    tcase_add_test(tests, failing_to_register_takes_all_back);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

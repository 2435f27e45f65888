#include "runner/hook.h"

#include "config/config.h"

#include "test.h"

typedef struct {
    mu_hook base;
} plain;
static const mu_option options[] = {MU_HOOK_OPTIONS(plain), MU_OPTION_END};
static const mu_hook_ops ops = {.priority = MU_PRIORITY_LOW};
static const mu_component component = {
    .kind = "hook", .name = "Plain", .doc = "-", .size = sizeof(plain), .options = options, .ops = &ops};

static mu_err priority_of(const char *yaml, int *out)
{
    mu_config *config;
    mu_hook *hook;
    mu_registry *root;
    ck_ok(mu_registry_root(&root));
    ck_ok(mu_registry_add(root, &component, true));
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &config));
    ck_ok(mu_build("hook", mu_config_root(config), NULL, "hook", (void **)&hook));
    mu_err err = mu_hook_priority(hook, out);
    mu_destroy(hook);
    mu_config_release(config);
    mu_registry_reset();
    return err;
}

START_TEST(priorities)
{
    static const struct {
        const char *text;
        int value;
    } good[] = {{"HIGHEST", 0},  {"VERY_HIGH", 10}, {"HIGH", 30}, {"ABOVE_NORMAL", 40}, {"NORMAL", 50},   {"BELOW_NORMAL", 60},
                {"LOW", 70},     {"VERY_LOW", 90},  {"LOWEST", 100}, {"0", 0},          {"55", 55},       {"100", 100},
                {"'55'", 55},    {"null", 70}};
    char yaml[64];
    int value = -1;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(yaml, sizeof yaml, "type: Plain\npriority: %s\n", good[i].text);
        ck_ok(priority_of(yaml, &value));
        ck_assert_msg(value == good[i].value, "%s is %d", good[i].text, value);
    }
    ck_ok(priority_of("type: Plain\n", &value));
    ck_assert_int_eq(value, 70);
}
END_TEST

START_TEST(bad_priorities)
{
    static const char *const bad[] = {"101", "-1", "1.5", "true", "'7 '", "[LOW]", "''", "99999999999999999999x", "high", "'101'"};
    char yaml[64];
    int value = -1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(yaml, sizeof yaml, "type: Plain\npriority: %s\n", bad[i]);
        ck_fails(priority_of(yaml, &value), MU_ERR_CONFIG, ":2:11: priority of Plain: expected a level (HIGHEST");
        ck_assert_int_eq(value, -1);
    }
    ck_fails(priority_of("type: Plain\npriority: VERY_HIHG\n", &value), MU_ERR_CONFIG, "did you mean 'VERY_HIGH'?");
}
END_TEST

START_TEST(points)
{
    ck_assert_str_eq(mu_hook_point_name(MU_BEFORE_RUN), "before_run");
    ck_assert_str_eq(mu_hook_point_name(MU_AFTER_TRAIN_ITER), "after_train_iter");
    ck_assert_str_eq(mu_hook_point_name(MU_AFTER_VAL_EPOCH), "after_val_epoch");
    ck_assert_str_eq(mu_hook_point_name(MU_BEFORE_SAVE_CHECKPOINT), "before_save_checkpoint");
    ck_assert_str_eq(mu_hook_point_name(MU_AFTER_RUN), "after_run");
    ck_assert_str_eq(mu_hook_point_name(MU_HOOK_POINT_COUNT), "?");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hook");
    TCase *tc = tcase_create("hook");
    tcase_add_test(tc, priorities);
    tcase_add_test(tc, bad_priorities);
    tcase_add_test(tc, points);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

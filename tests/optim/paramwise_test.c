#include "optim/paramwise.h"

#include "build.h"

static void end(void)
{
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static const char sgd[] = "{type: SGD, lr: 1, weight_decay: 1, momentum: 0.5}";
static const char adam[] = "{type: Adam, lr: 1, weight_decay: 1}";

/* The shapes of real layers. */
enum { CONV, CONV_BIAS, DEPTHWISE, DEPTHWISE_BIAS, NORM, NORM_BIAS, FLAT, FC };
static const mu_param_traits traits[] = {
    [CONV] = {.name = "backbone.conv1.weight", .ndim = 4},
    [CONV_BIAS] = {.name = "backbone.conv1.bias", .ndim = 1, .bias = true},
    [DEPTHWISE] = {.name = "backbone.dw.weight", .ndim = 4, .depthwise = true},
    [DEPTHWISE_BIAS] = {.name = "backbone.dw.bias", .ndim = 1, .bias = true, .depthwise = true},
    [NORM] = {.name = "backbone.bn1.weight", .ndim = 1, .norm = true},
    [NORM_BIAS] = {.name = "backbone.bn1.bias", .ndim = 1, .bias = true, .norm = true},
    [FLAT] = {.name = "backbone.cls_token", .ndim = 1},
    [FC] = {.name = "head.fc.weight", .ndim = 2},
};
enum { N = sizeof traits / sizeof *traits };

typedef struct {
    mu_config *config, *optim_config;
    mu_optim *optim;
    mu_paramwise *paramwise;
} rules;

static mu_err rules_try(rules *r, const char *optim, const char *text)
{
    void *object;
    ck_ok(build_yaml("optimizer", optim, &r->optim_config, &object));
    r->optim = object;
    ck_ok(mu_config_parse(text, strlen(text), "yaml", &r->config));
    return mu_paramwise_new(mu_config_root(r->config), r->optim, &r->paramwise);
}

static void rules_end(rules *r)
{
    mu_destroy(r->optim);
    mu_config_release(r->config);
    mu_config_release(r->optim_config);
}

/* lr and weight decay of each parameter, where the optimizer's are 1. */
typedef struct {
    const char *text;
    struct {
        double lr, decay;
    } wanted[N];
} precedence_case;

#define ONE {1, 1}
static const precedence_case precedence[] = {
    {"{bias_lr_mult: 2}", {ONE, {2, 1}, ONE, {2, 1}, ONE, ONE, ONE, ONE}},
    {"{bias_decay_mult: 0}", {ONE, {1, 0}, ONE, {1, 0}, ONE, {1, 0}, ONE, ONE}},
    {"{norm_decay_mult: 0}", {ONE, ONE, ONE, ONE, {1, 0}, {1, 0}, ONE, ONE}},
    {"{dwconv_decay_mult: 3}", {ONE, ONE, {1, 3}, {1, 3}, ONE, ONE, ONE, ONE}},
    {"{flat_decay_mult: 4}", {ONE, {1, 4}, ONE, {1, 4}, {1, 4}, {1, 4}, {1, 4}, ONE}},
    {"{norm_decay_mult: 2, bias_decay_mult: 3, dwconv_decay_mult: 4, flat_decay_mult: 5}",
     {ONE, {1, 3}, {1, 4}, {1, 3}, {1, 2}, {1, 2}, {1, 5}, ONE}},
    {"{bias_decay_mult: 3, flat_decay_mult: 5, norm_decay_mult: null}",
     {ONE, {1, 3}, ONE, {1, 3}, {1, 5}, {1, 3}, {1, 5}, ONE}},
    {"{custom_keys: {bn1: {lr_mult: 2, decay_mult: 3}}, norm_decay_mult: 0, bias_lr_mult: 4, bias_decay_mult: 5}",
     {ONE, {4, 5}, ONE, {4, 5}, {2, 3}, {2, 3}, ONE, ONE}},
    {"{custom_keys: {backbone: {lr_mult: 0.5}, backbone.conv1: {lr_mult: 2}, conv1.bias: {decay_mult: 0}}}",
     {{2, 1}, {2, 1}, {0.5, 1}, {0.5, 1}, {0.5, 1}, {0.5, 1}, {0.5, 1}, ONE}},
    {"{custom_keys: {weight: {lr_mult: 2}, conv1.: {lr_mult: 3}, .conv1: {lr_mult: 4}}}",
     {{4, 1}, {4, 1}, {2, 1}, ONE, {2, 1}, ONE, ONE, {2, 1}}},
    {"{custom_keys: {head: {lr: 7, lr_mult: 2, weight_decay: 0, momentum: 0.25}}, flat_decay_mult: 0}",
     {ONE, {1, 0}, ONE, {1, 0}, {1, 0}, {1, 0}, {1, 0}, {7, 0}}},
    {"{custom_keys: null}", {ONE, ONE, ONE, ONE, ONE, ONE, ONE, ONE}},
    {"{custom_keys: {}, bypass_duplicate: false}", {ONE, ONE, ONE, ONE, ONE, ONE, ONE, ONE}},
};

START_TEST(rules_take_precedence)
{
    const precedence_case *c = &precedence[_i];
    rules r;
    ck_ok(rules_try(&r, sgd, c->text));
    for (int i = 0; i < N; i++) {
        mu_optim_group g = mu_paramwise_group(r.paramwise, &traits[i], mu_optim_default_group(r.optim));
        ck_assert_msg(g.lr == c->wanted[i].lr && g.weight_decay == c->wanted[i].decay, "%s: %s: lr %g, decay %g", c->text,
                      traits[i].name, g.lr, g.weight_decay);
        ck_assert_double_eq(g.momentum, i == FC && g.lr == 7 ? 0.25 : 0.5);
    }
    mu_paramwise_release(r.paramwise);
    rules_end(&r);
}
END_TEST

START_TEST(custom_keys_set_what_the_optimizer_takes)
{
    rules r;
    ck_ok(rules_try(&r, adam, "{custom_keys: {fc: {betas: [0.5, 0.75], eps: 0.001}}}"));
    mu_optim_group g = mu_paramwise_group(r.paramwise, &traits[FC], mu_optim_default_group(r.optim));
    ck_assert_double_eq(g.beta1, 0.5);
    ck_assert_double_eq(g.beta2, 0.75);
    ck_assert_double_eq(g.eps, 0.001);
    ck_assert_double_eq(g.lr, 1);
    g = mu_paramwise_group(r.paramwise, &traits[CONV], mu_optim_default_group(r.optim));
    ck_assert_double_eq(g.beta1, 0.9);
    mu_paramwise_release(r.paramwise);
    rules_end(&r);
}
END_TEST

START_TEST(tells_what_matches_nothing)
{
    rules r;
    ck_ok(rules_try(&r, sgd, "{custom_keys: {backbone: {lr_mult: 2}, neck: {lr_mult: 2}, bone.conv: {}, tail: {}}, "
                             "bypass_duplicate: true}"));
    ck_assert(mu_paramwise_bypass_duplicate(r.paramwise));
    for (int i = 0; i < N; i++)
        (void)mu_paramwise_group(r.paramwise, &traits[i], mu_optim_default_group(r.optim));
    ck_assert_str_eq(mu_paramwise_unmatched(r.paramwise, 0), "neck");
    ck_assert_str_eq(mu_paramwise_unmatched(r.paramwise, 1), "tail");
    ck_assert_ptr_null(mu_paramwise_unmatched(r.paramwise, 2));
    mu_paramwise_release(r.paramwise);
    rules_end(&r);
}
END_TEST

START_TEST(wrong_options)
{
    static const char *const wrong[][3] = {
        {sgd, "{bias_lr_mul: 2}", "did you mean 'bias_lr_mult'"},
        {sgd, "{bias_lr_mult: -2}", "paramwise_cfg.bias_lr_mult: expected number >= 0"},
        {sgd, "{custom_keys: [a]}", "paramwise_cfg.custom_keys: expected dictionary"},
        {sgd, "{custom_keys: {a: 2}}", "paramwise_cfg.custom_keys.a: expected dictionary"},
        {sgd, "{custom_keys: {a: {lr_mlt: 2}}}", "did you mean 'lr_mult'"},
        {sgd, "{custom_keys: {a: {lr_mult: -1}}}", "paramwise_cfg.custom_keys.a.lr_mult: expected number >= 0"},
        {sgd, "{custom_keys: {a: {lr: -1}}}", "paramwise_cfg.custom_keys.a.lr: expected number >= 0"},
        {sgd, "{custom_keys: {a: {betas: [0.5, 0.5]}}}", "unknown key 'betas'"},
        {sgd, "{custom_keys: {a: {nesterov: true}}}", "unknown key 'nesterov'"},
        {adam, "{custom_keys: {a: {momentum: 0.5}}}", "unknown key 'momentum'"},
        {adam, "{custom_keys: {a: {betas: [0.5, 1]}}}", "expected betas below 1"},
        {adam, "{custom_keys: {a: {betas: [0.5]}}}", "list of 2 numbers"},
        {adam, "{custom_keys: {a: {betas: [0.5, 0.5], x: 1}, b: 3}}", "2 mistakes"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        rules r;
        ck_fails(rules_try(&r, wrong[i][0], wrong[i][1]), MU_ERR_CONFIG, wrong[i][2]);
        rules_end(&r);
    }
}
END_TEST

START_TEST(out_of_memory)
{
    rules r;
    ck_ok(rules_try(&r, adam, "{custom_keys: {a: {betas: [0.5, 0.5]}, b: {lr_mult: 2}}}"));
    mu_paramwise_release(r.paramwise);
    ck_survives_oom(mu_paramwise_new(mu_config_root(r.config), r.optim, &r.paramwise), mu_paramwise_release(r.paramwise));
    rules_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("paramwise");
    TCase *tests = tcase_create("paramwise");
    tcase_add_checked_fixture(tests, NULL, end);
    tcase_add_loop_test(tests, rules_take_precedence, 0, sizeof precedence / sizeof *precedence);
    tcase_add_test(tests, custom_keys_set_what_the_optimizer_takes);
    tcase_add_test(tests, tells_what_matches_nothing);
    tcase_add_test(tests, wrong_options);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

#include "runner/check.h"

#include "config/config.h"
#include "core/log.h"

#include "test.h"

static void end(void)
{
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static char text[16384];

/* All mistakes of the config, one a line, without the file's name. */
static void find_mistakes(const char *yaml)
{
    mu_config *config;
    mu_diagnostics list = {0};
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &config));
    ck_ok(mu_runner_check(mu_config_root(config), &list));
    mu_diagnostics_sort(&list);
    text[0] = '\0';
    for (size_t i = 0; i < list.n; i++) {
        char line[4096];
        mu_diagnostic_format(&list.item[i], line, sizeof line);
        strcat(text, line + strlen("<string>:"));
        strcat(text, "\n");
    }
    mu_diagnostics_release(&list);
    mu_config_release(config);
}

#define MODEL                                                                                                          \
    "custom_imports: {imports: ['" PLUGIN "']}\n"                                                                      \
    "model: {type: DemoClassifier, backbone: {type: DemoNet, in_channels: 3}}\n"
#define PLUGIN MU_TEST_BUILDDIR "/unit/.libs/demo_plugin.so"

START_TEST(table_is_sound)
{
    mu_registry *root;
    mu_component c = {.kind = "runner", .name = "Keys", .size = 1, .options = mu_runner_keys()};
    ck_ok(mu_registry_root(&root));
    ck_ok(mu_registry_add(root, &c, false));
    for (const mu_option *o = mu_runner_keys(); o->key; o++)
        ck_assert_msg(o->help && o->help[0], "%s", o->key);
}
END_TEST

START_TEST(sound_config)
{
    find_mistakes(MODEL "_mine: [1, 2]\n"
                        "work_dir: x\n"
                        "val_cfg: null\n"
                        "launcher: slurm\n"
                        "device: cpu:ref\n"
                        "sync_bn: torch\n"
                        "conv_algorithm: direct\n"
                        "randomness: {seed: 5, deterministic: true}\n"
                        "env_cfg: {dist_cfg: {backend: nccl}}\n"
                        "log_level: DEBUG\n"
                        "default_scope: fresh\n");
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(top_level_keys)
{
    find_mistakes(MODEL "trian_cfg: {}\n"
                        "launcher: pytorch\n"
                        "device: gpu\n"
                        "randomness: {sed: 5}\n"
                        "resume: yes\n"
                        "default_scope: a.b\n");
    const char *line[] = {
        "3:1: trian_cfg: expected one of the keys model, work_dir, train_dataloader, val_dataloader, test_dataloader, "
        "train_cfg, val_cfg, test_cfg, ..., found unknown key 'trian_cfg'; did you mean 'train_cfg'?\n",
        "4:11: launcher: expected one of none, mpi, slurm, found string 'pytorch'\n",
        "5:9: device: expected a device (",
        "6:14: randomness.sed: expected one of the keys seed, deterministic, diff_rank_seed, found unknown key 'sed'; "
        "did "
        "you mean 'seed'?\n",
        "7:9: resume: expected true or false, found string 'yes'\n",
        "8:16: default_scope: expected a word without dots and blanks, found string 'a.b'\n",
    };
    const char *at = text;
    for (size_t i = 0; i < sizeof line / sizeof line[0]; i++) {
        ck_assert_msg(strncmp(at, line[i], strlen(line[i])) == 0, "expected %s, got %s", line[i], at);
        at = strchr(at, '\n') + 1;
    }
    ck_assert_str_eq(at, "");
    find_mistakes("work_dir: x\n");
    ck_assert_str_eq(text, "1:1: model: expected dictionary with the type of a model, found no such key\n");
}
END_TEST

START_TEST(what_stands_together)
{
    find_mistakes(MODEL "train_cfg: {by_epoch: false, max_epochs: 3}\n"
                        "param_scheduler: []\n"
                        "test_dataloader: {batch_size: 0, dataset: {type: DemoDataset}}\n");
    ck_assert_str_eq(
        text,
        "3:1: optim_wrapper: expected train_dataloader, train_cfg and optim_wrapper together or none of them, found "
        "no such key\n"
        "3:1: train_dataloader: expected train_dataloader, train_cfg and optim_wrapper together or none of them, "
        "found no such key\n"
        "3:12: train_cfg.max_iters: expected integer >= 1, as by_epoch is false, found no such key\n"
        "3:30: train_cfg.max_epochs: expected only max_iters, as by_epoch is false, found max_epochs\n"
        "4:1: optim_wrapper: expected an optimizer beside param_scheduler, found no such key\n"
        "5:1: test_cfg: expected test_dataloader, test_cfg and test_evaluator together or none of them, found no "
        "such key\n"
        "5:1: test_evaluator: expected test_dataloader, test_cfg and test_evaluator together or none of them, found "
        "no such key\n"
        "5:31: test_dataloader.batch_size: expected integer >= 1, found integer 0\n"
        "5:43: test_dataloader.dataset.path: expected string, found no such key\n");
}
END_TEST

START_TEST(optimizer)
{
    find_mistakes(MODEL "train_dataloader: {batch_size: 1, dataset: {type: DemoDataset, path: x}}\n"
                        "train_cfg: {max_epochs: 1}\n"
                        "optim_wrapper: {optimizer: {type: SGD, lr: -1, momentun: 0.9}, clip_grad: {max_norm: 0}}\n");
    ck_assert_str_eq(text, "5:44: optim_wrapper.optimizer.lr: expected number >= 0, found integer -1\n"
                           "5:48: optim_wrapper.optimizer.momentun: expected one of the keys lr, momentum, dampening, "
                           "weight_decay, nesterov, maximize, found unknown key 'momentun'; did you mean 'momentum'?\n"
                           "5:86: optim_wrapper.clip_grad.max_norm: expected number > 0, found integer 0\n");
}
END_TEST

START_TEST(imports)
{
    find_mistakes("model: {type: DemoClassifier}\ncustom_imports: {imports: [nothing_here, 5], allow: 1}\n");
    ck_assert_ptr_nonnull(strstr(text, "1:15: model.type: expected the name of a model"));
    ck_assert_ptr_nonnull(strstr(text, "2:42: custom_imports.imports.1: expected string, found integer 5\n"));
    ck_assert_ptr_nonnull(strstr(text, "2:46: custom_imports.allow: expected one of the keys imports, "
                                       "allow_failed_imports, found unknown key 'allow'\n"));
    find_mistakes("model: {type: DemoClassifier}\ncustom_imports: {imports: [nothing_here]}\n");
    ck_assert_ptr_nonnull(strstr(text, "2:28: custom_imports.imports.0: expected a plug-in that can be loaded (plug-in "
                                       "\"nothing_here\" was not found in ., "));
    find_mistakes("custom_imports: [x]\nmodel: {type: A}\n");
    ck_assert_ptr_nonnull(strstr(text,
                                 "1:17: custom_imports: expected dictionary with the key imports, found list of 1 "
                                 "item\n"));
    setenv("MU_LOG", "error", 1);
    ck_ok(mu_log_configure(0, 1));
    find_mistakes("custom_imports: {imports: [nothing_here, '" PLUGIN "'], allow_failed_imports: true}\n"
                  "model: {type: DemoClassifier, backbone: {type: demo.DemoNet}}\n");
    ck_assert_str_eq(text, "");
}
END_TEST

static mu_err check_quietly(const mu_cfg *cfg)
{
    mu_diagnostics list = {0};
    mu_registry_reset();
    mu_err err = mu_runner_check(cfg, &list);
    mu_diagnostics_release(&list);
    mu_registry_reset();
    return err;
}

START_TEST(out_of_memory)
{
    static const char yaml[] = MODEL "trian_cfg: {}\ndefault_scope: fresh\ndevice: cpu:ref\n"
                                     "train_cfg: {max_epochs: 0}\ncustom_hooks: [{type: A}, 3]\n";
    mu_config *config;
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &config));
    ck_survives_oom(check_quietly(mu_config_root(config)), (void)0);
    mu_config_release(config);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runner_check");
    TCase *tests = tcase_create("runner_check");
    tcase_add_checked_fixture(tests, NULL, end);
    tcase_add_test(tests, table_is_sound);
    tcase_add_test(tests, sound_config);
    tcase_add_test(tests, top_level_keys);
    tcase_add_test(tests, what_stands_together);
    tcase_add_test(tests, optimizer);
    tcase_add_test(tests, imports);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

/* When CheckpointHook saves, under which names, and what it removes. */
#include "run_hook.h"

#include "core/clock.h"
#include "runner/checkpoint.h"
#include "runner/hooks/hooks.h"

#include <dirent.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], work_dir[80];
static mu_backend *backend;
static mu_config *run_config;

static const char run_yaml[] = "model: {type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor}, "
                               "backbone: {type: MLP, hidden: 4}, head: {type: LinearClsHead, num_classes: 2}}\n";

static void make_model(void)
{
    static uint8_t image[2 * 4];
    static int64_t label[2], index[2] = {0, 1};
    mu_batch batch = {.size = 2, .index = index, .stride = 1};
    ck_ok(mu_tensors_put(&batch.fields, "img", MU_TYPE(MU_U8, 2, 1, 2, 2), image));
    ck_ok(mu_tensors_put(&batch.fields, "gt_label", MU_TYPE(MU_I64, 2), label));
    ck_ok(mu_config_parse(run_yaml, strlen(run_yaml), "yaml", &run_config));
    runner.config = run_config;
    runner.cfg = mu_config_root(run_config);
    ck_ok(mu_backend_open("cpu:ref", &(mu_backend_options){.cache_dir = ""}, &backend));
    runner.backend = backend;
    ck_ok(mu_build("model", mu_cfg_get(runner.cfg, "model"), NULL, "model", (void **)&runner.model));
    ck_ok(mu_model_bind(runner.model, &(mu_model_options){.backend = backend}));
    ck_ok(mu_model_prepare(runner.model, &batch, true));
    ck_ok(mu_model_init_weights(runner.model, 1, NULL, NULL, NULL));
}

static void begin_saving(void)
{
    begin();
    strcpy(folder, "checkpoint_hook_test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(work_dir, sizeof work_dir, "%s/run", folder);
    ck_assert_int_eq(mkdir(work_dir, 0777), 0);
    runner.work_dir = work_dir;
    make_model();
}

static void end_saving(void)
{
    char command[96];
    mu_checkpoint_close(&runner);
    drop_hook();
    mu_destroy(runner.model);
    mu_backend_close(backend);
    mu_config_release(run_config);
    end();
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "epoch_1.h5 epoch_2.h5" */
static const char *files_in(const char *path)
{
    static char text[2048];
    char *names[64];
    int n = 0;
    ck_ok(mu_checkpoint_wait(&runner));
    DIR *dir = opendir(path);
    text[0] = '\0';
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strstr(entry->d_name, ".h5"))
            names[n++] = strdup(entry->d_name);
    closedir(dir);
    qsort(names, (size_t)n, sizeof *names, by_name);
    for (int i = 0; i < n; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", names[i]);
        free(names[i]);
    }
    return text;
}

static const char *last_checkpoint(void)
{
    static char text[256];
    char path[128];
    ck_ok(mu_checkpoint_wait(&runner));
    snprintf(path, sizeof path, "%s/last_checkpoint", work_dir);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return strrchr(text, '/') ? strrchr(text, '/') + 1 : text;
}

/* Epochs as the loops run them; metric NAN: no validation. */
static void epochs(int n, int iters, const double *metric)
{
    runner.epoch_length = iters;
    runner.max_iters = (int64_t)runner.max_epochs * iters;
    for (int e = 0; e < n; e++) {
        for (int i = 0; i < iters; i++) {
            runner.epoch_iter++;
            runner.iters_done++;
            ck_ok(call(MU_AFTER_TRAIN_ITER, NULL));
            runner.iter++;
        }
        ck_ok(call(MU_AFTER_TRAIN_EPOCH, NULL));
        runner.epoch++;
        runner.epoch_iter = 0;
        if (metric) {
            mu_results results = {0};
            ck_ok(mu_results_add(&results, "acc/top1", metric[e]));
            ck_ok(mu_results_add(&results, "speed", e));
            ck_ok(call(MU_AFTER_VAL_EPOCH, &(mu_hook_event){.metrics = &results}));
            mu_results_release(&results);
        }
    }
}

static void start(const char *yaml, int max_epochs)
{
    ck_ok(make(yaml));
    runner.max_epochs = max_epochs;
    ck_ok(call(MU_BEFORE_TRAIN, NULL));
}

START_TEST(every_epoch)
{
    start("type: CheckpointHook", 3);
    epochs(3, 2, NULL);
    ck_assert_str_eq(files_in(work_dir), "epoch_1.h5 epoch_2.h5 epoch_3.h5");
    ck_assert_str_eq(last_checkpoint(), "epoch_3.h5");
    ck_assert_int_eq(runner.last_saved_iter, 6);
    ck_assert_ptr_nonnull(strstr(logged, "Saving checkpoint at 3 epochs\n"));
}
END_TEST

START_TEST(intervals)
{
    start("{type: CheckpointHook, interval: 2}", 5);
    epochs(5, 1, NULL);
    ck_assert_str_eq(files_in(work_dir), "epoch_2.h5 epoch_4.h5 epoch_5.h5"); /* the last one too */
}
END_TEST

START_TEST(save_begin)
{
    start("{type: CheckpointHook, interval: 2, save_begin: 3, save_last: false}", 8);
    epochs(8, 1, NULL);
    ck_assert_str_eq(files_in(work_dir), "epoch_3.h5 epoch_5.h5 epoch_7.h5");
}
END_TEST

START_TEST(in_shards)
{
    start("{type: CheckpointHook, max_keep_ckpts: 1, shards: 2, async_save: false}", 4);
    epochs(2, 1, NULL);
    ck_assert_str_eq(files_in(work_dir), "epoch_2-00000-of-00002.h5 epoch_2-00001-of-00002.h5 epoch_2.h5");
    ck_assert_ptr_nonnull(strstr(logged, "epoch_2.h5 is saved: "));
    start("{type: CheckpointHook, max_keep_ckpts: 1, shards: per_rank}", 4);
    epochs(1, 1, NULL);
    ck_assert_str_eq(files_in(work_dir), "epoch_3-00000-of-00001.h5 epoch_3.h5");
    start("{type: CheckpointHook, max_keep_ckpts: 1}", 4);
    epochs(1, 1, NULL);
    ck_assert_str_eq(files_in(work_dir), "epoch_4.h5");
}
END_TEST

START_TEST(never)
{
    start("{type: CheckpointHook, interval: -1, save_last: false}", 2);
    epochs(2, 1, NULL);
    ck_assert_str_eq(files_in(work_dir), "");
}
END_TEST

START_TEST(by_iteration)
{
    start("{type: CheckpointHook, by_epoch: false, interval: 4}", 3);
    epochs(3, 3, NULL);
    ck_assert_str_eq(files_in(work_dir), "iter_4.h5 iter_8.h5 iter_9.h5");
    start("{type: CheckpointHook, by_epoch: false}", 6); /* no interval: only the last */
    epochs(3, 3, NULL);
    ck_assert_str_eq(files_in(work_dir), "iter_18.h5 iter_4.h5 iter_8.h5 iter_9.h5");
}
END_TEST

START_TEST(keeps_the_newest)
{
    start("{type: CheckpointHook, max_keep_ckpts: 2}", 6);
    epochs(4, 1, NULL);
    ck_assert_str_eq(files_in(work_dir), "epoch_3.h5 epoch_4.h5");
    /* A run that goes on knows which there are. */
    start("{type: CheckpointHook, max_keep_ckpts: 1}", 6);
    epochs(1, 1, NULL);
    ck_assert_str_eq(files_in(work_dir), "epoch_5.h5");
}
END_TEST

START_TEST(own_names)
{
    char path[256];
    snprintf(path, sizeof path, "{type: CheckpointHook, filename_tmpl: 'net-{}.h5', out_dir: %s/out}", folder);
    start(path, 1);
    epochs(1, 1, NULL);
    snprintf(path, sizeof path, "%s/out/run", folder);
    ck_assert_str_eq(files_in(path), "net-1.h5");
    ck_assert_str_eq(files_in(work_dir), "");
    ck_assert_str_eq(last_checkpoint(), "net-1.h5"); /* which lies in work_dir all the same */
}
END_TEST

START_TEST(best)
{
    start("{type: CheckpointHook, interval: 9, save_best: acc/top1}", 6);
    epochs(5, 1, (double[]){50, 60, 60, NAN, 55});
    ck_assert_str_eq(files_in(work_dir), "best_acc_top1_epoch_2.h5");
    ck_assert_ptr_nonnull(strstr(logged, "The best checkpoint with 60.0000 acc/top1 at 2 epoch is saved to best_acc_top1_epoch_2.h5."));
    ck_assert_ptr_nonnull(strstr(logged, "best_acc_top1_epoch_1.h5 is removed"));
    ck_assert(mu_cfg_float(mu_message_hub_get(runner.hub, "best_score")) == 60);
    ck_assert_ptr_nonnull(strstr(mu_cfg_string(mu_message_hub_get(runner.hub, "best_ckpt")), "/run/best_acc_top1_epoch_2.h5"));
}
END_TEST

/* A run that was resumed from a checkpoint in another folder leaves that folder as it is; one whose folder was moved goes on in it. */
START_TEST(best_of_another_folder)
{
    char command[512], elsewhere[128];
    snprintf(elsewhere, sizeof elsewhere, "%s/first/best_acc_top1_epoch_7.h5", folder);
    snprintf(command, sizeof command, "mkdir '%s/first' && touch '%s' '%s/best_acc_top1_epoch_7.h5'", folder, elsewhere, work_dir);
    ck_assert_int_eq(system(command), 0);
    ck_ok(mu_message_hub_set_f64(runner.hub, "best_score", 40, true));
    ck_ok(mu_message_hub_set_text(runner.hub, "best_ckpt", elsewhere, true));
    start("{type: CheckpointHook, interval: 9, save_best: acc/top1}", 6);
    epochs(1, 1, (double[]){50});
    ck_assert_str_eq(files_in(work_dir), "best_acc_top1_epoch_1.h5");
    ck_assert_int_eq(access(elsewhere, F_OK), 0);
}
END_TEST

/* Each counts what it has saved itself. */
START_TEST(two_hooks)
{
    mu_config *one_config;
    ck_ok(make("{type: CheckpointHook, by_epoch: false, interval: 1, max_keep_ckpts: 2, save_best: speed, rule: less}"));
    one_config = config;
    mu_hook *both[] = {hook, NULL};
    config = NULL;
    hook = NULL;
    ck_ok(make("{type: CheckpointHook, max_keep_ckpts: 2, save_best: acc/top1}"));
    both[1] = hook;
    runner.hook = both;
    runner.n_hooks = 2;
    runner.max_epochs = 9;
    ck_ok(mu_runner_call(&runner, MU_BEFORE_TRAIN, NULL));
    for (int e = 1; e <= 4; e++) {
        for (int k = 0; k < 2; k++) {
            hook = both[k];
            ck_ok(call(MU_AFTER_TRAIN_ITER, NULL));
            ck_ok(call(MU_AFTER_TRAIN_EPOCH, NULL));
        }
        runner.iter = runner.iters_done = runner.epoch = e;
        mu_results results = {0};
        ck_ok(mu_results_add(&results, "acc/top1", 10 * e));
        ck_ok(mu_results_add(&results, "speed", e));
        ck_ok(mu_runner_call(&runner, MU_AFTER_VAL_EPOCH, &(mu_hook_event){.metrics = &results}));
        mu_results_release(&results);
    }
    ck_assert_str_eq(files_in(work_dir), "best_acc_top1_epoch_4.h5 best_speed_iter_1.h5 epoch_3.h5 epoch_4.h5 iter_3.h5 iter_4.h5");
    ck_assert(mu_cfg_float(mu_message_hub_get(runner.hub, "best_score")) == 1);
    ck_assert(mu_cfg_float(mu_message_hub_get(runner.hub, "best_score#2")) == 40);
    hook = both[1];
    mu_checkpoint_close(&runner);
    mu_destroy(both[0]);
    mu_config_release(one_config);
    runner.hook = &hook;
    runner.n_hooks = 1;
}
END_TEST

START_TEST(best_by_rule)
{
    start("{type: CheckpointHook, interval: -1, save_last: false, save_best: auto, rule: less}", 4);
    epochs(4, 1, (double[]){50, 40, 45, 30});
    ck_assert_str_eq(files_in(work_dir), "best_acc_top1_epoch_4.h5");
}
END_TEST

START_TEST(several_best)
{
    start("{type: CheckpointHook, interval: -1, save_last: false, save_best: [acc/top1, speed], rule: [greater, less]}", 3);
    epochs(3, 1, (double[]){50, 60, 55});
    ck_assert_str_eq(files_in(work_dir), "best_acc_top1_epoch_2.h5 best_speed_epoch_1.h5");
    ck_assert(mu_cfg_float(mu_message_hub_get(runner.hub, "best_score_acc/top1")) == 60);
    ck_assert_ptr_nonnull(mu_message_hub_get(runner.hub, "best_ckpt_speed"));
}
END_TEST

START_TEST(best_of_nothing)
{
    mu_results results = {0};
    start("{type: CheckpointHook, save_best: acc}", 3);
    ck_ok(mu_results_add(&results, "acc/top1", 1));
    ck_fails(call(MU_AFTER_VAL_EPOCH, &(mu_hook_event){.metrics = &results}), MU_ERR_CONFIG, "no metric 'acc'");
    ck_fails(call(MU_AFTER_VAL_EPOCH, &(mu_hook_event){.metrics = &results}), MU_ERR_CONFIG, "");
    runner.train_loop = NULL; /* only a validation */
    ck_ok(call(MU_AFTER_VAL_EPOCH, &(mu_hook_event){.metrics = &results}));
    mu_results_release(&results);
}
END_TEST

START_TEST(asked_for_now)
{
    start("{type: CheckpointHook, interval: 3, max_keep_ckpts: 1}", 9);
    epochs(2, 4, NULL);
    ck_assert_str_eq(files_in(work_dir), "");
    ck_ok(mu_checkpoint_hook_save_now(&runner)); /* between epochs */
    ck_ok(mu_checkpoint_hook_save_now(&runner)); /* nothing is new */
    ck_assert_str_eq(files_in(work_dir), "epoch_2.h5");
    runner.epoch_iter = 3;
    runner.iter = runner.iters_done = 11;
    ck_ok(mu_checkpoint_hook_save_now(&runner));
    ck_assert_str_eq(files_in(work_dir), "epoch_3_iter_11.h5");
    ck_assert_str_eq(last_checkpoint(), "epoch_3_iter_11.h5");
    runner.iter = runner.iters_done = 12;
    runner.by_epoch = false;
    ck_ok(mu_checkpoint_hook_save_now(&runner));
    ck_assert_str_eq(files_in(work_dir), "iter_12.h5");
    ck_ok(make("type: IterTimerHook"));
    ck_ok(mu_checkpoint_hook_save_now(&runner));
    ck_assert_ptr_nonnull(strstr(logged, "without a CheckpointHook nothing is saved"));
}
END_TEST

START_TEST(after_an_early_end)
{
    start("{type: CheckpointHook, interval: 9}", 9);
    epochs(2, 2, NULL);
    ck_ok(call(MU_AFTER_TRAIN, NULL));
    ck_assert_str_eq(files_in(work_dir), "");
    runner.stop_requested = true;
    ck_ok(call(MU_AFTER_TRAIN, NULL));
    ck_assert_str_eq(files_in(work_dir), "epoch_2.h5");
}
END_TEST

/* When the new one cannot be written, the old one is still there. */
START_TEST(nothing_is_lost)
{
    char command[160];
    start("{type: CheckpointHook, max_keep_ckpts: 1}", 9);
    epochs(1, 1, NULL);
    snprintf(command, sizeof command, "mkdir '%s/epoch_2.h5'", work_dir);
    ck_assert_int_eq(system(command), 0);
    mu_err err = call(MU_AFTER_TRAIN_EPOCH, NULL);
    ck_assert_int_ne(err, MU_OK);
    ck_assert_str_eq(files_in(work_dir), "epoch_1.h5 epoch_2.h5");
    ck_assert_str_eq(last_checkpoint(), "epoch_1.h5");
}
END_TEST

static const struct {
    const char *yaml, *part;
} bad[] = {
    {"{type: CheckpointHook, save_best: 3}", "save_best: expected a string or a list of strings"},
    {"{type: CheckpointHook, save_best: [a, 3]}", "save_best: expected a string or a list of strings"},
    {"{type: CheckpointHook, save_best: speed}", "set rule: greater"},
    {"{type: CheckpointHook, save_best: acc, rule: more}", "expected greater or less, found 'more'"},
    {"{type: CheckpointHook, save_best: [acc, auto]}", "auto stands alone"},
    {"{type: CheckpointHook, save_best: [acc, acc]}", "'acc' is there twice"},
    {"{type: CheckpointHook, save_best: [acc, loss, top], rule: [less, greater]}", "or 3, found 2"},
    {"{type: CheckpointHook, filename_tmpl: x.h5}", "a file name with {} once"},
    {"{type: CheckpointHook, filename_tmpl: '{}{}.h5'}", "a file name with {} once"},
    {"{type: CheckpointHook, filename_tmpl: 'a/{}.h5'}", "a file name with {} once"},
    {"{type: CheckpointHook, interval: -2}", "interval"},
    {"{type: CheckpointHook, shards: 0}", "shards: expected null, per_rank or a number from 1 to 99999"},
    {"{type: CheckpointHook, shards: each}", "shards: expected null, per_rank or a number"},
    {"{type: CheckpointHook, priority: soon}", "priority of CheckpointHook"},
};

START_TEST(mistakes)
{
    int priority;
    mu_err err = make(bad[_i].yaml);
    if (!err)
        err = mu_hook_priority(hook, &priority);
    ck_fails(err, MU_ERR_CONFIG, bad[_i].part);
}
END_TEST

/* What the stop would have to wait for is left to it. A step that comes so late that the stop is already there saves: that is tried again. */
START_TEST(not_before_a_stop)
{
    start("{type: CheckpointHook, by_epoch: false, interval: 1}", 1000000);
    epochs(1, 1, NULL);
    ck_ok(mu_checkpoint_wait(&runner));
    double longest = mu_checkpoint_longest_seconds(&runner);
    ck_assert(longest > 0);
    runner.time_over = mu_clock() + 1000;
    epochs(1, 1, NULL);
    ck_assert_int_eq(runner.last_saved_iter, 2);
    ck_assert(!runner.stop_comes_first);
    do {
        ck_ok(mu_checkpoint_wait(&runner));
        runner.stop_reason = 0;
        runner.time_over = mu_clock() + longest / 2;
        epochs(1, 1, NULL);
    } while (runner.stop_reason);
    ck_assert(runner.stop_comes_first);
    ck_assert_int_eq(runner.last_saved_iter, runner.iter - 1);
    ck_assert_ptr_nonnull(strstr(logged, "is not begun: it would take until after the stop"));
    runner.time_over = mu_clock() + 1000;
    ck_ok(mu_checkpoint_hook_save_now(&runner));
    ck_assert_int_eq(runner.last_saved_iter, runner.iter);
    /* The last one of all is not left out. */
    runner.max_epochs = (int64_t)runner.epoch + 1;
    runner.time_over = mu_clock() + longest / 2;
    epochs(1, 1, NULL);
    ck_assert_int_eq(runner.last_saved_iter, runner.iter);
}
END_TEST

static mu_err build_only(void)
{
    mu_hook *h;
    MU_TRY(mu_build("hook", mu_config_root(config), NULL, "hook", (void **)&h));
    mu_destroy(h);
    return MU_OK;
}

START_TEST(memory)
{
    ck_ok(make("{type: CheckpointHook, save_best: [acc, my_loss], filename_tmpl: 'a{}', greater_keys: [a]}"));
    ck_survives_oom(build_only(), );
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint_hook");
    TCase *tc = tcase_create("checkpoint_hook");
    tcase_add_checked_fixture(tc, begin_saving, end_saving);
    tcase_add_test(tc, every_epoch);
    tcase_add_test(tc, intervals);
    tcase_add_test(tc, save_begin);
    tcase_add_test(tc, in_shards);
    tcase_add_test(tc, never);
    tcase_add_test(tc, by_iteration);
    tcase_add_test(tc, keeps_the_newest);
    tcase_add_test(tc, own_names);
    tcase_add_test(tc, best);
    tcase_add_test(tc, best_of_another_folder);
    tcase_add_test(tc, two_hooks);
    tcase_add_test(tc, best_by_rule);
    tcase_add_test(tc, several_best);
    tcase_add_test(tc, best_of_nothing);
    tcase_add_test(tc, asked_for_now);
    tcase_add_test(tc, after_an_early_end);
    tcase_add_test(tc, nothing_is_lost);
    tcase_add_test(tc, not_before_a_stop);
    tcase_add_loop_test(tc, mistakes, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(tc, memory);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

/* RuntimeInfoHook, IterTimerHook, LoggerHook, EarlyStoppingHook, and what is the best of a metric. */
#include "run_hook.h"
#include "runner/values.h"

#include "runner/hooks/hooks.h"
#include "runner/hooks/monitor.h"
#include "vis/scalars.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

static double current(const char *name)
{
    const mu_history *history = mu_message_hub_history(runner.hub, name);
    ck_assert_msg(history != NULL, "no %s", name);
    return mu_history_current(history);
}

static mu_results one_metric(const char *name, double value)
{
    mu_results results = {0};
    ck_ok(mu_results_add(&results, name, value));
    return results;
}

/* ---- RuntimeInfoHook ---- */

START_TEST(runtime_info)
{
    mu_log_vars vars = {.n = 2, .item = {{"loss", 0.5}, {"aux_acc", 3}}};
    ck_ok(make("type: RuntimeInfoHook"));
    runner.seed = 77;
    ck_ok(call(MU_BEFORE_RUN, NULL));
    ck_ok(call(MU_BEFORE_TRAIN, NULL));
    ck_assert_str_eq(mu_cfg_string(mu_message_hub_get(runner.hub, "experiment_name")), "exp");
    ck_assert_int_eq(mu_cfg_int(mu_message_hub_get(runner.hub, "seed")), 77);
    ck_assert_int_eq(mu_cfg_int(mu_message_hub_get(runner.hub, "max_iters")), 30);
    runner.epoch = 2;
    ck_ok(call(MU_BEFORE_TRAIN_EPOCH, NULL));
    ck_assert_int_eq(mu_cfg_int(mu_message_hub_get(runner.hub, "epoch")), 2);
    ck_ok(mu_values_tell(&runner, 0, &vars, NAN));
    ck_assert_ptr_null(mu_message_hub_history(runner.hub, "train/grad_norm"));
    ck_assert(current("train/loss") == 0.5 && current("train/aux_acc") == 3);
    ck_ok(mu_values_tell(&runner, 1, &vars, 2));
    ck_assert(current("train/grad_norm") == 2);

    mu_results results = one_metric("accuracy/top1", 50);
    ck_ok(mu_results_add_table(&results, "matrix", 1, 1, (double[]){1}));
    ck_ok(call(MU_AFTER_VAL_EPOCH, &(mu_hook_event){.metrics = &results}));
    ck_ok(call(MU_AFTER_TEST_EPOCH, &(mu_hook_event){.metrics = &results}));
    ck_assert(current("val/accuracy/top1") == 50 && current("test/accuracy/top1") == 50);
    ck_assert_ptr_null(mu_message_hub_history(runner.hub, "val/matrix"));
    mu_results_release(&results);

    char longest[400];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    vars.item[0].name = longest;
    ck_fails(mu_values_tell(&runner, 2, &vars, NAN), MU_ERR_CONFIG, "too long for the name");
}
END_TEST

/* ---- IterTimerHook ---- */

static void rest(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

START_TEST(iter_timer)
{
    ck_ok(make("type: IterTimerHook"));
    runner.iter = 20; /* resumed there */
    ck_ok(call(MU_BEFORE_TRAIN, NULL));
    ck_ok(call(MU_BEFORE_TRAIN_EPOCH, NULL));
    double total = 0;
    for (int i = 0; i < 2; i++) {
        rest(2);
        ck_ok(call(MU_BEFORE_TRAIN_ITER, NULL));
        rest(1);
        ck_ok(call(MU_AFTER_TRAIN_ITER, NULL));
        ck_assert(current("train/data_time") >= 0.002);
        ck_assert(current("train/time") >= current("train/data_time") + 0.001);
        total += current("train/time");
        runner.iter++;
    }
    double eta = mu_cfg_float(mu_message_hub_get(runner.hub, "eta"));
    ck_assert(fabs(eta - total / 2 * 8) < 1e-9); /* 22 of 30 are done */

    runner.phase = MU_PHASE_VAL;
    runner.epoch_length = 4;
    for (int pass = 0; pass < 2; pass++) {
        ck_ok(call(MU_BEFORE_VAL_EPOCH, NULL));
        total = 0;
        for (int i = 0; i < 4; i++) {
            ck_ok(call(MU_BEFORE_VAL_ITER, &(mu_hook_event){.batch_index = i}));
            rest(1);
            ck_ok(call(MU_AFTER_VAL_ITER, &(mu_hook_event){.batch_index = i}));
            total += current("val/time");
            eta = mu_cfg_float(mu_message_hub_get(runner.hub, "eta"));
            ck_assert(fabs(eta - total / (i + 1) * (3 - i)) < 1e-9);
        }
    }
    ck_ok(call(MU_BEFORE_TEST_EPOCH, NULL));
    ck_ok(call(MU_BEFORE_TEST_ITER, NULL));
    ck_ok(call(MU_AFTER_TEST_ITER, NULL));
    ck_assert(current("test/time") >= current("test/data_time"));
}
END_TEST

/* ---- LoggerHook ---- */

static char folder[64];

static void begin_logging(void)
{
    begin();
    strcpy(folder, "hooks_test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    runner.log_dir = folder;
}

static void end_logging(void)
{
    char command[96];
    end();
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static void train_epoch(int64_t length)
{
    runner.epoch_length = length;
    for (int64_t i = 0; i < length; i++) {
        ck_ok(mu_message_hub_scalar(runner.hub, "train/loss", (double)i, 1, true));
        ck_ok(call(MU_AFTER_TRAIN_ITER, &(mu_hook_event){.batch_index = i}));
        runner.iter++;
    }
}

/* The lines, each cut before its items. */
static void places(char *out, size_t size)
{
    out[0] = '\0';
    for (char *line = logged, *next; *line; line = next) {
        next = strchr(line, '\n') + 1;
        size_t n = strcspn(line, "\n"), short_n = 0;
        while (short_n < n && strncmp(line + short_n, "  memory", 8) != 0 && strncmp(line + short_n, "    ", 4) != 0)
            short_n++;
        snprintf(out + strlen(out), size - strlen(out), "%.*s|", (int)short_n, line);
    }
}

START_TEST(logger_lines)
{
    char text[1024];
    ck_ok(make("{type: LoggerHook, interval: 4, interval_exp_name: 6}"));
    train_epoch(10);
    places(text, sizeof text);
    ck_assert_str_eq(text, "Epoch(train) [1][ 4/10]|Exp name: exp|Epoch(train) [1][ 8/10]|Exp name: exp|");
    logged[0] = '\0';
    ck_ok(make("{type: LoggerHook, interval: 4, ignore_last: false}"));
    train_epoch(6);
    places(text, sizeof text);
    ck_assert_str_eq(text, "Epoch(train) [1][4/6]|Exp name: exp|Epoch(train) [1][6/6]|");
    logged[0] = '\0';
    ck_ok(make("type: LoggerHook")); /* epochs shorter than the interval */
    train_epoch(3);
    places(text, sizeof text);
    ck_assert_str_eq(text, "Exp name: exp|Epoch(train) [1][3/3]|");
}
END_TEST

START_TEST(logger_of_validation)
{
    char text[1024];
    mu_results results = one_metric("acc", 50);
    ck_ok(make("{type: LoggerHook, interval: 2}"));
    runner.phase = MU_PHASE_VAL;
    runner.epoch = 2;
    runner.epoch_length = 5;
    for (int64_t i = 0; i < 5; i++)
        ck_ok(call(MU_AFTER_VAL_ITER, &(mu_hook_event){.batch_index = i}));
    ck_ok(call(MU_AFTER_VAL_EPOCH, &(mu_hook_event){.metrics = &results}));
    places(text, sizeof text);
    ck_assert_str_eq(text, "Epoch(val) [2][2/5]|Epoch(val) [2][4/5]|Epoch(val) [2][5/5]|");
    ck_assert_ptr_nonnull(strstr(logged, "[5/5]    acc: 50.0000\n"));
    mu_results_release(&results);
}
END_TEST

START_TEST(logger_records)
{
    mu_scalars scalars = {0};
    mu_results results = one_metric("acc", 50);
    ck_ok(make("{type: LoggerHook, interval: 5}"));
    train_epoch(10);
    runner.epoch = 1;
    runner.phase = MU_PHASE_VAL;
    ck_ok(call(MU_AFTER_VAL_EPOCH, &(mu_hook_event){.metrics = &results}));
    runner.phase = MU_PHASE_TEST;
    ck_ok(call(MU_AFTER_TEST_EPOCH, &(mu_hook_event){.metrics = &results})); /* not recorded */
    ck_ok(call(MU_AFTER_RUN, NULL));
    ck_ok(mu_scalars_read(folder, &scalars));
    const mu_series *loss = mu_scalars_find(&scalars, "loss"), *acc = mu_scalars_find(&scalars, "acc");
    ck_assert(loss && acc);
    ck_assert_uint_eq(loss->n, 2);
    ck_assert(loss->point[0].step == 5 && loss->point[0].value == 2 && loss->point[1].step == 10 && loss->point[1].value == 4.5);
    ck_assert_uint_eq(acc->n, 1);
    ck_assert(acc->point[0].step == 1 && acc->point[0].value == 50);
    mu_scalars_release(&scalars);
    mu_results_release(&results);
}
END_TEST

/* A folder that cannot be written to costs a warning, once. */
START_TEST(logger_without_disk)
{
    ck_ok(make("{type: LoggerHook, interval: 1}"));
    runner.log_dir = "/proc/nowhere";
    train_epoch(3);
    const char *first = strstr(logged, "scalars are not recorded: ");
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(strstr(first + 1, "scalars are not recorded"));
    ck_ok(call(MU_AFTER_RUN, NULL));
}
END_TEST

START_TEST(logger_on_other_ranks)
{
    comm->rank = 1;
    ck_ok(make("{type: LoggerHook, interval: 1}"));
    train_epoch(3);
    ck_assert_str_eq(logged, "");
    comm->rank = 0;
}
END_TEST

/* ---- EarlyStoppingHook ---- */

/* Validations until the stop, or -1. */
static int stops_after(const double *scores, int n)
{
    runner.phase = MU_PHASE_VAL;
    runner.stop_requested = false;
    for (int i = 0; i < n; i++) {
        mu_results results = one_metric("accuracy/top1", scores[i]);
        mu_err err = call(MU_AFTER_VAL_EPOCH, &(mu_hook_event){.metrics = &results});
        mu_results_release(&results);
        ck_ok(err);
        if (runner.stop_requested)
            return i + 1;
    }
    return -1;
}

static void fresh(const char *yaml)
{
    mu_message_hub_release(runner.hub);
    ck_ok(mu_message_hub_new(&runner.hub));
    ck_ok(make(yaml));
}

#define STOPS(...) stops_after((double[]){__VA_ARGS__}, (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)))
#define EARLY "type: EarlyStoppingHook\nmonitor: accuracy/top1\n"

START_TEST(early_stopping)
{
    fresh(EARLY "patience: 2");
    ck_assert_int_eq(STOPS(50, 50.05, 50.09), 3); /* less than min_delta is no improvement */
    fresh(EARLY "patience: 2");
    ck_assert_int_eq(STOPS(50, 50.05, 50.2, 50.25, 50.4, 50.4, 50.1), 7);
    fresh(EARLY "patience: 1\nmin_delta: 0");
    ck_assert_int_eq(STOPS(50, 50, 50, 49.9), 4);
    fresh(EARLY "rule: less\npatience: 2");
    ck_assert_int_eq(STOPS(50, 40, 39.95, 39.92), 4);
    fresh(EARLY "stopping_threshold: 90");
    ck_assert_int_eq(STOPS(50, 90, 90.1), 3);
    ck_assert_ptr_nonnull(strstr(logged, "accuracy/top1 = 90.1 is greater than 90"));
    fresh(EARLY);
    ck_assert_int_eq(STOPS(50, NAN), 2);
    fresh(EARLY);
    ck_assert_int_eq(STOPS(INFINITY), 1);
    fresh(EARLY "check_finite: false\npatience: 3");
    ck_assert_int_eq(STOPS(60, 50, 50), -1);
}
END_TEST

/* What was waited for so far goes with the message hub. */
START_TEST(early_stopping_goes_on)
{
    char *text;
    fresh(EARLY "patience: 3");
    ck_assert_int_eq(STOPS(50, 49, 49), -1);
    ck_ok(mu_message_hub_dump(runner.hub, 1, &text));
    fresh(EARLY "patience: 3");
    ck_ok(mu_message_hub_restore(runner.hub, text));
    mu_free(text);
    ck_assert_int_eq(STOPS(49), 1);
}
END_TEST

START_TEST(early_stopping_without_metric)
{
    mu_results results = one_metric("other", 1);
    runner.phase = MU_PHASE_VAL;
    fresh(EARLY);
    ck_ok(call(MU_AFTER_VAL_EPOCH, &(mu_hook_event){.metrics = &results}));
    ck_assert_ptr_nonnull(strstr(logged, "gave no metric 'accuracy/top1'"));
    fresh(EARLY "strict: true");
    ck_fails(call(MU_AFTER_VAL_EPOCH, &(mu_hook_event){.metrics = &results}), MU_ERR_CONFIG, "gave no metric 'accuracy/top1'");
    mu_results_release(&results);
    ck_fails(make("{type: EarlyStoppingHook, monitor: speed}"), MU_ERR_CONFIG, "set rule: greater");
    ck_fails(make("{type: EarlyStoppingHook, monitor: acc, rule: more}"), MU_ERR_CONFIG, "one of greater, less");
}
END_TEST

/* ---- which is better ---- */

START_TEST(rules)
{
    static const struct {
        const char *name;
        int more;
    } known[] = {{"accuracy/top1", 1}, {"loss", 0},     {"LOSS", 0},      {"coco/bbox_mAP", 1}, {"AR@100", 1}, {"ar@5", 1},
                 {"val_loss_acc", 1},  {"my_loss", 0},  {"ACC", 1},       {"stop", 1},          {"top_loss", 1}, {"single-label/precision", 1},
                 {"speed", -1},        {"", -1},        {"f1-score", -1}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        bool more = false;
        mu_err err = mu_monitor_rule(known[i].name, NULL, NULL, NULL, &more);
        ck_assert_msg((err ? -1 : more) == known[i].more, "%s", known[i].name);
    }
    char *one[] = {"Speed"}, *two[] = {"acc"};
    mu_strings greater = {1, one}, less = {1, two};
    bool more = false;
    ck_ok(mu_monitor_rule("top_speed", NULL, &greater, &less, &more));
    ck_assert(more);
    ck_ok(mu_monitor_rule("accuracy", NULL, &greater, &less, &more));
    ck_assert(!more);
    ck_ok(mu_monitor_rule("anything", "greater", NULL, NULL, &more));
    ck_assert(more);
    ck_ok(mu_monitor_rule("acc", "less", NULL, NULL, &more));
    ck_assert(!more);
}
END_TEST

START_TEST(unknown_metrics)
{
    static const char yaml[] = "type: Accuracy";
    mu_evaluator *evaluator;
    mu_config *metrics;
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &metrics));
    ck_ok(mu_evaluator_new(mu_config_root(metrics), "val_evaluator", &evaluator));
    ck_ok(mu_monitor_check(evaluator, "save_best", "accuracy/top1"));
    ck_fails(mu_monitor_check(evaluator, "save_best", "accuracy/top2"), MU_ERR_CONFIG, "save_best: val_evaluator has no metric 'accuracy/top2'");
    ck_fails(mu_monitor_check(evaluator, "save_best", "accuracy/top2"), MU_ERR_CONFIG, "its metrics are: accuracy/top1");
    ck_ok(mu_monitor_check(NULL, "save_best", "x"));
    mu_evaluator_release(evaluator);
    mu_config_release(metrics);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hooks");
    TCase *tc = tcase_create("hooks");
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, runtime_info);
    tcase_add_test(tc, iter_timer);
    tcase_add_test(tc, early_stopping);
    tcase_add_test(tc, early_stopping_goes_on);
    tcase_add_test(tc, early_stopping_without_metric);
    tcase_add_test(tc, rules);
    tcase_add_test(tc, unknown_metrics);
    suite_add_tcase(suite, tc);
    TCase *logging = tcase_create("logger");
    tcase_add_checked_fixture(logging, begin_logging, end_logging);
    tcase_add_test(logging, logger_lines);
    tcase_add_test(logging, logger_of_validation);
    tcase_add_test(logging, logger_records);
    tcase_add_test(logging, logger_without_disk);
    tcase_add_test(logging, logger_on_other_ranks);
    suite_add_tcase(suite, logging);
    return test_run(suite);
}

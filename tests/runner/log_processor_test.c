#include "runner/log_processor.h"

#include "config/config.h"
#include "runner/loop.h"

#include "test.h"

#include <math.h>

static const struct {
    const char *name, *line, *tags;
} golden[] = {
#include "../golden/log_lines.inc"
};
enum { N_GOLDEN = sizeof golden / sizeof golden[0] };

static mu_runner runner;
static mu_loop loop;
static mu_config *config;
static mu_log_processor *processor;

static void begin(void)
{
    runner = (mu_runner){.max_epochs = -1, .max_iters = -1};
    ck_ok(mu_message_hub_new(&runner.hub));
}

static void end(void)
{
    mu_log_processor_release(processor);
    mu_config_release(config);
    mu_message_hub_release(runner.hub);
    mu_registry_reset();
    processor = NULL;
    config = NULL;
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static mu_err make(const char *yaml)
{
    mu_log_processor_release(processor);
    mu_config_release(config);
    processor = NULL;
    config = NULL;
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &config));
    MU_TRY(mu_log_processor_new(mu_config_root(config), "log_processor", &processor));
    return MU_OK;
}

static void tell(const char *phase, const char *tag, double value)
{
    char name[64];
    snprintf(name, sizeof name, "%s/%s", phase, tag);
    ck_ok(mu_message_hub_scalar(runner.hub, name, value, 1, true));
}

/* As `told` in log_lines.py. */
static void tell_all(const char *phase)
{
    bool train = strcmp(phase, "train") == 0;
    for (int i = 0; i < 12; i++) {
        if (train) {
            tell(phase, "base_lr", 0.01 * (i + 1));
            tell(phase, "lr", 0.001 / (i + 1));
        }
        tell(phase, "data_time", 0.001 * (i % 4));
        if (train) {
            tell(phase, "grad_norm", 3.0 - i / 8.0);
            tell(phase, "loss", 1.5 / (i + 1));
            tell(phase, "acc", i * 7.25);
        }
        tell(phase, "time", 0.1 + 0.01 * (i % 3));
    }
    if (!train) {
        tell(phase, "coco/AP", 0.5);
        tell(phase, "loss_cls", 0.25);
        tell(phase, "accuracy/top1", 97.0 / 3);
    }
}

#define CUSTOM                                                                                                          \
    "custom_cfg: [{data_src: loss, method_name: mean, window_size: 3, log_name: loss_3}, "                              \
    "{data_src: loss, method_name: max, window_size: global, log_name: loss_max}, "                                     \
    "{data_src: loss, method_name: min, log_name: loss_min}, {data_src: grad_norm, method_name: current}, "             \
    "{data_src: nothing, method_name: mean, window_size: 2, log_name: not_there}]\n"

static const struct {
    const char *name, *yaml;
    mu_phase phase;
    int epoch, iter, max_epochs, max_iters, length, batch;
    double eta; /* < 0: not told */
    bool loop;
} cases[] = {
    {"train", "{}", MU_PHASE_TRAIN, 0, 49, 12, 1200, 100, 49, 4321.9, true},
    {"train_wide", "type: LogProcessor", MU_PHASE_TRAIN, 99, 9999, 100, 10000, 100, 99, 0, true},
    {"train_days", "{}", MU_PHASE_TRAIN, 2, 5, 9, 100, 7, 6, 90000.5, true},
    {"train_many_days", "{}", MU_PHASE_TRAIN, 2, 5, 9, 100, 7, 6, 864000.0 + 3723, true},
    {"train_no_eta", "{}", MU_PHASE_TRAIN, 0, 0, 3, 30, 10, 0, -1, true},
    {"train_iter", "by_epoch: false", MU_PHASE_TRAIN, 0, 49, 1, 80000, 100, 49, 59, true},
    {"train_digits", "num_digits: 2", MU_PHASE_TRAIN, 0, 9, 12, 1200, 100, 9, 60, true},
    {"train_window", "window_size: 2", MU_PHASE_TRAIN, 0, 9, 12, 1200, 100, 9, 60, true},
    {"train_hierarchy", "log_with_hierarchy: true", MU_PHASE_TRAIN, 0, 9, 12, 1200, 100, 9, 60, true},
    {"train_pattern", "mean_pattern: ^lr$", MU_PHASE_TRAIN, 0, 9, 12, 1200, 100, 9, 60, true},
    {"train_custom", CUSTOM, MU_PHASE_TRAIN, 0, 9, 12, 1200, 100, 9, 60, true},
    {"train_custom_hierarchy", CUSTOM "log_with_hierarchy: true", MU_PHASE_TRAIN, 0, 9, 12, 1200, 100, 9, 60, true},
    {"val", "{}", MU_PHASE_VAL, 1, 100, 12, 1200, 125, 9, 4321, true},
    {"val_alone", "{}", MU_PHASE_VAL, 0, 0, -1, -1, 125, 9, 4321, false},
    {"val_iter", "by_epoch: false", MU_PHASE_VAL, 1, 100, 1, 1200, 125, 9, 4321, true},
    {"test", "{}", MU_PHASE_TEST, 0, 0, -1, -1, 125, 9, 1, false},
    {"test_iter", "by_epoch: false", MU_PHASE_TEST, 0, 0, -1, -1, 125, 124, 1, false},
    {"val_end", "{}", MU_PHASE_VAL, 3, 0, 12, 0, 12, -1, -1, true},
    {"val_end_alone", "{}", MU_PHASE_VAL, 0, 0, -1, 0, 12, -1, -1, false},
    {"val_end_iter", "by_epoch: false", MU_PHASE_VAL, 3, 0, 12, 0, 12, -1, -1, true},
    {"val_end_hierarchy", "log_with_hierarchy: true", MU_PHASE_VAL, 3, 0, 12, 0, 12, -1, -1, true},
    {"test_end", "{}", MU_PHASE_TEST, 3, 0, 12, 0, 12, -1, -1, false},
};
_Static_assert(sizeof cases / sizeof cases[0] == N_GOLDEN, "a case for each golden line");

/* The number behind `key` becomes that of the golden lines; it was a plausible one. */
static void mask(char *text, const char *key)
{
    char *at = strstr(text, key), rest[2048], *after;
    if (!at)
        return;
    at += strlen(key);
    double megabytes = strtod(at, &after);
    ck_assert(megabytes > 1 && megabytes < 1e6);
    snprintf(rest, sizeof rest, "482%s", after);
    strcpy(at, rest);
}

static void tags_of(const mu_log_record *record, char *text)
{
    int n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < record->n; i++)
        n += sprintf(text + n, "%s%s=%.9g", i ? " " : "", record->scalar[i].tag, record->scalar[i].value);
}

START_TEST(golden_lines)
{
    mu_log_record record = {0};
    char text[2048];
    ck_assert_str_eq(golden[_i].name, cases[_i].name);
    tell_all("val");
    tell_all("train");
    tell_all("test");
    runner.epoch = cases[_i].epoch;
    runner.iter = cases[_i].iter;
    runner.max_epochs = cases[_i].max_epochs;
    runner.max_iters = cases[_i].max_iters;
    runner.epoch_length = cases[_i].length;
    runner.train_loop = cases[_i].loop ? &loop : NULL;
    if (cases[_i].eta >= 0)
        ck_ok(mu_message_hub_set_f64(runner.hub, "eta", cases[_i].eta, false));
    ck_ok(make(cases[_i].yaml));
    if (cases[_i].batch >= 0)
        ck_ok(mu_log_processor_iter(processor, &runner, cases[_i].batch, cases[_i].phase, &record));
    else
        ck_ok(mu_log_processor_epoch(processor, &runner, 12, cases[_i].phase, NULL, &record));
    snprintf(text, sizeof text, "%s", record.line);
    mask(text, "memory: ");
    ck_assert_str_eq(text, golden[_i].line);
    tags_of(&record, text);
    mask(text, "memory=");
    ck_assert_str_eq(text, golden[_i].tags);
    mu_log_record_release(&record);
}
END_TEST

/* The mean of an epoch is that of its own batches: the validation before does not count. */
START_TEST(times_of_the_epoch)
{
    mu_log_record record = {0};
    ck_ok(make("{}"));
    runner.epoch_length = 2;
    for (int i = 0; i < 4; i++)
        tell("val", "time", i < 2 ? 100 : i);
    ck_ok(mu_log_processor_epoch(processor, &runner, 2, MU_PHASE_VAL, NULL, &record));
    ck_assert_str_eq(record.line, "Epoch(val) [0][2/2]    time: 2.5000");
    mu_log_record_release(&record);
}
END_TEST

START_TEST(window_of_the_epoch)
{
    mu_log_record record = {0};
    ck_ok(make("custom_cfg: [{data_src: loss, method_name: mean, window_size: epoch}]"));
    runner.train_loop = &loop;
    runner.max_epochs = 1;
    runner.epoch_length = 20;
    for (int i = 0; i < 20; i++)
        tell("train", "loss", i);
    ck_ok(mu_log_processor_iter(processor, &runner, 14, MU_PHASE_TRAIN, &record));
    ck_assert_str_eq(record.scalar[0].tag, "loss");
    ck_assert(record.scalar[0].value == 12); /* of 5..19 */
    mu_log_record_release(&record);
}
END_TEST

/* Metrics that no hook told the hub come after those that one did; tables are left out. */
START_TEST(metrics)
{
    mu_log_record record = {0};
    mu_results results = {0};
    ck_ok(make("{}"));
    runner.epoch_length = 1;
    tell("test", "time", 1);
    tell("test", "acc/top1", 50);
    ck_ok(mu_results_add(&results, "acc/top1", 50));
    ck_ok(mu_results_add(&results, "acc/top5", NAN));
    ck_ok(mu_results_add_table(&results, "matrix", 1, 2, (double[]){1, 2}));
    ck_ok(mu_log_processor_epoch(processor, &runner, 1, MU_PHASE_TEST, &results, &record));
    ck_assert_str_eq(record.line, "Epoch(test) [1/1]    acc/top1: 50.0000  acc/top5: nan  time: 1.0000");
    mu_log_record_release(&record);
    mu_results_release(&results);
}
END_TEST

/* Names that were cleared, and phases whose names begin alike. */
START_TEST(what_is_left_out)
{
    mu_log_record record = {0};
    ck_ok(make("{}"));
    runner.train_loop = &loop;
    runner.epoch_length = runner.max_epochs = 1;
    tell("train", "old", 1);
    mu_message_hub_clear(runner.hub, "train/");
    tell("train", "loss", -NAN);
    tell("training", "loss", 2);
    ck_ok(mu_log_processor_iter(processor, &runner, 0, MU_PHASE_TRAIN, &record));
    mask(record.line, "memory: ");
    ck_assert_str_eq(record.line, "Epoch(train) [1][1/1]    memory: 482  loss: nan");
    mu_log_record_release(&record);
}
END_TEST

START_TEST(defaults)
{
    mu_log_record record = {0};
    ck_ok(mu_log_processor_new(NULL, "log_processor", &processor));
    tell("test", "acc", 1.0 / 3);
    runner.epoch_length = 3;
    ck_ok(mu_log_processor_epoch(processor, &runner, 3, MU_PHASE_TEST, NULL, &record));
    ck_assert_str_eq(record.line, "Epoch(test) [3/3]    acc: 0.3333");
    mu_log_record_release(&record);
}
END_TEST

static const struct {
    const char *yaml, *part;
} bad[] = {
    {"window_size: 0", "window_size"},
    {"type: Other", "the name of a log_processor"},
    {"colour: red", "colour"},
    {"mean_pattern: '(a'", ":1:15: mean_pattern '(a': "},
    {"custom_cfg: 3", "expected a list of dictionaries"},
    {"custom_cfg: [3]", "expected a dictionary with data_src"},
    {"custom_cfg: [{method_name: mean}]", "no data_src"},
    {"custom_cfg: [{data_src: a}]", "no method_name"},
    {"custom_cfg: [{data_src: a, method_name: median}]", "expected mean, min, max or current, found 'median'"},
    {"custom_cfg: [{data_src: 1, method_name: mean}]", "custom_cfg.data_src: expected a string, found integer 1"},
    {"custom_cfg: [{data_src: a, method_name: mean, window_size: 0}]", "expected an integer >= 1, epoch or global"},
    {"custom_cfg: [{data_src: a, method_name: mean, window_size: week}]", "found string 'week'"},
    {"by_epoch: false\ncustom_cfg: [{data_src: a, method_name: mean, window_size: epoch}]", "epoch only with by_epoch: true"},
    {"custom_cfg: [{data_src: a, method_name: current, window_size: 2}]", "'current' has no window"},
    {"custom_cfg: [{data_src: a, method_name: mean, windowsize: 2}]", "unknown key 'windowsize'"},
    {"custom_cfg: [{data_src: a, method_name: mean}, {data_src: a, method_name: max}]", "'a' is written twice"},
    {"custom_cfg: [{data_src: a, method_name: mean, log_name: b}, {data_src: b, method_name: max}]", "'b' is written twice"},
};

START_TEST(mistakes)
{
    ck_fails(make(bad[_i].yaml), MU_ERR_CONFIG, bad[_i].part);
    ck_assert_ptr_null(processor);
}
END_TEST

static mu_err use(void)
{
    mu_log_processor *p;
    mu_log_record record = {0};
    MU_TRY(mu_log_processor_new(mu_config_root(config), "log_processor", &p));
    mu_err err = mu_log_processor_iter(p, &runner, 3, MU_PHASE_TRAIN, &record);
    mu_log_record_release(&record);
    if (!err)
        err = mu_log_processor_epoch(p, &runner, 3, MU_PHASE_VAL, NULL, &record);
    mu_log_record_release(&record);
    mu_log_processor_release(p);
    MU_TRY(err);
    return MU_OK;
}

START_TEST(memory)
{
    tell_all("train");
    tell_all("val");
    ck_ok(make(CUSTOM));
    ck_survives_oom(use(), );
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_processor");
    TCase *tc = tcase_create("log_processor");
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_loop_test(tc, golden_lines, 0, N_GOLDEN);
    tcase_add_test(tc, times_of_the_epoch);
    tcase_add_test(tc, window_of_the_epoch);
    tcase_add_test(tc, metrics);
    tcase_add_test(tc, what_is_left_out);
    tcase_add_test(tc, defaults);
    tcase_add_loop_test(tc, mistakes, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(tc, memory);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

#include "config/config.h"
#include "core/philox.h"
#include "core/text.h"
#include "eval/evaluator.h"

#include "test.h"

#include <math.h>

enum { N = 57, C = 6 };

static mu_comm *comm;
static float score[N * C];
static int64_t truth[N], id[N];

static void begin(void)
{
    ck_ok(mu_comm_self_new(&comm));
    mu_philox stream = mu_philox_key(11, MU_RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        id[i] = (i * 10) % N;
        truth[i] = (int64_t)mu_philox_below(&stream, (uint64_t)(1000 + i), C);
        for (int j = 0; j < C; j++) /* few distinct values: many ties */
            score[i * C + j] = (float)mu_philox_below(&stream, (uint64_t)(i * C + j), 5) / 4;
    }
}

static void end(void)
{
    mu_comm_release(comm);
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static mu_tensors fields(const int64_t *label, int64_t n)
{
    mu_tensors t = {0};
    ck_ok(mu_tensors_put(&t, "gt_label", MU_TYPE(MU_I64, n), (void *)label));
    return t;
}

static mu_tensors scores(const float *s, int64_t n, int64_t classes)
{
    mu_tensors t = {0};
    ck_ok(mu_tensors_put(&t, "pred_score", MU_TYPE(MU_F32, n, classes), (void *)s));
    return t;
}

typedef struct {
    mu_cfg *cfg;
    mu_evaluator *evaluator;
} setup;

static mu_err open_(const char *json, setup *out)
{
    setup s = {0};
    MU_TRY(mu_cfg_parse_json(json, strlen(json), "test", &s.cfg));
    mu_err err = mu_evaluator_new(s.cfg, "val_evaluator", &s.evaluator);
    if (err)
        mu_cfg_release(s.cfg);
    else
        *out = s;
    return err;
}

static void close_(setup *s)
{
    mu_evaluator_release(s->evaluator);
    mu_cfg_release(s->cfg);
}

/* All samples at once. */
static mu_err evaluate(const char *json, mu_results *out)
{
    setup s;
    mu_tensors f = fields(truth, N), p = scores(score, N, C);
    MU_TRY(open_(json, &s));
    mu_err err = mu_evaluator_process(s.evaluator, N, id, &f, &p);
    if (!err)
        err = mu_evaluator_evaluate(s.evaluator, comm, N, out);
    close_(&s);
    return err;
}

static double value(const mu_results *results, const char *name)
{
    const mu_result *r = mu_results_find(results, name);
    ck_assert_msg(r != NULL, "there is no %s", name);
    ck_assert_int_eq(r->ndim, 0);
    return r->value[0];
}

/* Takes the best class out k times: another way than the metric's. */
static int is_top(const float *row, int64_t label, int k, double thr)
{
    int out[C] = {0};
    for (int i = 0; i < k; i++) {
        int best = -1;
        for (int j = 0; j < C; j++)
            if (!out[j] && (best < 0 || row[j] > row[best]))
                best = j;
        out[best] = 1;
        if (best == label)
            return row[best] > thr;
    }
    return 0;
}

static double plain_accuracy(int k, double thr)
{
    int right = 0;
    for (int i = 0; i < N; i++)
        right += is_top(score + i * C, truth[i], k, thr);
    return 100.0 * right / N;
}

START_TEST(accuracy_equals_a_plain_loop)
{
    mu_results r = {0};
    ck_ok(evaluate("{\"type\": \"Accuracy\", \"topk\": [1, 3, 6]}", &r));
    ck_assert_uint_eq(r.n, 3);
    ck_assert(value(&r, "accuracy/top1") == plain_accuracy(1, 0));
    ck_assert(value(&r, "accuracy/top3") == plain_accuracy(3, 0));
    ck_assert(value(&r, "accuracy/top6") == plain_accuracy(6, 0));
    ck_assert(value(&r, "accuracy/top1") < value(&r, "accuracy/top3"));
    ck_assert(value(&r, "accuracy/top6") < 100); /* scores of 0 are not above the threshold */
    mu_results_release(&r);
}
END_TEST

START_TEST(thresholds)
{
    mu_results r = {0};
    ck_ok(evaluate("{\"type\": \"Accuracy\", \"topk\": [1, 2], \"thrs\": [0.0, 0.5, 0.75], \"prefix\": \"x\"}", &r));
    ck_assert_uint_eq(r.n, 6);
    ck_assert(value(&r, "x/top1_thr-0.00") == plain_accuracy(1, 0));
    ck_assert(value(&r, "x/top1_thr-0.50") == plain_accuracy(1, 0.5));
    ck_assert(value(&r, "x/top2_thr-0.75") == plain_accuracy(2, 0.75));
    ck_assert(value(&r, "x/top2_thr-0.75") < value(&r, "x/top2_thr-0.50"));
    mu_results_release(&r);
    ck_ok(evaluate("{\"type\": \"Accuracy\", \"topk\": 6, \"thrs\": null}", &r));
    ck_assert(value(&r, "accuracy/top6") == 100);
    mu_results_release(&r);
    ck_ok(evaluate("{\"type\": \"Accuracy\", \"thrs\": 0.5}", &r));
    ck_assert(value(&r, "accuracy/top1") == plain_accuracy(1, 0.5));
    mu_results_release(&r);
}
END_TEST

/* One sample of three classes. */
static double top(const float row[3], int64_t label, int k)
{
    char json[96];
    setup s;
    mu_results r = {0};
    mu_tensors f = fields(&label, 1), p = scores(row, 1, 3);
    snprintf(json, sizeof json, "{\"type\": \"Accuracy\", \"topk\": %d, \"thrs\": null}", k);
    ck_ok(open_(json, &s));
    ck_ok(mu_evaluator_process(s.evaluator, 1, (int64_t[]){0}, &f, &p));
    ck_ok(mu_evaluator_evaluate(s.evaluator, comm, 1, &r));
    snprintf(json, sizeof json, "accuracy/top%d", k);
    double x = value(&r, json);
    mu_results_release(&r);
    close_(&s);
    return x;
}

START_TEST(ties_and_values_that_are_no_numbers)
{
    const float equal[] = {1, 1, 1}, nan_first[] = {NAN, 1, 0}, all_nan[] = {NAN, NAN, NAN}, infinite[] = {0, INFINITY, INFINITY};
    for (int64_t c = 0; c < 3; c++)
        for (int k = 1; k <= 3; k++)
            ck_assert(top(equal, c, k) == (c < k ? 100 : 0));
    ck_assert(top(nan_first, 1, 1) == 0);
    ck_assert(top(nan_first, 1, 2) == 100);
    for (int64_t c = 0; c < 3; c++)
        ck_assert(top(all_nan, c, 3) == 0);
    ck_assert(top(nan_first, 0, 1) == 0);
    ck_assert(top(infinite, 1, 1) == 100);
    ck_assert(top(infinite, 2, 1) == 0);
}
END_TEST

static void plain_matrix(double counts[C * C])
{
    memset(counts, 0, C * C * sizeof *counts);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < C; j++)
            if (is_top(score + i * C, j, 1, -1))
                counts[truth[i] * C + j]++;
}

START_TEST(confusion_matrix_equals_a_plain_loop)
{
    mu_results r = {0};
    double counts[C * C];
    plain_matrix(counts);
    ck_ok(evaluate("{\"type\": \"ConfusionMatrix\"}", &r));
    const mu_result *m = mu_results_find(&r, "confusion_matrix/result");
    ck_assert(m != NULL && r.n == 1);
    ck_assert_int_eq(m->ndim, 2);
    ck_assert_int_eq(m->dim[0], C);
    ck_assert_int_eq(m->dim[1], C);
    ck_assert_mem_eq(m->value, counts, sizeof counts);
    mu_results_release(&r);
    ck_ok(evaluate("{\"type\": \"ConfusionMatrix\", \"num_classes\": 6, \"prefix\": \"\"}", &r));
    ck_assert(mu_results_find(&r, "result") != NULL);
    mu_results_release(&r);
    ck_fails(evaluate("{\"type\": \"ConfusionMatrix\", \"num_classes\": 7}", &r), MU_ERR_CONFIG, "there are 6 classes");
}
END_TEST

START_TEST(single_label_metric_equals_a_plain_loop)
{
    mu_results macro = {0}, micro = {0}, each = {0};
    double counts[C * C], precision[C], recall[C], mean[3] = {0}, right = 0;
    plain_matrix(counts);
    ck_ok(evaluate("{\"type\": \"SingleLabelMetric\"}", &macro));
    ck_ok(evaluate("{\"type\": \"SingleLabelMetric\", \"items\": [\"precision\", \"support\"], \"average\": \"micro\"}", &micro));
    ck_ok(evaluate("{\"type\": \"SingleLabelMetric\", \"items\": [\"recall\", \"support\"], \"average\": null}", &each));
    for (int c = 0; c < C; c++) {
        double row = 0, column = 0;
        for (int j = 0; j < C; j++) {
            row += counts[c * C + j];
            column += counts[j * C + c];
        }
        precision[c] = column > 0 ? 100 * counts[c * C + c] / column : 0;
        recall[c] = row > 0 ? 100 * counts[c * C + c] / row : 0;
        mean[0] += precision[c] / C;
        mean[1] += recall[c] / C;
        if (precision[c] + recall[c] > 0)
            mean[2] += 2 * precision[c] * recall[c] / (precision[c] + recall[c]) / C;
        right += counts[c * C + c];
        ck_assert_double_eq(mu_results_find(&each, "single-label/support_classwise")->value[c], row);
        ck_assert_double_eq_tol(mu_results_find(&each, "single-label/recall_classwise")->value[c], recall[c], 1e-12);
    }
    ck_assert_double_eq_tol(value(&macro, "single-label/precision"), mean[0], 1e-12);
    ck_assert_double_eq_tol(value(&macro, "single-label/recall"), mean[1], 1e-12);
    ck_assert_double_eq_tol(value(&macro, "single-label/f1-score"), mean[2], 1e-12);
    ck_assert_ptr_null(mu_results_find(&macro, "single-label/support"));
    ck_assert_double_eq(value(&micro, "single-label/precision_micro"), 100 * right / N);
    ck_assert_double_eq(value(&micro, "single-label/support_micro"), N);
    mu_results_release(&macro);
    mu_results_release(&micro);
    mu_results_release(&each);
}
END_TEST

/* Batches that overlap, as round_up makes them, and a limit on the samples. */
START_TEST(repeated_samples_count_once)
{
    setup s;
    mu_results r = {0};
    ck_ok(open_("[{\"type\": \"Accuracy\"}, {\"type\": \"ConfusionMatrix\"}]", &s));
    for (int i = 0; i < N; i += 10) {
        int n = i + 15 < N ? 15 : N - i;
        mu_tensors f = fields(truth + i, n), p = scores(score + i * C, n, C);
        ck_ok(mu_evaluator_process(s.evaluator, n, id + i, &f, &p));
    }
    ck_ok(mu_evaluator_evaluate(s.evaluator, comm, N, &r));
    ck_assert(value(&r, "accuracy/top1") == plain_accuracy(1, 0));
    double total = 0;
    for (int i = 0; i < C * C; i++)
        total += mu_results_find(&r, "confusion_matrix/result")->value[i];
    ck_assert(total == N);
    mu_results_release(&r);
    ck_fails(mu_evaluator_evaluate(s.evaluator, comm, N, &r), MU_ERR_CONFIG, "not one sample was evaluated");
    ck_assert_uint_eq(r.n, 0);
    close_(&s);
}
END_TEST

START_TEST(predicted_labels_suffice)
{
    setup s;
    mu_results r = {0};
    int64_t label[] = {0, 1, 2, 2}, right[] = {0, 1, 1, 2};
    mu_tensors f = fields(right, 4), p = {0};
    ck_ok(mu_tensors_put(&p, "pred_label", MU_TYPE(MU_I64, 4), label));
    ck_ok(open_("[{\"type\": \"Accuracy\"}, {\"type\": \"ConfusionMatrix\"}]", &s));
    ck_ok(mu_evaluator_process(s.evaluator, 4, id, &f, &p));
    ck_ok(mu_evaluator_evaluate(s.evaluator, comm, -1, &r));
    ck_assert(value(&r, "accuracy/top1") == 75);
    ck_assert_int_eq(mu_results_find(&r, "confusion_matrix/result")->dim[0], 3);
    mu_results_release(&r);
    /* The metainfo knows of more classes than occur. */
    ck_ok(mu_evaluator_set_meta(s.evaluator, "{\"classes\": [\"a\", \"b\", \"c\", \"d\"]}"));
    ck_ok(mu_evaluator_process(s.evaluator, 4, id, &f, &p));
    ck_ok(mu_evaluator_evaluate(s.evaluator, comm, -1, &r));
    ck_assert_int_eq(mu_results_find(&r, "confusion_matrix/result")->dim[0], 4);
    mu_results_release(&r);
    close_(&s);
    ck_ok(open_("{\"type\": \"Accuracy\", \"topk\": [1, 2]}", &s));
    ck_fails(mu_evaluator_process(s.evaluator, 4, id, &f, &p), MU_ERR_CONFIG, "'pred_label' only");
    close_(&s);
}
END_TEST

START_TEST(what_is_missing_or_wrong_is_told)
{
    setup s;
    mu_tensors none = {0}, f = fields(truth, N), p = scores(score, N, C), wrong = {0};
    ck_ok(open_("{\"type\": \"Accuracy\", \"topk\": [1, 7]}", &s));
    ck_ok(mu_evaluator_check(s.evaluator, 7));
    ck_fails(mu_evaluator_check(s.evaluator, 6), MU_ERR_CONFIG, "topk has 7, but there are 6 classes");
    ck_fails(mu_evaluator_process(s.evaluator, N, id, &f, &p), MU_ERR_CONFIG, "topk has 7, but there are 6 classes");
    close_(&s);
    ck_ok(open_("{\"type\": \"ConfusionMatrix\"}", &s));
    ck_fails(mu_evaluator_process(s.evaluator, N, id, &none, &p), MU_ERR_CONFIG,
             "ConfusionMatrix: there is no 'gt_label': the samples have nothing; the predictions have pred_score f32[57,6]");
    ck_fails(mu_evaluator_process(s.evaluator, N, id, &f, &none), MU_ERR_CONFIG, "there is no 'pred_label'");
    ck_fails(mu_evaluator_process(s.evaluator, N - 1, id, &f, &p), MU_ERR_CONFIG, "a row for each of the 56 samples");
    ck_ok(mu_tensors_put(&wrong, "pred_score", MU_TYPE(MU_F64, N, C), score));
    ck_fails(mu_evaluator_process(s.evaluator, N, id, &f, &wrong), MU_ERR_CONFIG, "is f64[57,6]: expected f32[samples,classes]");
    truth[3] = 6;
    ck_fails(mu_evaluator_process(s.evaluator, N, id, &f, &p), MU_ERR_FORMAT, "sample 30 has gt_label 6, which is no class");
    truth[3] = -1;
    ck_fails(mu_evaluator_process(s.evaluator, N, id, &f, &p), MU_ERR_FORMAT, "gt_label -1");
    ck_fails(mu_evaluator_set_meta(s.evaluator, "{\"classes\": 3}"), MU_ERR_FORMAT, "list of names");
    ck_fails(mu_evaluator_set_meta(s.evaluator, "{\"classes\": [3]}"), MU_ERR_FORMAT, "class 0");
    close_(&s);
}
END_TEST

START_TEST(a_name_twice_is_refused)
{
    setup s;
    ck_fails(open_("[{\"type\": \"Accuracy\"}, {\"type\": \"Accuracy\", \"topk\": [5, 1]}]", &s), MU_ERR_CONFIG,
             "two metrics give 'accuracy/top1'");
    ck_fails(open_("[{\"type\": \"ConfusionMatrix\"}, {\"type\": \"ConfusionMatrix\"}]", &s), MU_ERR_CONFIG,
             "two metrics give 'confusion_matrix/result'");
    ck_ok(open_("[{\"type\": \"Accuracy\"}, {\"type\": \"Accuracy\", \"prefix\": \"b\"}]", &s));
    close_(&s);
    ck_fails(open_("{\"type\": \"Accuracy\", \"topk\": [1, 5, 1]}", &s), MU_ERR_CONFIG, "two results the name 'top1'");
    ck_fails(open_("{\"type\": \"Accuracy\", \"thrs\": [0.001, 0.002]}", &s), MU_ERR_CONFIG, "two results the name 'top1_thr-0.00'");
    ck_fails(open_("{\"type\": \"Acuracy\"}", &s), MU_ERR_CONFIG, "did you mean 'Accuracy'");
    ck_fails(open_("{\"type\": \"Accuracy\", \"topk\": 0}", &s), MU_ERR_CONFIG, "topk");
}
END_TEST

static void note(void *user, const char *name)
{
    mu_text_append(user, name);
    mu_text_append(user, " ");
}

START_TEST(names_are_known_beforehand)
{
    setup s;
    mu_text text = {0};
    ck_ok(open_("[{\"type\": \"Accuracy\", \"topk\": [1, 5]}, {\"type\": \"ConfusionMatrix\"}, {\"type\": \"SingleLabelMetric\"}]", &s));
    mu_evaluator_names(s.evaluator, note, &text);
    ck_assert_str_eq(text.data, "accuracy/top1 accuracy/top5 single-label/precision single-label/recall single-label/f1-score ");
    mu_text_release(&text);
    close_(&s);
}
END_TEST

START_TEST(a_record_is_small)
{
    enum { MANY = 20000 };
    setup s;
    ck_ok(open_("{\"type\": \"Accuracy\"}", &s));
    int64_t before = mu_mem_get_counts().live_bytes;
    mu_tensors f = fields(truth, N), p = scores(score, N, C);
    for (int i = 0; i < MANY / N; i++)
        ck_ok(mu_evaluator_process(s.evaluator, N, id, &f, &p));
    ck_assert_int_le(mu_mem_get_counts().live_bytes - before, MANY * 64);
    mu_evaluator_reset(s.evaluator);
    ck_assert_int_eq(mu_mem_get_counts().live_bytes, before);
    close_(&s);
}
END_TEST

static mu_err open_with_meta(setup *s)
{
    MU_TRY(open_("{\"type\": \"Accuracy\"}", s));
    mu_err err = mu_evaluator_set_meta(s->evaluator, "{\"classes\": [\"a\", \"b\"]}");
    if (err)
        close_(s);
    return err;
}

START_TEST(out_of_memory)
{
    mu_registry *root;
    mu_results r = {0};
    ck_ok(mu_registry_root(&root));
    ck_survives_oom(evaluate("[{\"type\": \"Accuracy\", \"topk\": [1, 2]}, {\"type\": \"ConfusionMatrix\"}, "
                             "{\"type\": \"SingleLabelMetric\", \"average\": null}]",
                             &r),
                    mu_results_release(&r));
    setup s;
    ck_survives_oom(open_with_meta(&s), close_(&s));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("eval");
    TCase *tests = tcase_create("eval");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, accuracy_equals_a_plain_loop);
    tcase_add_test(tests, thresholds);
    tcase_add_test(tests, ties_and_values_that_are_no_numbers);
    tcase_add_test(tests, confusion_matrix_equals_a_plain_loop);
    tcase_add_test(tests, single_label_metric_equals_a_plain_loop);
    tcase_add_test(tests, repeated_samples_count_once);
    tcase_add_test(tests, predicted_labels_suffice);
    tcase_add_test(tests, what_is_missing_or_wrong_is_told);
    tcase_add_test(tests, a_name_twice_is_refused);
    tcase_add_test(tests, names_are_known_beforehand);
    tcase_add_test(tests, a_record_is_small);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

#include "config/config.h"
#include "eval/dump.h"

#include "test.h"

#include <fcntl.h>
#include <unistd.h>

enum { N = 2500, C = 7 };

static mu_comm *comm;
static float score[N * C];
static int64_t truth[N], id[N];
static uint8_t image[N * 4];
static char path[64];

static void begin(void)
{
    ck_ok(mu_comm_self_new(&comm));
    snprintf(path, sizeof path, "/tmp/muster-dump-XXXXXX");
    close(mkstemp(path));
    unlink(path);
    for (int i = 0; i < N; i++) {
        id[i] = N - 1 - i; /* not in the order of the ids */
        truth[i] = (i * 31 + i / 7) % C;
        for (int j = 0; j < C; j++)
            score[i * C + j] = (float)((i * i + 5 * j * i + j) % 101) / 101;
    }
}

static void end(void)
{
    unlink(path);
    mu_comm_release(comm);
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static const char metrics[] =
    "[{\"type\": \"Accuracy\", \"topk\": [1, 3]}, {\"type\": \"ConfusionMatrix\"}, {\"type\": \"SingleLabelMetric\"}]";

static mu_err process(mu_evaluator *e)
{
    for (int64_t at = 0; at < N; at += 100) {
        int64_t n = 100, label[100];
        mu_tensors fields = {0}, predictions = {0};
        for (int64_t i = 0; i < n; i++) {
            label[i] = 0;
            for (int64_t j = 1; j < C; j++)
                if (score[(at + i) * C + j] > score[(at + i) * C + label[i]])
                    label[i] = j;
        }
        MU_TRY(mu_tensors_put(&fields, "gt_label", MU_TYPE(MU_I64, n), truth + at));
        MU_TRY(mu_tensors_put(&fields, "img", MU_TYPE(MU_U8, n, 1, 1 + at / 100 % 2, 2), image));
        MU_TRY(mu_tensors_put(&fields, "folder/number", MU_TYPE(MU_I64, n), id + at));
        MU_TRY(mu_tensors_put(&predictions, "pred_score", MU_TYPE(MU_F32, n, C), score + at * C));
        MU_TRY(mu_tensors_put(&predictions, "pred_label", MU_TYPE(MU_I64, n), label));
        MU_TRY(mu_evaluator_process(e, n, id + at, &fields, &predictions));
    }
    return MU_OK;
}

/* The results at test time, and the dump. */
static mu_err test_time(const char *json, mu_results *out)
{
    mu_cfg *cfg;
    mu_evaluator *e = NULL;
    mu_metric *dump;
    MU_TRY(mu_cfg_parse_json(json, strlen(json), "test", &cfg));
    mu_err err = mu_evaluator_new(cfg, "test_evaluator", &e);
    if (!err)
        err = mu_dump_results_new(path, &dump);
    if (!err)
        err = mu_evaluator_add(e, dump);
    if (!err)
        err = mu_evaluator_set_meta(e, "{\"classes\": [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\"], \"config\": \"x.yaml\"}");
    if (!err)
        err = process(e);
    if (!err)
        err = mu_evaluator_evaluate(e, comm, N, out);
    mu_evaluator_release(e);
    mu_cfg_release(cfg);
    return err;
}

static mu_err offline(const char *json, mu_results *out)
{
    mu_cfg *cfg;
    mu_evaluator *e = NULL;
    mu_dump *dump = NULL;
    MU_TRY(mu_cfg_parse_json(json, strlen(json), "test", &cfg));
    mu_err err = mu_evaluator_new(cfg, "test_evaluator", &e);
    if (!err)
        err = mu_dump_open(path, &dump);
    if (!err)
        err = mu_dump_evaluate(dump, e, comm, out);
    mu_dump_release(dump);
    mu_evaluator_release(e);
    mu_cfg_release(cfg);
    return err;
}

START_TEST(the_same_bits)
{
    mu_results a = {0}, b = {0};
    ck_ok(test_time(metrics, &a));
    ck_ok(offline(metrics, &b));
    ck_assert_uint_eq(a.n, 6);
    ck_assert_uint_eq(b.n, a.n);
    for (size_t i = 0; i < a.n; i++) {
        ck_assert_str_eq(a.item[i].name, b.item[i].name);
        ck_assert_int_eq(a.item[i].ndim, b.item[i].ndim);
        size_t n = a.item[i].ndim ? C * C : 1;
        ck_assert_mem_eq(a.item[i].value, b.item[i].value, n * sizeof(double));
    }
    ck_assert(a.item[0].value[0] > 0 && a.item[0].value[0] < 100);
    mu_results_release(&a);
    mu_results_release(&b);
}
END_TEST

START_TEST(the_dump_has_it_all)
{
    mu_results r = {0};
    mu_dump *dump;
    ck_ok(test_time("[]", &r));
    ck_assert_uint_eq(r.n, 0);
    mu_results_release(&r);
    ck_ok(mu_dump_open(path, &dump));
    ck_assert_int_eq(mu_dump_count(dump), N);
    ck_assert_ptr_nonnull(strstr(mu_dump_meta(dump), "x.yaml"));
    const mu_tensor *s = mu_tensors_find(mu_dump_predictions(dump), "pred_score");
    const mu_tensor *t = mu_tensors_find(mu_dump_fields(dump), "gt_label");
    const mu_tensor *number = mu_tensors_find(mu_dump_fields(dump), "folder/number");
    ck_assert(s && t && number && mu_tensors_find(mu_dump_predictions(dump), "pred_label"));
    ck_assert_ptr_null(mu_tensors_find(mu_dump_fields(dump), "img"));
    ck_assert_mem_eq(number->data, mu_dump_ids(dump), sizeof id);
    ck_assert(mu_type_equal(&s->type, &MU_TYPE(MU_F32, N, C)));
    for (int64_t i = 0; i < N; i++) { /* in the order of the ids */
        ck_assert_int_eq(mu_dump_ids(dump)[i], i);
        ck_assert_int_eq(((int64_t *)t->data)[i], truth[N - 1 - i]);
        ck_assert_mem_eq((float *)s->data + i * C, score + (N - 1 - i) * C, C * sizeof(float));
    }
    mu_dump_release(dump);
}
END_TEST

START_TEST(what_is_wrong_is_told)
{
    mu_results r = {0};
    mu_dump *dump;
    mu_metric *metric;
    ck_fails(mu_dump_open("/nowhere/x.h5", &dump), MU_ERR_IO, "/nowhere/x.h5");
    ck_fails(mu_dump_results_new("/nowhere/x.h5", &metric), MU_ERR_CONFIG, "the folder '/nowhere/' cannot be written to");
    ck_fails(mu_dump_results_new("/tmp", &metric), MU_ERR_CONFIG, "'/tmp' is not a regular file");
    ck_fails(mu_dump_results_new("/tmp/", &metric), MU_ERR_CONFIG, "'/tmp/' names no file");
    /* What is not results is not replaced; an empty file, and results, are. */
    char other[160];
    snprintf(other, sizeof other, "%s.other", path);
    int empty = open(other, O_CREAT | O_WRONLY, 0666);
    ck_ok(mu_dump_results_new(other, &metric));
    mu_destroy(metric);
    ck_assert_int_eq(write(empty, "weights", 7), 7);
    close(empty);
    ck_fails(mu_dump_results_new(other, &metric), MU_ERR_CONFIG, "holds no results, and is not replaced");
    ck_ok(test_time("[]", &r));
    ck_ok(mu_dump_results_new(path, &metric));
    mu_destroy(metric);
    ck_assert_int_eq(rename(path, other), 0);
    ck_ok(mu_dump_results_new(other, &metric));
    mu_destroy(metric);
    ck_assert_int_eq(rename(other, path), 0);
    ck_fails(offline("{\"type\": \"Accuracy\", \"topk\": 9}", &r), MU_ERR_CONFIG, "there are 7 classes only");
    /* One changed byte of the scores. */
    int fd = open(path, O_RDWR);
    char byte;
    float wanted[4];
    off_t at = 0;
    memcpy(wanted, score + (N - 1) * C, sizeof wanted);
    for (char found[sizeof wanted]; pread(fd, found, sizeof found, at) == sizeof found && memcmp(found, wanted, sizeof found); at++)
        ;
    ck_assert_int_eq(pread(fd, &byte, 1, at + 70), 1);
    byte ^= 4;
    ck_assert_int_eq(pwrite(fd, &byte, 1, at + 70), 1);
    close(fd);
    ck_fails(mu_dump_open(path, &dump), MU_ERR_FORMAT, "pred_score");
}
END_TEST

START_TEST(shapes_that_change)
{
    mu_cfg *cfg;
    mu_evaluator *e;
    mu_metric *dump;
    float values[6] = {0};
    mu_tensors fields = {0}, predictions = {0};
    ck_ok(mu_cfg_parse_json("[]", 2, "test", &cfg));
    ck_ok(mu_evaluator_new(cfg, "test_evaluator", &e));
    ck_ok(mu_dump_results_new(path, &dump));
    ck_ok(mu_evaluator_add(e, dump));
    ck_ok(mu_tensors_put(&predictions, "x", MU_TYPE(MU_F32, 2, 3), values));
    ck_ok(mu_evaluator_process(e, 2, id, &fields, &predictions));
    ck_ok(mu_tensors_put(&predictions, "x", MU_TYPE(MU_F32, 2, 2), values));
    ck_fails(mu_evaluator_process(e, 2, id, &fields, &predictions), MU_ERR_CONFIG, "'x' is f32[2,2], other than");
    ck_fails(mu_evaluator_process(e, 3, id, &fields, &predictions), MU_ERR_CONFIG, "DumpResults: 'x'");
    mu_evaluator_release(e);
    mu_cfg_release(cfg);
}
END_TEST

static mu_err both(void)
{
    mu_results a = {0}, b = {0};
    mu_err err = test_time("{\"type\": \"Accuracy\"}", &a);
    if (!err)
        err = offline("{\"type\": \"Accuracy\"}", &b);
    mu_results_release(&a);
    mu_results_release(&b);
    return err;
}

START_TEST(out_of_memory)
{
    mu_registry *root;
    ck_ok(mu_registry_root(&root));
    ck_survives_oom(both(), );
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dump");
    TCase *tests = tcase_create("dump");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, the_same_bits);
    tcase_add_test(tests, the_dump_has_it_all);
    tcase_add_test(tests, what_is_wrong_is_told);
    tcase_add_test(tests, shapes_that_change);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

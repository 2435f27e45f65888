/* Checkpoints of a small run on one rank: exact resumption, what is refused, weights by name, and the last good one. */
#include "toy_run.h"

/* Stopped after so many iterations (7 are an epoch), and gone on with in a new process with another seed of its own. */
START_TEST(resuming_is_exact)
{
    static const int64_t stop[] = {14, 9, 10, 1, 7};
    run t;
    int64_t bytes = 0;
    run_open(&t, PLAIN, 3);
    train(&t, 4, -1);
    ck_ok(mu_checkpoint_save(&t.r, other, everything, NULL));
    run_close(&t);

    run_open(&t, PLAIN, 3);
    train(&t, 4, stop[_i]);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, &bytes));
    struct stat info;
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_int_eq(info.st_size, bytes);
    run_close(&t);

    run_open(&t, PLAIN, 99);
    ck_ok(mu_checkpoint_resume(&t.r, path, false));
    ck_assert_uint_eq(t.r.seed, 3);
    ck_assert_int_eq(t.r.iter, stop[_i]);
    ck_assert_int_eq(t.r.epoch, stop[_i] / 7);
    ck_assert_int_eq(t.r.epoch_iter, stop[_i] % 7);
    train(&t, 4, -1);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, NULL));
    run_close(&t);
    same_files(path, other);
    ck_assert_str_eq(warnings, "");
}
END_TEST

START_TEST(another_run_is_refused)
{
    run t;
    run_open(&t, PLAIN, 3);
    train(&t, 2, -1);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, NULL));
    double lr = mu_optim_group_at(mu_optim_wrapper_optim(t.r.optim), 0)->lr;
    ck_ok(mu_checkpoint_save(&t.r, other, (mu_checkpoint_parts){0}, NULL));
    run_close(&t);

    run_open(&t, YAML("8", "53", "{type: MultiStepLR, milestones: [1], gamma: 0.5}", "300"), 3);
    ck_fails(mu_checkpoint_resume(&t.r, path, false), MU_ERR_CONFIG, "was trained with another schedule");
    ck_assert_ptr_nonnull(strstr(test_error_text(), "--changed-schedule"));
    ck_ok(mu_checkpoint_resume(&t.r, path, true));
    ck_assert_double_eq_tol(mu_optim_group_at(mu_optim_wrapper_optim(t.r.optim), 0)->lr, 0.05 * 0.5, 1e-12);
    ck_assert_double_eq_tol(lr, 0.05 * 0.1, 1e-12);
    run_close(&t);

    run_open(&t, YAML("4", "53", SCHEDULE, "300"), 3);
    ck_fails(mu_checkpoint_resume(&t.r, path, false), MU_ERR_CONFIG, "batches of 8 on 1 ranks, this run has 4 on 1");
    run_close(&t);
    run_open(&t, YAML("8", "52", SCHEDULE, "300"), 3);
    ck_fails(mu_checkpoint_resume(&t.r, path, false), MU_ERR_CONFIG, "a dataset of 53 samples, this one has 52");
    run_close(&t);
    run_open(&t, YAML("8", "53", SCHEDULE, "301"), 3);
    ck_fails(mu_checkpoint_resume(&t.r, path, false), MU_ERR_CONFIG, "backbone.fc1.weight is f32[300,12] in the file, f32[301,12]");
    run_close(&t);

    run_open(&t, PLAIN, 3);
    ck_fails(mu_checkpoint_resume(&t.r, other, false), MU_ERR_CONFIG, "holds no optimizer");
    ck_fails(mu_checkpoint_resume(&t.r, "/nowhere.h5", false), MU_ERR_IO, "'/nowhere.h5' cannot be opened");
    ck_fails(mu_checkpoint_save(&t.r, "/nowhere/a.h5", everything, NULL), MU_ERR_IO, "cannot be written");
    run_close(&t);
}
END_TEST

/* Half a batch on the same stream: what two ranks with half the batch each would be told. */
START_TEST(another_batch_in_mid_epoch)
{
    run t;
    run_open(&t, PLAIN, 3);
    train(&t, 4, 10);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, NULL));
    run_close(&t);
    run_open(&t, YAML("4", "53", SCHEDULE, "300"), 3);
    t.r.max_epochs = 3;
    t.r.max_iters = 3 * 14;
    ck_ok(mu_checkpoint_resume(&t.r, path, true));
    ck_assert_int_eq(t.r.epoch, 1);
    ck_assert_int_eq(t.r.max_iters, 10 + mu_loader_remaining(t.r.train_loader) + 14); /* done, left of this epoch, and another */
    ck_assert_int_eq(t.r.epoch_length, 14);
    ck_assert_int_eq(t.r.epoch_iter + mu_loader_remaining(t.r.train_loader), 14);
    ck_assert_int_eq(mu_loader_remaining(t.r.train_loader), (53 - 24 + 3) / 4);
    ck_assert_int_eq(mu_loader_cursor(t.r.train_loader).position, 24);
    ck_assert_ptr_nonnull(strstr(warnings, "a step now takes 4 samples, in the checkpoint it took 8"));
    run_close(&t);
}
END_TEST

/* Weights as another program may have named and stored them. */
static void write_foreign(const char *prefix, mu_dtype dtype)
{
    static const struct {
        const char *name;
        mu_type type;
    } item[] = {{"backbone.fc1.weight", {MU_F32, 2, {300, 12}}}, {"backbone.fc1.bias", {MU_F32, 1, {300}}},
                {"head.fc.weight", {MU_F32, 2, {9, 300}}}, {"bn.num_batches_tracked", {MU_I64, 0, {0}}}, {"extra", {MU_F32, 1, {2}}}};
    static double zeros[3600];
    double value[3600];
    char name[128];
    mu_tensor_writer *w;
    for (int i = 0; i < 3600; i++)
        value[i] = i * 0.25;
    char *bytes = calloc(3600, sizeof(double));
    mu_convert(bytes, dtype, value, MU_F64, 3600);
    ck_ok(mu_tensor_writer_new(MU_CHECKPOINT_FORMAT, 1, &w));
    for (size_t i = 0; i < sizeof item / sizeof item[0]; i++) {
        mu_type type = item[i].type;
        type.dtype = type.dtype == MU_F32 ? dtype : type.dtype;
        snprintf(name, sizeof name, "/state_dict/%s%s", prefix, item[i].name);
        ck_ok(mu_tensor_writer_add(w, name, type, NULL, i == 0 ? (void *)bytes : zeros));
    }
    ck_ok(mu_tensor_writer_write(w, comm, path, NULL));
    mu_tensor_writer_release(w);
    free(bytes);
}

START_TEST(weights_by_name)
{
    static const mu_dtype dtypes[] = {MU_F32, MU_F64, MU_BF16};
    run t;
    mu_tensor_file *f;
    mu_load_report report;
    float weight[3600];
    run_open(&t, PLAIN, 1);
    write_foreign("module.", dtypes[_i]);
    ck_ok(mu_tensor_file_open(path, MU_CHECKPOINT_FORMAT, 1, &f));
    ck_ok(mu_checkpoint_load_weights(f, t.r.model, false, NULL, NULL, NULL, 0, &report));
    ck_assert_int_eq(report.n_loaded, 2);
    ck_assert_int_eq(report.n_missing, 1);
    ck_assert_int_eq(report.n_unexpected, 1);
    ck_assert_int_eq(report.n_misshaped, 1);
    ck_assert_ptr_nonnull(strstr(report.text, "missing: head.fc.bias f32[10]\n"));
    ck_assert_ptr_nonnull(strstr(report.text, "unexpected: extra "));
    ck_assert_ptr_nonnull(strstr(report.text, "misshaped: head.fc.weight is "));
    mu_free(report.text);
    ck_ok(mu_params_read(mu_model_params(t.r.model), "backbone.fc1.weight", weight));
    ck_assert_float_eq(weight[100], 25);
    ck_fails(mu_checkpoint_load_weights(f, t.r.model, true, NULL, NULL, NULL, 0, &report), MU_ERR_CONFIG,
             "1 missing, 1 unexpected, 1 misshaped");
    ck_ok(mu_checkpoint_load_weights(f, t.r.model, true, "backbone", "backbone", NULL, 0, &report));
    ck_assert_int_eq(report.n_loaded, 2);
    ck_assert_ptr_null(report.text);

    const mu_key_revision revisions[] = {{"^module\\.", ""}, {"(backbone)\\.fc([0-9])", "\\1.fc\\2"}, {"^extra$", "head.fc.bias"}};
    ck_ok(mu_checkpoint_load_weights(f, t.r.model, false, NULL, NULL, revisions, 3, &report));
    ck_assert_int_eq(report.n_loaded, 2);
    ck_assert_int_eq(report.n_misshaped, 2);
    ck_assert_int_eq(report.n_unexpected, 0);
    mu_free(report.text);
    ck_fails(mu_checkpoint_load_weights(f, t.r.model, false, NULL, NULL, &(mu_key_revision){"(", ""}, 1, &report), MU_ERR_CONFIG,
             "'(' is not a regular expression");
    mu_tensor_file_release(f);
    ck_ok(mu_checkpoint_load_from(&t.r, path, false));
    ck_assert_ptr_nonnull(strstr(warnings, "do not fit the model in all: 1 missing, 1 unexpected, 1 misshaped"));
    write_foreign("nobody.", MU_F32);
    ck_fails(mu_checkpoint_load_from(&t.r, path, false), MU_ERR_CONFIG, "holds no weight that fits");
    run_close(&t);
}
END_TEST

static void copy_file(const char *from, const char *to, const char *options)
{
    char command[512];
    snprintf(command, sizeof command, "head -c %s %s > %s/%s", options, from, folder, to);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(the_last_good_one)
{
    run t;
    char *found = (char *)"", wanted[128];
    ck_ok(mu_checkpoint_find(folder, &found));
    ck_assert_ptr_null(found);
    ck_ok(mu_checkpoint_find("/nowhere/at/all", &found));
    ck_assert_ptr_null(found);

    run_open(&t, PLAIN, 3);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, NULL));
    ck_ok(mu_checkpoint_find(folder, &found));
    ck_assert_str_eq(found, path);
    mu_free(found);
    snprintf(wanted, sizeof wanted, "%s/iter_20.h5", folder);
    ck_ok(mu_checkpoint_save(&t.r, wanted, everything, NULL));
    ck_ok(mu_checkpoint_set_last(&t.r, path));
    ck_ok(mu_checkpoint_find(folder, &found));
    ck_assert_str_eq(found, path);
    mu_free(found);
    ck_assert_str_eq(warnings, "");

    ck_ok(mu_checkpoint_set_last(&t.r, "/elsewhere/epoch_3.h5"));
    copy_file(path, "epoch_3.h5", "5000");
    copy_file(path, "epoch_x.h5", "10");
    ck_ok(mu_checkpoint_find(folder, &found));
    ck_assert_str_eq(found, wanted);
    mu_free(found);
    ck_assert_ptr_nonnull(strstr(warnings, "epoch_3.h5' is cut off at byte 5000"));
    ck_assert_ptr_nonnull(strstr(warnings, "going on with"));

    copy_file(path, "iter_20.h5", "6000");
    ck_assert_int_eq(unlink(path), 0);
    ck_fails(mu_checkpoint_find(folder, &found), MU_ERR_FORMAT, "can be used");
    run_close(&t);
}
END_TEST

/* It is looked past, and not waited for. */
START_TEST(no_file_at_all)
{
    run t;
    char *found;
    run_open(&t, PLAIN, 3);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, NULL));
    snprintf(other, sizeof other, "%s/last_checkpoint", folder);
    ck_assert_int_eq(mkfifo(other, 0666), 0);
    ck_ok(mu_checkpoint_find(folder, &found));
    ck_assert_str_eq(found, path);
    mu_free(found);
    ck_assert_ptr_nonnull(strstr(warnings, "last_checkpoint' is not a regular file"));
    run_close(&t);
}
END_TEST

/* Of a hook with an out_dir: beside the one that is damaged, or was there. */
START_TEST(the_last_good_one_elsewhere)
{
    run t;
    char *found, good[128], bad[128];
    snprintf(good, sizeof good, "%s/out/epoch_1.h5", folder);
    snprintf(bad, sizeof bad, "%s/out/epoch_2.h5", folder);
    snprintf(other, sizeof other, "%s/out", folder);
    ck_assert_int_eq(mkdir(other, 0777), 0);
    run_open(&t, PLAIN, 3);
    ck_ok(mu_checkpoint_save(&t.r, good, everything, NULL));
    ck_ok(mu_checkpoint_set_last(&t.r, bad));
    ck_ok(mu_checkpoint_find(folder, &found));
    ck_assert_str_eq(found, good);
    mu_free(found);
    copy_file(good, "out/epoch_2.h5", "5000");
    ck_ok(mu_checkpoint_find(folder, &found));
    ck_assert_str_eq(found, good);
    mu_free(found);
    ck_assert_ptr_nonnull(strstr(warnings, "out/epoch_2.h5' is cut off at byte 5000"));
    run_close(&t);
}
END_TEST

/* A shard is lost, or another save's: the checkpoint before is taken, and the warning names the shard. */
START_TEST(shards_are_lost)
{
    run t;
    char *found, last[128], lost[160], command[512];
    mu_checkpoint_parts parts = {.optimizer = true, .schedulers = true, .shards = 3};
    snprintf(last, sizeof last, "%s/epoch_2.h5", folder);
    snprintf(lost, sizeof lost, "%s/epoch_2-00001-of-00003.h5", folder);
    run_open(&t, PLAIN, 3);
    train(&t, 4, 9);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, NULL));
    ck_ok(mu_checkpoint_save(&t.r, last, parts, NULL));
    ck_ok(mu_checkpoint_set_last(&t.r, last));
    same_files(path, last);
    ck_ok(mu_checkpoint_find(folder, &found));
    ck_assert_str_eq(found, last);
    mu_free(found);
    ck_ok(mu_checkpoint_resume(&t.r, last, false));
    snprintf(command, sizeof command, "cp %s %s/kept", lost, folder);
    ck_assert_int_eq(system(command), 0);

    ck_assert_int_eq(unlink(lost), 0);
    ck_fails(mu_checkpoint_resume(&t.r, last, false), MU_ERR_IO, "epoch_2-00001-of-00003.h5' cannot be opened");
    t.r.agreed = false;
    ck_ok(mu_checkpoint_find(folder, &found));
    ck_assert_str_eq(found, path);
    mu_free(found);
    ck_assert_ptr_nonnull(strstr(warnings, "epoch_2-00001-of-00003.h5"));
    warnings[0] = '\0';
    parts.shards = MU_SHARDS_PER_RANK;
    ck_ok(mu_checkpoint_save(&t.r, last, parts, NULL));
    ck_ok(mu_checkpoint_find(folder, &found));
    ck_assert_str_eq(found, last);
    mu_free(found);
    ck_assert_str_eq(warnings, "");
    parts.shards = 3;
    ck_ok(mu_checkpoint_save(&t.r, last, parts, NULL));
    snprintf(command, sizeof command, "cp %s/kept %s", folder, lost);
    ck_assert_int_eq(system(command), 0);
    ck_ok(mu_checkpoint_find(folder, &found));
    ck_assert_str_eq(found, path);
    mu_free(found);
    ck_assert_ptr_nonnull(strstr(warnings, "epoch_2-00001-of-00003.h5' belongs to another one"));
    run_close(&t);
}
END_TEST

/* What is saved is the state at the begin, whatever becomes of it while it is written. */
START_TEST(in_the_background)
{
    run t;
    struct stat info;
    char said[256];
    run_open(&t, PLAIN, 3);
    train(&t, 4, 9);
    ck_ok(mu_checkpoint_save(&t.r, other, everything, NULL));
    ck_assert(mu_checkpoint_longest_seconds(&t.r) < 0);
    ck_ok(mu_checkpoint_begin(&t.r, path, everything, &(mu_checkpoint_sequel){.last = true, .obsolete = folder}, true));
    train(&t, 4, 12);
    ck_ok(mu_checkpoint_wait(&t.r));
    ck_ok(mu_checkpoint_wait(&t.r));
    same_files(path, other);
    ck_assert(mu_checkpoint_longest_seconds(&t.r) > 0);
    ck_assert_ptr_nonnull(strstr(warnings, "the old checkpoint is left: "));
    snprintf(said, sizeof said, "%s/last_checkpoint", folder);
    ck_assert_int_eq(stat(said, &info), 0);

    /* An error of the background comes at the next agreement. */
    ck_assert_int_eq(unlink(said), 0);
    ck_assert_int_eq(mkdir(said, 0777), 0);
    ck_ok(mu_checkpoint_begin(&t.r, path, everything, &(mu_checkpoint_sequel){.last = true}, true));
    while (!mu_checkpoint_failed(&t.r))
        usleep(1000);
    ck_fails(mu_runner_agree(&t.r, MU_OK), MU_ERR_IO, "last_checkpoint' is not a regular file");
    ck_assert(t.r.agreed && !mu_checkpoint_failed(&t.r));
    t.r.agreed = false;
    ck_ok(mu_runner_agree(&t.r, MU_OK));
    ck_fails(mu_checkpoint_begin(&t.r, path, everything, &(mu_checkpoint_sequel){.last = true}, false), MU_ERR_IO, "not a regular file");
    t.r.agreed = false;
    ck_assert_int_eq(rmdir(said), 0);

    /* Given up in mid-way: it is ended. */
    ck_assert_int_eq(unlink(path), 0);
    ck_ok(mu_checkpoint_begin(&t.r, path, everything, &(mu_checkpoint_sequel){.last = true}, true));
    mu_checkpoint_close(&t.r);
    same_files(path, path);
    run_close(&t);
}
END_TEST

static mu_err begin_and_close(mu_runner *r)
{
    mu_checkpoint_sequel sequel = {.last = true, .said = "", .obsolete = other};
    mu_err err = mu_checkpoint_begin(r, path, everything, &sequel, false);
    mu_checkpoint_close(r);
    return err;
}

START_TEST(no_memory)
{
    run t;
    run_open(&t, PLAIN, 3);
    train(&t, 4, 9);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, NULL));
    ck_survives_oom(mu_checkpoint_save(&t.r, path, everything, NULL), (void)0);
    ck_survives_oom(begin_and_close(&t.r), (void)0);
    char *found;
    ck_survives_oom(mu_checkpoint_find(folder, &found), mu_free(found));
    mu_tensor_file *f;
    mu_load_report report = {0};
    ck_ok(mu_tensor_file_open(path, MU_CHECKPOINT_FORMAT, 1, &f));
    ck_survives_oom(mu_checkpoint_load_weights(f, t.r.model, false, "head", NULL, NULL, 0, &report), mu_free(report.text));
    mu_tensor_file_release(f);
    ck_ok(mu_checkpoint_resume(&t.r, path, false));
    run_close(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *tcase = tcase_create("checkpoint");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, resuming_is_exact, 0, 5);
    tcase_add_test(tcase, another_run_is_refused);
    tcase_add_test(tcase, another_batch_in_mid_epoch);
    tcase_add_loop_test(tcase, weights_by_name, 0, 3);
    tcase_add_test(tcase, the_last_good_one);
    tcase_add_test(tcase, the_last_good_one_elsewhere);
    tcase_add_test(tcase, no_file_at_all);
    tcase_add_test(tcase, shards_are_lost);
    tcase_add_test(tcase, in_the_background);
    tcase_add_test(tcase, no_memory);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}

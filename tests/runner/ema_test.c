/* EMAHook on a small run: when it averages what, what a checkpoint holds of it, and that a run goes on with it exactly. */
#include "toy_run.h"

#include <math.h>

enum { BIAS = 10, EPOCH = 7 };
static const char bias[] = "head.fc.bias";

#define HOOK(options) "custom_hooks: {type: EMAHook, " options "}\n"

static mu_err build(run *t, const char *yaml)
{
    run_open(t, yaml, 3);
    MU_TRY(mu_build("hook", mu_cfg_get(t->r.cfg, "custom_hooks"), NULL, "custom_hooks", (void **)&t->hook));
    t->r.max_epochs = 4;
    t->r.max_iters = 4 * EPOCH;
    call_hook(t, MU_BEFORE_RUN);
    call_hook(t, MU_BEFORE_TRAIN);
    return MU_OK;
}

static void read_bias(const run *t, float *out)
{
    ck_ok(mu_params_read(mu_model_params(t->r.model), bias, out));
}

/* The bias that a checkpoint of now would hold, in a folder of it. */
static void saved_bias(run *t, const char *folder_of, float *out)
{
    char name[128];
    mu_tensor_file *f;
    snprintf(name, sizeof name, "%s%s", folder_of, bias);
    ck_ok(mu_checkpoint_save(&t->r, other, everything, NULL));
    ck_ok(mu_tensor_file_open(other, MU_CHECKPOINT_FORMAT, 1, &f));
    ck_assert_int_ge(mu_tensor_file_find(f, name), 0);
    ck_ok(mu_tensor_file_read(f, mu_tensor_file_find(f, name), out, BIAS * sizeof *out));
    mu_tensor_file_release(f);
}

/* Up to iteration `first` (from 0) the average is the model; then each iteration brings it nearer by its weight. */
typedef struct {
    const char *yaml;
    int first;
    double weight[12];
} schedule;

static const schedule schedules[] = {
    {PLAIN HOOK("momentum: 0.25"), 0, {0, .25, .25, .25, .25, .25, .25, .25, .25, .25, .25, .25}},
    {PLAIN HOOK("momentum: 0.25, interval: 3"), 0, {0, 0, 0, .25, 0, 0, .25, 0, 0, .25, 0, 0}},
    {PLAIN HOOK("momentum: 0.25, begin_iter: 4"), 3, {0, 0, 0, 0, .25, .25, .25, .25, .25, .25, .25, .25}},
    {PLAIN HOOK("momentum: 0.25, begin_epoch: 2, interval: 2"), 7, {0, 0, 0, 0, 0, 0, 0, 0, 0, .25, 0, .25}},
    {PLAIN HOOK("ema_type: StochasticWeightAverage"), 0, {0, 1 / 2., 1 / 3., 1 / 4., 1 / 5., 1 / 6., 1 / 7., 1 / 8., 1 / 9., 1 / 10., 1 / 11., 1 / 12.}},
    {PLAIN HOOK("ema_type: StochasticWeightAverage, interval: 4"), 0, {0, 0, 0, 0, 1 / 2., 0, 0, 0, 1 / 3., 0, 0, 0}},
    {PLAIN HOOK("ema_type: MomentumAnnealingEMA, gamma: 2, momentum: 0.2"), 0,
     {0, 2 / 3., 2 / 4., 2 / 5., 2 / 6., 2 / 7., 2 / 8., 2 / 9., .2, .2, .2, .2}},
    {PLAIN HOOK("ema_type: MomentumAnnealingEMA, gamma: 5, interval: 5, begin_iter: 2"), 1, {0, 0, 0, 0, 0, 0, 5 / 10., 0, 0, 0, 0, 5 / 15.}},
};

START_TEST(averages)
{
    const schedule *s = &schedules[_i];
    double wanted[BIAS] = {0};
    float own[BIAS], got[BIAS];
    run t;
    ck_ok(build(&t, s->yaml));
    for (int i = 0; i < 12; i++) {
        train(&t, 4, i + 1);
        read_bias(&t, own);
        for (int k = 0; k < BIAS; k++)
            wanted[k] = i <= s->first ? (double)own[k] : wanted[k] + s->weight[i] * (own[k] - wanted[k]);
        saved_bias(&t, "/state_dict/", got);
        for (int k = 0; k < BIAS; k++)
            ck_assert_double_eq_tol(got[k], wanted[k], 1e-7);
        saved_bias(&t, "/ema_state_dict/module.", got);
        ck_assert_mem_eq(got, own, sizeof own);
    }
    run_close(&t);
}
END_TEST

/* The model is the average while it is validated, and only then; what is saved meanwhile is the same. */
START_TEST(validates_the_average)
{
    static const mu_hook_point before[] = {MU_BEFORE_VAL_EPOCH, MU_BEFORE_TEST_EPOCH}, behind[] = {MU_AFTER_VAL_EPOCH, MU_AFTER_TEST_EPOCH};
    static const mu_hook_point left[] = {MU_AFTER_VAL, MU_AFTER_TEST};
    float own[BIAS], average[BIAS], got[BIAS];
    run t;
    ck_ok(build(&t, PLAIN HOOK("momentum: 0.25")));
    train(&t, 4, 3);
    read_bias(&t, own);
    saved_bias(&t, "/state_dict/", average);
    ck_assert_mem_ne(own, average, sizeof own);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, NULL));
    for (int turn = 0; turn < 2; turn++) {
        call_hook(&t, before[turn]);
        read_bias(&t, got);
        ck_assert_mem_eq(got, average, sizeof got);
        ck_ok(mu_checkpoint_save(&t.r, other, everything, NULL));
        same_files(path, other);
        call_hook(&t, behind[turn]);
        read_bias(&t, got);
        ck_assert_mem_eq(got, own, sizeof got);
        call_hook(&t, left[turn]);
        read_bias(&t, got);
        ck_assert_mem_eq(got, own, sizeof got);

        call_hook(&t, before[turn]); /* an evaluation that is left before its end has no after_val_epoch */
        call_hook(&t, left[turn]);
        read_bias(&t, got);
        ck_assert_mem_eq(got, own, sizeof got);
    }
    run_close(&t);
}
END_TEST

START_TEST(validates_the_model)
{
    float own[BIAS], got[BIAS];
    run t;
    ck_ok(build(&t, PLAIN HOOK("momentum: 0.25, evaluate_on_ema: false")));
    ck_assert_ptr_nonnull(strstr(warnings, "evaluate_on_origin is switched on"));
    train(&t, 4, 3);
    read_bias(&t, own);
    call_hook(&t, MU_BEFORE_VAL_EPOCH);
    read_bias(&t, got);
    ck_assert_mem_eq(got, own, sizeof got);
    call_hook(&t, MU_AFTER_VAL_EPOCH);
    call_hook(&t, MU_AFTER_VAL);
    read_bias(&t, got);
    ck_assert_mem_eq(got, own, sizeof got);
    run_close(&t);
}
END_TEST

/* Stopped after so many iterations, before the average begins (2), between its updates and at one. */
START_TEST(resuming_is_exact)
{
    static const int64_t stop[] = {2, 9, 10, 14};
    static const char yaml[] = PLAIN HOOK("ema_type: MomentumAnnealingEMA, gamma: 4, interval: 2, begin_iter: 4");
    run t;
    ck_ok(build(&t, yaml));
    train(&t, 4, -1);
    ck_ok(mu_checkpoint_save(&t.r, other, everything, NULL));
    run_close(&t);
    ck_ok(build(&t, yaml));
    train(&t, 4, stop[_i]);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, NULL));
    run_close(&t);
    ck_ok(build(&t, yaml));
    ck_ok(mu_checkpoint_resume(&t.r, path, false));
    train(&t, 4, -1);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, NULL));
    run_close(&t);
    same_files(path, other);
    ck_assert_str_eq(warnings, "");
}
END_TEST

/* From a file without an average, and into a run without one. */
START_TEST(one_side_only)
{
    float own[BIAS], average[BIAS], got[BIAS];
    run t;
    run_open(&t, PLAIN, 3);
    train(&t, 4, 3);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, NULL));
    run_close(&t);
    ck_ok(build(&t, PLAIN HOOK("momentum: 0.25")));
    ck_ok(mu_checkpoint_resume(&t.r, path, false));
    ck_assert_ptr_nonnull(strstr(warnings, "there is no ema_state_dict in "));
    read_bias(&t, own);
    saved_bias(&t, "/state_dict/", got);
    ck_assert_mem_eq(got, own, sizeof got);
    train(&t, 4, 6);
    read_bias(&t, own);
    saved_bias(&t, "/state_dict/", average);
    ck_assert_mem_ne(average, own, sizeof own);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, NULL));
    run_close(&t);

    warnings[0] = '\0';
    run_open(&t, PLAIN, 3);
    ck_ok(mu_checkpoint_resume(&t.r, path, false));
    ck_assert_ptr_nonnull(strstr(warnings, "are an average: without an EMAHook"));
    read_bias(&t, got);
    ck_assert_mem_eq(got, average, sizeof got);
    run_close(&t);

    warnings[0] = '\0';
    ck_ok(build(&t, PLAIN HOOK("momentum: 0.25")));
    ck_ok(mu_checkpoint_load_from(&t.r, path, false)); /* training begins anew, from the average */
    read_bias(&t, got);
    ck_assert_mem_eq(got, average, sizeof got);
    ck_assert_int_eq(mu_averaged_model_steps(t.r.average), 0);
    ck_ok(mu_checkpoint_load_from(&t.r, path, true)); /* a test has both */
    read_bias(&t, got);
    ck_assert_mem_eq(got, own, sizeof got);
    saved_bias(&t, "/state_dict/", got);
    ck_assert_mem_eq(got, average, sizeof got);
    ck_assert_str_eq(warnings, "");
    run_close(&t);
}
END_TEST

/* The own weights of a file are not all there: an error, or a warning and the average in their place. */
static void drop_own_bias(void)
{
    mu_tensor_file *f;
    mu_tensor_writer *w;
    void *kept[256];
    int n = 0;
    ck_ok(mu_tensor_file_open(path, MU_CHECKPOINT_FORMAT, 1, &f));
    ck_ok(mu_tensor_writer_new(MU_CHECKPOINT_FORMAT, 1, &w));
    for (int i = 0; i < mu_tensor_file_count(f); i++) {
        const mu_tensor_entry *e = mu_tensor_file_at(f, i);
        size_t bytes = mu_type_bytes(&e->type);
        if (strcmp(e->path, "/ema_state_dict/module.head.fc.bias") == 0)
            continue;
        kept[n] = calloc(bytes + 1, 1);
        ck_ok(mu_tensor_file_read(f, i, kept[n], bytes));
        if (e->text)
            ck_ok(mu_tensor_writer_text(w, e->path, kept[n]));
        else
            ck_ok(mu_tensor_writer_add(w, e->path, e->type, NULL, kept[n]));
        n++;
    }
    mu_tensor_file_release(f);
    ck_ok(mu_tensor_writer_write(w, comm, path, NULL));
    mu_tensor_writer_release(w);
    while (n > 0)
        free(kept[--n]);
}

START_TEST(strict_load)
{
    float average[BIAS], got[BIAS];
    run t;
    ck_ok(build(&t, PLAIN HOOK("momentum: 0.25")));
    train(&t, 4, 3);
    saved_bias(&t, "/state_dict/", average);
    ck_ok(mu_checkpoint_save(&t.r, path, everything, NULL));
    run_close(&t);
    drop_own_bias();
    ck_ok(build(&t, PLAIN HOOK("momentum: 0.25")));
    ck_fails(mu_checkpoint_resume(&t.r, path, false), MU_ERR_CONFIG, "missing: head.fc.bias");
    run_close(&t);
    ck_ok(build(&t, PLAIN HOOK("momentum: 0.25, strict_load: false")));
    ck_ok(mu_checkpoint_resume(&t.r, path, false));
    ck_assert_ptr_nonnull(strstr(warnings, "1 missing, 0 unexpected, 0 misshaped"));
    read_bias(&t, got);
    ck_assert_mem_eq(got, average, sizeof got);
    run_close(&t);
}
END_TEST

static void refuses(const char *yaml, const char *part)
{
    run t;
    run_open(&t, yaml, 3);
    ck_fails(mu_build("hook", mu_cfg_get(t.r.cfg, "custom_hooks"), NULL, "custom_hooks", (void **)&t.hook), MU_ERR_CONFIG, part);
    t.hook = NULL;
    run_close(&t);
}

START_TEST(wrong_use)
{
    run t;
    refuses(PLAIN HOOK("begin_iter: 3, begin_epoch: 1"), "cannot both be set");
    refuses(PLAIN HOOK("begin_iter: -1"), "begin_iter");
    refuses(PLAIN HOOK("ema_type: Average"), "Average");
    refuses(PLAIN HOOK("gamma: 3"), "gamma");
    refuses(PLAIN HOOK("ema_type: StochasticWeightAverage, momentum: 0.1"), "momentum");
    refuses(PLAIN HOOK("momentum: 2"), "momentum");

    ck_ok(build(&t, PLAIN HOOK("begin_epoch: 4")));
    const mu_hook_ops *ops = mu_component_of(t.hook)->ops;
    t.r.max_epochs = 3;
    ck_fails(ops->at[MU_BEFORE_TRAIN](t.hook, &t.r, NULL), MU_ERR_CONFIG, "begin_epoch is 4, but training ends with epoch 3");
    ck_fails(ops->at[MU_BEFORE_RUN](t.hook, &t.r, NULL), MU_ERR_CONFIG, "another hook keeps an average");
    run_close(&t);
}
END_TEST

static mu_err build_hook(const run *t, void **out)
{
    MU_TRY(mu_build("hook", mu_cfg_get(t->r.cfg, "custom_hooks"), NULL, "custom_hooks", out));
    return MU_OK;
}

START_TEST(no_memory)
{
    void *hook;
    run t;
    run_open(&t, PLAIN HOOK("ema_type: MomentumAnnealingEMA, gamma: 3, momentum: 0.1, interval: 2, update_buffers: true"), 3);
    ck_survives_oom(build_hook(&t, &hook), mu_destroy(hook));
    run_close(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ema");
    TCase *tcase = tcase_create("ema");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, averages, 0, sizeof schedules / sizeof *schedules);
    tcase_add_test(tcase, validates_the_average);
    tcase_add_test(tcase, validates_the_model);
    tcase_add_loop_test(tcase, resuming_is_exact, 0, 4);
    tcase_add_test(tcase, one_side_only);
    tcase_add_test(tcase, strict_load);
    tcase_add_test(tcase, wrong_use);
    tcase_add_test(tcase, no_memory);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}

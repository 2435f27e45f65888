/* The network "tiny" trained for 100 steps against PyTorch's losses (tests/golden/network.json), on every backend. */
#include "train/trainer.h"
#include "test.h"

#include <jansson.h>
#include <math.h>

enum { STEPS = 100, N = 16, CLASSES = 5 };

static json_t *golden;

static double number(const char *list, size_t i)
{
    return json_number_value(json_array_get(json_object_get(golden, list), i));
}

static void load(void)
{
    json_error_t error;
    golden = json_load_file(MU_TEST_SRCDIR "/golden/network.json", 0, &error);
    ck_assert_msg(golden != NULL, "%s: %s", error.source, error.text);
}

static void unload(void)
{
    json_decref(golden);
}

/* Trains; the largest relative error of a loss. */
static double train(trainer *t, const char *what, double allowed)
{
    double worst = 0, loss;
    for (size_t i = 0; i < STEPS; i++) {
        ck_ok(trainer_step(t));
        ck_ok(trainer_loss(t, &loss));
        double error = fabs(loss - number("losses", i)) / number("losses", i);
        ck_assert_msg(error <= allowed, "%s: the loss of step %zu is %.15g, PyTorch's is %.15g", what, i, loss,
                      number("losses", i));
        worst = fmax(worst, error);
    }
    return worst;
}

static void check_state(trainer *t, const char *name, const char *list, double allowed)
{
    double value[8];
    char bytes[sizeof value];
    ck_ok(mu_params_read(t->params, name, bytes));
    mu_convert(value, MU_F64, bytes, t->x.dtype, 8);
    for (size_t i = 0; i < 8; i++)
        ck_assert_msg(fabs(value[i] - number(list, i)) <= allowed * (1 + fabs(number(list, i))),
                      "%s %zu is %.15g, not %.15g", name, i, value[i], number(list, i));
}

/* Evaluation with batch norms folded into convolutions and without: the same, and PyTorch's. */
static void check_evaluation(trainer *t, double allowed)
{
    char bytes[N * CLASSES * sizeof(double)];
    double plain[N * CLASSES], folded[N * CLASSES], scale = 0;
    ck_ok(trainer_evaluate(t, model_tiny, &(mu_plan_options){.no_fusion = true}, bytes));
    mu_convert(plain, MU_F64, bytes, t->x.dtype, N * CLASSES);
    ck_ok(trainer_evaluate(t, model_tiny, NULL, bytes));
    mu_convert(folded, MU_F64, bytes, t->x.dtype, N * CLASSES);
    for (size_t i = 0; i < N * CLASSES; i++)
        scale = fmax(scale, fabs(number("logits", i)));
    for (size_t i = 0; i < N * CLASSES; i++) {
        ck_assert_msg(fabs(plain[i] - number("logits", i)) <= allowed * scale, "logit %zu is %.15g, PyTorch's is %.15g",
                      i, plain[i], number("logits", i));
        ck_assert_msg(fabs(folded[i] - plain[i]) <= 0.1 * allowed * scale, "logit %zu is %.15g folded and %.15g not", i,
                      folded[i], plain[i]);
    }
}

static void check_network(const char *device, mu_dtype dtype, bool no_fusion, double allowed)
{
    trainer t;
    ck_ok(trainer_new(&t, device, model_tiny, MU_TYPE(dtype, N, 3, 9, 9), CLASSES,
                      &(mu_plan_options){.no_fusion = no_fusion}));
    double worst = train(&t, device, allowed);
    check_state(&t, "bn1.running_mean", "running_mean", allowed);
    check_state(&t, "bn1.running_var", "running_var", allowed);
    check_evaluation(&t, 10 * allowed);
    trainer_release(&t);
    printf("%-11s %s %-8s %d losses equal PyTorch's to %.2g (allowed %.0e)\n", device, mu_dtype_name(dtype),
           no_fusion ? "plain" : "fused", STEPS, worst, allowed);
    fflush(stdout);
}

START_TEST(losses_in_f64)
{
    check_network("cpu:ref", MU_F64, _i, 1e-10);
}
END_TEST

START_TEST(losses_in_f32)
{
    mu_backend_info info;
    for (int b = 0; mu_backend_at(b, &info); b++)
        if (!info.why_off)
            check_network(info.device, MU_F32, _i, 1e-4);
        else
            printf("%s skipped: %s\n", info.device, info.why_off);
}
END_TEST

/* The same under the distrustful backend: every node of every step against ref. */
START_TEST(every_node_is_right)
{
    mu_backend_info info;
    for (int b = 0; mu_backend_at(b, &info); b++) {
        char device[64];
        trainer t;
        if (info.why_off || strncmp(info.device, "cpu:", 4) != 0) /* it looks at host memory */
            continue;
        snprintf(device, sizeof device, "check:%s", info.device);
        ck_ok(trainer_new(&t, device, model_tiny, MU_TYPE(MU_F32, N, 3, 9, 9), CLASSES,
                          &(mu_plan_options){.no_fusion = _i}));
        for (int i = 0; i < 5; i++)
            ck_ok(trainer_step(&t));
        trainer_release(&t);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("network");
    TCase *tests = tcase_create("network");
    tcase_set_timeout(tests, 120);
    tcase_add_unchecked_fixture(tests, load, unload);
    tcase_add_loop_test(tests, losses_in_f64, 0, 2);
    tcase_add_loop_test(tests, losses_in_f32, 0, 2);
    tcase_add_loop_test(tests, every_node_is_right, 0, 2);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

/* Loss components against plain formulas in double precision and against PyTorch (tests/golden/loss.py). */
#include "nn/head.h"
#include "nn/trace_impl.h"
#include "graph/plan.h"
#include "test.h"
#include "toy.h"

#include <jansson.h>
#include <math.h>

enum { N = 3, C = 4 };

static const float x[N * C] = {0.5f, -1.25f, 2, 0.125f, -0.5f, 3, 0.25f, 1, -2, 0.75f, 0.1f, -0.3f};
static const int64_t label[N] = {2, 0, 3};
static const int64_t ignoring[N] = {2, 255, 3};
static const float soft[N * C] = {0.1f, 0.2f, 0.3f, 0.4f, 1, 0, 0, 0, 0.25f, 0.25f, 0.25f, 0.25f};
static const int64_t multi[N * C] = {1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1};
static const double w[C] = {0.5, 1, 2, 3};

static mu_modules *modules;

static void setup(void)
{
    ck_ok(mu_modules_new(&modules));
}

static void teardown(void)
{
    mu_modules_release(modules);
    mu_registry_reset();
}

/* What a loss is computed with, and what comes out. */
typedef struct {
    const char *device;
    mu_dtype dtype; /* of the scores and of targets that are probabilities */
    double loss, gradient[N * C];
} computation;

static void convert(void *to, const void *from, mu_dtype from_dtype, mu_dtype dtype)
{
    mu_convert(to, dtype, from, from_dtype, N * C);
}

/* The loss of x and a target, as the total of a trace, and its gradient. */
static mu_err compute_with(const char *yaml, mu_type type, const void *target, computation *io)
{
    toy t;
    mu_trace trace;
    mu_trace_names names = {0};
    mu_tensors inputs = {0};
    mu_graph *graph = NULL;
    mu_backend *backend = NULL;
    mu_params *params = NULL;
    mu_plan *plan = NULL;
    mu_err err;
    double bytes[N * C];
    bool scores_like = type.dtype == MU_F32;
    mu_type x_type = MU_TYPE(io->dtype, N, C);
    if (scores_like)
        type.dtype = io->dtype;
    MU_TRY(toy_build("loss", yaml, &t));
    ck_ok(mu_tensors_put(&inputs, "target", type, NULL));
    ck_ok(mu_trace_begin(&trace, MU_MODE_LOSS, true, &inputs, modules, "Test", NULL));
    mu_value scores = mu_trace_param(&trace, "x", x_type, (mu_fill){0});
    mu_trace_loss(&trace, "loss", mu_criterion_apply(t.object, &trace, scores, mu_trace_input(&trace, "target")));
    MU_TRY_GOTO(err, mu_trace_end(&trace, true, &graph, &names), done);
    ck_assert_int_eq(mu_graph_n_gradients(graph), 1);
    ck_ok(mu_backend_open(io->device, &(mu_backend_options){.n_threads = 1, .cache_dir = ""}, &backend));
    ck_ok(mu_params_new(backend, &params));
    ck_ok(mu_params_declare(params, "x", x_type, true));
    convert(bytes, x, MU_F32, io->dtype);
    ck_ok(mu_params_write(params, "x", bytes));
    ck_ok(mu_plan_new(graph, backend, params, NULL, &plan));
    if (scores_like)
        convert(mu_plan_input(plan, "target", NULL), target, MU_F32, io->dtype);
    else
        memcpy(mu_plan_input(plan, "target", NULL), target, mu_type_bytes(&type));
    ck_ok(mu_plan_run(plan, NULL));
    ck_ok(mu_plan_read(plan, MU_TRACE_LOG_VARS, bytes, mu_dtype_size(io->dtype)));
    mu_convert(&io->loss, MU_F64, bytes, io->dtype, 1);
    ck_ok(mu_params_read_gradient(params, "x", bytes));
    convert(io->gradient, bytes, io->dtype, MU_F64);
done:
    mu_plan_release(plan);
    mu_params_release(params);
    mu_backend_close(backend);
    mu_graph_release(graph);
    mu_trace_names_release(&names);
    toy_release(&t);
    return err;
}

static mu_err compute(const char *yaml, mu_type type, const void *target, double *out)
{
    computation c = {.device = "cpu", .dtype = MU_F32};
    MU_TRY(compute_with(yaml, type, target, &c));
    *out = c.loss;
    return MU_OK;
}

static void check(const char *yaml, mu_type type, const void *target, double want)
{
    double got;
    ck_ok(compute(yaml, type, target, &got));
    ck_assert_msg(fabs(got - want) <= 2e-6 * fmax(1, fabs(want)), "%s: %.9g, not %.9g", yaml, got, want);
}

static const mu_type indices = MU_TYPE(MU_I64, N), scores = MU_TYPE(MU_F32, N, C), flags = MU_TYPE(MU_I64, N, C);

static double log_softmax(int n, int c)
{
    double sum = 0;
    for (int k = 0; k < C; k++)
        sum += exp((double)x[n * C + k]);
    return (double)x[n * C + c] - log(sum);
}

/* -sum over samples and classes of weight * target * log softmax; targets are smoothed labels. */
static double softmax_sum(double smoothing, const double *weight)
{
    double sum = 0;
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            sum -= (weight ? weight[c] : 1) * ((c == label[n] ? 1 - smoothing : 0) + smoothing / C) * log_softmax(n, c);
    return sum;
}

/* The binary form: positive targets are `high`, the others `low`. */
static double sigmoid_sum(bool use_multi, double low, double high, const double *weight, const double *pos)
{
    double sum = 0;
    for (int i = 0; i < N * C; i++) {
        bool positive = use_multi ? multi[i] : i % C == label[i / C];
        double y = positive ? high : low, p = 1 / (1 + exp(-(double)x[i]));
        sum -= (weight ? weight[i % C] : 1) * ((pos ? pos[i % C] : 1) * y * log(p) + (1 - y) * log(1 - p));
    }
    return sum;
}

START_TEST(test_cross_entropy)
{
    check("{type: CrossEntropyLoss}", indices, label, softmax_sum(0, NULL) / N);
    check("{type: CrossEntropyLoss, loss_weight: 0.5}", indices, label, softmax_sum(0, NULL) / N / 2);
    check("{type: CrossEntropyLoss, reduction: sum}", indices, label, softmax_sum(0, NULL));
    check("{type: CrossEntropyLoss, reduction: none}", indices, label, softmax_sum(0, NULL) / N); /* of which the mean is logged */
    check("{type: CrossEntropyLoss, label_smoothing: 0.2}", indices, label, softmax_sum(0.2, NULL) / N);
    check("{type: CrossEntropyLoss, class_weight: [0.5, 1, 2, 3]}", indices, label, softmax_sum(0, w) / N);
    check("{type: CrossEntropyLoss, class_weight: [0.5, 1, 2, 3], reduction: sum}", indices, label, softmax_sum(0, w));
    check("{type: CrossEntropyLoss, ignore_index: 255}", indices, ignoring, -(log_softmax(0, 2) + log_softmax(2, 3)) / 2);
    double want = 0;
    for (int i = 0; i < N * C; i++)
        want -= (double)soft[i] * log_softmax(i / C, i % C) / N;
    check("{type: CrossEntropyLoss, use_soft: true}", scores, soft, want);
}
END_TEST

START_TEST(test_binary_cross_entropy)
{
    check("{type: CrossEntropyLoss, use_sigmoid: true}", indices, label, sigmoid_sum(false, 0, 1, NULL, NULL) / N);
    check("{type: CrossEntropyLoss, use_sigmoid: true}", flags, multi, sigmoid_sum(true, 0, 1, NULL, NULL) / N);
    check("{type: CrossEntropyLoss, use_sigmoid: true, reduction: sum}", flags, multi, sigmoid_sum(true, 0, 1, NULL, NULL));
    check("{type: CrossEntropyLoss, use_sigmoid: true, reduction: none}", flags, multi, sigmoid_sum(true, 0, 1, NULL, NULL) / (N * C));
    check("{type: CrossEntropyLoss, use_sigmoid: true, class_weight: [0.5, 1, 2, 3], loss_weight: 3}", indices, label,
          sigmoid_sum(false, 0, 1, w, NULL) / N * 3);
    check("{type: CrossEntropyLoss, use_sigmoid: true, pos_weight: [0.5, 1, 2, 3]}", flags, multi, sigmoid_sum(true, 0, 1, NULL, w) / N);
}
END_TEST

START_TEST(test_label_smooth)
{
    check("{type: LabelSmoothLoss, label_smooth_val: 0.1}", indices, label, softmax_sum(0.1, NULL) / N);
    check("{type: LabelSmoothLoss, label_smooth_val: 0.1, num_classes: 4, loss_weight: 2}", indices, label, softmax_sum(0.1, NULL) / N * 2);
    check("{type: LabelSmoothLoss, label_smooth_val: 0.25, mode: classy_vision}", indices, label, softmax_sum(0.2, NULL) / N);
    check("{type: LabelSmoothLoss, label_smooth_val: 0.1, class_weight: [0.5, 1, 2, 3]}", indices, label, softmax_sum(0.1, w) / N);
    check("{type: LabelSmoothLoss, label_smooth_val: 0.1, use_sigmoid: true}", indices, label, sigmoid_sum(false, 0.025, 0.925, NULL, NULL) / N);
    check("{type: LabelSmoothLoss, label_smooth_val: 0.1, mode: multi_label}", flags, multi, sigmoid_sum(true, 0.1, 0.9, NULL, NULL) / N);
}
END_TEST

static double focal_sum(double gamma, double alpha)
{
    double sum = 0;
    for (int i = 0; i < N * C; i++) {
        bool positive = i % C == label[i / C];
        double p = 1 / (1 + exp(-(double)x[i])), pt = positive ? p : 1 - p;
        sum -= (positive ? alpha : 1 - alpha) * pow(1 - pt, gamma) * log(pt);
    }
    return sum;
}

START_TEST(test_focal)
{
    check("{type: FocalLoss}", indices, label, focal_sum(2, 0.25) / N);
    check("{type: FocalLoss, gamma: 1.5, alpha: 0.75, reduction: sum, loss_weight: 2}", indices, label, focal_sum(1.5, 0.75) * 2);
}
END_TEST

START_TEST(test_differences)
{
    double mse = 0, l1 = 0, smooth = 0;
    for (int i = 0; i < N * C; i++) {
        double d = fabs((double)x[i] - (double)soft[i]);
        mse += d * d;
        l1 += d;
        smooth += d < 0.5 ? d * d : d - 0.25;
    }
    check("{type: MSELoss}", scores, soft, mse / (N * C));
    check("{type: MSELoss, loss_weight: 0.5, reduction: sum}", scores, soft, mse / 2);
    check("{type: L1Loss}", scores, soft, l1 / (N * C));
    check("{type: SmoothL1Loss, beta: 0.5}", scores, soft, smooth / (N * C));
}
END_TEST

/* ---- against PyTorch ---- */

static const struct {
    const char *name;
    mu_type type;
    const void *target;
} targets[] = {{"label", MU_TYPE(MU_I64, N), label},
               {"ignoring", MU_TYPE(MU_I64, N), ignoring},
               {"soft", MU_TYPE(MU_F32, N, C), soft},
               {"multi", MU_TYPE(MU_I64, N, C), multi}};

static void check_golden(const json_t *run, computation c, double allowed)
{
    const char *options = json_string_value(json_object_get(run, "options")),
               *name = json_string_value(json_object_get(run, "target"));
    const json_t *gradient = json_object_get(run, "gradient");
    double want = json_number_value(json_object_get(run, "loss"));
    char yaml[256];
    size_t k = 0;
    while (strcmp(targets[k].name, name) != 0)
        ck_assert_uint_lt(++k, sizeof targets / sizeof *targets);
    snprintf(yaml, sizeof yaml, "{type: %s}", options);
    ck_ok(compute_with(yaml, targets[k].type, targets[k].target, &c));
    ck_assert_msg(fabs(c.loss - want) <= allowed * fmax(1, fabs(want)), "%s %s on %s: %.15g, PyTorch's is %.15g", yaml, name,
                  c.device, c.loss, want);
    ck_assert_uint_eq(json_array_size(gradient), N * C);
    for (size_t i = 0; i < N * C; i++) {
        double g = json_number_value(json_array_get(gradient, i));
        ck_assert_msg(fabs(c.gradient[i] - g) <= allowed * fmax(1, fabs(want)), "%s %s on %s: gradient %zu is %.15g, PyTorch's is %.15g",
                      yaml, name, c.device, i, c.gradient[i], g);
    }
}

START_TEST(test_golden)
{
    json_error_t error;
    json_t *golden = json_load_file(MU_TEST_SRCDIR "/golden/loss.json", 0, &error);
    ck_assert_msg(golden != NULL, "%s: %s", error.source, error.text);
    ck_assert_uint_eq(json_array_size(golden), 3 * 28);
    for (size_t i = 0; i < json_array_size(golden); i++) {
        const json_t *run = json_array_get(golden, i);
        check_golden(run, (computation){.device = "cpu:ref", .dtype = MU_F64}, 1e-12);
        check_golden(run, (computation){.device = "cpu:ref", .dtype = MU_F32}, 2e-6);
        check_golden(run, (computation){.device = "cpu", .dtype = MU_F32}, 2e-6);
    }
    json_decref(golden);
}
END_TEST

/* A mean of nothing but ignored samples is 0 / 0, as PyTorch's is. */
START_TEST(test_all_ignored)
{
    static const int64_t none[N] = {255, 255, 255};
    double out;
    ck_ok(compute("{type: CrossEntropyLoss, ignore_index: 255, class_weight: [0.5, 1, 2, 3]}", indices, none, &out));
    ck_assert(isnan(out));
    ck_ok(compute("{type: CrossEntropyLoss, ignore_index: 255}", indices, none, &out));
    ck_assert(isnan(out));
}
END_TEST

static const struct {
    const char *yaml;
    mu_type type;
    mu_err code;
    const char *message;
} mistakes[] = {
    {"{type: CrossEntropyLoss, use_sigmoid: true, use_soft: true}", MU_TYPE(MU_I64, N), MU_ERR_CONFIG, "exclude each other"},
    {"{type: CrossEntropyLoss, use_sigmoid: true, label_smoothing: 0.1}", MU_TYPE(MU_I64, N), MU_ERR_CONFIG, "no label_smoothing"},
    {"{type: CrossEntropyLoss, use_sigmoid: true, ignore_index: 3}", MU_TYPE(MU_I64, N), MU_ERR_CONFIG, "no ignore_index"},
    {"{type: CrossEntropyLoss, pos_weight: [1, 1, 1, 1]}", MU_TYPE(MU_I64, N), MU_ERR_CONFIG, "belongs to use_sigmoid"},
    {"{type: CrossEntropyLoss, class_weight: [1, 2]}", MU_TYPE(MU_I64, N), MU_ERR_CONFIG, "class_weight has 2 numbers, the scores are f32[3,4]"},
    {"{type: CrossEntropyLoss, use_soft: true}", MU_TYPE(MU_I64, N), MU_ERR_CONFIG, "the labels are i64[3], expected a probability of each class"},
    {"{type: CrossEntropyLoss}", MU_TYPE(MU_F32, N, C), MU_ERR_CONFIG, "use_soft: true takes probabilities"},
    {"{type: CrossEntropyLoss, use_sigmoid: true}", MU_TYPE(MU_I64, N, C + 1), MU_ERR_SHAPE, "want targets of their shape or class indices"},
    {"{type: CrossEntropyLoss}", MU_TYPE(MU_I64, N + 1), MU_ERR_SHAPE, "i64[4]"},
    {"{type: LabelSmoothLoss}", MU_TYPE(MU_I64, N), MU_ERR_CONFIG, "label_smooth_val"},
    {"{type: LabelSmoothLoss, label_smooth_val: 0.1, num_classes: 5}", MU_TYPE(MU_I64, N), MU_ERR_CONFIG, "num_classes is 5, there are scores for 4"},
    {"{type: MSELoss}", MU_TYPE(MU_F32, N), MU_ERR_SHAPE, "f32[3]"},
};

START_TEST(test_mistakes)
{
    double out;
    ck_fails(compute(mistakes[_i].yaml, mistakes[_i].type, multi, &out), mistakes[_i].code, mistakes[_i].message);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loss");
    TCase *tc = tcase_create("loss");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_cross_entropy);
    tcase_add_test(tc, test_binary_cross_entropy);
    tcase_add_test(tc, test_label_smooth);
    tcase_add_test(tc, test_focal);
    tcase_add_test(tc, test_differences);
    tcase_add_test(tc, test_golden);
    tcase_add_test(tc, test_all_ignored);
    tcase_add_loop_test(tc, test_mistakes, 0, sizeof mistakes / sizeof *mistakes);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

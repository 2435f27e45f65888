/* The parts of a classifier: how weights begin, heads, necks; mistakes in its config. */
#include "nn/model.h"
#include "test.h"
#include "toy_model.h"

#include <math.h>

START_TEST(test_log_vars_of_a_classifier)
{
    enum { N = 16 };
    toy t;
    toy_batch b;
    float score[N * 4];
    mu_log_vars vars;
    toy_batch_new(N, 1, 6, 4, 3, &b);
    mu_model *model = toy_model(TOY_CLASSIFIER, &b.batch, true, &t);
    toy_predict(model, &b.batch, score);
    ck_ok(mu_model_loss(model, &b.batch, &vars));
    double loss = 0, top[2] = {0};
    for (int i = 0; i < N; i++) {
        int better = 0;
        for (int c = 0; c < 4; c++)
            better += score[4 * i + c] > score[4 * i + b.label[i]];
        loss -= log(score[4 * i + b.label[i]]) / N;
        for (int k = 0; k < 2; k++)
            top[k] += better <= k ? 100. / N : 0;
    }
    static const char *const names[] = {"loss", "accuracy_top-1", "accuracy_top-2"};
    ck_assert_int_eq(vars.n, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(vars.item[i].name, names[i]);
    ck_assert_double_eq_tol(vars.item[0].value, loss, 1e-5);
    ck_assert_double_eq_tol(vars.item[1].value, top[0], 1e-3);
    ck_assert_double_eq_tol(vars.item[2].value, top[1], 1e-3);
    ck_assert_double_gt(top[1], top[0]);
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

START_TEST(test_weights_are_initialised)
{
    toy t;
    toy_batch b;
    float w[32], bias[4], var[8];
    toy_batch_new(4, 1, 6, 4, 3, &b);
    ck_ok(toy_build("model", TOY_CLASSIFIER, &t));
    ck_ok(mu_model_bind(t.object, &(mu_model_options){.backend = toy_backend}));
    ck_fails(mu_model_init_weights(t.object, 1, NULL, NULL, NULL), MU_ERR_USAGE, "mu_model_prepare comes first");
    ck_ok(mu_model_prepare(t.object, &b.batch, true));
    ck_ok(mu_model_init_weights(t.object, 1, NULL, NULL, NULL));
    ck_ok(mu_params_read(mu_model_params(t.object), "head.fc.weight", w));
    ck_ok(mu_params_read(mu_model_params(t.object), "head.fc.bias", bias));
    ck_ok(mu_params_read(mu_model_params(t.object), "backbone.bn.running_var", var));
    for (int i = 0; i < 32; i++)
        ck_assert(w[i] != 0 && fabs(w[i]) < 0.05);
    ck_assert(bias[0] == 0 && bias[3] == 0 && var[0] == 1 && var[7] == 1);
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

/* The record of initialisers of a prepared model has this line. */
static void expect_line(mu_model *model, const char *param, const char *by, double low, double high)
{
    mu_init_record record = {0};
    ck_ok(mu_model_init_weights(model, 1, NULL, NULL, &record));
    int i = 0;
    while (i < record.n && strcmp(record.line[i].param, param) != 0)
        i++;
    ck_assert_msg(i < record.n, "no %s", param);
    ck_assert_str_eq(record.line[i].by, by);
    ck_assert_msg(record.line[i].std >= low && record.line[i].std <= high, "%s: std %g", param, record.line[i].std);
    mu_init_record_release(&record);
}

#define HEAD_YAML(more)                                                                                               \
    "{type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor}, backbone: {type: ToyBackbone, channels: 64},"  \
    " neck: {type: GlobalAveragePooling}, head: {type: LinearClsHead, num_classes: 16" more "}}"

/* 1024 numbers: their standard deviation is known to a 45th, 5 times that is allowed. */
static const struct {
    const char *yaml, *by;
    double std;
} head_inits[] = {
    {HEAD_YAML(""), "NormalInit: mean=0, std=0.01, bias=0 (head)", 0.01},
    {HEAD_YAML(", init_cfg: null"), "PyTorch's default", 0.125 / 1.7320508},
    {HEAD_YAML(", init_cfg: {type: Normal, std: 0.5, layer: Linear}"), "NormalInit: mean=0, std=0.5, bias=0 (head)", 0.5},
    {HEAD_YAML("}, init_cfg: {type: Constant, val: 3, layer: Linear"), "NormalInit: mean=0, std=0.01, bias=0 (head)", 0.01},
};

START_TEST(test_how_a_head_begins)
{
    toy t;
    toy_batch b;
    toy_batch_new(2, 1, 6, 4, 3, &b);
    mu_model *model = toy_model(head_inits[_i].yaml, &b.batch, true, &t);
    double spread = head_inits[_i].std / 9;
    expect_line(model, "head.fc.weight", head_inits[_i].by, head_inits[_i].std - spread, head_inits[_i].std + spread);
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

/* Without a neck, with one, with several layers as one; of several maps the head takes the last. */
static const struct {
    const char *parts;
    int64_t channels; /* of the head's weight */
} necks[] = {
    {"backbone: {type: LeNet, width: 2, hidden: 7}", 7},
    {"backbone: {type: LeNet, width: 2, hidden: 7}, neck: null", 7},
    {"backbone: {type: ToyBackbone}, neck: {type: GlobalAveragePooling}", 8},
    {"backbone: {type: ResNet_CIFAR, depth: 18, in_channels: 1, base_channels: 2, num_stages: 3, out_indices: [0, 2]},"
     " neck: {type: GlobalAveragePooling}", 8},
    {"backbone: {type: ToyBackbone}, neck: {type: Sequential, modules: [{type: Conv2d, out_channels: 5, kernel_size: 1},"
     " {type: AdaptiveAvgPool2d, output_size: 1}, {type: Flatten}]}", 5},
};

START_TEST(test_necks)
{
    toy t;
    toy_batch b;
    char yaml[512];
    float score[4 * 4];
    double losses[2];
    toy_batch_new(4, 1, 8, 4, 3, &b);
    snprintf(yaml, sizeof yaml, "{type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor, mean: 100, std: 50}, %s,"
             " head: {type: LinearClsHead, num_classes: 4}}", necks[_i].parts);
    mu_model *model = toy_model(yaml, &b.batch, true, &t);
    const mu_params *params = mu_model_params(model);
    ck_assert_int_eq(mu_params_at(params, mu_params_find(params, "head.fc.weight"))->type.dim[1], necks[_i].channels);
    ck_assert_int_eq(mu_model_unused_params(model, NULL, NULL), 0);
    toy_train(model, &b.batch, 2, 0.01, losses);
    ck_assert(isfinite(losses[0]) && losses[0] != losses[1]);
    toy_predict(model, &b.batch, score);
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

START_TEST(test_a_list_is_not_a_neck)
{
    toy t;
    ck_fails(toy_build("model", "{type: ImageClassifier, backbone: {type: ToyBackbone}, neck: [{type: GlobalAveragePooling}],"
                       " head: {type: LinearClsHead, num_classes: 4}}", &t), MU_ERR_CONFIG, "neck");
}
END_TEST

START_TEST(test_a_classifier_without_a_head_gives_features)
{
    toy t;
    toy_batch b;
    mu_tensors out;
    toy_batch_new(4, 1, 6, 4, 3, &b);
    ck_ok(toy_build("model", "{type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor}, backbone: {type: ToyBackbone}}",
                    &t));
    ck_ok(mu_model_bind(t.object, &(mu_model_options){.backend = toy_backend}));
    ck_fails(mu_model_prepare(t.object, &b.batch, true), MU_ERR_CONFIG, "without a head has no mode \"loss\"");
    mu_graph *graph;
    ck_ok(mu_model_trace(t.object, &b.batch, MU_MODE_TENSOR, false, &graph));
    ck_assert_str_eq(mu_graph_output_name(graph, 0), "feat");
    mu_graph_release(graph);
    ck_fails(mu_model_forward(t.object, &b.batch, MU_MODE_LOSS, &out), MU_ERR_USAGE, "mu_model_loss");
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

START_TEST(test_labels_out_of_range)
{
    toy t;
    toy_batch b;
    mu_log_vars vars;
    mu_tensors out;
    toy_batch_new(6, 1, 6, 4, 3, &b);
    mu_model *model = toy_model(TOY_CLASSIFIER, &b.batch, true, &t);
    b.label[4] = 4;
    ck_fails(mu_model_train_step(model, &b.batch, 1, 0, &vars), MU_ERR_FORMAT,
             "gt_label of row 4 of the batch is 4; labels of 4 classes are 0 to 3");
    b.label[4] = -1;
    ck_fails(mu_model_loss(model, &b.batch, &vars), MU_ERR_FORMAT, "row 4 of the batch is -1");
    ck_ok(mu_model_forward(model, &b.batch, MU_MODE_PREDICT, &out)); /* does not look at labels */
    toy_release(&t);

    model = toy_model("{type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor}, backbone: {type: ToyBackbone},"
                 " neck: {type: GlobalAveragePooling},"
                 " head: {type: LinearClsHead, num_classes: 4, loss: {type: CrossEntropyLoss, ignore_index: -1}}}",
                 &b.batch, true, &t);
    ck_ok(mu_model_train_step(model, &b.batch, 1, 0, &vars));
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

static const struct {
    const char *yaml;
    bool drop_label;
    mu_err code;
    const char *message;
} mistakes[] = {
    {TOY_CLASSIFIER, true, MU_ERR_CONFIG, "the batch has no 'gt_label' (it has img u8[4,1,6,6])"},
    {"{type: ImageClassifier, backbone: {type: ToyBackbone}, neck: {type: GlobalAveragePooling},"
     " head: {type: LinearClsHead, num_classes: 4}}", false, MU_ERR_SHAPE, "ImgDataPreprocessor turns u8 images into f32"},
    {"{type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor}, backbone: {type: ToyBackbone},"
     " neck: {type: GlobalAveragePooling}, head: {type: LinearClsHead, num_classes: 4, in_channels: 512}}", false, MU_ERR_CONFIG,
     "\"head\": LinearClsHead: in_channels is 512, the features have 8 channels"},
    {"{type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor}, backbone: {type: ToyBackbone},"
     " head: {type: LinearClsHead, num_classes: 4}}", false, MU_ERR_SHAPE, "neck: {type: GlobalAveragePooling} makes them"},
    {"{type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor}, backbone: {type: Sequential, modules:"
     " [{type: Conv2d, out_channels: 4, kernel_size: 3}, {type: MaxPool2d, kernel_size: 2}, {type: Conv2d, out_channels: 4, kernel_size: 5}]},"
     " neck: {type: GlobalAveragePooling}, head: {type: LinearClsHead, num_classes: 4}}", false, MU_ERR_SHAPE, "\"backbone.2\""},
    {"{type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor, mean: [1, 2, 3], std: [1, 1, 1]},"
     " backbone: {type: ToyBackbone}}", false, MU_ERR_CONFIG, "mean is for 3 channels, 'img' has 1"},
};

START_TEST(test_mistakes)
{
    toy t;
    toy_batch b;
    toy_batch_new(4, 1, 6, 4, 3, &b);
    if (mistakes[_i].drop_label)
        b.batch.fields.n = 1;
    ck_ok(toy_build("model", mistakes[_i].yaml, &t));
    ck_ok(mu_model_bind(t.object, &(mu_model_options){.backend = toy_backend}));
    ck_fails(mu_model_prepare(t.object, &b.batch, true), mistakes[_i].code, mistakes[_i].message);
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

START_TEST(test_wrong_use)
{
    toy t;
    toy_batch b;
    mu_log_vars vars;
    toy_batch_new(4, 1, 6, 4, 3, &b);
    ck_ok(toy_build("model", TOY_MLP, &t));
    ck_assert_ptr_null(mu_model_params(t.object));
    ck_fails(mu_model_prepare(t.object, &b.batch, true), MU_ERR_USAGE, "mu_model_bind comes first");
    ck_ok(mu_model_bind(t.object, &(mu_model_options){.backend = toy_backend}));
    ck_fails(mu_model_bind(t.object, &(mu_model_options){.backend = toy_backend}), MU_ERR_USAGE, "bound already");
    ck_fails(mu_model_train_step(t.object, &b.batch, 1, 1, &vars), MU_ERR_USAGE, "mu_model_prepare comes first");
    toy_release(&t);
    ck_fails(toy_build("model", "{type: ImageClassifier, backbone: {type: ToyBackbone}, head: {type: LinearClsHead, num_classes: 2, topk: [1, 5]}}", &t),
             MU_ERR_CONFIG, "topk: the best 5 of 2 classes");
    toy_batch_release(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("classifier");
    TCase *tc = tcase_create("classifier");
    tcase_add_checked_fixture(tc, toy_setup, toy_teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_log_vars_of_a_classifier);
    tcase_add_test(tc, test_weights_are_initialised);
    tcase_add_loop_test(tc, test_how_a_head_begins, 0, sizeof head_inits / sizeof *head_inits);
    tcase_add_loop_test(tc, test_necks, 0, sizeof necks / sizeof *necks);
    tcase_add_test(tc, test_a_list_is_not_a_neck);
    tcase_add_test(tc, test_a_classifier_without_a_head_gives_features);
    tcase_add_test(tc, test_labels_out_of_range);
    tcase_add_loop_test(tc, test_mistakes, 0, sizeof mistakes / sizeof *mistakes);
    tcase_add_test(tc, test_wrong_use);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

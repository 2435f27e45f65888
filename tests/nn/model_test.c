/* Models: training, validation losses, predictions, plans, what goes wrong in a step. */
#include "nn/model.h"
#include "test.h"
#include "toy_model.h"

#include <math.h>

enum { STEPS = 30 };

START_TEST(test_training_lowers_the_loss)
{
    static const char *const yaml[] = {TOY_MLP, TOY_CLASSIFIER};
    toy t;
    toy_batch b;
    double losses[STEPS];
    toy_batch_new(32, 1, 6, 4, 3, &b);
    mu_model *model = toy_model(yaml[_i], &b.batch, true, &t);
    toy_train(model, &b.batch, STEPS, 0.05, losses);
    ck_assert_double_eq_tol(losses[0], log(4), 0.5);
    ck_assert_double_lt(losses[STEPS - 1], losses[0] / 2);
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

/* ---- the same everywhere ---- */

START_TEST(test_backends_agree)
{
    enum { N = 8, FEW = 6 };
    static const char *const devices[] = {"cpu:ref", "cpu"};
    double losses[2][FEW];
    float scores[2][N * 4];
    toy_batch b;
    toy_batch_new(N, 3, 5, 4, 4, &b);
    for (int d = 0; d < 2; d++) {
        toy t;
        mu_tensors out;
        mu_backend_close(toy_backend);
        toy_open(devices[d]);
        mu_model *model = toy_model(TOY_CLASSIFIER, &b.batch, true, &t);
        toy_train(model, &b.batch, FEW, 0.05, losses[d]);
        ck_ok(mu_model_forward(model, &b.batch, MU_MODE_PREDICT, &out));
        memcpy(scores[d], mu_tensors_find(&out, "pred_score")->data, sizeof scores[d]);
        toy_release(&t);
    }
    for (int i = 0; i < FEW; i++)
        ck_assert_double_eq_tol(losses[0][i], losses[1][i], 1e-5);
    for (int i = 0; i < N * 4; i++)
        ck_assert_double_eq_tol(scores[0][i], scores[1][i], 1e-4);
    toy_batch_release(&b);
}
END_TEST

/* Rows first, first+stride, ... of a batch. */
static void deal(const toy_batch *from, int64_t first, int64_t stride, int64_t n, toy_batch *out)
{
    const mu_type *type = &from->batch.fields.item[0].type;
    int64_t inner = mu_type_count(type) / type->dim[0];
    toy_batch_new(n, type->dim[1], type->dim[2], 4, 1, out);
    for (int64_t i = 0; i < n; i++) {
        memcpy(out->img + i * inner, from->img + (first + i * stride) * inner, (size_t)inner);
        out->label[i] = from->label[first + i * stride];
    }
    out->batch.first = first;
    out->batch.stride = stride;
}

static double one_loss(mu_model *model, const mu_batch *batch, float gradient[16])
{
    mu_log_vars vars;
    ck_ok(mu_model_train_step(model, batch, 5, 7, &vars));
    ck_ok(mu_params_read_gradient(mu_model_params(model), "fc1.bias", gradient));
    return vars.item[0].value;
}

/* However samples are dealt to ranks, dropout drops the same. */
START_TEST(test_dropout_does_not_depend_on_ranks)
{
    static const struct {
        int64_t first[2], stride;
    } deals[] = {{{0, 4}, 1}, {{0, 1}, 2}};
    float whole[16], part[2][16];
    toy t;
    toy_batch all, half;
    toy_batch_new(8, 1, 6, 4, 3, &all);
    mu_model *model = toy_model("{type: ToyMLP, dropout: 0.5, data_preprocessor: {type: ImgDataPreprocessor, mean: 100, std: 50}}",
                           &all.batch, true, &t);
    double loss = one_loss(model, &all.batch, whole), sum = 0;
    for (int rank = 0; rank < 2; rank++) {
        deal(&all, deals[_i].first[rank], deals[_i].stride, 4, &half);
        sum += one_loss(model, &half.batch, part[rank]) / 2;
        toy_batch_release(&half);
    }
    ck_assert_double_eq_tol(sum, loss, 1e-6);
    for (int i = 0; i < 16; i++)
        ck_assert_double_eq_tol((part[0][i] + part[1][i]) / 2, whole[i], 1e-6);
    deal(&all, 4, 1, 4, &half); /* and this would not be noticed if nothing were dropped by place */
    half.batch.first = 0;
    double moved = one_loss(model, &half.batch, part[0]);
    half.batch.first = 4;
    ck_assert_double_ne(moved, one_loss(model, &half.batch, part[0]));
    toy_batch_release(&half);
    toy_release(&t);
    toy_batch_release(&all);
}
END_TEST

/* ---- evaluation ---- */

static void copy_params(mu_model *from, mu_model *to)
{
    mu_params *a = mu_model_params(from), *b = mu_model_params(to);
    ck_assert_int_eq(mu_params_count(a), mu_params_count(b));
    for (int i = 0; i < mu_params_count(a); i++) {
        const mu_param_info *info = mu_params_at(a, i);
        void *values = malloc(mu_type_bytes(&info->type) + 1);
        ck_ok(mu_params_read(a, info->name, values));
        ck_ok(mu_params_write(b, info->name, values));
        free(values);
    }
    mu_model_changed(to);
}

/* Evaluation uses what training has made of parameters and running statistics, and nothing of the batch. */
START_TEST(test_predictions_follow_training)
{
    enum { N = 16 };
    double losses[10];
    float before[N * 4], after[N * 4], fresh[N * 4], alone[4];
    toy trained, loaded;
    toy_batch b, one;
    toy_batch_new(N, 1, 6, 4, 3, &b);
    mu_model *model = toy_model(TOY_CLASSIFIER, &b.batch, true, &trained);
    toy_predict(model, &b.batch, before); /* folds weights, for the first time */
    toy_train(model, &b.batch, 10, 0.05, losses);
    toy_predict(model, &b.batch, after);
    ck_assert_mem_ne(before, after, sizeof before);

    mu_model *other = toy_model(TOY_CLASSIFIER, &b.batch, false, &loaded);
    ck_assert_ptr_null(mu_params_gradients(mu_model_params(other), NULL));
    copy_params(model, other);
    toy_predict(other, &b.batch, fresh);
    for (int i = 0; i < N * 4; i++)
        ck_assert_double_eq_tol(fresh[i], after[i], 1e-5);
    for (int i = 0; i < N; i++) {
        deal(&b, i, 1, 1, &one);
        toy_predict(other, &one.batch, alone);
        for (int c = 0; c < 4; c++)
            ck_assert_double_eq_tol(alone[c], after[4 * i + c], 1e-5);
        toy_batch_release(&one);
    }
    toy_release(&trained);
    toy_release(&loaded);
    toy_batch_release(&b);
}
END_TEST

/* A network that was prepared for predictions only can still be trained. */
START_TEST(test_training_after_predictions)
{
    double losses[STEPS];
    toy t;
    toy_batch b;
    float score[32 * 4];
    toy_batch_new(32, 1, 6, 4, 3, &b);
    mu_model *model = toy_model(TOY_CLASSIFIER, &b.batch, false, &t);
    toy_predict(model, &b.batch, score);
    ck_ok(mu_model_prepare(model, &b.batch, true));
    toy_train(model, &b.batch, STEPS, 0.05, losses);
    ck_assert_double_lt(losses[STEPS - 1], losses[0] / 2);
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

/* ---- plans ---- */

static void run_everything(mu_model *model, const mu_batch *batch)
{
    mu_log_vars vars;
    mu_tensors out;
    ck_ok(mu_model_train_step(model, batch, 1, 2, &vars));
    ck_ok(mu_model_loss(model, batch, &vars));
    ck_ok(mu_model_forward(model, batch, MU_MODE_PREDICT, &out));
    ck_ok(mu_model_forward(model, batch, MU_MODE_TENSOR, &out));
    ck_assert_str_eq(out.item[0].name, "cls_score");
}

START_TEST(test_the_steady_state_allocates_nothing)
{
    toy t;
    toy_batch b;
    toy_batch_new(8, 1, 6, 4, 3, &b);
    mu_model *model = toy_model(TOY_CLASSIFIER, &b.batch, true, &t);
    run_everything(model, &b.batch);
    int64_t blocks = mu_mem_get_counts().total_blocks;
    for (int i = 0; i < 5; i++)
        run_everything(model, &b.batch);
    ck_assert_int_eq(mu_mem_get_counts().total_blocks, blocks);
    ck_assert_ptr_nonnull(mu_model_train_plan(model));
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

/* Batches of several sizes share the parameters, also when the cache is too small for their plans. */
START_TEST(test_batch_sizes)
{
    toy t;
    toy_batch b[3];
    double losses[3], again;
    mu_log_vars vars;
    for (int i = 0; i < 3; i++)
        toy_batch_new(8 - 3 * i, 1, 6, 4, 3, &b[i]);
    ck_ok(toy_build("model", TOY_CLASSIFIER, &t));
    ck_ok(mu_model_bind(t.object, &(mu_model_options){.backend = toy_backend, .plan_capacity = _i}));
    ck_ok(mu_model_prepare(t.object, &b[0].batch, true));
    toy_fill(t.object, 1);
    void *data = mu_params_data(mu_model_params(t.object), NULL);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 3; i++) {
            ck_ok(mu_model_train_step(t.object, &b[i].batch, 1, 1, &vars));
            again = vars.item[0].value;
            if (round)
                ck_assert_double_eq(again, losses[i]); /* nothing was updated between, and nothing else moves it */
            losses[i] = again;
            run_everything(t.object, &b[i].batch);
        }
    ck_assert_ptr_eq(mu_params_data(mu_model_params(t.object), NULL), data);
    toy_release(&t);
    for (int i = 0; i < 3; i++)
        toy_batch_release(&b[i]);
}
END_TEST

START_TEST(test_trace_and_estimate)
{
    toy t;
    toy_batch b;
    mu_graph *graph;
    mu_plan_stats train_stats, predict_stats;
    toy_batch_new(8, 1, 6, 4, 3, &b);
    b.batch.fields.item[0].data = b.batch.fields.item[1].data = NULL; /* types are enough */
    ck_ok(toy_build("model", TOY_CLASSIFIER, &t));
    ck_ok(mu_model_bind(t.object, &(mu_model_options){.backend = toy_backend}));
    ck_ok(mu_model_trace(t.object, &b.batch, MU_MODE_LOSS, true, &graph));
    ck_assert_int_eq(mu_graph_n_gradients(graph), 5);
    mu_graph_release(graph);
    ck_ok(mu_model_trace(t.object, &b.batch, MU_MODE_PREDICT, false, &graph));
    ck_assert_int_eq(mu_graph_n_gradients(graph), 0);
    ck_assert_int_ge(mu_modules_find(mu_model_modules(t.object), "head.fc"), 0);
    mu_graph_release(graph);
    ck_ok(mu_model_estimate(t.object, &b.batch, MU_MODE_LOSS, true, &train_stats));
    ck_ok(mu_model_estimate(t.object, &b.batch, MU_MODE_PREDICT, false, &predict_stats));
    ck_assert_int_gt(train_stats.flops, 2 * predict_stats.flops);
    ck_assert_int_gt(predict_stats.flops, 8 * 36 * 8 * 9 * 2);
    ck_assert_uint_gt(train_stats.arena_bytes, predict_stats.arena_bytes);
    ck_assert_int_eq(mu_params_count(mu_model_params(t.object)), 0);
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

static void collect(void *user, const char *name)
{
    strcat(strcat(user, name), ";");
}

START_TEST(test_unused_parameters)
{
    toy t;
    toy_batch b;
    char names[128] = "";
    toy_batch_new(4, 1, 6, 4, 3, &b);
    mu_model *model = toy_model("{type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor},"
                           " backbone: {type: ToyBackbone, unused: true}, neck: {type: GlobalAveragePooling},"
                           " head: {type: LinearClsHead, num_classes: 4}}", &b.batch, true, &t);
    ck_assert_int_eq(mu_model_unused_params(model, collect, names), 1);
    ck_assert_str_eq(names, "backbone.extra.weight;");
    ck_assert_int_ge(mu_params_find(mu_model_params(model), "backbone.extra.weight"), 0);
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

START_TEST(test_autocast)
{
    toy t;
    toy_batch b;
    double losses[STEPS];
    mu_tensors out;
    toy_batch_new(32, 1, 6, 4, 3, &b);
    ck_ok(toy_build("model", TOY_CLASSIFIER, &t));
    ck_ok(mu_model_bind(t.object, &(mu_model_options){.backend = toy_backend, .autocast = MU_BF16}));
    ck_ok(mu_model_prepare(t.object, &b.batch, true));
    toy_fill(t.object, 1);
    toy_train(t.object, &b.batch, STEPS, 0.05, losses);
    ck_assert_double_lt(losses[STEPS - 1], losses[0] / 2);
    ck_ok(mu_model_forward(t.object, &b.batch, MU_MODE_TENSOR, &out));
    ck_assert_int_eq(out.item[0].type.dtype, MU_F32);
    ck_assert(isfinite(((float *)out.item[0].data)[0]) && ((float *)out.item[0].data)[0] != 0);
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

/* A classifier with a loss scale or without, and a batch for it; its parameters are borrowed. */
static mu_params *scaled_toy(toy *t, toy_batch *b, bool scaled)
{
    toy_batch_new(32, 1, 6, 4, 3, b);
    ck_ok(toy_build("model", TOY_CLASSIFIER, t));
    ck_ok(mu_model_bind(t->object, &(mu_model_options){.backend = toy_backend, .loss_scale = scaled}));
    ck_ok(mu_model_prepare(t->object, &b->batch, true));
    toy_fill(t->object, 1);
    return mu_model_params(t->object);
}

/* Gradients are multiplied, logged losses are not; the state is no weight of the model. */
START_TEST(test_loss_scale)
{
    double loss[2];
    float *gradient[2];
    size_t bytes = 0;
    for (int scaled = 0; scaled < 2; scaled++) {
        toy t;
        toy_batch b;
        mu_log_vars vars;
        mu_params *params = scaled_toy(&t, &b, scaled);
        ck_assert_int_eq(mu_params_find(params, MU_LOSS_SCALE) >= 0, scaled);
        for (int i = 0; i < mu_modules_n_params(mu_model_modules(t.object)); i++)
            ck_assert(mu_param_is_weight(mu_modules_param(mu_model_modules(t.object), i)->name));
        if (scaled)
            ck_ok(mu_params_write(params, MU_LOSS_SCALE, &(float){1024}));
        ck_ok(mu_model_train_step(t.object, &b.batch, 0, 0, &vars));
        loss[scaled] = vars.item[0].value;
        const void *gradients = mu_params_gradients(params, &bytes);
        gradient[scaled] = malloc(bytes);
        memcpy(gradient[scaled], gradients, bytes);
        ck_ok(mu_model_loss(t.object, &b.batch, &vars)); /* plans without gradients know nothing of it */
        toy_release(&t);
        toy_batch_release(&b);
    }
    ck_assert_double_eq(loss[0], loss[1]);
    double most = 0;
    for (size_t i = 0; i < bytes / sizeof(float); i++) {
        ck_assert_float_eq(gradient[1][i], 1024 * gradient[0][i]); /* a power of two */
        most = fmax(most, fabsf(gradient[0][i]));
    }
    ck_assert_double_gt(most, 0);
    free(gradient[0]);
    free(gradient[1]);
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(test_a_loss_that_is_not_finite)
{
    toy t;
    toy_batch b;
    mu_log_vars vars;
    toy_batch_new(4, 1, 6, 4, 3, &b);
    mu_model *model = toy_model("{type: ToyMLP, spoil: true, data_preprocessor: {type: ImgDataPreprocessor}}", &b.batch, true, &t);
    ck_fails(mu_model_train_step(model, &b.batch, 1, 41, &vars), MU_ERR_NUMERIC, "step 41: the loss is");
    ck_assert_msg(strstr(test_error_text(), "spoiler") != NULL, "%s", test_error_text());
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

/* Is the batch, with these random numbers, to blame? The states are the same before and after. */
static mu_err explain(mu_model *model, const mu_batch *batch, int64_t step)
{
    size_t bytes;
    const void *states = mu_params_states(mu_model_params(model), &bytes);
    void *before = malloc(bytes);
    memcpy(before, states, bytes);
    ck_ok(mu_model_load_train(model, batch));
    mu_err err = mu_model_explain(model, 1, step);
    ck_assert_mem_eq(states, before, bytes);
    free(before);
    return err;
}

/* Of a batch that is loaded anew: an operation is to blame for what it does itself, not for running statistics that others have spoilt. */
START_TEST(test_an_operation_to_blame)
{
    toy t;
    toy_batch b;
    float mean[8], weight[8 * 9];
    toy_batch_new(8, 1, 6, 4, 3, &b);
    mu_model *model = toy_model(TOY_CLASSIFIER, &b.batch, true, &t);
    mu_params *params = mu_model_params(model);
    ck_ok(explain(model, &b.batch, 5));
    ck_ok(mu_params_read(params, "backbone.bn.running_mean", mean));
    mean[3] = NAN;
    ck_ok(mu_params_write(params, "backbone.bn.running_mean", mean));
    ck_ok(explain(model, &b.batch, 5));
    ck_ok(mu_params_read(params, "backbone.conv.weight", weight));
    weight[1] = INFINITY;
    ck_ok(mu_params_write(params, "backbone.conv.weight", weight));
    ck_fails(explain(model, &b.batch, 5), MU_ERR_NUMERIC, "step 5: the loss is NaN: conv2d \"backbone.conv\" gives NaN or infinity");
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

START_TEST(test_gradients_that_overflow_under_a_loss_scale)
{
    for (int scaled = 0; scaled < 2; scaled++) {
        toy t;
        toy_batch b;
        mu_params *params = scaled_toy(&t, &b, scaled);
        size_t bytes;
        const void *gradients = mu_params_gradients(params, &bytes);
        float weight[4 * 8];
        ck_ok(mu_params_read(params, "head.fc.weight", weight));
        for (int i = 0; i < 4 * 8; i++)
            weight[i] *= 1e3f; /* the backbone's gradients are the larger ones */
        ck_ok(mu_params_write(params, "head.fc.weight", weight));
        if (scaled)
            ck_ok(mu_params_write(params, MU_LOSS_SCALE, &(float){3e38f}));
        ck_ok(explain(t.object, &b.batch, 0));
        ck_assert_int_eq(mu_all_finite(MU_F32, gradients, (int64_t)(bytes / sizeof(float))), !scaled);
        toy_release(&t);
        toy_batch_release(&b);
    }
}
END_TEST

static mu_err prepare_all(const mu_batch *batch)
{
    toy t;
    mu_log_vars vars;
    MU_TRY(toy_build("model", TOY_CLASSIFIER, &t));
    mu_err err = mu_model_bind(t.object, &(mu_model_options){.backend = toy_backend});
    if (!err)
        err = mu_model_prepare(t.object, batch, true);
    if (!err)
        err = mu_model_loss(t.object, batch, &vars);
    toy_release(&t);
    return err;
}

START_TEST(test_out_of_memory)
{
    toy_batch b;
    toy_batch_new(4, 1, 6, 4, 3, &b);
    mu_backend_close(toy_backend);
    toy_open("cpu:ref");
    ck_ok(prepare_all(&b.batch));
    ck_survives_oom(prepare_all(&b.batch), (void)0);
    toy_batch_release(&b);
}
END_TEST

/* A step that fails for want of memory can be tried again. */
START_TEST(test_a_failed_step_can_be_repeated)
{
    toy t;
    toy_batch b, last;
    mu_log_vars vars;
    mu_err err;
    toy_batch_new(8, 1, 6, 4, 3, &b);
    toy_batch_new(3, 1, 6, 4, 3, &last);
    mu_model *model = toy_model(TOY_CLASSIFIER, &b.batch, true, &t);
    int n = 0;
    do {
        mu_mem_fail_at(++n * 7);
        err = mu_model_train_step(model, &last.batch, 1, 0, &vars);
        mu_mem_fail_at(0);
        ck_assert(err == MU_OK || err == MU_ERR_MEMORY);
        ck_ok(mu_model_train_step(model, &b.batch, 1, 0, &vars));
    } while (err);
    ck_assert_int_gt(n, 10);
    toy_release(&t);
    toy_batch_release(&b);
    toy_batch_release(&last);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model");
    TCase *tc = tcase_create("model");
    tcase_add_checked_fixture(tc, toy_setup, toy_teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_training_lowers_the_loss, 0, 2);
    tcase_add_test(tc, test_backends_agree);
    tcase_add_loop_test(tc, test_dropout_does_not_depend_on_ranks, 0, 2);
    tcase_add_test(tc, test_predictions_follow_training);
    tcase_add_test(tc, test_training_after_predictions);
    tcase_add_test(tc, test_the_steady_state_allocates_nothing);
    tcase_add_loop_test(tc, test_batch_sizes, 0, 3);
    tcase_add_test(tc, test_trace_and_estimate);
    tcase_add_test(tc, test_unused_parameters);
    tcase_add_test(tc, test_autocast);
    tcase_add_test(tc, test_loss_scale);
    tcase_add_test(tc, test_a_loss_that_is_not_finite);
    tcase_add_test(tc, test_an_operation_to_blame);
    tcase_add_test(tc, test_gradients_that_overflow_under_a_loss_scale);
    tcase_add_test(tc, test_out_of_memory);
    tcase_add_test(tc, test_a_failed_step_can_be_repeated);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

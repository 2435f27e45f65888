/* Models: training, validation losses, predictions, plans, parameters, mistakes. */
#include "nn/model.h"
#include "test.h"
#include "toy.h"

#include <math.h>

#define MLP_YAML "{type: ToyMLP, data_preprocessor: {type: ImgDataPreprocessor, mean: 100, std: 50}}"
#define CLASSIFIER_YAML                                                                                               \
    "{type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor, mean: 100, std: 50},"                       \
    " backbone: {type: ToyBackbone}, neck: {type: GlobalAveragePooling},"                                               \
    " head: {type: LinearClsHead, num_classes: 4, in_channels: 8, loss: {type: CrossEntropyLoss}, cal_acc: true, topk: [1, 2]}}"

static mu_backend *backend;

static void open_backend(const char *device)
{
    ck_ok(mu_backend_open(device, &(mu_backend_options){.n_threads = 1, .deterministic = true, .cache_dir = ""}, &backend));
}

static void setup(void)
{
    toy_register();
    open_backend("cpu");
}

static void teardown(void)
{
    mu_backend_close(backend);
    mu_registry_reset();
}

static mu_model *make(const char *yaml, const mu_batch *example, bool training, toy *out)
{
    ck_ok(toy_build("model", yaml, out));
    ck_ok(mu_model_bind(out->object, &(mu_model_options){.backend = backend}));
    ck_ok(mu_model_prepare(out->object, example, training));
    toy_fill(out->object, 1);
    return out->object;
}

/* Trains on one batch with SGD; the losses. */
static void train(mu_model *model, const mu_batch *batch, int steps, double lr, double *losses)
{
    char yaml[64];
    toy optim;
    mu_log_vars vars;
    snprintf(yaml, sizeof yaml, "{type: SGD, lr: %g, momentum: 0.9}", lr);
    ck_ok(toy_build("optimizer", yaml, &optim));
    ck_ok(mu_optim_bind(optim.object, backend, mu_model_params(model), NULL, NULL, 0));
    for (int i = 0; i < steps; i++) {
        ck_ok(mu_model_train_step(model, batch, 1, i, &vars));
        ck_ok(mu_optim_step(optim.object, NULL, NULL));
        mu_model_changed(model);
        losses[i] = vars.item[0].value;
    }
    toy_release(&optim);
}

enum { STEPS = 30 };

START_TEST(test_training_lowers_the_loss)
{
    static const char *const yaml[] = {MLP_YAML, CLASSIFIER_YAML};
    toy t;
    toy_batch b;
    double losses[STEPS];
    toy_batch_new(32, 1, 6, 4, 3, &b);
    mu_model *model = make(yaml[_i], &b.batch, true, &t);
    train(model, &b.batch, STEPS, 0.05, losses);
    ck_assert_double_eq_tol(losses[0], log(4), 0.5);
    ck_assert_double_lt(losses[STEPS - 1], losses[0] / 2);
    toy_release(&t);
    toy_batch_release(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model");
    TCase *tc = tcase_create("model");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_training_lowers_the_loss, 0, 2);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

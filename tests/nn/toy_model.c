#include "toy_model.h"

#include "test.h"

mu_backend *toy_backend;

void toy_open(const char *device)
{
    ck_ok(mu_backend_open(device, &(mu_backend_options){.n_threads = 1, .deterministic = true, .cache_dir = ""}, &toy_backend));
}

void toy_setup(void)
{
    toy_register();
    toy_open("cpu");
}

void toy_teardown(void)
{
    mu_backend_close(toy_backend);
    mu_registry_reset();
}

mu_model *toy_model(const char *yaml, const mu_batch *example, bool training, toy *out)
{
    ck_ok(toy_build("model", yaml, out));
    ck_ok(mu_model_bind(out->object, &(mu_model_options){.backend = toy_backend}));
    ck_ok(mu_model_prepare(out->object, example, training));
    toy_fill(out->object, 1);
    return out->object;
}

void toy_train(mu_model *model, const mu_batch *batch, int steps, double lr, double *losses)
{
    char yaml[64];
    toy optim;
    mu_log_vars vars;
    snprintf(yaml, sizeof yaml, "{type: SGD, lr: %g, momentum: 0.9}", lr);
    ck_ok(toy_build("optimizer", yaml, &optim));
    ck_ok(mu_optim_bind(optim.object, toy_backend, mu_model_params(model), NULL, NULL, 0));
    for (int i = 0; i < steps; i++) {
        ck_ok(mu_model_train_step(model, batch, 1, i, &vars));
        ck_ok(mu_optim_step(optim.object, NULL, NULL));
        mu_model_changed(model);
        losses[i] = vars.item[0].value;
    }
    toy_release(&optim);
}

void toy_predict(mu_model *model, const mu_batch *batch, float *score)
{
    mu_tensors out;
    ck_ok(mu_model_forward(model, batch, MU_MODE_PREDICT, &out));
    const mu_tensor *p = mu_tensors_find(&out, "pred_score"), *label = mu_tensors_find(&out, "pred_label");
    mu_type scores = MU_TYPE(MU_F32, batch->size, 4), labels = MU_TYPE(MU_I64, batch->size);
    ck_assert(mu_type_equal(&p->type, &scores) && mu_type_equal(&label->type, &labels));
    memcpy(score, p->data, mu_type_bytes(&p->type));
    for (int64_t i = 0; i < batch->size; i++) {
        double sum = 0;
        for (int c = 0; c < 4; c++) {
            sum += score[4 * i + c];
            ck_assert(score[4 * i + c] <= score[4 * i + ((const int64_t *)label->data)[i]]);
        }
        ck_assert_double_eq_tol(sum, 1, 1e-5);
    }
}

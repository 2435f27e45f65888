/* A small network learns to tell the inside of a circle from the outside.
 *
 *     first           train, and tell how the loss falls
 *     first graph     print the graph: forward, then what differentiation appended
 *     first plan      print what is run in its place, on this machine */
#include <muster.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BATCH = 64, HIDDEN = 32, STEPS = 400 };

/* Trace: the graph of loss and gradients. */
static mu_err trace(mu_graph *g)
{
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F32, BATCH, 2));
    mu_value label = mu_graph_input(g, "label", MU_TYPE(MU_I64, BATCH));
    mu_value w1 = mu_graph_param(g, "fc1.weight", MU_TYPE(MU_F32, HIDDEN, 2));
    mu_value b1 = mu_graph_param(g, "fc1.bias", MU_TYPE(MU_F32, HIDDEN));
    mu_value w2 = mu_graph_param(g, "fc2.weight", MU_TYPE(MU_F32, 2, HIDDEN));
    mu_value b2 = mu_graph_param(g, "fc2.bias", MU_TYPE(MU_F32, 2));
    mu_loss_attrs mean = mu_loss_defaults();

    mu_value hidden = mu_relu(g, mu_linear(g, x, w1, b1));
    mu_value loss = mu_cross_entropy(g, mu_linear(g, hidden, w2, b2), label, MU_NO_VALUE, &mean);
    mu_graph_output(g, "loss", loss);
    mu_graph_backward(g, loss, NULL, 0, NULL);
    return mu_graph_status(g); /* the first error of all that stands above */
}

/* Uniform in [-bound, bound); the same numbers on every machine. */
static mu_err set_uniform(mu_params *params, const char *name, int64_t rows, int64_t columns, double bound)
{
    float values[HIDDEN * 2];
    mu_philox stream = mu_philox_key(0, MU_RNG_INIT, (uint64_t)rows, (uint64_t)columns);
    MU_TRY(mu_params_declare(params, name, MU_TYPE(MU_F32, rows, columns), true));
    for (int64_t i = 0; i < rows * columns; i++)
        values[i] = (float)(bound * (2 * mu_philox_uniform_f64(&stream, (uint64_t)i) - 1));
    return mu_params_write(params, name, values);
}

/* Points of the square [-1, 1)^2; label 1 inside of the circle that covers half of it. */
static void draw_batch(mu_plan *plan, int step)
{
    float *x = mu_plan_input(plan, "x", NULL);
    int64_t *label = mu_plan_input(plan, "label", NULL);
    mu_philox stream = mu_philox_key(0, MU_RNG_AUGMENT, (uint64_t)step, 0);
    for (int i = 0; i < 2 * BATCH; i++)
        x[i] = 2 * mu_philox_uniform_f32(&stream, (uint64_t)i) - 1;
    for (int i = 0; i < BATCH; i++)
        label[i] = hypotf(x[2 * i], x[2 * i + 1]) < sqrtf(2 / 3.14159265f);
}

/* Replay: a step runs prepared kernels and allocates nothing. */
static mu_err train(mu_plan *plan, mu_optim *optimizer)
{
    float loss = 0;
    for (int step = 1; step <= STEPS; step++) {
        draw_batch(plan, step);
        MU_TRY(mu_plan_run(plan, NULL));
        MU_TRY(mu_optim_step(optimizer, NULL, NULL));
        MU_TRY(mu_plan_read(plan, "loss", &loss, sizeof loss));
        if (step == 1 || step % 100 == 0)
            printf("step %3d  loss %.3f\n", step, (double)loss);
    }
    if (!(loss < 0.35f))
        return MU_FAIL(MU_ERR_NUMERIC, "the network has not learned: the loss is still %g", (double)loss);
    return MU_OK;
}

/* Everything that is made is released, on success and on failure. */
static mu_err run(const char *what)
{
    static const char sgd[] = "{type: SGD, lr: 0.1, momentum: 0.9}";
    mu_backend *backend = NULL;
    mu_graph *graph = NULL;
    mu_params *params = NULL;
    mu_plan *plan = NULL;
    mu_config *config = NULL;
    void *optimizer = NULL;
    mu_err err;
    MU_TRY_GOTO(err, mu_graph_new(&graph), done);
    MU_TRY_GOTO(err, trace(graph), done);
    if (strcmp(what, "graph") == 0) {
        MU_TRY_GOTO(err, mu_graph_print(graph, stdout), done);
        goto done;
    }
    MU_TRY_GOTO(err, mu_backend_open("cpu", NULL, &backend), done);
    MU_TRY_GOTO(err, mu_params_new(backend, &params), done);
    MU_TRY_GOTO(err, set_uniform(params, "fc1.weight", HIDDEN, 2, 1), done);
    MU_TRY_GOTO(err, set_uniform(params, "fc2.weight", 2, HIDDEN, sqrt(3.0 / HIDDEN)), done);
    MU_TRY_GOTO(err, mu_plan_new(graph, backend, params, NULL, &plan), done); /* biases begin at zero */
    if (strcmp(what, "plan") == 0) {
        MU_TRY_GOTO(err, mu_plan_print(plan, stdout), done);
        goto done;
    }
    MU_TRY_GOTO(err, mu_config_parse(sgd, strlen(sgd), "yaml", &config), done);
    MU_TRY_GOTO(err, mu_build("optimizer", mu_config_root(config), NULL, "optimizer", &optimizer), done);
    MU_TRY_GOTO(err, mu_optim_bind(optimizer, backend, params, NULL, NULL, 0), done);
    MU_TRY_GOTO(err, train(plan, optimizer), done);
done:
    mu_destroy(optimizer);
    mu_config_release(config);
    mu_plan_release(plan);
    mu_params_release(params);
    mu_backend_close(backend);
    mu_graph_release(graph);
    mu_registry_reset();
    return err;
}

int main(int argc, char **argv)
{
    mu_err err = run(argc > 1 ? argv[1] : "");
    if (err != MU_OK) {
        char text[2 * MU_ERROR_TEXT];
        mu_error_format(mu_error_last(), 0, text, sizeof text);
        fprintf(stderr, "first: %s\n", text);
    }
    return mu_err_exit_status(err);
}

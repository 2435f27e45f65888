#include "train/trainer.h"

#include "core/mem.h"
#include "graph/autodiff.h"

#include <stdio.h>

static mu_err make_batches(trainer *t)
{
    for (int b = 0; b < TRAINER_BATCHES; b++) {
        char name[16];
        snprintf(name, sizeof name, "batch%d", b);
        MU_TRY(mu_alloc(&t->images[b], mu_type_bytes(&t->x)));
        MU_TRY(mu_calloc(&t->targets[b], (size_t)t->x.dim[0], sizeof(int64_t)));
        for (int64_t i = 0; i < mu_type_count(&t->x); i++) {
            double x = model_number(name, i);
            mu_convert((char *)t->images[b] + (size_t)i * mu_dtype_size(t->x.dtype), t->x.dtype, &x, MU_F64, 1);
        }
        for (int64_t k = 0; k < t->x.dim[0]; k++)
            t->targets[b][k] = (3 * k + b) % t->classes;
    }
    return MU_OK;
}

static mu_err set(mu_cfg *dict, const char *key, double value)
{
    mu_cfg *number;
    MU_TRY(mu_cfg_new_float(value, (mu_pos){"test", 1, 1}, &number));
    MU_TRY(mu_cfg_set(dict, key, (mu_pos){"test", 1, 1}, number));
    return MU_OK;
}

static mu_err fill(mu_cfg *dict)
{
    mu_cfg *type;
    MU_TRY(mu_cfg_new_string("SGD", 3, (mu_pos){"test", 1, 1}, &type));
    MU_TRY(mu_cfg_set(dict, "type", (mu_pos){"test", 1, 1}, type));
    MU_TRY(set(dict, "lr", 0.02));
    MU_TRY(set(dict, "momentum", 0.9));
    MU_TRY(set(dict, "weight_decay", 1e-3));
    return MU_OK;
}

static mu_err make_optimizer(trainer *t)
{
    mu_cfg *dict;
    void *optim = NULL;
    MU_TRY(mu_cfg_new_dict((mu_pos){"test", 1, 1}, &dict));
    mu_err err = fill(dict);
    if (err == MU_OK)
        err = mu_build("optimizer", dict, NULL, "optimizer", &optim);
    mu_cfg_release(dict);
    MU_TRY(err);
    t->optim = optim;
    MU_TRY(mu_optim_bind(t->optim, t->backend, t->params, NULL, NULL, 0));
    return MU_OK;
}

static mu_err make_plan(trainer *t, const mu_graph *graph, const mu_plan_options *options)
{
    MU_TRY(mu_params_new(t->backend, &t->params));
    MU_TRY(model_init(graph, t->params));
    MU_TRY(mu_plan_new(graph, t->backend, t->params, options, &t->plan));
    t->x_at = mu_plan_find_input(t->plan, "x");
    t->target_at = mu_plan_find_input(t->plan, "target");
    t->loss = mu_plan_output_type(t->plan, "loss");
    return MU_OK;
}

static mu_err make(trainer *t, const char *device, model_fn *fn, const mu_plan_options *options)
{
    mu_graph *graph;
    mu_value loss;
    MU_TRY(mu_backend_open(device, &(mu_backend_options){.cache_dir = "", .deterministic = true}, &t->backend));
    MU_TRY(make_batches(t));
    MU_TRY(model_graph(fn, t->x, t->classes, MODEL_TRAIN, &graph, &loss));
    mu_graph_backward(graph, loss, NULL, 0, NULL);
    mu_err err = mu_graph_status(graph);
    if (err == MU_OK)
        err = make_plan(t, graph, options);
    mu_graph_release(graph);
    MU_TRY(err);
    MU_TRY(make_optimizer(t));
    return MU_OK;
}

mu_err trainer_new(trainer *t, const char *device, model_fn *fn, mu_type x, int64_t classes,
                   const mu_plan_options *options)
{
    *t = (trainer){.x = x, .classes = classes};
    mu_err err = make(t, device, fn, options);
    if (err != MU_OK)
        trainer_release(t);
    return err;
}

void trainer_release(trainer *t)
{
    mu_destroy(t->optim);
    mu_plan_release(t->plan);
    mu_params_release(t->params);
    for (int b = 0; b < TRAINER_BATCHES; b++) {
        mu_free(t->images[b]);
        mu_free(t->targets[b]);
    }
    mu_backend_close(t->backend);
    *t = (trainer){.plan = NULL};
}

mu_err trainer_step(trainer *t)
{
    int b = (int)(t->steps % TRAINER_BATCHES);
    memcpy(mu_plan_input_at(t->plan, t->x_at), t->images[b], mu_type_bytes(&t->x));
    memcpy(mu_plan_input_at(t->plan, t->target_at), t->targets[b], (size_t)t->x.dim[0] * sizeof(int64_t));
    MU_TRY(mu_plan_run(t->plan, &(mu_run){.seed = 1, .step = t->steps}));
    MU_TRY(mu_optim_step(t->optim, NULL, NULL));
    t->steps++;
    return MU_OK;
}

mu_err trainer_loss(trainer *t, double *out)
{
    char bytes[8];
    MU_TRY(mu_plan_read(t->plan, "loss", bytes, mu_type_bytes(&t->loss)));
    mu_convert(out, MU_F64, bytes, t->loss.dtype, 1);
    return MU_OK;
}

mu_err trainer_evaluate(trainer *t, model_fn *fn, const mu_plan_options *options, void *logits)
{
    mu_graph *graph;
    mu_plan *plan;
    MU_TRY(model_graph(fn, t->x, t->classes, MODEL_EVAL, &graph, NULL));
    mu_err err = mu_plan_new(graph, t->backend, t->params, options, &plan);
    mu_graph_release(graph);
    MU_TRY(err);
    memcpy(mu_plan_input(plan, "x", NULL), t->images[0], mu_type_bytes(&t->x));
    err = mu_plan_run(plan, NULL);
    if (err == MU_OK)
        err = mu_plan_read(plan, "logits", logits, (size_t)(t->x.dim[0] * t->classes) * mu_dtype_size(t->x.dtype));
    mu_plan_release(plan);
    return err;
}

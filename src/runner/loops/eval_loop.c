/* ValLoop and TestLoop: a pass over a data set with its metrics. */
#include "core/log.h"
#include "runner/loop.h"

typedef struct {
    mu_loop base;
} eval_loop;

typedef struct {
    mu_hook_point before, before_epoch, before_iter, after_iter, after_epoch, after;
} points;

static const points val_points = {MU_BEFORE_VAL, MU_BEFORE_VAL_EPOCH, MU_BEFORE_VAL_ITER,
                                  MU_AFTER_VAL_ITER, MU_AFTER_VAL_EPOCH, MU_AFTER_VAL};
static const points test_points = {MU_BEFORE_TEST, MU_BEFORE_TEST_EPOCH, MU_BEFORE_TEST_ITER,
                                   MU_AFTER_TEST_ITER, MU_AFTER_TEST_EPOCH, MU_AFTER_TEST};

/* This rank's share; nothing in it is collective. */
static mu_err predict(mu_runner *runner, mu_loader *loader, mu_evaluator *evaluator, const points *at)
{
    const mu_batch *batch;
    mu_tensors outputs;
    MU_TRY(mu_loader_start(loader, 0));
    for (int64_t i = 0;; i++) {
        MU_TRY(mu_loader_next(loader, &batch));
        if (!batch)
            return MU_OK;
        mu_hook_event event = {.batch_index = i, .batch = batch};
        MU_TRY(mu_runner_call(runner, at->before_iter, &event));
        MU_TRY(mu_model_forward(runner->model, batch, MU_MODE_PREDICT, &outputs));
        MU_TRY(mu_evaluator_process(evaluator, batch->size, batch->index, &batch->fields, &outputs));
        event.outputs = &outputs;
        MU_TRY(mu_runner_call(runner, at->after_iter, &event));
        mu_runner_progress(runner, mu_phase_names[runner->phase], i + 1, mu_loader_length(loader));
    }
}

static mu_err pass(mu_runner *runner, mu_loader *loader, mu_evaluator *evaluator, const points *at, mu_results *results)
{
    MU_TRY(mu_runner_call(runner, at->before, NULL));
    MU_TRY(mu_runner_call(runner, at->before_epoch, NULL));
    mu_evaluator_reset(evaluator);
    mu_err err = predict(runner, loader, evaluator, at);
    if (err && !runner->agreed)
        mu_error_context("%s", runner->phase == MU_PHASE_VAL ? "validation" : "test");
    MU_TRY(mu_runner_agree(runner, err));
    int64_t size = mu_dataset_length(mu_loader_dataset(loader));
    MU_TRY(mu_runner_agreed(runner, mu_evaluator_evaluate(evaluator, runner->comm, size, results)));
    MU_TRY(mu_runner_call(runner, at->after_epoch, &(mu_hook_event){.metrics = results}));
    return mu_runner_call(runner, at->after, NULL);
}

static mu_err evaluate(mu_runner *runner, mu_phase phase, mu_results *metrics)
{
    bool val = phase == MU_PHASE_VAL;
    mu_phase outer = runner->phase;
    int64_t length = runner->epoch_length;
    mu_loader *loader = val ? runner->val_loader : runner->test_loader;
    mu_results results = {0};
    MU_TRY(mu_runner_sync_states(runner));
    runner->phase = phase;
    runner->epoch_length = mu_loader_length(loader);
    mu_err err = pass(runner, loader, val ? runner->val_evaluator : runner->test_evaluator, val ? &val_points : &test_points,
                      &results);
    runner->phase = outer;
    runner->epoch_length = length;
    if (metrics && !err)
        *metrics = results;
    else
        mu_results_release(&results);
    MU_TRY(err);
    return MU_OK;
}

static mu_err run_val(mu_loop *loop, mu_runner *runner, mu_results *metrics)
{
    (void)loop;
    return evaluate(runner, MU_PHASE_VAL, metrics);
}

static mu_err run_test(mu_loop *loop, mu_runner *runner, mu_results *metrics)
{
    (void)loop;
    return evaluate(runner, MU_PHASE_TEST, metrics);
}

static const mu_option options[] = {MU_OPTION_END};

const mu_component mu_component_val_loop = {
    .kind = "loop",
    .name = "ValLoop",
    .doc = "Runs the validation data through the model and computes the metrics of val_evaluator.",
    .size = sizeof(eval_loop),
    .options = options,
    .ops = &(const mu_loop_ops){.phase = MU_PHASE_VAL, .run = run_val},
};

const mu_component mu_component_test_loop = {
    .kind = "loop",
    .name = "TestLoop",
    .doc = "Runs the test data through the model and computes the metrics of test_evaluator.",
    .size = sizeof(eval_loop),
    .options = options,
    .ops = &(const mu_loop_ops){.phase = MU_PHASE_TEST, .run = run_test},
};

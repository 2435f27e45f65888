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

typedef struct {
    mu_runner *runner;
    mu_loader *loader;
    mu_evaluator *evaluator;
    const points *at;
    bool together;            /* parameters are in pieces: ranks run batch by batch together */
    int64_t stops;            /* batches that every rank has: before each they may agree to leave; 0: nothing but an error ends it */
    mu_hook_event event;      /* batch: NULL when there are no more */
    mu_batch_buffer *example; /* what this rank runs as long as others have batches */
} share;

/* What this rank does alone: the next batch, ready to run. */
static mu_err load(share *s)
{
    MU_TRY(mu_loader_next(s->loader, &s->event.batch));
    if (s->event.batch) {
        MU_TRY(mu_runner_call(s->runner, s->at->before_iter, &s->event));
        return mu_model_load_forward(s->runner->model, s->event.batch, MU_MODE_PREDICT);
    }
    if (!s->together || s->example)
        return MU_OK;
    MU_TRY(mu_loader_example(s->loader, 0, &s->example));
    return mu_model_load_forward(s->runner->model, mu_batch_buffer_batch(s->example), MU_MODE_PREDICT);
}

static mu_err run(share *s)
{
    mu_tensors outputs;
    const mu_batch *batch = s->event.batch;
    MU_TRY(mu_model_run_forward(s->runner->model, MU_MODE_PREDICT, &outputs));
    if (!batch)
        return MU_OK;
    MU_TRY(mu_evaluator_process(s->evaluator, batch->size, batch->index, &batch->fields, &outputs));
    s->event.outputs = &outputs;
    MU_TRY(mu_runner_call(s->runner, s->at->after_iter, &s->event));
    mu_runner_progress(s->runner, mu_phase_names[s->runner->phase], s->event.batch_index + 1, mu_loader_length(s->loader));
    return MU_OK;
}

/* Collective where ranks run together. Is there a batch to run, here or on another rank? All fail when one has failed. */
static mu_err go_on(const share *s, mu_err err, bool *out)
{
    uint8_t word[2] = {err != MU_OK, s->event.batch != NULL};
    if (s->together)
        MU_TRY(mu_runner_agreed(s->runner, mu_comm_all_reduce(s->runner->comm, word, 2, MU_U8, MU_COMM_MAX)));
    if (s->together && word[0])
        return mu_runner_agree(s->runner, err);
    MU_TRY(err);
    *out = word[1];
    return MU_OK;
}

/* Collective. *left: the ranks agreed to stop, and there is no result. */
static mu_err predict(share *s, bool *left)
{
    bool any;
    mu_err err = mu_loader_start(s->loader, 0);
    *left = false;
    for (int64_t i = 0;; i++) {
        if (i < s->stops) {
            MU_TRY(mu_runner_agree(s->runner, err));
            *left = s->runner->stop_reason != 0;
            if (*left)
                return MU_OK;
        }
        s->event = (mu_hook_event){.batch_index = i};
        mu_watch_enter(s->runner->watch, MU_WATCH_EVALUATION);
        mu_watch_note(s->runner->watch, "load batch", mu_phase_names[s->runner->phase], i + 1);
        err = err ? err : load(s);
        MU_TRY(go_on(s, err, &any));
        if (!any)
            return MU_OK;
        mu_watch_note(s->runner->watch, "forward", mu_phase_names[s->runner->phase], i + 1);
        err = run(s);
    }
}

/* Collective. A stop in the middle of a validation within training does not wait for its end. */
static mu_err count_stops(mu_runner *runner, const mu_loader *loader, bool training, int64_t *out)
{
    *out = training ? mu_loader_length(loader) : 0;
    if (!training || runner->comm->size == 1)
        return MU_OK;
    MU_TRY(mu_runner_agree(runner, MU_OK));
    return mu_runner_agreed(runner, mu_comm_all_reduce(runner->comm, out, 1, MU_I64, MU_COMM_MIN));
}

/* Collective. The loader's data through the model; *left: there are no results. */
static mu_err measure(mu_runner *runner, mu_loader *loader, mu_evaluator *evaluator, const points *at, int64_t stops, bool *left,
                      mu_results *results)
{
    mu_evaluator_reset(evaluator);
    share s = {.runner = runner, .loader = loader, .evaluator = evaluator, .at = at, .stops = stops,
               .together = mu_params_sharing_of(mu_model_params(runner->model))->stage >= MU_SHARD_PARAMETERS};
    mu_err err = predict(&s, left);
    mu_batch_buffer_release(s.example);
    if (err && !runner->agreed)
        mu_error_context("%s", runner->phase == MU_PHASE_VAL ? "validation" : "test");
    MU_TRY(mu_runner_agree(runner, err));
    if (*left)
        return MU_OK;
    int64_t size = mu_dataset_length(mu_loader_dataset(loader));
    mu_watch_enter(runner->watch, MU_WATCH_EVALUATION);
    mu_watch_note(runner->watch, "metrics", mu_phase_names[runner->phase], -1);
    return mu_runner_agreed(runner, mu_evaluator_evaluate(evaluator, runner->comm, size, results));
}

mu_err mu_loop_evaluate_again(mu_runner *runner, mu_results *out)
{
    bool val = runner->phase == MU_PHASE_VAL;
    mu_loader *loader = val ? runner->val_loader : runner->test_loader;
    mu_results results = {0};
    int64_t stops;
    MU_TRY(count_stops(runner, loader, runner->train_loop != NULL, &stops));
    MU_TRY(measure(runner, loader, val ? runner->val_evaluator : runner->test_evaluator, val ? &val_points : &test_points, stops,
                   &runner->val_left, &results));
    *out = results;
    return MU_OK;
}

static mu_err pass(mu_runner *runner, mu_loader *loader, mu_evaluator *evaluator, const points *at, bool training, mu_results *results)
{
    int64_t stops;
    MU_TRY(count_stops(runner, loader, training, &stops));
    MU_TRY(mu_runner_call(runner, at->before, NULL));
    MU_TRY(mu_runner_call(runner, at->before_epoch, NULL));
    MU_TRY(measure(runner, loader, evaluator, at, stops, &runner->val_left, results));
    if (!runner->val_left)
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
    mu_watch_phase before = mu_watch_enter(runner->watch, MU_WATCH_EVALUATION);
    runner->phase = phase;
    runner->epoch_length = mu_loader_length(loader);
    mu_err err = pass(runner, loader, val ? runner->val_evaluator : runner->test_evaluator, val ? &val_points : &test_points,
                      outer == MU_PHASE_TRAIN, &results);
    mu_watch_enter(runner->watch, before);
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

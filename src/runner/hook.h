/* Hooks: components (kind "hook") that act at fixed points of a run, in the order of their priority (lower first), then of their
 * registration. */
#ifndef MU_RUNNER_HOOK_H
#define MU_RUNNER_HOOK_H

#include "data/batch.h"
#include "eval/metric.h"
#include "nn/model.h"
#include "registry/registry.h"

typedef struct mu_runner mu_runner;

#define MU_HOOK_POINT_MAP(X)                                                                                                   \
    X(BEFORE_RUN) X(AFTER_LOAD_CHECKPOINT) X(BEFORE_TRAIN) X(BEFORE_TRAIN_EPOCH) X(BEFORE_TRAIN_ITER) X(AFTER_TRAIN_ITER)      \
    X(AFTER_TRAIN_EPOCH) X(AFTER_TRAIN) X(BEFORE_VAL) X(BEFORE_VAL_EPOCH) X(BEFORE_VAL_ITER) X(AFTER_VAL_ITER)                 \
    X(AFTER_VAL_EPOCH) X(AFTER_VAL) X(BEFORE_TEST) X(BEFORE_TEST_EPOCH) X(BEFORE_TEST_ITER) X(AFTER_TEST_ITER)                 \
    X(AFTER_TEST_EPOCH) X(AFTER_TEST) X(BEFORE_SAVE_CHECKPOINT) X(AFTER_RUN)

typedef enum {
#define X(name) MU_##name,
    MU_HOOK_POINT_MAP(X)
#undef X
        MU_HOOK_POINT_COUNT
} mu_hook_point;
const char *mu_hook_point_name(mu_hook_point point); /* "before_train_iter" */

/* What a point is about; absent parts are NULL or 0. Everything is borrowed. */
typedef struct {
    int64_t batch_index;            /* in the epoch, from 0 */
    const mu_batch *batch;
    const mu_log_vars *log_vars;    /* AFTER_TRAIN_ITER; NULL on devices, where they are not known yet: `values` tells */
    double grad_norm;               /* AFTER_TRAIN_ITER; NaN: not known */
    const mu_tensors *outputs;      /* AFTER_VAL_ITER, AFTER_TEST_ITER: predictions */
    const mu_results *metrics;      /* AFTER_VAL_EPOCH, AFTER_TEST_EPOCH */
} mu_hook_event;

enum { MU_PRIORITY_HIGHEST = 0, MU_PRIORITY_VERY_HIGH = 10, MU_PRIORITY_HIGH = 30, MU_PRIORITY_ABOVE_NORMAL = 40, MU_PRIORITY_NORMAL = 50,
       MU_PRIORITY_BELOW_NORMAL = 60, MU_PRIORITY_LOW = 70, MU_PRIORITY_VERY_LOW = 90, MU_PRIORITY_LOWEST = 100 };

/* The first member of every hook's struct. */
typedef struct {
    const mu_cfg *priority; /* option "priority": a name ("LOW") or a number from 0 to 100; NULL: the component's */
} mu_hook;
#define MU_HOOK_OPTIONS(struct_)                                                                                        \
    {.key = "priority", .type = MU_OPT_ANY, .offset = offsetof(struct_, base.priority), .nullable = true,                \
     .help = "HIGHEST, VERY_HIGH, HIGH, ABOVE_NORMAL, NORMAL, BELOW_NORMAL, LOW, VERY_LOW, LOWEST, or 0 to 100"}

/* A hook is called on every rank. What it does collectively begins with mu_runner_agree. */
typedef mu_err mu_hook_fn(mu_hook *hook, mu_runner *runner, const mu_hook_event *event);
typedef struct {
    int priority;
    mu_hook_fn *at[MU_HOOK_POINT_COUNT]; /* NULL: not interested */
    /* Losses and the norm of the gradients (NaN: not known) of training iteration `iter`, from 0 on: once for each, in order, when they are known. On host
     * memory before its AFTER_TRAIN_ITER, on devices some iterations later; before validation, checkpoints and the end in any case
     * (mu_runner_values). May be NULL. */
    mu_err (*values)(mu_hook *hook, mu_runner *runner, int64_t iter, const mu_log_vars *vars, double grad_norm);
    /* What does not go with the rest of the config: the evaluators stand, if they are asked for, but nothing runs. For `muster check`; a run
     * tells it on its own. Not collective. May be NULL. */
    mu_err (*check)(const mu_hook *hook, const mu_runner *runner);
} mu_hook_ops;

/* Of a hook that was built: what its config says ("LOW", 70; MU_ERR_CONFIG for anything else), else the component's. */
MU_CHECKED mu_err mu_hook_priority(const mu_hook *hook, int *out);

#endif

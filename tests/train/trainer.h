/* A network of models.h being trained by SGD on a few fixed batches, for tests. */
#ifndef MU_TESTS_TRAIN_TRAINER_H
#define MU_TESTS_TRAIN_TRAINER_H

#include "graph/plan.h"
#include "optim/optim.h"
#include "train/models.h"

enum { TRAINER_BATCHES = 4 };

typedef struct {
    mu_backend *backend;
    mu_params *params;
    mu_plan *plan;
    int x_at, target_at; /* its inputs */
    mu_optim *optim;
    mu_type x, loss;
    int64_t classes, steps;
    void *images[TRAINER_BATCHES];     /* model_number("batch<b>", i) */
    int64_t *targets[TRAINER_BATCHES]; /* (3k + b) % classes */
} trainer;

/* SGD with lr 0.02, momentum 0.9, weight decay 1e-3. On failure nothing is left behind. */
MU_CHECKED mu_err trainer_new(trainer *t, const char *device, model_fn *fn, mu_type x, int64_t classes,
                              const mu_plan_options *options);
void trainer_release(trainer *t);
/* Forward, backward and update on batch number steps % TRAINER_BATCHES. Allocates nothing. */
MU_CHECKED mu_err trainer_step(trainer *t);
/* The loss of the last step. */
MU_CHECKED mu_err trainer_loss(trainer *t, double *out);
/* Logits of batch 0 by a plan for evaluation, [N, classes] in the dtype of x. */
MU_CHECKED mu_err trainer_evaluate(trainer *t, model_fn *fn, const mu_plan_options *options, void *logits);

#endif

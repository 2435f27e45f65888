/* Heads (kind "head") turn features into scores and losses; losses (kind "loss") compare values. */
#ifndef MU_NN_HEAD_H
#define MU_NN_HEAD_H

#include "nn/layer.h"

typedef struct {
    /* By t->mode: records losses, predictions ("pred_score" [N, classes], "pred_label" i64 [N]) or tensors. In the head's scope. */
    void (*forward)(const void *head, mu_trace *t, const mu_features *x);
    mu_err (*check)(const void *head, const mu_tensors *inputs); /* may be NULL */
} mu_head_ops;

typedef struct {
    /* x against target, weighted (loss_weight): a scalar. */
    mu_value (*apply)(const void *loss, mu_trace *t, mu_value x, mu_value target);
} mu_loss_ops;

/* Enters `name` with the head's type and init_cfg, applies, leaves. */
void mu_head_apply(const void *head, mu_trace *t, const char *name, const mu_features *x);
/* The head's own check, if it has one. */
MU_CHECKED mu_err mu_head_check(const void *head, const mu_tensors *inputs);
/* NULL: CrossEntropyLoss as it is by default. */
mu_value mu_criterion_apply(const void *loss, mu_trace *t, mu_value x, mu_value target);

#endif

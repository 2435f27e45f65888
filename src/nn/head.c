#include "nn/head.h"

static const mu_head_ops *ops_of(const void *head)
{
    return mu_component_of(head)->ops;
}

void mu_head_apply(const void *head, mu_trace *t, const char *name, const mu_features *x)
{
    mu_trace_enter(t, name, mu_component_of(head)->name, ((const mu_layer *)head)->init_cfg);
    ops_of(head)->forward(head, t, x);
    mu_trace_leave(t);
}

mu_err mu_head_check(const void *head, const mu_tensors *inputs)
{
    if (ops_of(head)->check)
        MU_TRY(ops_of(head)->check(head, inputs));
    return MU_OK;
}

mu_value mu_criterion_apply(const void *loss, mu_trace *t, mu_value x, mu_value target)
{
    if (!loss)
        return mu_cross_entropy(t->graph, x, target, MU_NO_VALUE, NULL);
    return ((const mu_loss_ops *)mu_component_of(loss)->ops)->apply(loss, t, x, target);
}

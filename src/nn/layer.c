#include "nn/layer.h"

void mu_layer_apply(const void *layer, mu_trace *t, const char *name, mu_features *x)
{
    if (!layer)
        return;
    const mu_component *component = mu_component_of(layer);
    mu_trace_enter(t, name, component->name, ((const mu_layer *)layer)->init_cfg);
    ((const mu_layer_ops *)component->ops)->forward(layer, t, x);
    mu_trace_leave(t);
}

mu_features mu_features_one(mu_value x)
{
    return (mu_features){.n = 1, .v = {x}};
}

mu_value mu_features_single(mu_trace *t, const mu_features *x, const char *who)
{
    if (x->n == 1)
        return x->v[0];
    if (mu_trace_status(t) == MU_OK)
        mu_trace_fail(t, MU_FAIL(MU_ERR_CONFIG, "%s takes one feature, not %d", who, x->n));
    return MU_NO_VALUE;
}

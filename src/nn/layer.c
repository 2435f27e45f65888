#include "nn/layer.h"

#include "config/config.h"
#include "nn/layers_impl.h"

mu_err mu_layer_default_init(mu_layer *layer, const mu_cfg *cfg, const char *json)
{
    if (mu_cfg_get(cfg, "init_cfg"))
        return MU_OK;
    MU_TRY(mu_cfg_parse_json(json, strlen(json), "<default init_cfg>", &layer->default_init));
    layer->init_cfg = layer->default_init;
    return MU_OK;
}

void mu_layer_destroy(void *layer)
{
    mu_layer *self = layer;
    mu_cfg_release(self->default_init);
    self->default_init = NULL;
}

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

void mu_nn_pair(const mu_ints *given, int64_t standard, int64_t out[2])
{
    out[0] = given->n ? given->v[0] : standard;
    out[1] = given->n ? given->v[given->n - 1] : standard;
}

void mu_nn_agree(mu_trace *t, mu_value x, int dim, int64_t given, const char *who, const char *option)
{
    const mu_type *type = mu_graph_type(t->graph, x);
    if (!given || mu_trace_status(t) != MU_OK || (dim < type->ndim && type->dim[dim] == given))
        return;
    char text[MU_TYPE_TEXT];
    (void)MU_FAIL(MU_ERR_CONFIG, "%s: %s is %lld, the input is %s", who, option, (long long)given,
                  mu_type_format(type, text));
    mu_trace_fail(t, mu_error_hint("%s can be left out", option));
}

void mu_layer_one(const void *layer, mu_trace *t, mu_features *x, const char *who, mu_layer_fn *apply)
{
    *x = mu_features_one(apply(layer, t, mu_features_single(t, x, who)));
}

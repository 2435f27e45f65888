/* Containers: layers made of layers, straight from a config. */
#include "core/mem.h"
#include "nn/layer.h"

#include <stdio.h>

typedef struct {
    mu_layer base;
    const mu_cfg *modules; /* a list, one dict, or a dict by name */
    void **child;          /* owned; [n] */
    size_t n;
} container;

static const mu_option list_options[] = {
    MU_OPTION(container, modules, MU_OPT_COMPONENTS, .required = true, .component_kind = "layer", .help = "the layers, in order"),
    MU_LAYER_OPTIONS(container), MU_OPTION_END};
static const mu_option dict_options[] = {
    MU_OPTION(container, modules, MU_OPT_COMPONENT_MAP, .required = true, .component_kind = "layer", .help = "the layers by name"),
    MU_LAYER_OPTIONS(container), MU_OPTION_END};

static void destroy(void *object)
{
    container *self = object;
    while (self->n)
        mu_destroy(self->child[--self->n]);
    mu_free(self->child);
}

static mu_err build(container *self, const mu_cfg *const *cfg, size_t n, const char *(*name)(const container *, size_t, char *))
{
    char index[24], path[128];
    MU_TRY(mu_calloc(&self->child, n, sizeof *self->child));
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "modules.%s", name(self, i, index));
        if (mu_cfg_kind_of(cfg[i]) != MU_CFG_NULL) /* null switches one off */
            MU_TRY(mu_build("layer", cfg[i], NULL, path, &self->child[i]));
        self->n++;
    }
    return MU_OK;
}

static const char *list_name(const container *self, size_t i, char *buf)
{
    (void)self;
    snprintf(buf, 24, "%zu", i);
    return buf;
}

static const char *dict_name(const container *self, size_t i, char *buf)
{
    (void)buf;
    return mu_cfg_key_at(self->modules, i);
}

static mu_err create_children(container *self, bool one, const char *(*name)(const container *, size_t, char *))
{
    size_t n = one ? 1 : mu_cfg_size(self->modules);
    const mu_cfg **cfg;
    MU_TRY(mu_calloc(&cfg, n, sizeof *cfg));
    for (size_t i = 0; i < n; i++)
        cfg[i] = one ? self->modules : mu_cfg_at(self->modules, i);
    mu_err err = build(self, cfg, n, name);
    mu_free(cfg);
    if (err)
        destroy(self);
    return err;
}

static mu_err create_list(void *object, const mu_cfg *cfg)
{
    container *self = object;
    (void)cfg;
    MU_TRY(create_children(self, mu_cfg_kind_of(self->modules) == MU_CFG_DICT, list_name));
    return MU_OK;
}

static mu_err create_dict(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    MU_TRY(create_children(object, false, dict_name));
    return MU_OK;
}

static void forward_sequential(const void *layer, mu_trace *t, mu_features *x)
{
    const container *self = layer;
    char name[24];
    for (size_t i = 0; i < self->n; i++)
        mu_layer_apply(self->child[i], t, list_name(self, i, name), x);
}

static void append(mu_trace *t, mu_features *to, const mu_features *from)
{
    if (to->n + from->n > MU_MAX_FEATURES) {
        if (mu_trace_status(t) == MU_OK)
            mu_trace_fail(t, MU_FAIL(MU_ERR_OVERFLOW, "more than %d features", MU_MAX_FEATURES));
        return;
    }
    memcpy(to->v + to->n, from->v, (size_t)from->n * sizeof *to->v);
    to->n += from->n;
}

static void forward_list(const void *layer, mu_trace *t, mu_features *x)
{
    const container *self = layer;
    mu_features out = {0};
    char name[24];
    if ((size_t)x->n != self->n && mu_trace_status(t) == MU_OK)
        mu_trace_fail(t, MU_FAIL(MU_ERR_CONFIG, "ModuleList of %zu modules takes one feature each, not %d", self->n, x->n));
    for (size_t i = 0; i < self->n && i < (size_t)x->n; i++) {
        mu_features one = mu_features_one(x->v[i]);
        mu_layer_apply(self->child[i], t, list_name(self, i, name), &one);
        append(t, &out, &one);
    }
    *x = out;
}

static void forward_dict(const void *layer, mu_trace *t, mu_features *x)
{
    const container *self = layer;
    mu_features out = {0};
    for (size_t i = 0; i < self->n; i++) {
        mu_features each = *x;
        if (!self->child[i])
            continue;
        mu_layer_apply(self->child[i], t, dict_name(self, i, NULL), &each);
        append(t, &out, &each);
    }
    *x = out;
}

#define CONTAINER(symbol_, kind_, name_, options_, create_, forward_, doc_)                                               \
    const mu_component mu_component_##symbol_ = {.kind = kind_, .name = name_, .doc = doc_, .size = sizeof(container),    \
                                                 .options = options_, .create = create_, .destroy = destroy,              \
                                                 .ops = &(const mu_layer_ops){.forward = forward_}}

CONTAINER(sequential, "layer", "Sequential", list_options, create_list, forward_sequential, "Applies its modules in turn.");
CONTAINER(sequential_backbone, "backbone", "Sequential", list_options, create_list, forward_sequential,
          "Layers applied in turn, as a backbone.");
CONTAINER(sequential_neck, "neck", "Sequential", list_options, create_list, forward_sequential,
          "Layers applied in turn, as a neck.");
CONTAINER(module_list, "layer", "ModuleList", list_options, create_list, forward_list, "Applies module i to feature i.");
CONTAINER(module_dict, "layer", "ModuleDict", dict_options, create_dict, forward_dict,
          "Applies each module to the same features and gives what they give, in order.");

/* Components of networks (kinds "backbone", "neck" and "layer"): they turn features into features.
 *
 * Also the containers: Sequential applies its modules in turn; ModuleList applies module i to feature i; ModuleDict applies each module
 * to the same features and gives what they give, in order. Their children are named "0", "1", ... or by key. */
#ifndef MU_NN_LAYER_H
#define MU_NN_LAYER_H

#include "nn/trace.h"
#include "registry/registry.h"

enum { MU_MAX_FEATURES = 16 };

typedef struct {
    int n;
    mu_value v[MU_MAX_FEATURES];
} mu_features;

/* The first member of every such component's struct. */
typedef struct {
    const mu_cfg *init_cfg; /* option "init_cfg" of all of them */
    mu_cfg *default_init;   /* owned: see mu_layer_default_init */
} mu_layer;
#define MU_LAYER_OPTIONS(struct_)                                                                                      \
    {.key = "init_cfg", .type = MU_OPT_COMPONENTS, .offset = offsetof(struct_, base.init_cfg), .nullable = true,         \
     .component_kind = "weight_init", .help = "how its parameters are filled"}

typedef struct {
    /* Inside the module's own scope: takes the features and puts its own in their place. */
    void (*forward)(const void *layer, mu_trace *t, mu_features *x);
} mu_layer_ops;

/* For `create` of a component that has an init_cfg when its config says nothing about it (null is to say: none), as JSON. */
MU_CHECKED mu_err mu_layer_default_init(mu_layer *layer, const mu_cfg *cfg, const char *json);
/* destroy of components that have nothing else to free; part of that of the others. */
void mu_layer_destroy(void *layer);

/* Enters `name` with the component's type and init_cfg, applies, leaves. NULL layer: nothing. */
void mu_layer_apply(const void *layer, mu_trace *t, const char *name, mu_features *x);
mu_features mu_features_one(mu_value x);
/* The only one, else a sticky error that names `who`. */
mu_value mu_features_single(mu_trace *t, const mu_features *x, const char *who);

#endif

/* The registry: components by kind, scope and name, in a tree of registries; plug-ins add to it.
 *
 * The one piece of global state of the library. Filled before use, from one thread. */
#ifndef MU_REGISTRY_REGISTRY_H
#define MU_REGISTRY_REGISTRY_H

#include "registry/option.h"

#include <stdio.h>

enum { MU_PLUGIN_VERSION = 1 };

/* What a config can name. One `static const` per type, in the type's own file, listed in registry/builtin.def. */
typedef struct mu_component {
    const char *kind; /* "model", "hook", ... (mu_kinds) */
    const char *name; /* "LeNet" */
    const char *doc;  /* a sentence or two */
    size_t size;      /* of the instance struct; it is zeroed, then filled from the options */
    const mu_option *options;
    const char *not_built; /* a stub: "configure --with-cuda"; NULL for a real one */
    mu_err (*create)(void *object, const mu_cfg *cfg); /* after the options; may be NULL */
    void (*destroy)(void *object);                     /* before the options are released; may be NULL */
    const void *ops;                                   /* the kind's own table of functions */
} mu_component;

typedef struct {
    const char *name, *doc;
} mu_kind;
/* NULL-terminated list of kinds. */
const mu_kind *mu_kinds(void);

/* A node of the tree: root scope "muster"; a plug-in or project may add children ("mmpose"). Children see their ancestors. */
typedef struct mu_registry mu_registry;

MU_CHECKED mu_err mu_registry_root(mu_registry **out); /* made on first use, with the builtins */
/* The child of this scope, made when absent. */
MU_CHECKED mu_err mu_registry_child(mu_registry *parent, const char *scope, mu_registry **out);
const char *mu_registry_scope(const mu_registry *registry);
/* The component is borrowed for ever. A name twice in one scope and kind is an error unless `force`. */
MU_CHECKED mu_err mu_registry_add(mu_registry *registry, const mu_component *component, bool force);
/* The same component under another name. */
MU_CHECKED mu_err mu_registry_add_as(mu_registry *registry, const mu_component *component, const char *name, bool force);
/* "LeNet": here, then in the ancestors. "scope.LeNet": in that scope, here or from the root. NULL when there is none. */
const mu_component *mu_registry_get(const mu_registry *registry, const char *kind, const char *key);
/* Nearest known name of the kind, or NULL. */
const char *mu_registry_nearest(const mu_registry *registry, const char *kind, const char *key);
/* Frees the tree and unloads plug-ins: for tests and the end of main. */
void mu_registry_reset(void);

/* The scope in which configs look names up first; NULL: root. Unknown scopes are made. */
MU_CHECKED mu_err mu_registry_set_default_scope(const char *scope);
/* The registry of the default scope. `_scope_` in a dict overrides it for that dict and below. */
MU_CHECKED mu_err mu_registry_current(mu_registry **out);

/* Builds the object that cfg = {type: Name, ...} describes. Missing or unknown `type`, bad options: MU_ERR_CONFIG with every
 * mistake. `defaults` (may be NULL) fills keys that cfg lacks. */
MU_CHECKED mu_err mu_build(const char *kind, const mu_cfg *cfg, const mu_cfg *defaults, const char *path, void **out);
void mu_destroy(void *object); /* NULL is allowed */
const mu_component *mu_component_of(const void *object);

/* Checks {type: Name, ...} and everything below it without creating anything. */
MU_CHECKED mu_err mu_check(const char *kind, const mu_cfg *cfg, const char *path, mu_diagnostics *list);

/* Loads shared objects: a path, or a name searched as <name>.so beside the config, in $MUSTER_PLUGIN_PATH and libdir/muster.
 * A plug-in exports `int muster_plugin_version` and `mu_err muster_plugin_register(mu_registry *root)`. */
MU_CHECKED mu_err mu_plugin_load(const char *name, const char *beside);

/* All components in the order kind, scope, name. */
typedef void mu_registry_visit_fn(void *user, const mu_registry *registry, const char *name, const mu_component *component);
MU_CHECKED mu_err mu_registry_visit(const mu_registry *registry, mu_registry_visit_fn *visit, void *user);
/* JSON: {"scope": ..., "count": ..., "modules": {kind: [names]}, "children": [...]} */
MU_CHECKED mu_err mu_registry_write_json(const mu_registry *registry, FILE *file);
/* "NAME (kind) doc, options with type, default, range, help". */
MU_CHECKED mu_err mu_component_describe(const mu_component *component, FILE *file, bool json);

#endif

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
    /* After the options, for what they do not say: builds the components below, checks what belongs together. On
     * failure it has undone what it did: destroy is not called. cfg stays valid while the object lives. May be NULL. */
    mu_err (*create)(void *object, const mu_cfg *cfg);
    void (*destroy)(void *object); /* before the options are released; may be NULL */
    const void *ops;               /* the kind's own table of functions */
} mu_component;

typedef struct {
    const char *name, *doc;
} mu_kind;
/* NULL-terminated list of kinds. */
const mu_kind *mu_kinds(void);

/* A node of the tree: root scope "muster"; a plug-in or project may add children ("mmpose"). Children see their
 * ancestors. */
typedef struct mu_registry mu_registry;

MU_CHECKED mu_err mu_registry_root(mu_registry **out); /* made on first use, with the builtins */
/* The child of this scope, made when absent. */
MU_CHECKED mu_err mu_registry_child(mu_registry *parent, const char *scope, mu_registry **out);
const char *mu_registry_scope(const mu_registry *registry);
/* The component is borrowed until mu_registry_reset. A name twice in one scope and kind is an error unless `force`. A
 * kind that mu_kinds lacks, a bad name or a bad option table is MU_ERR_USAGE. */
MU_CHECKED mu_err mu_registry_add(mu_registry *registry, const mu_component *component, bool force);
/* The same component under another name. */
MU_CHECKED mu_err mu_registry_add_as(mu_registry *registry, const mu_component *component, const char *name,
                                     bool force);
/* "LeNet": here, then in the ancestors. "scope.LeNet": only here when it is this scope; else that child, or that child
 * of the root, is asked for "LeNet". NULL when there is none. */
const mu_component *mu_registry_get(const mu_registry *registry, const char *kind, const char *key);
/* Nearest name of the kind that `get` would find, or NULL. Borrowed. */
const char *mu_registry_nearest(const mu_registry *registry, const char *kind, const char *key);
/* Frees the tree and unloads plug-ins: for tests and the end of main. */
void mu_registry_reset(void);

/* The scope in which configs look names up first; NULL: root. A scope that is nowhere in the tree is made below the
 * root. */
MU_CHECKED mu_err mu_registry_set_default_scope(const char *scope);
/* The registry of the default scope. `_scope_` in a dict overrides it for that dict and what is built or checked below.
 */
MU_CHECKED mu_err mu_registry_current(mu_registry **out);

/* Builds the object that cfg = {type: Name, ...} describes. Missing or unknown `type`, bad options, here or in what
 * lies below: MU_ERR_CONFIG with every mistake. `defaults` (a dict; may be NULL) fills keys that cfg lacks. cfg is
 * borrowed while the object lives; `path` is where it stands ("model.backbone"). */
MU_CHECKED mu_err mu_build(const char *kind, const mu_cfg *cfg, const mu_cfg *defaults, const char *path, void **out);
void mu_destroy(void *object); /* NULL is allowed */
const mu_component *mu_component_of(const void *object);

/* Checks {type: Name, ...} and everything below it without creating anything. */
MU_CHECKED mu_err mu_check(const char *kind, const mu_cfg *cfg, const char *path, mu_diagnostics *list);

/* The same for a dict without `type`: the keys of a table, and the components below them. */
MU_CHECKED mu_err mu_check_keys(const mu_option *options, const mu_cfg *dict, const char *path, mu_diagnostics *list);

/* Loads a shared object, once: a path with a slash (relative to the folder of the file `beside`), or a name searched as
 * <name>.so in that folder, in the folders of $MUSTER_PLUGIN_PATH and in libdir/muster. `beside` NULL: the working
 * folder. A plug-in exports `const int muster_plugin_version = MU_PLUGIN_VERSION` and `mu_err
 * muster_plugin_register(mu_registry *root)`. What cannot be used is MU_ERR_PLUGIN, and registers nothing. */
MU_CHECKED mu_err mu_plugin_load(const char *name, const char *beside);
/* What a config asks for: custom_imports = {imports: [name, ...], allow_failed_imports: false}, beside the file that
 * says so. Each failure is added to `list`, or only logged as a warning where failures are allowed. */
MU_CHECKED mu_err mu_plugin_import(const mu_cfg *custom_imports, const char *path, mu_diagnostics *list);

/* All components of this registry and those below, in the order kind, scope (parents first), name. */
typedef void mu_registry_visit_fn(void *user, const mu_registry *registry, const char *name,
                                  const mu_component *component);
void mu_registry_visit(const mu_registry *registry, mu_registry_visit_fn *visit, void *user);
/* JSON: {"scope": ..., "count": here, "total": with those below, "modules": {kind: [names]}, "children": [...]} */
MU_CHECKED mu_err mu_registry_write_json(const mu_registry *registry, FILE *file);
/* The same for people: a scope a line with its kinds and names below. */
MU_CHECKED mu_err mu_registry_write_tree(const mu_registry *registry, FILE *file);
/* "NAME (kind) doc, options with type, default, range, help". */
MU_CHECKED mu_err mu_component_describe(const mu_component *component, FILE *file, bool json);

#endif

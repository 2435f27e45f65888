/* What the files of this room share and nobody else sees. */
#ifndef MU_REGISTRY_STATE_H
#define MU_REGISTRY_STATE_H

#include "core/hash.h"
#include "registry/registry.h"

enum { MU_MAX_KINDS = 32 };

typedef struct {
    char *name;
    const mu_component *component;
    const void *owner;              /* the plug-in that added it, or NULL */
    const mu_component *overridden; /* what stood here before a plug-in forced its own, or NULL */
    UT_hash_handle hh;
} mu_registry_entry;

struct mu_registry {
    char *scope;
    mu_registry *parent, *first_child, *next; /* children in the order of their scopes */
    mu_registry_entry *table[MU_MAX_KINDS];   /* by kind; in the order of their names */
};

/* The components of this build, NULL-terminated. */
extern const mu_component *const mu_builtin_components[];

/* The registry of this scope anywhere in the tree, or NULL; and the nearest scope's name, or NULL. */
mu_registry *mu_registry_find_scope(const char *scope);
const char *mu_registry_nearest_scope(const char *scope);
/* Makes it the current one. */
void mu_registry_enter(mu_registry *registry);

/* What is added from now on belongs to `owner` (NULL: the library), until it is taken out again. */
void mu_registry_set_owner(const void *owner);
void mu_registry_remove_owned(const void *owner);

/* Ends all plug-ins; nothing of them may be in the registry any more. */
void mu_plugin_unload_all(void);

#endif

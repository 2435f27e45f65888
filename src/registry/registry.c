#include "registry/registry.h"

#include "core/mem.h"
#include "core/text.h"
#include "registry/state.h"

#include <string.h>

static struct {
    mu_registry *root, *current;
    const void *owner;
} state;

static int kind_index(const char *kind)
{
    const mu_kind *kinds = mu_kinds();
    for (int i = 0; kinds[i].name; i++)
        if (strcmp(kinds[i].name, kind) == 0)
            return i;
    return -1;
}

static const char *nearest_kind(const char *kind)
{
    const mu_kind *kinds = mu_kinds();
    const char *best = NULL;
    for (int i = 0; kinds[i].name; i++)
        best = mu_nearest(kind, (const char *[]){best ? best : kinds[i].name, kinds[i].name}, 2);
    return best;
}

static void entry_release(mu_registry_entry *e)
{
    mu_free(e->name);
    mu_free(e);
}

static void registry_release(mu_registry *registry)
{
    for (mu_registry *child = registry->first_child, *next; child; child = next) {
        next = child->next;
        registry_release(child);
    }
    for (int k = 0; k < MU_MAX_KINDS; k++) {
        mu_registry_entry *e, *next;
        HASH_ITER(hh, registry->table[k], e, next)
        {
            HASH_DEL(registry->table[k], e);
            entry_release(e);
        }
    }
    mu_free(registry->scope);
    mu_free(registry);
}

static mu_err registry_new(const char *scope, mu_registry *parent, mu_registry **out)
{
    mu_registry *registry;
    MU_TRY(mu_calloc(&registry, 1, sizeof *registry));
    registry->parent = parent;
    mu_err err = mu_strdup(&registry->scope, scope);
    if (err) {
        registry_release(registry);
        return err;
    }
    *out = registry;
    return MU_OK;
}

static mu_err make_root(void)
{
    mu_registry *root = NULL;
    MU_TRY(registry_new("muster", NULL, &root));
    for (int i = 0; mu_builtin_components[i]; i++) {
        mu_err err = mu_registry_add(root, mu_builtin_components[i], false);
        if (err) {
            registry_release(root);
            return err;
        }
    }
    state.root = state.current = root;
    return MU_OK;
}

mu_err mu_registry_root(mu_registry **out)
{
    if (!state.root)
        MU_TRY(make_root());
    *out = state.root;
    return MU_OK;
}

/* A scope or a component's name: what may stand before or after the dot in a config. */
static bool is_name(const char *text)
{
    return text && text[0] && !strpbrk(text, ". \t\r\n");
}

mu_err mu_registry_child(mu_registry *parent, const char *scope, mu_registry **out)
{
    if (!is_name(scope))
        return MU_FAIL(MU_ERR_USAGE, "\"%s\" cannot be a scope: expected a word without dots and blanks",
                       scope ? scope : "");
    mu_registry **at = &parent->first_child;
    while (*at && strcmp((*at)->scope, scope) < 0)
        at = &(*at)->next;
    if (!*at || strcmp((*at)->scope, scope) != 0) {
        mu_registry *child = NULL;
        MU_TRY(registry_new(scope, parent, &child));
        child->next = *at;
        *at = child;
    }
    *out = *at;
    return MU_OK;
}

const char *mu_registry_scope(const mu_registry *registry)
{
    return registry->scope;
}

/* Rows of an option table that would fail later, in the hands of a user. */
static mu_err check_options(const mu_component *component, const mu_option *options, bool stored)
{
    for (const mu_option *o = options; o && o->key; o++) {
        const char *wrong = NULL;
        for (const mu_option *other = options; other < o; other++)
            if (strcmp(other->key, o->key) == 0)
                wrong = "stands there twice";
        if (strcmp(o->key, "type") == 0 || o->key[0] == '_')
            wrong = "has a reserved name";
        else if (stored && o->offset >= component->size)
            wrong = "lies outside of the instance";
        else if (o->type == MU_OPT_CHOICE && !o->choices)
            wrong = "has no choices";
        else if (o->component_kind ? kind_index(o->component_kind) < 0
                                   : o->type >= MU_OPT_COMPONENT && o->type <= MU_OPT_COMPONENT_MAP)
            wrong = "has no known component_kind";
        if (wrong)
            return MU_FAIL(MU_ERR_USAGE, "%s \"%s\": option \"%s\" %s", component->kind, component->name, o->key,
                           wrong);
        if (o->type == MU_OPT_DICT)
            MU_TRY(check_options(component, o->fields, false));
    }
    return MU_OK;
}

static int by_name(const mu_registry_entry *a, const mu_registry_entry *b)
{
    return strcmp(a->name, b->name);
}

mu_err mu_registry_add_as(mu_registry *registry, const mu_component *component, const char *name, bool force)
{
    int kind = component->kind ? kind_index(component->kind) : -1;
    if (!is_name(name))
        return MU_FAIL(MU_ERR_USAGE, "\"%s\" cannot be a component's name: expected a word without dots and blanks",
                       name ? name : "");
    if (kind < 0) {
        const char *nearest = component->kind ? nearest_kind(component->kind) : NULL;
        MU_FAIL(MU_ERR_USAGE, "component \"%s\": there is no kind \"%s\"%s%s%s", name,
                component->kind ? component->kind : "", nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                nearest ? "\"?" : "");
        return mu_error_hint("muster list shows the kinds");
    }
    MU_TRY(check_options(component, component->options, true));
    mu_registry_entry *e, *table = registry->table[kind];
    HASH_FIND_STR(table, name, e);
    if (e) {
        if (!force)
            return MU_FAIL(MU_ERR_USAGE,
                           "%s \"%s\" is in scope \"%s\" already; a component that replaces another is added "
                           "with force",
                           component->kind, name, registry->scope);
        if (e->owner != state.owner)
            e->overridden = e->component;
        e->component = component;
        e->owner = state.owner;
        return MU_OK;
    }
    MU_TRY(mu_calloc(&e, 1, sizeof *e));
    mu_err err = mu_strdup(&e->name, name);
    if (!err) {
        e->component = component;
        e->owner = state.owner;
        HASH_ADD_KEYPTR_INORDER(hh, registry->table[kind], e->name, strlen(e->name), e, by_name);
        if (!e->hh.tbl)
            err = MU_ERR_MEMORY;
    }
    if (err)
        entry_release(e);
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_registry_add(mu_registry *registry, const mu_component *component, bool force)
{
    MU_TRY(mu_registry_add_as(registry, component, component->name, force));
    return MU_OK;
}

static mu_registry *child_named(const mu_registry *registry, const char *scope, size_t n)
{
    for (mu_registry *child = registry->first_child; child; child = child->next)
        if (strlen(child->scope) == n && memcmp(child->scope, scope, n) == 0)
            return child;
    return NULL;
}

/* Where the search for `key` begins and the name that is left; *up tells whether ancestors are asked. NULL: nowhere. */
static const mu_registry *resolve(const mu_registry *registry, const char *key, const char **name, bool *up)
{
    *up = true;
    for (const char *dot; (dot = strchr(key, '.')); key = dot + 1) {
        size_t n = (size_t)(dot - key);
        const mu_registry *child;
        if (strlen(registry->scope) == n && memcmp(registry->scope, key, n) == 0) {
            *up = false;
            continue;
        }
        *up = true;
        if ((child = child_named(registry, key, n))) {
            registry = child;
            continue;
        }
        while (registry->parent)
            registry = registry->parent;
        if (strlen(registry->scope) == n && memcmp(registry->scope, key, n) == 0)
            *up = false;
        else if (!(registry = child_named(registry, key, n)))
            return NULL;
    }
    *name = key;
    return registry;
}

const mu_component *mu_registry_get(const mu_registry *registry, const char *kind, const char *key)
{
    int k = kind_index(kind);
    bool up;
    const char *name;
    for (registry = resolve(registry, key, &name, &up); k >= 0 && registry; registry = up ? registry->parent : NULL) {
        mu_registry_entry *e;
        HASH_FIND_STR(registry->table[k], name, e);
        if (e)
            return e->component;
    }
    return NULL;
}

const char *mu_registry_nearest(const mu_registry *registry, const char *kind, const char *key)
{
    int k = kind_index(kind);
    bool up;
    const char *name, *best = NULL;
    for (registry = resolve(registry, key, &name, &up); k >= 0 && registry; registry = up ? registry->parent : NULL)
        for (mu_registry_entry *e = registry->table[k]; e; e = e->hh.next)
            best = mu_nearest(name, (const char *[]){best ? best : e->name, e->name}, 2);
    return best;
}

void mu_registry_reset(void)
{
    if (state.root)
        registry_release(state.root);
    state.root = state.current = NULL;
    mu_plugin_unload_all();
}

static mu_registry *find_below(mu_registry *registry, const char *scope)
{
    if (strcmp(registry->scope, scope) == 0)
        return registry;
    for (mu_registry *child = registry->first_child; child; child = child->next) {
        mu_registry *found = find_below(child, scope);
        if (found)
            return found;
    }
    return NULL;
}

mu_registry *mu_registry_find_scope(const char *scope)
{
    return state.root ? find_below(state.root, scope) : NULL;
}

static const char *nearest_below(const mu_registry *registry, const char *scope, const char *best)
{
    best = mu_nearest(scope, (const char *[]){best ? best : registry->scope, registry->scope}, 2);
    for (mu_registry *child = registry->first_child; child; child = child->next)
        best = nearest_below(child, scope, best);
    return best;
}

const char *mu_registry_nearest_scope(const char *scope)
{
    return state.root ? nearest_below(state.root, scope, NULL) : NULL;
}

void mu_registry_enter(mu_registry *registry)
{
    state.current = registry;
}

mu_err mu_registry_set_default_scope(const char *scope)
{
    mu_registry *registry = NULL;
    MU_TRY(mu_registry_root(&registry));
    if (scope) {
        mu_registry *found = mu_registry_find_scope(scope);
        if (!found)
            MU_TRY(mu_registry_child(registry, scope, &found));
        registry = found;
    }
    state.current = registry;
    return MU_OK;
}

mu_err mu_registry_current(mu_registry **out)
{
    mu_registry *root = NULL;
    MU_TRY(mu_registry_root(&root));
    *out = state.current;
    return MU_OK;
}

void mu_registry_set_owner(const void *owner)
{
    state.owner = owner;
}

static void remove_owned(mu_registry *registry, const void *owner)
{
    for (int k = 0; k < MU_MAX_KINDS; k++) {
        mu_registry_entry *e, *next;
        HASH_ITER(hh, registry->table[k], e, next)
        {
            if (e->owner != owner)
                continue;
            if (e->overridden) {
                e->component = e->overridden;
                e->overridden = NULL;
                e->owner = NULL;
            } else {
                HASH_DEL(registry->table[k], e);
                entry_release(e);
            }
        }
    }
    for (mu_registry *child = registry->first_child; child; child = child->next)
        remove_owned(child, owner);
}

void mu_registry_remove_owned(const void *owner)
{
    if (state.root)
        remove_owned(state.root, owner);
}

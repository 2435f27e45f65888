#include "core/mem.h"
#include "core/text.h"
#include "registry/state.h"

#include <stdio.h>
#include <string.h>

/* Stands MU_ALIGN bytes before every object that was built. */
typedef struct {
    const mu_component *component;
    mu_cfg *merged; /* the config with its defaults, when there were any: the object borrows from it */
} instance;

static instance *instance_of(const void *object)
{
    return (instance *)((char *)object - MU_ALIGN);
}

static mu_err join(char **out, const char *path, const char *key)
{
    MU_TRY(mu_asprintf(out, "%s%s%s", path, path[0] ? "." : "", key));
    return MU_OK;
}

static mu_err note(mu_diagnostics *list, mu_pos pos, const char *path, const char *key, const char *expected,
                   const char *found, const char *nearest)
{
    char *where;
    MU_TRY(join(&where, path, key));
    mu_err err = mu_diagnostics_add(list, pos, where, expected, found, nearest);
    mu_free(where);
    MU_TRY(err);
    return MU_OK;
}

/* Makes the registry of the dict's `_scope_`, if it has one, the current one. */
static mu_err enter_scope(const mu_cfg *cfg, const char *path, mu_diagnostics *list)
{
    const mu_cfg *scope = mu_cfg_get(cfg, "_scope_");
    if (!scope)
        return MU_OK;
    mu_registry *found = mu_cfg_kind_of(scope) == MU_CFG_STRING ? mu_registry_find_scope(mu_cfg_string(scope)) : NULL;
    if (found) {
        mu_registry_enter(found);
        return MU_OK;
    }
    char text[128];
    mu_cfg_describe(scope, text, sizeof text);
    MU_TRY(note(list, mu_cfg_pos(scope), path, "_scope_", "the scope of a registry", text,
                mu_cfg_kind_of(scope) == MU_CFG_STRING ? mu_registry_nearest_scope(mu_cfg_string(scope)) : NULL));
    return MU_OK;
}

/* What to say about a name that `kind` lacks. */
static mu_err note_unknown(const mu_registry *registry, const char *kind, const mu_cfg *type, const char *path,
                           mu_diagnostics *list)
{
    char expected[160], found[128];
    const char *key = mu_cfg_string(type), *other = NULL, *nearest;
    for (const mu_kind *k = mu_kinds(); k->name && !other; k++)
        if (mu_registry_get(registry, k->name, key))
            other = k->name;
    nearest = other ? NULL : mu_registry_nearest(registry, kind, key);
    if (other)
        snprintf(expected, sizeof expected, "the name of %s %s (this is the name of %s %s)", mu_article(kind), kind,
                 mu_article(other), other);
    else
        snprintf(expected, sizeof expected, "the name of %s %s%s", mu_article(kind), kind,
                 nearest ? "" : " (muster list shows them)");
    mu_cfg_describe(type, found, sizeof found);
    MU_TRY(note(list, mu_cfg_pos(type), path, "type", expected, found, nearest));
    return MU_OK;
}

/* The component that the dict's `type` names, or NULL when something was noted. */
static mu_err find_component(const char *kind, const mu_cfg *cfg, const char *path, mu_diagnostics *list,
                             const mu_component **out)
{
    const mu_cfg *type = mu_cfg_get(cfg, "type");
    char expected[160], found[128];
    mu_registry *registry = NULL;
    *out = NULL;
    MU_TRY(mu_registry_current(&registry));
    if (!type || mu_cfg_kind_of(type) != MU_CFG_STRING) {
        snprintf(expected, sizeof expected, "the name of %s %s", mu_article(kind), kind);
        if (type)
            mu_cfg_describe(type, found, sizeof found);
        MU_TRY(note(list, mu_cfg_pos(type ? type : cfg), path, "type", expected, type ? found : "no such key", NULL));
        return MU_OK;
    }
    const mu_component *component = mu_registry_get(registry, kind, mu_cfg_string(type));
    if (!component) {
        MU_TRY(note_unknown(registry, kind, type, path, list));
    } else if (component->not_built) {
        snprintf(expected, sizeof expected, "%s %s of this build (%s)", mu_article(kind), kind, component->not_built);
        mu_cfg_describe(type, found, sizeof found);
        MU_TRY(note(list, mu_cfg_pos(type), path, "type", expected, found, NULL));
    } else {
        *out = component;
    }
    return MU_OK;
}

static mu_err check_below(const mu_option *options, const mu_cfg *cfg, const char *path, mu_diagnostics *list);

/* One dict below a component option; `key` is appended to the path. */
static mu_err check_one(const char *kind, const mu_cfg *cfg, const char *path, const char *key, mu_diagnostics *list)
{
    char *where;
    MU_TRY(join(&where, path, key));
    mu_err err = mu_check(kind, cfg, where, list);
    mu_free(where);
    MU_TRY(err);
    return MU_OK;
}

static mu_err check_map(const char *kind, const mu_cfg *value, const char *path, mu_diagnostics *list)
{
    for (size_t i = 0; i < mu_cfg_size(value); i++)
        if (mu_cfg_kind_of(mu_cfg_at(value, i)) != MU_CFG_NULL)
            MU_TRY(check_one(kind, mu_cfg_at(value, i), path, mu_cfg_key_at(value, i), list));
    return MU_OK;
}

mu_err mu_check_keys(const mu_option *options, const mu_cfg *dict, const char *path, mu_diagnostics *list)
{
    MU_TRY(mu_options_parse(options, dict, path, NULL, list));
    MU_TRY(check_below(options, dict, path, list));
    return MU_OK;
}

/* A component, or a dict with the option's fields. */
static mu_err check_entry(const mu_option *option, const mu_cfg *value, const char *path, mu_diagnostics *list)
{
    bool fields = option->fields && mu_cfg_kind_of(value) == MU_CFG_DICT && !mu_cfg_get(value, "type");
    if (fields || !option->component_kind)
        MU_TRY(mu_check_keys(option->fields, value, path, list));
    else
        MU_TRY(mu_check(option->component_kind, value, path, list));
    return MU_OK;
}

static mu_err check_list(const mu_option *option, const mu_cfg *value, const char *path, mu_diagnostics *list)
{
    for (size_t i = 0; i < mu_cfg_size(value); i++) {
        char *where;
        MU_TRY(mu_asprintf(&where, "%s.%zu", path, i));
        mu_err err = check_entry(option, mu_cfg_at(value, i), where, list);
        mu_free(where);
        MU_TRY(err);
    }
    return MU_OK;
}

/* The components in a dict whose own keys were checked: values of a wrong type were noted then. */
static mu_err check_below(const mu_option *options, const mu_cfg *cfg, const char *path, mu_diagnostics *list)
{
    for (const mu_option *o = options; o && o->key; o++) {
        const mu_cfg *value = mu_cfg_get(cfg, o->key);
        bool is_dict = value && mu_cfg_kind_of(value) == MU_CFG_DICT;
        bool is_list = value && mu_cfg_kind_of(value) == MU_CFG_LIST;
        if (o->type < MU_OPT_COMPONENT || o->type == MU_OPT_ANY ||
            !(is_dict || (is_list && o->type == MU_OPT_COMPONENTS)))
            continue;
        char *where;
        MU_TRY(join(&where, path, o->key));
        mu_err err = o->type == MU_OPT_COMPONENT_MAP ? check_map(o->component_kind, value, where, list)
                     : is_list                       ? check_list(o, value, where, list)
                                                     : check_entry(o, value, where, list);
        mu_free(where);
        MU_TRY(err);
    }
    return MU_OK;
}

static mu_err check_in_scope(const char *kind, const mu_cfg *cfg, const char *path, mu_diagnostics *list)
{
    const mu_component *component;
    MU_TRY(enter_scope(cfg, path, list));
    MU_TRY(find_component(kind, cfg, path, list, &component));
    if (!component)
        return MU_OK;
    MU_TRY(mu_check_keys(component->options, cfg, path, list));
    return MU_OK;
}

mu_err mu_check(const char *kind, const mu_cfg *cfg, const char *path, mu_diagnostics *list)
{
    if (mu_cfg_kind_of(cfg) != MU_CFG_DICT) {
        char expected[160], found[128];
        snprintf(expected, sizeof expected, "dictionary with the type of %s %s", mu_article(kind), kind);
        mu_cfg_describe(cfg, found, sizeof found);
        MU_TRY(mu_diagnostics_add(list, mu_cfg_pos(cfg), path, expected, found, NULL));
        return MU_OK;
    }
    mu_registry *before = NULL;
    MU_TRY(mu_registry_current(&before));
    mu_err err = check_in_scope(kind, cfg, path, list);
    mu_registry_enter(before);
    MU_TRY(err);
    return MU_OK;
}

/* Creates what a checked config describes. merged is handed over on success. */
static mu_err make(const char *kind, const mu_cfg *cfg, mu_cfg *merged, const char *path, void **out)
{
    mu_diagnostics list = {0};
    const mu_component *component;
    char *block = NULL;
    size_t bytes;
    mu_err err = enter_scope(cfg, path, &list);
    if (!err)
        err = find_component(kind, cfg, path, &list, &component);
    mu_diagnostics_release(&list);
    MU_TRY(err);
    MU_TRY(mu_add_size(component->size, MU_ALIGN, &bytes));
    MU_TRY(mu_calloc(&block, 1, bytes));
    void *object = block + MU_ALIGN;
    *instance_of(object) = (instance){.component = component, .merged = merged};
    err = mu_options_parse(component->options, cfg, path, object, &list);
    mu_diagnostics_release(&list);
    if (!err && component->create) {
        err = component->create(object, cfg);
        if (err) {
            mu_error_context("%s \"%s\" (%s:%d:%d)", path[0] ? path : kind, component->name, mu_cfg_pos(cfg).file,
                             mu_cfg_pos(cfg).line, mu_cfg_pos(cfg).column);
            mu_options_release(component->options, object);
        }
    }
    if (err) {
        mu_free(block);
        return err;
    }
    *out = object;
    return MU_OK;
}

static mu_err check_and_make(const char *kind, const mu_cfg *cfg, mu_cfg *merged, const char *path, void **out)
{
    mu_diagnostics list = {0};
    mu_registry *before = NULL;
    MU_TRY(mu_registry_current(&before));
    mu_err err = mu_check(kind, cfg, path, &list);
    mu_diagnostics_sort(&list);
    if (!err)
        err = mu_diagnostics_status(&list);
    mu_diagnostics_release(&list);
    if (!err)
        err = make(kind, cfg, merged, path, out);
    mu_registry_enter(before);
    MU_TRY(err);
    return MU_OK;
}

/* The defaults with the keys of cfg over them. */
static mu_err merge(const mu_cfg *cfg, const mu_cfg *defaults, mu_cfg **out)
{
    mu_cfg *merged = NULL, *value;
    mu_err err;
    MU_TRY(mu_cfg_copy(cfg, &merged));
    for (size_t i = 0; i < mu_cfg_size(defaults); i++) {
        const char *key = mu_cfg_key_at(defaults, i);
        const mu_cfg *given = mu_cfg_at(defaults, i);
        if (mu_cfg_get(merged, key))
            continue;
        MU_TRY_GOTO(err, mu_cfg_copy(given, &value), fail);
        MU_TRY_GOTO(err, mu_cfg_set(merged, key, mu_cfg_key_pos(given), value), fail);
    }
    *out = merged;
    return MU_OK;
fail:
    mu_cfg_release(merged);
    return err;
}

mu_err mu_build(const char *kind, const mu_cfg *cfg, const mu_cfg *defaults, const char *path, void **out)
{
    mu_cfg *merged = NULL;
    if (defaults && mu_cfg_kind_of(cfg) == MU_CFG_DICT)
        MU_TRY(merge(cfg, defaults, &merged));
    mu_err err = check_and_make(kind, merged ? merged : cfg, merged, path, out);
    if (err)
        mu_cfg_release(merged);
    MU_TRY(err);
    return MU_OK;
}

void mu_destroy(void *object)
{
    if (!object)
        return;
    instance *i = instance_of(object);
    if (i->component->destroy)
        i->component->destroy(object);
    mu_options_release(i->component->options, object);
    mu_cfg_release(i->merged);
    mu_free(i);
}

const mu_component *mu_component_of(const void *object)
{
    return instance_of(object)->component;
}

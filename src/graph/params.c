#include "graph/params.h"

#include "core/mem.h"
#include "graph/params_impl.h"

#include <limits.h>
#include <stdio.h>

typedef mu_param_entry entry;

static void tell(const void *user, mu_holdings *holdings)
{
    const mu_params *params = user;
    mu_holdings_note(holdings, MU_HELD_BY_STORE, params->data.bytes, "parameters");
    mu_holdings_note(holdings, MU_HELD_BY_STORE, params->gradients.bytes, "gradients");
    mu_holdings_note(holdings, MU_HELD_BY_STORE, params->states.bytes, "states");
    for (size_t i = 0; i < params->n_further; i++)
        mu_holdings_note(holdings, MU_HELD_BY_STORE, params->further[i].arena.bytes, "%s", params->further[i].what);
}

mu_err mu_params_new(mu_backend *backend, mu_params **out)
{
    mu_params *params;
    MU_TRY(mu_calloc(&params, 1, sizeof *params));
    params->backend = backend;
    params->n_refs = 1;
    params->sharing.size = 1;
    params->holder = (mu_holder){.tell = tell, .user = params};
    mu_holder_add(backend, &params->holder);
    *out = params;
    return MU_OK;
}

mu_params *mu_params_retain(mu_params *params)
{
    params->n_refs++;
    return params;
}

void mu_params_release(mu_params *params)
{
    if (!params || --params->n_refs > 0)
        return;
    for (size_t i = 0; i < params->n_entries; i++) {
        mu_free(params->entries[i].name);
        mu_free(params->entries[i].pending);
    }
    mu_param_arena_release(params->backend, &params->data);
    mu_param_arena_release(params->backend, &params->gradients);
    mu_param_arena_release(params->backend, &params->states);
    mu_free(params->entries);
    mu_free(params->slots);
    mu_free((void *)params->sharing.modules);
    mu_free(params->units);
    mu_free(params->further);
    mu_holder_remove(params->backend, &params->holder);
    mu_free(params);
}

/* FNV-1a */
static uint64_t hash_name(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return h ^ (h >> 32);
}

static size_t find_slot(const mu_params *params, const char *name)
{
    size_t at = hash_name(name) & (params->n_slots - 1);
    while (params->slots[at] && strcmp(params->entries[params->slots[at] - 1].name, name) != 0)
        at = (at + 1) & (params->n_slots - 1);
    return at;
}

void mu_params_index(mu_params *params)
{
    memset(params->slots, 0, params->n_slots * sizeof *params->slots);
    for (size_t i = 0; i < params->n_entries; i++)
        params->slots[find_slot(params, params->entries[i].name)] = (int32_t)i + 1;
}

int mu_params_find(const mu_params *params, const char *name)
{
    return params->n_slots ? params->slots[find_slot(params, name)] - 1 : -1;
}

mu_err mu_params_get(const mu_params *params, const char *name, mu_param_entry **out)
{
    int i = mu_params_find(params, name);
    if (i < 0) {
        (void)MU_FAIL(MU_ERR_NOT_FOUND, "there is no parameter or state \"%s\" among the %zu declared", name,
                      params->n_entries);
        return mu_error_hint("mu_params_declare() comes first");
    }
    *out = &params->entries[i];
    return MU_OK;
}

static mu_err make_room(mu_params *params)
{
    MU_TRY(mu_grow(&params->entries, &params->capacity, params->n_entries + 1, sizeof *params->entries));
    if (2 * (params->n_entries + 1) <= params->n_slots)
        return MU_OK;
    size_t n = params->n_slots ? 2 * params->n_slots : 64;
    int32_t *slots;
    MU_TRY(mu_calloc(&slots, n, sizeof *slots));
    mu_free(params->slots);
    params->slots = slots;
    params->n_slots = n;
    mu_params_index(params);
    return MU_OK;
}

mu_err mu_params_declare(mu_params *params, const char *name, mu_type type, bool trainable)
{
    int at = mu_params_find(params, name);
    if (at >= 0) {
        const mu_param_info *had = &params->entries[at].info;
        char a[MU_TYPE_TEXT], b[MU_TYPE_TEXT];
        if (!mu_type_equal(&had->type, &type))
            return MU_FAIL(MU_ERR_SHAPE, "\"%s\" was declared as %s and is now declared as %s", name,
                           mu_type_format(&had->type, a), mu_type_format(&type, b));
        if (had->trainable != trainable)
            return MU_FAIL(MU_ERR_SHAPE, "\"%s\" was declared as a %s and is now declared as a %s", name,
                           had->trainable ? "parameter" : "state", trainable ? "parameter" : "state");
        return MU_OK;
    }
    if (params->frozen) {
        (void)MU_FAIL(MU_ERR_USAGE, "\"%s\" is declared after the arenas were laid out", name);
        return mu_error_hint("declare every parameter and state before the first plan is made");
    }
    if (trainable && !mu_dtype_is_float(type.dtype))
        return MU_FAIL(MU_ERR_SHAPE, "parameter \"%s\" is %s; only floats can be trained", name, mu_dtype_name(type.dtype));
    if (params->n_entries >= INT_MAX / 4)
        return MU_FAIL(MU_ERR_OVERFLOW, "too many parameters");
    entry e = {.rank = INT_MAX, .order = (int)params->n_entries};
    MU_TRY(make_room(params));
    MU_TRY(mu_strdup(&e.name, name));
    e.info = (mu_param_info){.name = e.name, .type = type, .trainable = trainable, .bytes = mu_type_bytes(&type)};
    params->slots[find_slot(params, name)] = (int32_t)params->n_entries + 1;
    params->entries[params->n_entries++] = e;
    return MU_OK;
}

mu_err mu_params_place(mu_params *params, const char *name, int rank, const mu_layout *layout)
{
    entry *e;
    MU_TRY(mu_params_get(params, name, &e));
    if (params->frozen)
        return MU_FAIL(MU_ERR_USAGE, "\"%s\" cannot be placed: the arenas are laid out", name);
    if (layout && !mu_type_equal(&layout->type, &e->info.type)) {
        char a[MU_TYPE_TEXT], b[MU_TYPE_TEXT];
        return MU_FAIL(MU_ERR_SHAPE, "layout %s is for %s, \"%s\" is %s", layout->name, mu_type_format(&layout->type, a), name,
                       mu_type_format(&e->info.type, b));
    }
    e->rank = rank;
    e->info.layout = layout;
    e->info.bytes = mu_layout_bytes(layout, &e->info.type);
    return MU_OK;
}

/* ---- several ranks ---- */

/* The list and its strings in one block. */
static mu_err copy_modules(const mu_params_sharing *sharing, const char ***out)
{
    size_t bytes = (size_t)sharing->n_modules * sizeof(char *);
    const char **list;
    for (int i = 0; i < sharing->n_modules; i++)
        bytes += strlen(sharing->modules[i]) + 1;
    MU_TRY(mu_alloc(&list, bytes));
    char *text = (char *)(list + sharing->n_modules);
    for (int i = 0; i < sharing->n_modules; i++) {
        size_t length = strlen(sharing->modules[i]) + 1;
        list[i] = memcpy(text, sharing->modules[i], length);
        text += length;
    }
    *out = list;
    return MU_OK;
}

mu_err mu_params_share(mu_params *params, const mu_params_sharing *sharing)
{
    const char **modules = NULL;
    if (params->frozen)
        return MU_FAIL(MU_ERR_USAGE, "parameters are shared after the arenas were laid out");
    if (sharing->size < 1 || sharing->rank < 0 || sharing->rank >= sharing->size)
        return MU_FAIL(MU_ERR_USAGE, "rank %d of %d cannot share parameters", sharing->rank, sharing->size);
    if (sharing->n_modules)
        MU_TRY(copy_modules(sharing, &modules));
    mu_free((void *)params->sharing.modules);
    params->sharing = *sharing;
    if (sharing->size == 1)
        params->sharing.stage = MU_SHARD_NOTHING;
    params->sharing.modules = modules;
    return MU_OK;
}

const mu_params_sharing *mu_params_sharing_of(const mu_params *params)
{
    return &params->sharing;
}

int mu_params_n_units(const mu_params *params)
{
    return (int)params->n_units;
}

const mu_param_unit *mu_params_unit(const mu_params *params, int i)
{
    return &params->units[i];
}

int mu_params_unit_of(const mu_params *params, int param)
{
    return params->entries[param].unit;
}

bool mu_params_frozen(const mu_params *params)
{
    return params->frozen;
}

int mu_params_count(const mu_params *params)
{
    return (int)params->n_entries;
}

const mu_param_info *mu_params_at(const mu_params *params, int i)
{
    return &params->entries[i].info;
}

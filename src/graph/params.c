#include "graph/params.h"

#include "core/mem.h"
#include "graph/params_impl.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

typedef mu_param_entry entry;
typedef mu_param_arena arena;

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

static void arena_release(mu_backend *backend, arena *a)
{
    if (a->base)
        backend->ops->dealloc(backend, a->base);
    *a = (arena){0};
}

void mu_params_release(mu_params *params)
{
    if (!params || --params->n_refs > 0)
        return;
    for (size_t i = 0; i < params->n_entries; i++) {
        mu_free(params->entries[i].name);
        mu_free(params->entries[i].pending);
    }
    arena_release(params->backend, &params->data);
    arena_release(params->backend, &params->gradients);
    arena_release(params->backend, &params->states);
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

static void index_all(mu_params *params)
{
    memset(params->slots, 0, params->n_slots * sizeof *params->slots);
    for (size_t i = 0; i < params->n_entries; i++)
        params->slots[find_slot(params, params->entries[i].name)] = (int32_t)i + 1;
}

int mu_params_find(const mu_params *params, const char *name)
{
    return params->n_slots ? params->slots[find_slot(params, name)] - 1 : -1;
}

static mu_err find(const mu_params *params, const char *name, entry **out)
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
    index_all(params);
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
    MU_TRY(find(params, name, &e));
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

static bool is_below(const char *name, const char *module)
{
    size_t length = strlen(module);
    return strncmp(name, module, length) == 0 && (name[length] == '.' || name[length] == '\0');
}

/* The first of sharing.modules whose parts the name begins with, or -1. */
static int module_of(const mu_params_sharing *sharing, const char *name)
{
    for (int i = 0; i < sharing->n_modules; i++)
        if (is_below(name, sharing->modules[i]))
            return i;
    return -1;
}

/* ---- laying out ---- */

static int compare_int(int a, int b)
{
    return (a > b) - (a < b);
}

static int compare_place(const void *pa, const void *pb)
{
    const entry *a = pa, *b = pb;
    if (a->info.trainable != b->info.trainable)
        return a->info.trainable ? -1 : 1;
    if (a->together != b->together)
        return compare_int(a->together, b->together);
    if (a->module != b->module)
        return compare_int(a->module, b->module);
    return a->rank != b->rank ? compare_int(a->rank, b->rank) : compare_int(a->order, b->order);
}

/* A module stands where the last of its parameters would: there its gradients are complete. */
static void sort_entries(mu_params *params)
{
    for (size_t i = 0; i < params->n_entries; i++) {
        entry *e = &params->entries[i];
        e->module = e->info.trainable ? module_of(&params->sharing, e->name) : -1;
        e->together = e->rank;
    }
    for (int m = 0; m < params->sharing.n_modules; m++) {
        int last = 0;
        for (size_t i = 0; i < params->n_entries; i++)
            if (params->entries[i].module == m && params->entries[i].rank > last)
                last = params->entries[i].rank;
        for (size_t i = 0; i < params->n_entries; i++)
            if (params->entries[i].module == m)
                params->entries[i].together = last;
    }
    if (params->n_entries) {
        qsort(params->entries, params->n_entries, sizeof *params->entries, compare_place);
        index_all(params);
    }
}

enum { LAST_UNIT_SHARE = 8 };

/* Where the last unit begins that is cut by size. Nothing is computed while it travels, so it is a small one. */
static size_t begin_last(const mu_params *params, size_t n_trained)
{
    size_t bytes = 0, at = n_trained;
    while (at > 0 && params->entries[at - 1].module < 0 &&
           bytes + params->entries[at - 1].info.bytes <= params->sharing.unit_bytes / LAST_UNIT_SHARE)
        bytes += params->entries[--at].info.bytes;
    return at == n_trained && at > 0 ? at - 1 : at;
}

static bool begins_unit(const mu_params *params, size_t i, size_t unit_bytes, size_t last)
{
    const entry *e = &params->entries[i];
    size_t wanted = params->sharing.unit_bytes;
    return i == 0 || e->module != e[-1].module || e->info.type.dtype != e[-1].info.type.dtype ||
           (e->module < 0 && wanted && (unit_bytes >= wanted || i == last));
}

/* Ends the last unit at its padded size. */
static mu_err end_unit(mu_params *params, size_t *at)
{
    if (params->n_units == 0)
        return MU_OK;
    mu_param_unit *unit = &params->units[params->n_units - 1];
    size_t grain = (size_t)params->sharing.size * MU_ALIGN;
    MU_TRY(mu_add_size(*at, grain, &unit->bytes)); /* room to round up */
    unit->bytes = (*at - unit->offset + grain - 1) / grain * grain;
    unit->piece_bytes = unit->bytes / (size_t)params->sharing.size;
    *at = unit->offset + unit->bytes;
    return MU_OK;
}

static mu_err place(mu_param_info *info, size_t *at)
{
    size_t end;
    info->offset = *at;
    MU_TRY(mu_add_size(*at, info->bytes, &end));
    MU_TRY(mu_add_size(end, MU_ALIGN, &end));
    *at = mu_align_up(info->offset + info->bytes);
    return MU_OK;
}

/* Sets units and offsets. */
static mu_err lay_out(mu_params *params)
{
    size_t n_trained = 0, at = 0;
    while (n_trained < params->n_entries && params->entries[n_trained].info.trainable)
        n_trained++;
    size_t last = begin_last(params, n_trained);
    params->n_units = 0;
    for (size_t i = 0; i < n_trained; i++) {
        mu_param_unit *unit = params->n_units ? &params->units[params->n_units - 1] : NULL;
        if (begins_unit(params, i, unit ? at - unit->offset : 0, last)) {
            MU_TRY(end_unit(params, &at));
            MU_TRY(mu_grow(&params->units, &params->unit_capacity, params->n_units + 1, sizeof *params->units));
            unit = &params->units[params->n_units++];
            *unit = (mu_param_unit){.offset = at, .piece_offset = at / (size_t)params->sharing.size, .first = (int)i};
        }
        MU_TRY(place(&params->entries[i].info, &at));
        params->entries[i].unit = (int32_t)params->n_units - 1;
        unit->n++;
    }
    MU_TRY(end_unit(params, &at));
    params->whole_bytes = at;
    at = 0;
    for (size_t i = n_trained; i < params->n_entries; i++) {
        MU_TRY(place(&params->entries[i].info, &at));
        params->entries[i].unit = -1;
    }
    params->state_bytes = at;
    return MU_OK;
}

static mu_err upload_zeros(mu_backend *backend, char *base, size_t bytes)
{
    enum { CHUNK = 1 << 20 };
    char *zeros;
    MU_TRY(mu_calloc(&zeros, bytes < CHUNK ? bytes : CHUNK, 1));
    mu_err err = MU_OK;
    for (size_t at = 0; at < bytes && !err; at += CHUNK)
        err = backend->ops->upload(backend, base + at, zeros, bytes - at < CHUNK ? bytes - at : CHUNK);
    mu_free(zeros);
    return err;
}

mu_err mu_params_clear(mu_backend *backend, void *base, size_t bytes)
{
    if (backend->host_memory)
        memset(base, 0, bytes);
    else
        MU_TRY(upload_zeros(backend, base, bytes));
    return MU_OK;
}

static mu_err arena_new(mu_backend *backend, size_t bytes, const char *what, arena *out)
{
    arena a = {.bytes = bytes};
    MU_TRY(mu_backend_alloc(backend, bytes, what, &a.base));
    mu_err err = mu_params_clear(backend, a.base, bytes);
    if (err)
        arena_release(backend, &a);
    else
        *out = a;
    return err;
}

static mu_err run_reorder(mu_backend *backend, const mu_type *type, const mu_layout *from, void *in, const mu_layout *to,
                          void *out)
{
    mu_kernel *kernel = NULL;
    void *scratch = NULL;
    mu_err err;
    MU_TRY(backend->ops->reorder(backend, type, from, to, &kernel));
    if (kernel->scratch_bytes)
        MU_TRY_GOTO(err, backend->ops->alloc(backend, kernel->scratch_bytes, &scratch), done);
    MU_TRY_GOTO(err, mu_kernel_bind(kernel, &in, &out, scratch), done);
    MU_TRY_GOTO(err, mu_kernel_run(kernel, &(mu_run){0}), done);
    MU_TRY_GOTO(err, backend->ops->synchronize(backend), done);
done:
    if (scratch)
        backend->ops->dealloc(backend, scratch);
    mu_kernel_release(kernel);
    return err;
}

mu_err mu_params_store(mu_backend *backend, const mu_param_info *info, char *base, const void *host)
{
    size_t bytes = mu_type_bytes(&info->type);
    if (!info->layout) {
        MU_TRY(backend->ops->upload(backend, base + info->offset, host, bytes));
        return MU_OK;
    }
    void *staging;
    mu_err err;
    MU_TRY(backend->ops->alloc(backend, bytes, &staging));
    MU_TRY_GOTO(err, backend->ops->upload(backend, staging, host, bytes), done);
    MU_TRY_GOTO(err, run_reorder(backend, &info->type, NULL, staging, info->layout, base + info->offset), done);
done:
    backend->ops->dealloc(backend, staging);
    return err;
}

mu_err mu_params_load(mu_backend *backend, const mu_param_info *info, char *base, void *host)
{
    size_t bytes = mu_type_bytes(&info->type);
    if (!info->layout) {
        MU_TRY(backend->ops->download(backend, host, base + info->offset, bytes));
        return MU_OK;
    }
    void *staging;
    mu_err err;
    MU_TRY(backend->ops->alloc(backend, bytes, &staging));
    MU_TRY_GOTO(err, run_reorder(backend, &info->type, info->layout, base + info->offset, NULL, staging), done);
    MU_TRY_GOTO(err, backend->ops->download(backend, host, staging, bytes), done);
done:
    backend->ops->dealloc(backend, staging);
    return err;
}

/* A name that fits nothing is a typo. */
static mu_err check_modules(const mu_params *params)
{
    for (int m = 0; m < params->sharing.n_modules; m++) {
        const char *module = params->sharing.modules[m];
        size_t i = 0;
        while (i < params->n_entries && !is_below(params->entries[i].name, module))
            i++;
        if (i < params->n_entries || !params->n_entries)
            continue;
        (void)MU_FAIL(MU_ERR_CONFIG, "no parameter belongs to the module '%s', which is to travel on its own", module);
        return mu_error_hint("parameters have names such as '%s'; a module is what stands before a dot", params->entries[0].name);
    }
    return MU_OK;
}

mu_err mu_params_lay_out(mu_params *params)
{
    MU_TRY(check_modules(params));
    sort_entries(params);
    MU_TRY(lay_out(params));
    params->laid_out = true;
    return MU_OK;
}

/* Into arenas that may be in pieces, whatever their address. */
static mu_err carry_over(mu_params *params, int i, const arena *data, const arena *states)
{
    const entry *e = &params->entries[i];
    if (!e->pending)
        return MU_OK;
    if (e->info.trainable && params->sharing.stage >= MU_SHARD_PARAMETERS)
        return mu_params_store_piece(params, i, data->base, e->pending);
    return mu_params_store(params->backend, &e->info, e->info.trainable ? data->base : states->base, e->pending);
}

mu_err mu_params_freeze(mu_params *params, bool with_gradients)
{
    mu_backend *backend = params->backend;
    arena data = {0}, gradients = {0}, states = {0};
    if (params->frozen) {
        if (with_gradients && !params->gradients.base)
            MU_TRY(arena_new(backend, mu_params_arena_bytes(params, MU_SHARD_GRADIENTS), "gradients", &params->gradients));
        return MU_OK;
    }
    MU_TRY(mu_params_lay_out(params));
    mu_err err;
    MU_TRY_GOTO(err, arena_new(backend, mu_params_arena_bytes(params, MU_SHARD_PARAMETERS), "parameters", &data), fail);
    MU_TRY_GOTO(err, arena_new(backend, params->state_bytes, "states", &states), fail);
    if (with_gradients)
        MU_TRY_GOTO(err, arena_new(backend, mu_params_arena_bytes(params, MU_SHARD_GRADIENTS), "gradients", &gradients), fail);
    for (int i = 0; i < mu_params_count(params); i++)
        MU_TRY_GOTO(err, carry_over(params, i, &data, &states), fail);
    for (size_t i = 0; i < params->n_entries; i++) {
        mu_free(params->entries[i].pending);
        params->entries[i].pending = NULL;
    }
    params->data = data;
    params->gradients = gradients;
    params->states = states;
    params->frozen = true;
    return MU_OK;
fail:
    arena_release(backend, &data);
    arena_release(backend, &states);
    arena_release(backend, &gradients);
    return err;
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

/* This rank's part of a value, wherever it belongs. */
static mu_err write_into(mu_params *params, const entry *e, void *base, const void *host)
{
    if (e->info.trainable && mu_params_in_pieces(params, base))
        return mu_params_store_piece(params, (int)(e - params->entries), base, host);
    return mu_params_store(params->backend, &e->info, base, host);
}

static mu_err read_from(mu_params *params, const entry *e, void *base, void *host)
{
    if (e->info.trainable && mu_params_in_pieces(params, base))
        return mu_params_refuse_pieces(params, e->name);
    return mu_params_load(params->backend, &e->info, base, host);
}

static void *arena_of(const mu_params *params, const mu_param_info *info)
{
    return info->trainable ? params->data.base : params->states.base;
}

mu_err mu_params_write(mu_params *params, const char *name, const void *host)
{
    entry *e;
    MU_TRY(find(params, name, &e));
    if (params->frozen) {
        MU_TRY(write_into(params, e, arena_of(params, &e->info), host));
        return MU_OK;
    }
    size_t bytes = mu_type_bytes(&e->info.type);
    if (!e->pending)
        MU_TRY(mu_alloc(&e->pending, bytes));
    memcpy(e->pending, host, bytes);
    return MU_OK;
}

mu_err mu_params_read(mu_params *params, const char *name, void *host)
{
    entry *e;
    MU_TRY(find(params, name, &e));
    if (params->frozen) {
        MU_TRY(read_from(params, e, arena_of(params, &e->info), host));
        return MU_OK;
    }
    size_t bytes = mu_type_bytes(&e->info.type);
    if (e->pending)
        memcpy(host, e->pending, bytes);
    else
        memset(host, 0, bytes);
    return MU_OK;
}

mu_err mu_params_read_gradient(mu_params *params, const char *name, void *host)
{
    entry *e;
    MU_TRY(find(params, name, &e));
    if (!e->info.trainable)
        return MU_FAIL(MU_ERR_USAGE, "\"%s\" is a state and has no gradient", name);
    if (!params->gradients.base) {
        (void)MU_FAIL(MU_ERR_USAGE, "\"%s\" has no gradient: the store was laid out without gradients", name);
        return mu_error_hint("make a plan of a graph that mu_graph_backward() has extended");
    }
    MU_TRY(read_from(params, e, params->gradients.base, host));
    return MU_OK;
}

static void *arena_at(const arena *a, size_t *bytes)
{
    if (bytes)
        *bytes = a->bytes;
    return a->base;
}

void *mu_params_data(const mu_params *params, size_t *bytes)
{
    return arena_at(&params->data, bytes);
}

void *mu_params_gradients(const mu_params *params, size_t *bytes)
{
    return arena_at(&params->gradients, bytes);
}

void *mu_params_states(const mu_params *params, size_t *bytes)
{
    return arena_at(&params->states, bytes);
}

static mu_err check_frozen(const mu_params *params)
{
    if (!params->frozen)
        return MU_FAIL(MU_ERR_USAGE, "the arenas are not laid out yet");
    return MU_OK;
}

static void drop_empty_list(mu_params *params)
{
    if (params->n_further > 0)
        return;
    mu_free(params->further);
    params->further = NULL;
    params->further_capacity = 0;
}

static mu_err further_arena(mu_params *params, size_t bytes, bool sums, const char *what, void **out)
{
    MU_TRY(check_frozen(params));
    MU_TRY(mu_grow(&params->further, &params->further_capacity, params->n_further + 1, sizeof *params->further));
    mu_param_further *f = &params->further[params->n_further];
    mu_err err = arena_new(params->backend, bytes, what, &f->arena);
    if (err) {
        drop_empty_list(params);
        return err;
    }
    f->sums = sums;
    snprintf(f->what, sizeof f->what, "%s", what);
    params->n_further++;
    *out = f->arena.base;
    return MU_OK;
}

mu_err mu_params_arena_new(mu_params *params, const char *what, void **out)
{
    MU_TRY(further_arena(params, mu_params_arena_bytes(params, MU_SHARD_OPTIMIZER), false, what, out));
    return MU_OK;
}

mu_err mu_params_states_new(mu_params *params, const char *what, void **out)
{
    MU_TRY(further_arena(params, params->state_bytes, false, what, out));
    return MU_OK;
}

mu_err mu_params_sums_new(mu_params *params, const char *what, void **out)
{
    MU_TRY(further_arena(params, mu_params_arena_bytes(params, MU_SHARD_GRADIENTS), true, what, out));
    return MU_OK;
}

void mu_params_arena_release(mu_params *params, void *base)
{
    if (!base)
        return;
    for (size_t i = 0; i < params->n_further; i++)
        if (params->further[i].arena.base == base) {
            params->further[i] = params->further[--params->n_further];
            drop_empty_list(params);
            break;
        }
    params->backend->ops->dealloc(params->backend, base);
}

mu_err mu_params_arena_write(mu_params *params, void *base, const char *name, const void *host)
{
    entry *e;
    MU_TRY(check_frozen(params));
    MU_TRY(find(params, name, &e));
    MU_TRY(write_into(params, e, base, host));
    return MU_OK;
}

mu_err mu_params_arena_read(mu_params *params, void *base, const char *name, void *host)
{
    entry *e;
    MU_TRY(check_frozen(params));
    MU_TRY(find(params, name, &e));
    MU_TRY(read_from(params, e, base, host));
    return MU_OK;
}

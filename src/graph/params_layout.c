/* Where parameters lie: in the order in which their gradients are complete, in units that travel and are cut together. */
#include "core/mem.h"
#include "graph/params_impl.h"

#include <stdlib.h>

typedef mu_param_entry entry;

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
        mu_params_index(params);
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

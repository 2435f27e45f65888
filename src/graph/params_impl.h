/* What a parameter store is made of; shared by the files params*.c and dry plans. */
#ifndef MU_GRAPH_PARAMS_IMPL_H
#define MU_GRAPH_PARAMS_IMPL_H

#include "backend/holders.h"
#include "graph/params.h"

typedef struct {
    mu_param_info info;
    char *name;
    void *pending; /* row-major host bytes written before freezing, or NULL: zeros */
    int rank;      /* wanted place in the arena order; INT_MAX: none */
    int order;     /* of declaration */
    int module;    /* of sharing, or -1; known when the store is laid out, as is what follows */
    int together;  /* place of its module in the arena order */
    int32_t unit;  /* -1: a state */
} mu_param_entry;

typedef struct {
    void *base;
    size_t bytes;
} mu_param_arena;

/* Of mu_params_arena_new and mu_params_sums_new. */
typedef struct {
    mu_param_arena arena;
    bool sums;
    char what[32];
} mu_param_further;

struct mu_params {
    mu_backend *backend; /* borrowed */
    int n_refs;
    bool laid_out, frozen;
    mu_param_entry *entries;
    size_t n_entries, capacity;
    int32_t *slots; /* open addressing by name: entry index + 1, or 0 */
    size_t n_slots; /* a power of two, at least twice n_entries */
    mu_param_arena data, gradients, states;
    size_t whole_bytes, state_bytes; /* of all trained parameters, of all states */

    mu_params_sharing sharing; /* modules: an owned block */
    mu_param_unit *units;
    size_t n_units, unit_capacity;
    mu_param_further *further;
    size_t n_further, further_capacity;
    mu_holder holder;
};

/* The entry of that name; MU_ERR_NOT_FOUND. */
MU_CHECKED mu_err mu_params_get(const mu_params *params, const char *name, mu_param_entry **out);
/* Anew, after the entries have changed places. */
void mu_params_index(mu_params *params);
/* MU_ERR_USAGE before the arenas are there. */
MU_CHECKED mu_err mu_params_check_frozen(const mu_params *params);

/* Sorts and places everything declared, without any memory: for dry plans, and before freezing. */
MU_CHECKED mu_err mu_params_lay_out(mu_params *params);

/* Bytes of an arena that is in pieces from `stage` on. */
static inline size_t mu_params_arena_bytes(const mu_params *params, mu_shard_stage stage)
{
    return params->sharing.stage >= stage ? params->whole_bytes / (size_t)params->sharing.size : params->whole_bytes;
}

/* Between row-major host memory and a parameter's place below `base`. */
MU_CHECKED mu_err mu_params_store(mu_backend *backend, const mu_param_info *info, char *base, const void *host);
MU_CHECKED mu_err mu_params_load(mu_backend *backend, const mu_param_info *info, char *base, void *host);

/* Does this arena (of a frozen store) hold pieces? */
bool mu_params_in_pieces(const mu_params *params, const void *base);
/* Keeps this rank's piece of a trained parameter in an arena of pieces (params_shard.c). */
MU_CHECKED mu_err mu_params_store_piece(const mu_params *params, int i, char *base, const void *host);
/* Tells that a trained parameter's value lies in pieces: MU_ERR_USAGE. */
MU_CHECKED mu_err mu_params_refuse_pieces(const mu_params *params, const char *name);

/* Sets memory of the device to zeros. */
MU_CHECKED mu_err mu_params_clear(mu_backend *backend, void *base, size_t bytes);
void mu_param_arena_release(mu_backend *backend, mu_param_arena *arena);

#endif

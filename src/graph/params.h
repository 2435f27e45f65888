/* The parameter store: trained parameters, their gradients, and states, in flat arenas of one device.
 *
 * Names and types are declared first; the first training plan then fixes the order (that in which backward produces the
 * gradients) and the layouts, and the arenas are allocated. Data and gradients of a parameter have the same offset and the
 * same layout, so that an optimizer works on ranges. Not thread-safe. */
#ifndef MU_GRAPH_PARAMS_H
#define MU_GRAPH_PARAMS_H

#include "backend.h"

typedef struct mu_params mu_params;

typedef struct {
    const char *name;
    mu_type type;
    const mu_layout *layout; /* NULL: row-major */
    bool trainable;          /* false: a state, without a gradient */
    size_t offset, bytes;    /* in its arena; the offset is a multiple of MU_ALIGN */
} mu_param_info;

/* The store borrows the backend, which must outlive it. */
MU_CHECKED mu_err mu_params_new(mu_backend *backend, mu_params **out);
mu_params *mu_params_retain(mu_params *params);
void mu_params_release(mu_params *params);

/* Before freezing. Declaring again with the same type and kind is allowed at any time; with another it is MU_ERR_SHAPE, and
 * a new name after freezing is MU_ERR_USAGE. */
MU_CHECKED mu_err mu_params_declare(mu_params *params, const char *name, mu_type type, bool trainable);
/* Before freezing: moves the parameter to place `rank` in the arena order and gives it a layout. Parameters that were not
 * placed follow in the order of their declaration. */
MU_CHECKED mu_err mu_params_place(mu_params *params, const char *name, int rank, const mu_layout *layout);
/* Allocates the arenas, zeroed. Values that were written before are carried over. A frozen store can still be given
 * gradients; nothing else changes then. On failure the store is as it was. */
MU_CHECKED mu_err mu_params_freeze(mu_params *params, bool with_gradients);
bool mu_params_frozen(const mu_params *params);

int mu_params_count(const mu_params *params);
const mu_param_info *mu_params_at(const mu_params *params, int i); /* arena order once frozen, states last */
int mu_params_find(const mu_params *params, const char *name);     /* -1: not there */

/* Logical values, row-major, in the parameter's dtype, host memory. Allowed before and after freezing. */
MU_CHECKED mu_err mu_params_write(mu_params *params, const char *name, const void *host);
MU_CHECKED mu_err mu_params_read(mu_params *params, const char *name, void *host);
/* MU_ERR_USAGE for a state and for a store without gradients. */
MU_CHECKED mu_err mu_params_read_gradient(mu_params *params, const char *name, void *host);

/* Device addresses and sizes (bytes) of the arenas; NULL before freezing. `bytes` may be NULL. */
void *mu_params_data(const mu_params *params, size_t *bytes);
void *mu_params_gradients(const mu_params *params, size_t *bytes); /* the same size as data */
void *mu_params_states(const mu_params *params, size_t *bytes);

/* A further arena in the layout of the data, zeroed: an optimizer's state, an average. For frozen stores; the address is the
 * device's. `what` is for messages. Released before the store is. */
MU_CHECKED mu_err mu_params_arena_new(mu_params *params, const char *what, void **out);
void mu_params_arena_release(mu_params *params, void *arena); /* NULL is allowed */
/* What mu_params_write and mu_params_read do, for the part of a trained parameter in such an arena (or in data, gradients). */
MU_CHECKED mu_err mu_params_arena_write(mu_params *params, void *arena, const char *name, const void *host);
MU_CHECKED mu_err mu_params_arena_read(mu_params *params, void *arena, const char *name, void *host);

#endif

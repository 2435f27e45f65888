/* The parameter store: trained parameters, their gradients, and states, in flat arenas of one device.
 *
 * Names and types are declared first; the first training plan then fixes the order (that in which backward produces the
 * gradients) and the layouts, and the arenas are allocated. Data and gradients of a parameter have the same offset and the
 * same layout, so that an optimizer works on ranges. Not thread-safe. */
#ifndef MU_GRAPH_PARAMS_H
#define MU_GRAPH_PARAMS_H

#include "backend.h"
#include "dist/comm.h"
#include "graph/exchange.h"

typedef struct mu_params mu_params;

/* The state f32 [1] that the gradient of the total loss starts from, where it is declared: written by the optimizer. Of a model that is trained in parts
 * ".loss_scale.<part>". Names that begin with '.' belong to the step, not to the network: they are not weights, and not saved or shared as such. */
#define MU_LOSS_SCALE ".loss_scale"
static inline bool mu_param_is_weight(const char *name)
{
    return name[0] != '.';
}

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
/* ---- several ranks ----
 * Which arenas hold a rank's own piece of every unit instead of the whole (the stages of ZeRO, Rajbhandari et al. 2020). */
typedef enum {
    MU_SHARD_NOTHING,
    MU_SHARD_OPTIMIZER, /* arenas of mu_params_arena_new */
    MU_SHARD_GRADIENTS, /* and gradients */
    MU_SHARD_PARAMETERS /* and data */
} mu_shard_stage;

typedef struct {
    mu_shard_stage stage;
    int rank, size;       /* whose pieces these are, of how many */
    size_t unit_bytes;    /* a unit ends with the parameter that makes it so large; 0: not by size */
    const char *const *modules; /* [n_modules] prefixes of names by whole parts ("layer1" of "layer1.0.weight"): each is a unit of its own, kept
                                 * together in the arena; parameters of none are cut by size. Copied by mu_params_share */
    int n_modules;
    mu_exchange *exchange; /* borrowed; plans call it. NULL: there is no rank but this one */
} mu_params_sharing;
/* Before freezing; the default is one unit on one rank. */
MU_CHECKED mu_err mu_params_share(mu_params *params, const mu_params_sharing *sharing);
const mu_params_sharing *mu_params_sharing_of(const mu_params *params);

/* Once frozen: a range of parameters that travels as one. Sizes are multiples of size * MU_ALIGN. */
typedef struct {
    size_t offset, bytes;             /* in a whole arena */
    size_t piece_offset, piece_bytes; /* of a rank's piece in an arena of pieces: bytes / size */
    int first, n;                     /* parameters */
} mu_param_unit;
int mu_params_n_units(const mu_params *params);
const mu_param_unit *mu_params_unit(const mu_params *params, int i);
int mu_params_unit_of(const mu_params *params, int param); /* -1: a state */

/* What this rank updates of trained parameter i: places (bytes) in data, gradients and further arenas, as they are. Everything, and the same
 * place in all of them, where nothing is sharded. bytes 0: nothing. */
typedef struct {
    size_t bytes, data, gradient, state;
    size_t first; /* its first byte, counted from the parameter's */
} mu_param_piece;
mu_param_piece mu_params_piece(const mu_params *params, int i);

/* Collective over `comm`, of the ranks that share. Brings a trained parameter's part of an arena together, row-major: on rank owner[i] into
 * host[i] (others: not looked at; owner -1: nobody wants it), i over all parameters; NULL arena: the data. States are left alone. */
MU_CHECKED mu_err mu_params_collect(mu_params *params, void *arena, mu_comm *comm, const int *owner, void *const *host);

/* Allocates the arenas, zeroed. Values that were written before are carried over. A frozen store can still be given
 * gradients; nothing else changes then. On failure the store is as it was. */
MU_CHECKED mu_err mu_params_freeze(mu_params *params, bool with_gradients);
bool mu_params_frozen(const mu_params *params);

int mu_params_count(const mu_params *params);
const mu_param_info *mu_params_at(const mu_params *params, int i); /* arena order once frozen, states last */
int mu_params_find(const mu_params *params, const char *name);     /* -1: not there */

/* Logical values, row-major, in the parameter's dtype, host memory. Allowed before and after freezing. Where data are sharded, a write keeps
 * this rank's piece of them, and a read is MU_ERR_USAGE: mu_params_collect. So it is with mu_params_arena_write and _read. */
MU_CHECKED mu_err mu_params_write(mu_params *params, const char *name, const void *host);
MU_CHECKED mu_err mu_params_read(mu_params *params, const char *name, void *host);
/* MU_ERR_USAGE for a state and for a store without gradients. */
MU_CHECKED mu_err mu_params_read_gradient(mu_params *params, const char *name, void *host);

/* Device addresses and sizes (bytes) of the arenas; NULL before freezing. `bytes` may be NULL. Sharded: the rank's pieces. */
void *mu_params_data(const mu_params *params, size_t *bytes);
void *mu_params_gradients(const mu_params *params, size_t *bytes); /* the same size as data, where both are whole */
void *mu_params_states(const mu_params *params, size_t *bytes);

/* A further arena in the layout of the data, zeroed: an optimizer's state, an average. For frozen stores; the address is the
 * device's. `what` is for messages. Released before the store is. */
MU_CHECKED mu_err mu_params_arena_new(mu_params *params, const char *what, void **out);
/* The same in the layout of the gradients: whole where they are. */
MU_CHECKED mu_err mu_params_sums_new(mu_params *params, const char *what, void **out);
/* The same in the layout of the states, which are always whole. */
MU_CHECKED mu_err mu_params_states_new(mu_params *params, const char *what, void **out);
void mu_params_arena_release(mu_params *params, void *arena); /* NULL is allowed */
/* What mu_params_write and mu_params_read do, for the part of a trained parameter in such an arena (or in data, gradients), or of a state in one of
 * mu_params_states_new. */
MU_CHECKED mu_err mu_params_arena_write(mu_params *params, void *arena, const char *name, const void *host);
MU_CHECKED mu_err mu_params_arena_read(mu_params *params, void *arena, const char *name, void *host);

#endif

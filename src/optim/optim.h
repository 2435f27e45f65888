/* Optimizers: components (kind "optimizer") that update trained parameters in place from their gradients.
 *
 * An optimizer is built from its config, then bound to a parameter store: its states are arenas like the data, and every run
 * of neighbouring parameters (or pieces of them) of one group is one kernel. A step runs kernels and neither allocates nor looks anything up. */
#ifndef MU_OPTIM_OPTIM_H
#define MU_OPTIM_OPTIM_H

#include "backend.h"
#include "graph/params.h"
#include "ops/ops.h"
#include "registry/registry.h"

enum { MU_OPTIM_MAX_STATES = 3, MU_OPTIM_SCALARS = 8 };

/* The first member of every optimizer's struct. */
typedef struct {
    struct mu_optim_binding *binding; /* NULL until mu_optim_bind */
} mu_optim;

/* What schedulers change, per group of parameters; fields that an optimizer lacks are 0. */
typedef struct {
    double lr, weight_decay;
    double momentum, dampening; /* SGD */
    double beta1, beta2, eps;   /* Adam, AdamW */
} mu_optim_group;

/* The component's table of functions. */
typedef struct {
    const mu_op *op;                /* (param, gradient, states..., scalars) -> param', states' */
    const char *const *state_names; /* of all states that the operation knows, NULL-terminated */
    mu_optim_group (*group)(const mu_optim *optim); /* as the options say */
    int (*n_states)(const mu_optim *optim, const mu_optim_group *group);
    /* `first`: for the first step only. */
    mu_update_attrs (*attrs)(const mu_optim *optim, const mu_optim_group *group, bool first);
    /* Fills the operation's scalars for step 1, 2, ..., but for the gradient scale. */
    void (*scalars)(const mu_optim_group *group, int64_t step, double scalars[MU_OPTIM_SCALARS]);
} mu_optim_ops;

enum { MU_OPTIM_GRADIENT_SCALE = 5 }; /* its place among the scalars */

/* Adds the components of this room to the root registry's list: registry/builtin.def. */
extern const mu_component mu_component_sgd, mu_component_adam, mu_component_adamw;

/* The group that the options describe. */
mu_optim_group mu_optim_default_group(const mu_optim *optim);

/* Binds to a frozen store with gradients; both must outlive the binding (the store is retained). group_of [mu_params_count]
 * says to which of `groups` (copied) a trained parameter belongs, -1: it is not updated; NULL: all to group 0. groups NULL:
 * one, the default. Which states exist follows from the options and the groups now. Undoes an earlier binding first. */
MU_CHECKED mu_err mu_optim_bind(mu_optim *optim, mu_backend *backend, mu_params *params, const int *group_of,
                                const mu_optim_group *groups, int n_groups);
/* Of a bound optimizer whose store is in pieces: the ranks over whose pieces the norm goes; borrowed. NULL, as it begins: this rank has all. device: the same
 * ranks' devices, where the gradients are there; NULL for host memory. */
void mu_optim_set_pieces(mu_optim *optim, mu_comm *comm, mu_device_comm *device);
/* Frees the states. Also done by mu_destroy. */
void mu_optim_unbind(mu_optim *optim);

int mu_optim_n_groups(const mu_optim *optim);
/* Borrowed; may be written between steps. */
mu_optim_group *mu_optim_group_at(mu_optim *optim, int i);
/* As it was when it was bound. */
mu_optim_group mu_optim_initial_group(const mu_optim *optim, int i);

/* Steps done; to be set when states are restored. */
int64_t mu_optim_steps(const mu_optim *optim);
void mu_optim_set_steps(mu_optim *optim, int64_t steps);

/* States by PyTorch's names ("momentum_buffer", "exp_avg"), and their arenas for mu_params_arena_read and _write. */
int mu_optim_n_states(const mu_optim *optim);
const char *mu_optim_state_name(const mu_optim *optim, int i);
void *mu_optim_state(const mu_optim *optim, int i);

typedef struct {
    double gradient_scale; /* gradients are multiplied by it: 1 / (loss scale * accumulated passes); 0 means 1 */
    double max_value;      /* scaled gradients are first clamped to +-max_value; 0: not. Changes the gradient arena */
    double max_norm;       /* then scaled to this global 2-norm if theirs is larger; 0: not */
} mu_optim_step_options;

/* The 2-norm of all gradients that belong to a group, times `scale`. Collective over the ranks of mu_optim_set_pieces. */
MU_CHECKED mu_err mu_optim_gradient_norm(mu_optim *optim, double scale, double *out);

/* One step; of this rank's pieces, where they are all that it has: collective then, when a norm is wanted. options may be NULL. norm (may be NULL) receives the norm before clipping by norm. When a norm is asked for or
 * clipped to and is not finite, MU_ERR_NUMERIC: nothing is updated. */
MU_CHECKED mu_err mu_optim_step(mu_optim *optim, const mu_optim_step_options *options, double *norm);

/* destroy of every component here. */
void mu_optim_destroy(void *optim);

#endif

/* Optimizers: components (kind "optimizer") that update trained parameters in place from their gradients.
 *
 * An optimizer is built from its config, then bound to a parameter store: its states are arenas like the data, and every run
 * of neighbouring parameters (or pieces of them) of one group is one kernel. A step runs kernels and neither allocates nor looks anything up.
 *
 * What a step depends on is decided where the gradients are (update_control in ops/ops.h): whether they are finite, by what they are
 * multiplied, how far Adam's bias is corrected, the loss scale. On devices nothing waits for it, and the kernels of a step are recorded
 * and replayed. */
#ifndef MU_OPTIM_OPTIM_H
#define MU_OPTIM_OPTIM_H

#include "backend.h"
#include "graph/params.h"
#include "ops/ops.h"
#include "registry/registry.h"

enum { MU_OPTIM_MAX_STATES = 3 };

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
    mu_update_attrs (*attrs)(const mu_optim *optim, const mu_optim_group *group);
    /* Sets what update_control reads of a group; the rest is 0. */
    void (*numbers)(const mu_optim_group *group, double numbers[MU_UPDATE_SCALARS]);
} mu_optim_ops;

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

/* The control block (MU_CONTROL_STEPS...): zeros, and 1 for the loss scale, when it is bound; to be written when states are restored.
 * Reading waits for the device. A loss scale that does not move stays what it was set to. */
MU_CHECKED mu_err mu_optim_read_control(const mu_optim *optim, double control[MU_CONTROL_N]);
MU_CHECKED mu_err mu_optim_write_control(mu_optim *optim, const double control[MU_CONTROL_N]);
/* Its address on the device, f64 [MU_CONTROL_N], for mu_readback: behind a step it tells what became of it. bytes may be NULL. */
const void *mu_optim_control(const mu_optim *optim, size_t *bytes);

/* States by PyTorch's names ("momentum_buffer", "exp_avg"), and their arenas for mu_params_arena_read and _write. */
int mu_optim_n_states(const mu_optim *optim);
const char *mu_optim_state_name(const mu_optim *optim, int i);
void *mu_optim_state(const mu_optim *optim, int i);

typedef struct {
    double gradient_scale; /* gradients are multiplied by it and divided by the loss scale: 1 / accumulated batches; 0 means 1 */
    double max_norm;       /* scaled gradients are scaled down to this global 2-norm if theirs is larger; 0: not */
    double max_value;      /* then clamped to +-max_value; 0: not */
    bool check;            /* looks whether all gradients are finite; done in any case on devices, and where a norm is wanted */
} mu_optim_step_options;

/* Gradients are those of a loss that was multiplied (graph/params.h: MU_LOSS_SCALE). Steps whose gradients are not finite are skipped,
 * which is no error. */
typedef struct {
    double init_scale, growth_factor, backoff_factor;
    int64_t growth_interval; /* good steps; 0: the scale stays as it is */
} mu_loss_scaling;
/* Of a bound optimizer, before its first step. scaling NULL, as it begins: gradients that are not finite stop all updates. state: where the
 * store's model reads the scale; NULL: it does not. As it begins MU_LOSS_SCALE, if there is one. */
MU_CHECKED mu_err mu_optim_set_scaling(mu_optim *optim, const mu_loss_scaling *scaling, const char *state);

/* One step; of this rank's pieces, where they are all that it has: collective then, when gradients are looked at. options may be NULL. norm
 * (may be NULL) receives the 2-norm of all gradients that belong to a group, unscaled, before clipping. MU_ERR_NUMERIC when they are looked at
 * and are not finite: nothing is updated, and nothing counted. Waits for the device. */
MU_CHECKED mu_err mu_optim_step(mu_optim *optim, const mu_optim_step_options *options, double *norm);
/* The same without waiting: what became of it is in the control block. Gradients that are not finite are no error here. */
MU_CHECKED mu_err mu_optim_step_late(mu_optim *optim, const mu_optim_step_options *options);

/* destroy of every component here. */
void mu_optim_destroy(void *optim);

#endif

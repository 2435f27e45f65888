/* Optimizer wrappers: components (kind "optim_wrapper"): OptimWrapper, and AmpOptimWrapper with matrix products in bf16.
 *
 * They average gradients over the ranks, accumulate, clip and step. */
#ifndef MU_OPTIM_WRAPPER_H
#define MU_OPTIM_WRAPPER_H

#include "dist/average.h"
#include "optim/optim.h"

/* What the rules of paramwise_cfg look at, per trained parameter. */
typedef struct {
    const char *name;   /* "backbone.bn1.weight" */
    int ndim;
    bool bias;          /* its last part is "bias" */
    bool norm, depthwise; /* of the layer that owns it */
} mu_param_traits;

/* The first member of every wrapper's struct. The options come first, the rest belongs to this room. */
typedef struct {
    const mu_cfg *optimizer_cfg, *clip_grad, *paramwise_cfg;
    int64_t accumulative_counts;

    mu_optim *optim; /* built by create */
    struct mu_optim_wrapper_state *state;
} mu_optim_wrapper;

extern const mu_component mu_component_optim_wrapper, mu_component_amp_optim_wrapper;

/* The keys, for a config's optim_wrapper that has no `type`. */
extern const mu_option mu_optim_wrapper_keys[];
/* What a model is to be planned with, before the wrapper is bound: MU_NONE or MU_BF16. */
mu_dtype mu_optim_wrapper_autocast(const mu_optim_wrapper *wrapper);

/* Makes the groups (DefaultOptimWrapperConstructor: paramwise_cfg) and binds the optimizer. traits[n]: the trained parameters. A key of
 * custom_keys that matches nothing is warned about. lr_scale multiplies every group's lr (auto_scale_lr); 1: not. comm is borrowed.
 * Group 0 has the optimizer's own values whether or not a parameter is in it; equal settings share a group. */
MU_CHECKED mu_err mu_optim_wrapper_bind(mu_optim_wrapper *wrapper, mu_backend *backend, mu_params *params,
                                        const mu_param_traits *traits, int n, double lr_scale, mu_comm *comm);
mu_optim *mu_optim_wrapper_optim(const mu_optim_wrapper *wrapper);
/* The group of a parameter, by index into traits; -1: it is not updated. Logs show the lr of the first one's as `lr`, and that of
 * group 0 as `base_lr` where there are several groups. */
int mu_optim_wrapper_group_of(const mu_optim_wrapper *wrapper, int trait);

/* Batches done and to be done: the last one of `max` always updates. The rest of a division by accumulative_counts is scaled by its
 * own length. max -1: not known. */
void mu_optim_wrapper_set_progress(mu_optim_wrapper *wrapper, int64_t done, int64_t max);

typedef struct {
    bool updated;    /* false: gradients were only accumulated */
    double grad_norm; /* before clipping; NaN unless clipped by norm */
} mu_update_info;
/* Collective, after a training step that went well on all ranks: accumulates, or averages over the ranks and steps. A gradient norm that is
 * not finite is MU_ERR_NUMERIC on all ranks alike. */
MU_CHECKED mu_err mu_optim_wrapper_update(mu_optim_wrapper *wrapper, mu_update_info *out);
/* Sums of this rank's gradients that are not yet used: they belong into a checkpoint; arena for mu_params_arena_read and _write, or
 * NULL when there are none. count: how many batches they are of. */
void *mu_optim_wrapper_accumulated(const mu_optim_wrapper *wrapper, int64_t *count);
/* Collective. Gives all ranks the mean of their sums, which leaves the next update the same: before they are written, so that a run of any
 * number of ranks can go on with them. */
MU_CHECKED mu_err mu_optim_wrapper_share_accumulated(mu_optim_wrapper *wrapper);
MU_CHECKED mu_err mu_optim_wrapper_set_accumulated(mu_optim_wrapper *wrapper, int64_t count); /* makes the arena */

#endif

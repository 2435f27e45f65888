/* Optimizer wrappers: components (kind "optim_wrapper"): OptimWrapper, and AmpOptimWrapper with matrix products in bf16 or f16.
 *
 * They say when gradients of several batches are used, clip them and step. The ranks' mean is parallel's business. */
#ifndef MU_OPTIM_WRAPPER_H
#define MU_OPTIM_WRAPPER_H

#include "optim/optim.h"
#include "parallel/parallel.h"

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
/* What a model is to be planned with, before the wrapper is bound: MU_NONE, MU_BF16 or MU_F16; and whether its loss is scaled. */
mu_dtype mu_optim_wrapper_autocast(const mu_optim_wrapper *wrapper);
bool mu_optim_wrapper_scales(const mu_optim_wrapper *wrapper);
/* MU_ERR_CONFIG: this device does not train in that. */
MU_CHECKED mu_err mu_optim_wrapper_check_device(const mu_optim_wrapper *wrapper, const mu_backend *backend);

/* Makes the groups (DefaultOptimWrapperConstructor: paramwise_cfg) and binds the optimizer. traits[n]: the trained parameters. A key of
 * custom_keys that matches nothing is warned about. lr_scale multiplies every group's lr (auto_scale_lr); 1: not. parallel is opened, and borrowed.
 * Group 0 has the optimizer's own values whether or not a parameter is in it; equal settings share a group. */
MU_CHECKED mu_err mu_optim_wrapper_bind(mu_optim_wrapper *wrapper, mu_backend *backend, mu_params *params,
                                        const mu_param_traits *traits, int n, double lr_scale, mu_parallel *parallel);
bool mu_optim_wrapper_accumulates(const mu_optim_wrapper *wrapper);
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
/* Does the next update step, or are its gradients only accumulated? What mu_parallel_begin is told. */
bool mu_optim_wrapper_updates(const mu_optim_wrapper *wrapper);
/* Between mu_parallel_finish and mu_parallel_publish: steps with the gradients of so many batches, or lets it be. A gradient norm that is not finite
 * is MU_ERR_NUMERIC on all ranks alike, where the loss is not scaled; there the step is skipped. */
MU_CHECKED mu_err mu_optim_wrapper_update(mu_optim_wrapper *wrapper, int64_t batches, mu_update_info *out);
/* The same without waiting for the device: what became of it, the norm too, is in the control block (mu_optim_control). Numbers are no error. */
MU_CHECKED mu_err mu_optim_wrapper_update_late(mu_optim_wrapper *wrapper, int64_t batches, bool *updated);
/* Are gradients clipped by their norm, which is told then? */
bool mu_optim_wrapper_clips_norm(const mu_optim_wrapper *wrapper);

#endif

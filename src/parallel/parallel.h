/* How ranks share a model: components (kind "model_wrapper"): MMDistributedDataParallel (the default), MMFullyShardedDataParallel,
 * MMSeparateDistributedDataParallel.
 *
 * A wrapper says how the parameter store is laid out, listens to the plans (mu_exchange) and brings gradients to the mean over the ranks. One step:
 *
 *     mu_parallel_share_states(p)
 *     mu_parallel_begin(p, updates)      before the model runs
 *     err = ...                           forward and backward; gradients travel meanwhile
 *     err = mu_parallel_end_run(p, err)  also when the run failed: nobody is left waiting
 *                                        the ranks agree on err; on failure mu_parallel_drain(p), and the step is over
 *     mu_parallel_finish(p, &batches)    gradients of what this rank updates are means over the ranks
 *     mu_optim_step(...)
 *     mu_parallel_publish(p)             every rank has all parameters again, or will have had when a plan wants them
 */
#ifndef MU_PARALLEL_PARALLEL_H
#define MU_PARALLEL_PARALLEL_H

#include "graph/params.h"
#include "parallel/courier.h"
#include "registry/registry.h"

typedef struct mu_parallel_state mu_parallel_state;

/* The first member of every wrapper's struct. */
typedef struct {
    mu_exchange exchange; /* what plans call */
    bool broadcast_buffers, fixed_order, hierarchical, detect_anomalous_params;
    char *wire;           /* "float32", "bfloat16" */
    double bucket_cap_mb; /* 0: chosen */
    int64_t prefetch, forward_prefetch; /* of the exchange; set by create, where anything is sharded */
    bool narrow_params;                 /* gathered parameters travel, and are used, in bf16 */
    mu_parallel_state *state;
} mu_parallel;

/* The options of all wrappers; `struct_` begins with a mu_parallel. */
#define MU_PARALLEL_OPTIONS(struct_) MU_PARALLEL_OPTIONS_AT(offsetof(struct_, base))
#define MU_PARALLEL_OPTIONS_AT(base_)                                                                                                        \
    {.key = "bucket_cap_mb", .type = MU_OPT_FLOAT, .offset = (base_) + offsetof(mu_parallel, bucket_cap_mb), .nullable = true,                \
     .bounded_below = true, .above_min = true, .text_default = "null", .unit = "MiB", .help = "gradients that travel together"},               \
    {.key = "broadcast_buffers", .type = MU_OPT_BOOL, .offset = (base_) + offsetof(mu_parallel, broadcast_buffers), .boolean_default = true,  \
     .help = "every training step begins with the running statistics of rank 0"},                                                             \
    {.key = "fixed_order", .type = MU_OPT_BOOL, .offset = (base_) + offsetof(mu_parallel, fixed_order),                                       \
     .help = "add gradients in the order of the ranks: the same bits from run to run, more slowly; no effect on GPUs: NCCL keeps its own"},   \
    {.key = "hierarchical", .type = MU_OPT_BOOL, .offset = (base_) + offsetof(mu_parallel, hierarchical),                                     \
     .help = "add gradients inside the nodes first, then between them; no effect on GPUs: NCCL knows the nodes, and chooses"},                \
    {.key = "gradient_dtype", .type = MU_OPT_STRING, .offset = (base_) + offsetof(mu_parallel, wire), .text_default = "float32",              \
     .choices = mu_parallel_wires, .help = "of what travels: bfloat16 is half as much"},                                                      \
    {.key = "detect_anomalous_params", .type = MU_OPT_BOOL, .offset = (base_) + offsetof(mu_parallel, detect_anomalous_params),               \
     .help = "a parameter without influence on the loss is an error, not a warning"}
extern const char *const mu_parallel_wires[];
extern const mu_option mu_ddp_keys[]; /* of MMDistributedDataParallel: for a model_wrapper_cfg that has no `type` */

/* The component's table of functions. */
typedef struct {
    /* Fills stage, unit_bytes and modules. */
    mu_err (*share)(const mu_parallel *parallel, mu_params_sharing *out);
    bool parts; /* for models that are trained in parts, and for no other */
} mu_parallel_ops;

/* Collective, once, before the parameters are laid out: chooses the size of buckets where it is left open, and tells how the store is shared
 * (mu_params_share; the wrapper outlives the plans). bytes: of all gradients. deterministic: nothing is measured, and the order is fixed. comm is
 * borrowed. */
MU_CHECKED mu_err mu_parallel_open(mu_parallel *parallel, mu_comm *comm, size_t bytes, bool deterministic, mu_params_sharing *out);
/* What open would tell on `size` ranks, without them and without measuring: for dry plans. */
MU_CHECKED mu_err mu_parallel_foresee(mu_parallel *parallel, int size, mu_params_sharing *out);
mu_comm *mu_parallel_comm(const mu_parallel *parallel); /* since open */
/* Collective. The store is frozen; retained. accumulates: sums of gradients over batches are kept. */
MU_CHECKED mu_err mu_parallel_bind(mu_parallel *parallel, mu_backend *backend, mu_params *params, bool accumulates);
/* Collective. */
void mu_parallel_unbind(mu_parallel *parallel);
/* destroy of a component that has nothing else to free: unbinds. */
void mu_parallel_destroy(void *object);

/* Since bind, on devices and several ranks: who speaks between kernels adds its communicator of devices. Else NULL. */
mu_guard *mu_parallel_guard(const mu_parallel *parallel);
/* Not collective. This rank has failed and leaves out what the others go on with: on no device anything waits for another any more, and none exchanges
 * anything again. Nothing on hosts. Leaves the error record as it is. */
void mu_parallel_give_up(mu_parallel *parallel);
/* Collective, once bound. Memory of the backend becomes that of rank 0, or the mean over the ranks: at once on hosts; on devices in order with the kernels,
 * and nothing waits. */
MU_CHECKED mu_err mu_parallel_broadcast(mu_parallel *parallel, void *data, size_t bytes);
MU_CHECKED mu_err mu_parallel_mean(mu_parallel *parallel, void *data, int64_t count, mu_dtype dtype);
/* Collective, before a training run. Rank 0's running statistics to all, with broadcast_buffers. */
MU_CHECKED mu_err mu_parallel_share_states(mu_parallel *parallel);

/* The units of gradients that runs are about from now on: first .. first + n - 1. All of them since bind. */
void mu_parallel_select(mu_parallel *parallel, int first, int n);
/* Before a training run. updates: the optimizer steps after it; else its gradients are added up, and nothing travels (stage 0 and 1). */
void mu_parallel_begin(mu_parallel *parallel, bool updates);
/* After it, on every rank: hands over what a failed run did not, or adds the gradients up. err: of the run; returned, with its record, or else
 * what goes wrong here. Not collective. */
MU_CHECKED mu_err mu_parallel_end_run(mu_parallel *parallel, mu_err err);
/* After end_run, instead of finish, when all ranks know that a run failed: nothing touches the gradients any more. Leaves the error record as it is. */
void mu_parallel_drain(mu_parallel *parallel);
/* Collective. *batches: of how many batches the gradients are sums of (over time); without updates, how many have been added up. */
MU_CHECKED mu_err mu_parallel_finish(mu_parallel *parallel, int64_t *batches);
/* Collective. After an optimizer's step. */
MU_CHECKED mu_err mu_parallel_publish(mu_parallel *parallel);
/* The ranks over whose pieces norms and sums go; NULL: every rank has everything. */
mu_comm *mu_parallel_pieces(const mu_parallel *parallel);
/* Devices: the same ranks, for collectives in MU_LANE_KERNELS. NULL where there are no pieces, and on hosts. */
mu_device_comm *mu_parallel_pieces_device(const mu_parallel *parallel);

/* Sums of gradients that are not yet used, and of how many batches: they belong into a checkpoint. Whole in stages 0 and 1, pieces in 2 and 3. NULL
 * when there are none. share: all ranks get the mean of them, which leaves the next update the same. */
void *mu_parallel_accumulated(const mu_parallel *parallel, int64_t *batches);
MU_CHECKED mu_err mu_parallel_share_accumulated(mu_parallel *parallel);              /* Collective */
MU_CHECKED mu_err mu_parallel_set_accumulated(mu_parallel *parallel, int64_t batches); /* makes the arena */

/* For logs and benchmarks, since the last call. */
mu_courier_times mu_parallel_take_times(mu_parallel *parallel);

#endif

/* A plan: a graph made ready for one backend: prepared kernels in order, offsets into one arena, addresses bound.
 *
 * Making a plan may take seconds; running it does nothing but run kernels. */
#ifndef MU_GRAPH_PLAN_H
#define MU_GRAPH_PLAN_H

#include "backend.h"
#include "graph/params.h"
#include "ir/graph.h"

#include <stdio.h>

typedef struct mu_plan mu_plan;

typedef struct {
    mu_dtype autocast;   /* MU_NONE, MU_BF16 or MU_F16 */
    bool no_fusion;      /* for tests and debugging: one kernel per traced node */
    bool keep_all;       /* no memory reuse: every step's outputs can be read after a run (mu_plan_read_step) */
    bool profile;        /* time every node */
    bool dry;            /* prepare and lay out, but allocate and bind nothing: `muster check` */
    const mu_params_sharing *sharing; /* of a dry plan without a store: that of one of its own; borrowed for the call. NULL: nobody shares */
} mu_plan_options;

/* Runs the passes, prepares the kernels, lays out memory. Parameters and states that `params` lacks are declared (zeros);
 * then `params` is frozen if it is not yet: in the order and the layouts of this plan. The graph is borrowed for the call
 * only; the backend is borrowed, params retained. params may be NULL for a dry plan, options for the defaults. */
MU_CHECKED mu_err mu_plan_new(const mu_graph *graph, mu_backend *backend, mu_params *params, const mu_plan_options *options,
                              mu_plan **out);
void mu_plan_release(mu_plan *plan);

/* Host address of an input's row-major bytes, for the next run only: the caller asks anew before each run with other inputs, and fills all of them, at
 * once after the run before. What was not asked for since the last run (by mu_plan_run_checked, too) is there again as it was; zeros at first. On
 * devices it is pinned memory on its way beside the kernels of the runs before. NULL when the plan does not read an input of this name. */
void *mu_plan_input(mu_plan *plan, const char *name, mu_type *type);
/* The same in two halves, of which the second looks nothing up. -1, and NULL for it: not read. */
int mu_plan_find_input(const mu_plan *plan, const char *name);
void *mu_plan_input_at(mu_plan *plan, int i);
/* Instead of filling it: the next run sends input i (-1: nothing happens) from `host`, memory of the backend's alloc_host. It is read as far as the next
 * multiple of MU_ALIGN from `host` on, and all that a run is given so is of one block. What run r was given is read until the plan's next run that is given
 * anything has begun (or mu_plan_send has returned for it), or up to mu_plan_wait_inputs: whoever gives each run another block may write into the first one
 * again when the second run has returned. Where the host has the device's memory it is copied at once. */
void mu_plan_input_from(mu_plan *plan, int i, const void *host);
/* Nothing is read any more that runs were given. Where runs of several plans get their inputs by turns: a plan waits for its own only. */
MU_CHECKED mu_err mu_plan_wait_inputs(mu_plan *plan);

/* Inputs that were filled begin to travel; mu_plan_run sends those that have not been. */
MU_CHECKED mu_err mu_plan_send(mu_plan *plan);

/* One pass over the kernels. Collective when the graph has collective operations (SyncBN), or ranks have gradients or parameters in pieces: a rank on
 * which something fails still takes its part in what follows, so that nobody waits for it. A plan with gradients tells the exchange of its parameters
 * (params.h) of every unit of them as soon as it is complete, in ascending order; of whole ones only as long as nothing fails. `run` may be NULL: zeros.
 * Parameters without a path to the loss keep whatever is in their gradient (zero after freezing), where gradients are whole. */
MU_CHECKED mu_err mu_plan_run(mu_plan *plan, const mu_run *run);

/* Parameters or states were written from outside: folded weights are computed anew before the next run. */
void mu_plan_refresh(mu_plan *plan);

/* Copies an output, row-major in its dtype, to the host. */
MU_CHECKED mu_err mu_plan_read(mu_plan *plan, const char *output, void *host, size_t bytes);
/* Where an output is in the device's memory, row-major, until the next run; NULL when there is none of this name. */
void *mu_plan_output(const mu_plan *plan, const char *output);
/* The type of an output; MU_NONE when there is none of this name. */
mu_type mu_plan_output_type(const mu_plan *plan, const char *output);

/* With keep_all: copies output `output` of step i, row-major, to the host. `type` (may be NULL) gets its type. A `host` of NULL
 * only asks for the type. */
MU_CHECKED mu_err mu_plan_read_step(mu_plan *plan, int i, int output, mu_type *type, void *host, size_t bytes);

/* After MU_ERR_NUMERIC or on suspicion: runs node by node and fails at the first node whose output holds a NaN or infinity,
 * naming node, operation, operand ranges; the nodes behind it have run, too, and outputs can be read. Not collective: collective operations act as on one
 * rank (MU_ALONE), and no exchange is told. */
MU_CHECKED mu_err mu_plan_run_checked(mu_plan *plan, const mu_run *run);
/* Can it be called? Not where parameters are in pieces: MU_ERR_USAGE. */
bool mu_plan_is_alone(const mu_plan *plan);

typedef struct {
    const char *name, *op, *impl; /* borrowed from the plan */
    bool backward, reorder, once; /* once: runs only after a refresh */
    int64_t flops, bytes;
    double seconds;               /* sum over the profiled runs */
    int64_t runs;
} mu_plan_step;

typedef struct {
    size_t arena_bytes;       /* activations and scratch, as laid out */
    size_t lower_bound_bytes; /* largest sum of these alive at one step: no placement takes less */
    size_t activation_bytes;  /* largest sum of activations alone */
    size_t param_bytes, gradient_bytes, state_bytes;
    int64_t flops, bytes;     /* per run */
    int n_steps, n_reorders;
} mu_plan_stats;

mu_plan_stats mu_plan_get_stats(const mu_plan *plan);
int mu_plan_n_steps(const mu_plan *plan);
mu_plan_step mu_plan_get_step(const mu_plan *plan, int i);
/* Of a parameter: the first step that reads it, and the last one that writes its gradient; -1: none does. */
void mu_plan_param_steps(const mu_plan *plan, const char *name, int *first_use, int *gradient);

/* With `profile`: the runs so far in Chrome's trace event format. */
MU_CHECKED mu_err mu_plan_write_trace(const mu_plan *plan, FILE *file);
/* Steps, layouts, offsets and reuse, one line each. */
MU_CHECKED mu_err mu_plan_print(const mu_plan *plan, FILE *file);

#endif

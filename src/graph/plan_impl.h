/* What a plan is made of; shared by the files plan*.c. */
#ifndef MU_GRAPH_PLAN_IMPL_H
#define MU_GRAPH_PLAN_IMPL_H

#include "backend/feed.h"
#include "backend/holders.h"
#include "backend/repeat.h"
#include "core/mem.h"
#include "graph/plan.h"

/* Where a buffer's bytes are. */
typedef enum {
    MU_BUFFER_ARENA, /* shared with others that live at other times */
    MU_BUFFER_INPUT,
    MU_BUFFER_CONST,
    MU_BUFFER_PARAM, /* the last three lie in the parameter store */
    MU_BUFFER_GRADIENT,
    MU_BUFFER_STATE
} mu_buffer_kind;

/* The memory of one or more values: views and in-place results share it. */
typedef struct {
    mu_buffer_kind kind;
    size_t bytes;
    int32_t first, last; /* steps that use it; first > last: none */
    bool pinned;         /* an output: read after the run */
    bool once;           /* written before the first run only */
    bool scratch;
    mu_value value;   /* the first one in it, of plan->graph; none for scratch. PARAM..STATE: the leaf */
    int32_t parent;   /* the buffer of the unit that it is a part of, or -1 */
    size_t offset;    /* in its arena, or in its parent */
    void *address;    /* NULL in a dry plan */
} mu_buffer;

typedef struct {
    mu_kernel *kernel; /* owned */
    int32_t *in, *out; /* buffers, -1: absent; one block, owned */
    int32_t scratch;   /* buffer or -1 */
    mu_value value;    /* output 0, or what a reorder moves */
    const mu_node *node; /* of plan->graph; NULL for reorders */
    int32_t place;     /* of the node that it serves, in plan->graph; the number of nodes: of none */
    bool backward, once;
    int64_t flops, bytes;
    double seconds;
    int64_t runs;
} mu_step;

typedef struct {
    const char *name; /* of plan->graph */
    mu_type type;
    int32_t buffer;
    bool filled;      /* an input of a device: its address was asked for since the last run, */
    const void *from; /* or it is sent from here */
} mu_plan_slot;

/* Profiling: one timed step. */
typedef struct {
    int32_t step;
    int64_t begin_ns, end_ns;
} mu_plan_event;

/* What the exchange between ranks is told before a step. */
typedef enum { MU_CALL_START_REDUCE, MU_CALL_WAIT_REDUCE, MU_CALL_START_GATHER, MU_CALL_WAIT_GATHER } mu_plan_call_kind;
typedef struct {
    mu_plan_call_kind kind;
    int32_t unit;
    int32_t order;            /* at one boundary: reductions, then gathers that start, then those that end, by this */
    int32_t boundary;         /* comes before the steps of this place; the same on all ranks, whatever their steps are */
    int32_t step;             /* the first of them */
    int32_t buffer;           /* the unit's memory in this plan, or -1: in the store */
    int32_t first_gap, n_gaps; /* START_REDUCE: what no step of this plan writes */
} mu_plan_call;

/* A range of a unit's memory. */
typedef struct {
    size_t offset, bytes;
} mu_plan_gap;

struct mu_plan {
    mu_backend *backend; /* borrowed */
    mu_params *params;   /* retained; NULL in a dry plan, or its own, of which there is only the layout */
    bool own_store;
    mu_plan_options options;
    mu_graph *graph; /* after all passes; owns names, constants */

    mu_step *steps; /* first those that run once per refresh */
    size_t n_steps, n_once;
    mu_buffer *buffers;
    size_t n_buffers;
    mu_plan_slot *inputs, *outputs;
    size_t n_inputs, n_outputs;

    void *arena, *constants, *input_arena;
    mu_feed *feed;       /* of the inputs of a device; NULL: the caller fills input_arena */
    mu_feed_range *sent; /* [n_inputs] */
    void *slot;          /* of the feed, for the next run */
    mu_holder holder;
    size_t constant_bytes, input_bytes;
    mu_plan_stats stats;
    mu_plan_call *calls;
    mu_plan_gap *gaps;
    size_t n_calls, n_gaps;
    bool fresh; /* the `once` steps have run since the last refresh */

    mu_repeat *repeat; /* of runs that are not part of another span; NULL: none was needed yet */

    mu_plan_event *events; /* ring of the last ones, with `profile` */
    size_t n_events, event_capacity;
};

/* The first and last step that uses each buffer; then, when all buffers are known, offsets in the arenas and the bytes that these take (plan_layout.c). */
void mu_plan_find_lifetimes(mu_plan *plan);
MU_CHECKED mu_err mu_plan_lay_out(mu_plan *plan);

/* Fills steps, buffers, slots and stats from plan->graph; freezes the store unless the plan is dry (plan_build.c). */
MU_CHECKED mu_err mu_plan_build(mu_plan *plan);

/* Where ranks share the store: lists the calls, and makes the memory of units part of the arena where they are not kept as a whole. After the
 * lifetimes are found, before the arena is laid out. *capacity: of plan->buffers (plan_units.c). */
MU_CHECKED mu_err mu_plan_add_units(mu_plan *plan, size_t *capacity);
MU_CHECKED mu_err mu_plan_make_call(mu_plan *plan, const mu_plan_call *call);

/* Behind mu_plan_send: sends what kernels read of the run, and tells at which step it begins; the caller sets `fresh` when it ends well. */
MU_CHECKED mu_err mu_plan_begin_run(mu_plan *plan, const mu_run *run, size_t *first);

static inline const char *mu_step_op(const mu_step *step)
{
    return step->node ? step->node->op->name : "reorder";
}
/* The name of the node, or of what is moved. */
const char *mu_plan_value_name(const mu_plan *plan, mu_value value);

#endif

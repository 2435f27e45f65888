/* A plan while it is built; shared by plan_build.c and the files it calls. */
#ifndef MU_GRAPH_PLANNER_H
#define MU_GRAPH_PLANNER_H

#include "graph/plan_impl.h"

/* A value in one layout. */
typedef struct {
    int32_t buffer;
    const mu_layout *layout;
    int32_t next; /* copy of the same value, or -1 */
} mu_copy;

typedef struct {
    mu_step *step;
    size_t n, capacity;
} mu_step_list;

typedef struct {
    bool decided; /* the layout, by the store or by the first kernel that reads the parameter */
    const mu_layout *layout;
    int32_t gradient; /* buffer or -1 */
} mu_placed_param;

typedef struct {
    mu_plan *plan;
    const mu_graph *g;
    mu_backend *backend;
    bool evaluation; /* no gradients: parameters do not change between refreshes */
    bool gathers;    /* parameters are there only around their use */
    int32_t place;   /* the node that is being built */

    mu_copy *copies;
    size_t n_copies, copy_capacity;
    size_t buffer_capacity;
    int32_t *first_copy; /* [n_values+1] or -1 */
    int32_t *uses_left;  /* [n_values+1] reads to come; outputs and gradients count one that never comes */
    int32_t *pending;    /* [buffers] sum of uses_left over the values in it */
    size_t pending_capacity;
    bool *once;             /* [n_values+1] */
    bool *updated;          /* [n_values+1] leaves whose contents this graph changes */
    bool *deferred;         /* [n_values+1] casts of parameters, made when the first kernel that reads them says in which layout */
    int32_t *target;        /* [n_values+1] the parameter whose gradient the value is, or 0 */
    bool *is_output;        /* [n_values+1] */
    bool *is_read;          /* [n_values+1] some kernel reads a copy */
    mu_placed_param *param; /* [n_values+1] */
    mu_step_list first, main;
} mu_planner;

static inline const mu_type *mu_planner_type(const mu_planner *pl, mu_value v)
{
    return mu_graph_type(pl->g, v);
}

/* ---- plan_copies.c ---- */

MU_CHECKED mu_err mu_planner_add_buffer(mu_planner *pl, mu_buffer_kind kind, mu_value value, size_t bytes, int32_t *out);
MU_CHECKED mu_err mu_planner_add_copy(mu_planner *pl, mu_value v, int32_t buffer, const mu_layout *layout);
/* Of the first copy; NULL: row-major, or there is none yet. */
const mu_layout *mu_planner_layout(const mu_planner *pl, mu_value v);
/* One of the reads to come has come. */
void mu_planner_count_use(mu_planner *pl, mu_value v);
/* Gives a leaf its first copy. A parameter without a layout yet takes `wish`. */
MU_CHECKED mu_err mu_planner_place_leaf(mu_planner *pl, mu_value v, const mu_layout *wish);
/* The buffer of the copy in this layout, made when there is none. */
MU_CHECKED mu_err mu_planner_get_copy(mu_planner *pl, mu_value v, const mu_layout *layout, int32_t *out);
/* Parameters are gathered again for backward: what was made of them for forward need not be kept. */
void mu_planner_forget_copies(mu_planner *pl);

/* ---- plan_steps.c ---- */

/* `wish`: the layout of output 0, unless it is a gradient. */
MU_CHECKED mu_err mu_planner_prepare(mu_planner *pl, const mu_node *node, const mu_layout *wish, mu_kernel **out);
/* Owns the kernel, also when it fails. node: NULL for a reorder of `value`. */
MU_CHECKED mu_err mu_planner_add_step(mu_planner *pl, bool once, mu_kernel *kernel, mu_value value, const mu_node *node,
                                      mu_step **out);
MU_CHECKED mu_err mu_planner_add_reorder(mu_planner *pl, bool once, mu_value v, int32_t from, const mu_layout *from_layout,
                                         int32_t to, const mu_layout *to_layout);

/* ---- plan_nodes.c ---- */

MU_CHECKED mu_err mu_planner_add_node(mu_planner *pl, const mu_node *node, bool once);
/* Casts of parameters without a layout yet; where they are gathered they stay at their places. */
bool mu_planner_defers(const mu_planner *pl, const mu_node *node);
/* The parameter lies as its first reader wants the cast v: neither it nor its gradient is reordered then. */
MU_CHECKED mu_err mu_planner_make_cast(mu_planner *pl, mu_value v, const mu_layout *wish);

/* ---- plan_gradients.c ---- */

/* Which values to compute straight into the gradient arena; through views, which keep the bytes. */
void mu_planner_find_targets(mu_planner *pl);
/* The parameter into whose gradient output v can be written in `layout`, or none: its own, or seen through views. */
mu_value mu_planner_target(const mu_planner *pl, mu_value v, const mu_layout **layout);
/* The buffer of the parameter's gradient, made when there is none. */
MU_CHECKED mu_err mu_planner_gradient(mu_planner *pl, mu_value p, int32_t *out);
/* Sees to it that every gradient is in its place as soon as it is known; what was not computed there is copied: values that are two
 * gradients, and those that came out in another layout. */
MU_CHECKED mu_err mu_planner_settle_gradients(mu_planner *pl, const mu_node *node);
/* The rest: leaves. */
MU_CHECKED mu_err mu_planner_finish_gradients(mu_planner *pl);

/* ---- plan_store.c ---- */

MU_CHECKED mu_err mu_planner_declare_leaves(mu_planner *pl);
/* Layouts and places of the parameters, the bytes that they take, the offsets of the buffers that lie in the store.
 * After the lifetimes are found. */
MU_CHECKED mu_err mu_planner_settle_params(mu_planner *pl);

#endif

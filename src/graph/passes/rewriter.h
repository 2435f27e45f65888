/* What passes share: a new graph that grows from an old one, node by node in executable order. */
#ifndef MU_GRAPH_PASSES_REWRITER_H
#define MU_GRAPH_PASSES_REWRITER_H

#include "graph/pass.h"

typedef struct {
    const mu_graph *from;
    mu_graph *to;
    mu_value *map;       /* [n_values+1] the new value of an old one; none: not made yet */
    bool *live;          /* [n_nodes] outputs, gradients, effects or updates depend on it */
    int32_t *users;      /* ids of the live nodes that read a value, once per operand, ... */
    int32_t *user_start; /* [n_values+2] ... value v: users[user_start[v] .. user_start[v+1]-1], ascending */
    bool *external;      /* [n_values+1] an output or a gradient */
} mu_rewriter;

/* Finds what is live and who uses what; `to` is empty. On failure nothing is held. */
MU_CHECKED mu_err mu_rewriter_init(mu_rewriter *rw, const mu_graph *from);
void mu_rewriter_release(mu_rewriter *rw);

/* The new value of an old one; constants are copied at their first use, other leaves are there from the start. */
mu_value mu_rewriter_get(mu_rewriter *rw, mu_value old);
static inline void mu_rewriter_set(mu_rewriter *rw, mu_value old, mu_value new)
{
    if (old.id)
        rw->map[old.id] = new;
}
/* New nodes take the name and direction (forward, backward) of an old one from here on. */
static inline void mu_rewriter_mark(mu_rewriter *rw, const mu_node *node)
{
    mu_graph_mark(rw->to, node->name, node->backward);
}
/* The default action: the same operation, name and direction on the new operands. */
void mu_rewriter_copy(mu_rewriter *rw, const mu_node *node);

static inline int32_t mu_rewriter_n_users(const mu_rewriter *rw, mu_value old)
{
    return rw->user_start[old.id + 1] - rw->user_start[old.id];
}
/* The only node that reads a value which is neither output nor gradient, or NULL. */
const mu_node *mu_rewriter_only_user(const mu_rewriter *rw, mu_value old);

/* Translates outputs and gradients and hands the new graph over. */
MU_CHECKED mu_err mu_rewriter_finish(mu_rewriter *rw, mu_graph **out);

/* The node that computes a value, or NULL for a leaf. */
static inline const mu_node *mu_producer(const mu_graph *graph, mu_value v)
{
    const mu_value_info *info = mu_graph_value(graph, v);
    return v.id && info->kind == MU_VALUE_NODE ? info->node : NULL;
}
bool mu_node_has_updates(const mu_node *node);

#endif

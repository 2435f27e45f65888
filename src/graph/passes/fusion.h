/* What fusion rules share. Rules look for groups of nodes in the old graph and claim them; when all are found, the new graph
 * is written and each group becomes one node, at the place of one of its members. */
#ifndef MU_GRAPH_PASSES_FUSION_H
#define MU_GRAPH_PASSES_FUSION_H

#include "graph/passes/rewriter.h"
#include "ops/ops.h"

typedef struct mu_fusion mu_fusion;
typedef struct mu_fusion_rule mu_fusion_rule;

typedef struct {
    const mu_fusion_rule *rule;
    int n;
    const mu_node *node[MU_CHAIN_MAX]; /* as the rule has ordered them; the others are NULL */
    const mu_node *at;                 /* the member in whose place the fused node stands */
} mu_fusion_group;

struct mu_fusion_rule {
    const char *name;
    bool from_end; /* nodes are offered from the last to the first */
    /* Looks for a group around a live node that belongs to none; mu_fusion_claim when there is one. */
    mu_err (*match)(mu_fusion *f, const mu_node *node);
    /* Appends the fused node to f->rw.to and sets the new values of what is read outside the group. */
    void (*emit)(mu_fusion *f, const mu_fusion_group *group);
};

struct mu_fusion {
    mu_rewriter rw;
    mu_backend *backend;
    int32_t *owner; /* [n_nodes] index of the group + 1, or 0 */
    mu_fusion_group *groups;
    size_t n_groups, capacity;
};

/* The rules, in the order in which they are tried. */
extern const mu_fusion_rule mu_fusion_convolution;         /* conv2d or linear, residual, activation */
extern const mu_fusion_rule mu_fusion_batch_norm;          /* batch_norm, residual, ReLU */
extern const mu_fusion_rule mu_fusion_batch_norm_gradient; /* (add,) relu_grad, batch_norm_grad of such a group */
extern const mu_fusion_rule mu_fusion_batch_norm_inference; /* batch_norm_inference, ReLU */
extern const mu_fusion_rule mu_fusion_chain;               /* element-wise operations */

MU_CHECKED mu_err mu_fusion_claim(mu_fusion *f, const mu_fusion_rule *rule, const mu_node *const *nodes, int n,
                                  const mu_node *at);
/* The group of a node, or NULL. */
const mu_fusion_group *mu_fusion_group_of(const mu_fusion *f, const mu_node *node);
/* The id of the node in whose place a node of the old graph will stand. */
int32_t mu_fusion_place(const mu_fusion *f, int32_t id);
/* May the node run in the place of `at`, a later one? Not when something between them has to do with a leaf that the node
 * has to do with, too, and the graph updates: a norm that is applied twice moves its statistics in the graph's order. */
bool mu_fusion_may_wait(const mu_fusion *f, const mu_node *node, const mu_node *at);
/* Whether the operation takes these values of the old graph and the backend supports it. */
bool mu_fusion_possible(mu_fusion *f, const mu_op *op, const void *attrs, const mu_value *in, int n_in);
/* The only user of a value when it belongs to no group yet and has this operation (NULL: any), else NULL. */
const mu_node *mu_fusion_next(const mu_fusion *f, mu_value v, const mu_op *op);
/* add(v, other) of equal types: the other operand; else none. */
mu_value mu_fusion_other_addend(const mu_fusion *f, const mu_node *add, mu_value v);
/* Appends under the name of `as`; operands are values of the old graph. */
void mu_fusion_apply(mu_fusion *f, const mu_node *as, const mu_op *op, const void *attrs, const mu_value *in, int n_in,
                     mu_value *out);

#endif

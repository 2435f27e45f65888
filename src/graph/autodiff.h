/* Automatic differentiation in reverse mode: appends the nodes that compute d(loss)/d(leaf) to the graph. */
#ifndef MU_GRAPH_AUTODIFF_H
#define MU_GRAPH_AUTODIFF_H

#include "ir/graph.h"

/* Differentiates the scalar float `loss` with respect to every parameter that reaches it and records the gradients with
 * mu_graph_set_gradient in the order in which they are produced. `extra` (n_extra values, may be NULL) are further
 * leaves, inputs for instance, whose gradients go to extra_grad (none where they do not reach the loss). Integers and bools
 * have no gradient and stop it. Backward nodes carry the name of the node that they differentiate. Parameters that do not
 * reach the loss have none: mu_graph_unused_params. Errors are sticky in the graph: MU_ERR_SHAPE for a loss that is no
 * scalar float, MU_ERR_UNSUPPORTED for an operation without a gradient between a parameter and the loss. */
void mu_graph_backward(mu_graph *graph, mu_value loss, const mu_value *extra, int n_extra, mu_value *extra_grad);

/* The same with respect to the parameters of one module alone: those whose names begin with "<module>."; the others are constants. NULL: all parameters.
 * seed: what the gradients are multiplied by, one float; none: 1. */
void mu_graph_backward_of(mu_graph *graph, mu_value loss, mu_value seed, const char *module);
/* Is it the name of something in this module? */
bool mu_name_is_under(const char *name, const char *module);

/* Parameters of the graph without a gradient: calls visit (may be NULL) for each. Returns how many. */
int mu_graph_unused_params(const mu_graph *graph, void (*visit)(void *user, const char *name), void *user);

#endif

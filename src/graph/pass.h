/* Passes: each makes a new graph from a graph. The old one is untouched and still owned by the caller. */
#ifndef MU_GRAPH_PASS_H
#define MU_GRAPH_PASS_H

#include "backend.h"
#include "ir/graph.h"

/* Removes nodes that nothing needs and merges equal ones (same operation, attributes and operands). */
MU_CHECKED mu_err mu_pass_simplify(const mu_graph *graph, mu_graph **out);

/* Evaluation graphs: scales convolution weights and biases by a following batch_norm_inference. The folded weights are computed
 * in the graph from parameters and states, by nodes that depend on no input; mu_plan runs such nodes once per
 * mu_plan_refresh, not once per run. */
MU_CHECKED mu_err mu_pass_fold_batch_norm(const mu_graph *graph, mu_graph **out);

/* conv2d/linear + bias + activation (evaluation, and training where backward needs only the output), batch_norm + residual +
 * ReLU with its gradient, chains of element-wise operations into ops/chain. `backend` is asked what it supports. */
MU_CHECKED mu_err mu_pass_fuse(const mu_graph *graph, mu_backend *backend, mu_graph **out);

/* Mixed precision: matrix products and convolutions in `dtype` (bf16, f16), losses, reductions and norms in f32, the rest in
 * what its operands have. Parameters stay f32. Operations that the backend does not support in `dtype` stay f32. */
MU_CHECKED mu_err mu_pass_autocast(const mu_graph *graph, mu_backend *backend, mu_dtype dtype, mu_graph **out);

#endif

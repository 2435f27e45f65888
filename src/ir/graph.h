/* The graph: values in single-assignment form, and the nodes that compute them, in an order that can be executed.
 *
 * A graph is also its own builder: the functions in ops/ops.h append nodes to it. Errors are sticky: the first one is kept,
 * later calls return a value that is ignored, and mu_graph_status() tells once, at the end. Not thread-safe.
 * The graph owns its values, nodes, names and attribute copies; handles are plain numbers. */
#ifndef MU_IR_GRAPH_H
#define MU_IR_GRAPH_H

#include "ir/op.h"

typedef struct mu_graph mu_graph;

/* A handle; 0 is "none": an absent optional operand, or the result of a failed call. */
typedef struct {
    int32_t id;
} mu_value;

#define MU_NO_VALUE ((mu_value){0})

typedef enum {
    MU_VALUE_NODE,  /* computed */
    MU_VALUE_INPUT, /* filled before each run */
    MU_VALUE_PARAM, /* trained; lives in the parameter store */
    MU_VALUE_STATE, /* a buffer kept from run to run (running statistics); lives in the parameter store */
    MU_VALUE_CONST, /* bytes owned by the graph, row-major */
} mu_value_kind;

typedef struct mu_node mu_node;

typedef struct {
    mu_type type;
    mu_value_kind kind;
    const char *name;     /* unique among inputs, params and states; else a label or NULL */
    const mu_node *node;  /* MU_VALUE_NODE: the producer */
    int index;            /* which of its outputs */
    const void *constant; /* MU_VALUE_CONST */
} mu_value_info;

struct mu_node {
    const mu_op *op;
    const void *attrs;
    const char *name; /* "backbone.layer1.0.conv1", or "op" when built outside any scope */
    int n_in, n_out;
    mu_value *in, *out; /* [n_in], [n_out] */
    int32_t id;         /* position in the graph */
    bool backward;      /* appended by automatic differentiation */
};

MU_CHECKED mu_err mu_graph_new(mu_graph **out);
void mu_graph_release(mu_graph *graph);

/* MU_OK, or the first error, restored into this thread's record. */
MU_CHECKED mu_err mu_graph_status(const mu_graph *graph);
/* Makes the current thread's error record the graph's, if it has none yet. */
void mu_graph_fail(mu_graph *graph);

/* Leaves. Declaring a name again with the same kind and type returns the same value (shared parameters);
 * with another it is an error. Names are copied. */
mu_value mu_graph_input(mu_graph *graph, const char *name, mu_type type);
mu_value mu_graph_param(mu_graph *graph, const char *name, mu_type type);
mu_value mu_graph_state(mu_graph *graph, const char *name, mu_type type);
/* Copies mu_type_bytes(&type) bytes. */
mu_value mu_graph_const(mu_graph *graph, mu_type type, const void *data);
mu_value mu_graph_scalar(mu_graph *graph, mu_dtype dtype, double x);

/* Appends op(in...) and sets out[0..n_out-1] (none after an error or for absent outputs). `attrs` (op->attrs_size bytes) is
 * copied. This is what every function of ops/ops.h comes down to. */
void mu_graph_apply(mu_graph *graph, const mu_op *op, const void *attrs, const mu_value *in, int n_in, mu_value *out);
/* For operations with one output. */
mu_value mu_graph_apply1(mu_graph *graph, const mu_op *op, const void *attrs, const mu_value *in, int n_in);

/* Scopes name the nodes made inside: push("backbone") push("conv1") gives "backbone.conv1". */
void mu_graph_push(mu_graph *graph, const char *scope);
void mu_graph_pop(mu_graph *graph);
const char *mu_graph_scope(const mu_graph *graph); /* "" at the top; valid until the next push */
/* Until `name` is NULL, new nodes take this name instead of the scope's, and this direction. */
void mu_graph_mark(mu_graph *graph, const char *name, bool backward);

/* What the graph is for: values that the caller reads after a run, by name. Kept alive by every pass. */
void mu_graph_output(mu_graph *graph, const char *name, mu_value value);
int mu_graph_n_outputs(const mu_graph *graph);
const char *mu_graph_output_name(const mu_graph *graph, int i);
mu_value mu_graph_output_value(const mu_graph *graph, int i);

/* d(loss)/d(param) of each trained parameter, in the order in which backward produces them (graph/autodiff.h). */
void mu_graph_set_gradient(mu_graph *graph, mu_value param, mu_value gradient);
int mu_graph_n_gradients(const mu_graph *graph);
mu_value mu_graph_gradient_param(const mu_graph *graph, int i);
mu_value mu_graph_gradient(const mu_graph *graph, int i);
/* None when there is none. */
mu_value mu_graph_gradient_of(const mu_graph *graph, mu_value param);

/* Reading. Values are 1..n_values, nodes 0..n_nodes-1 in executable order. */
int32_t mu_graph_n_values(const mu_graph *graph);
int32_t mu_graph_n_nodes(const mu_graph *graph);
const mu_node *mu_graph_node(const mu_graph *graph, int32_t i);
const mu_value_info *mu_graph_value(const mu_graph *graph, mu_value value); /* of none: an absent type */
const mu_type *mu_graph_type(const mu_graph *graph, mu_value value);
/* Input, parameter or state by name; none when there is no such leaf. */
mu_value mu_graph_find(const mu_graph *graph, const char *name);
/* Fills types (n_in + n_out entries, caller's) and returns the call that they belong to. */
mu_call mu_graph_call(const mu_graph *graph, const mu_node *node, mu_type *types);

/* What a gradient rule sees. `node` is copied from the graph and stays valid while nodes are appended. */
struct mu_grad {
    mu_graph *graph;
    const mu_node *node;
    const mu_value *dout; /* [n_out] gradients of the outputs; none where an output does not reach the loss */
    const bool *need;     /* [n_in] inputs whose gradient is wanted */
    mu_value *din;        /* [n_in] to be set; none = zero or not differentiable */
};

static inline mu_value mu_grad_in(const mu_grad *g, int i)
{
    return i < g->node->n_in ? g->node->in[i] : MU_NO_VALUE;
}

static inline mu_value mu_grad_out(const mu_grad *g, int i)
{
    return g->node->out[i];
}

#endif

/* How a trace is begun and ended by who owns it (a model, a test). */
#ifndef MU_NN_TRACE_IMPL_H
#define MU_NN_TRACE_IMPL_H

#include "nn/trace.h"

/* What a trace gave, by name. Of MU_MODE_LOSS: the items of the vector "log_vars" (parse_losses in nn/model.h). Of other modes: the
 * graph's outputs. */
typedef struct {
    char **name; /* owned */
    int n;
} mu_trace_names;
void mu_trace_names_release(mu_trace_names *names);
bool mu_trace_names_equal(const mu_trace_names *a, const mu_trace_names *b);

enum { MU_TRACE_MAX_LOG_VARS = 32 };
#define MU_TRACE_LOG_VARS "log_vars" /* f32 or f64 [n] */

/* Makes the graph and enters the model itself; `modules` is emptied. inputs and modules are borrowed. After an error nothing is to be
 * released. */
MU_CHECKED mu_err mu_trace_begin(mu_trace *t, mu_mode mode, bool training, const mu_tensors *inputs, mu_modules *modules,
                                 const char *type, const mu_cfg *init_cfg);
/* Leaves the model and declares the graph's outputs; of MU_MODE_LOSS sums the losses up and, with `gradients`, differentiates. The graph
 * and the names go to the caller. Releases the rest, also on an error. */
/* Of the state that gradients of a part's losses start from (graph/params.h); NULL: of the model's. Freed by mu_free. */
MU_CHECKED mu_err mu_loss_scale_name(const char *part, char **out);
MU_CHECKED mu_err mu_trace_end(mu_trace *t, bool gradients, mu_graph **graph, mu_trace_names *names);
/* Gives up: for callers that failed elsewhere. */
void mu_trace_abandon(mu_trace *t);

#endif

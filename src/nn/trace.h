/* A trace: the graph that a forward pass records, what it reads and gives, and the modules it met.
 *
 * Errors are sticky: functions return a value that is ignored after the first error, which mu_trace_status tells. */
#ifndef MU_NN_TRACE_H
#define MU_NN_TRACE_H

#include "core/tensor.h"
#include "nn/module.h"
#include "ops/ops.h"

typedef enum {
    MU_MODE_LOSS,    /* losses, to be differentiated or only looked at */
    MU_MODE_PREDICT, /* what metrics and people read */
    MU_MODE_TENSOR   /* the network's raw output */
} mu_mode;
extern const char *const mu_mode_names[]; /* "loss", "predict", "tensor" */

typedef struct {
    mu_graph *graph;
    mu_mode mode;
    const char *part;        /* of losses to be differentiated: the part of the model that is trained by them (mu_model_ops.parts); NULL: all of it */
    bool training;           /* batch statistics and dropout; else running statistics */
    bool frozen;             /* parameters made now are not trained: they are states */
    bool norm_eval;          /* batch norms made now use their running statistics, also in training */
    mu_comm *comm;           /* ranks whose batches SyncBN takes together; NULL: this one is alone */
    bool loss_scale;         /* gradients of losses start from the state MU_LOSS_SCALE (graph/params.h) */
    bool sync_bn;            /* every batch norm is a SyncBN */
    const mu_tensors *inputs; /* names and types of what a batch holds; no bytes */
    const void *preprocessor; /* what the network reads of it goes through (nn/preprocessor.h); NULL: it reads it as it is */
    mu_value input[MU_MAX_TENSORS]; /* private: what was read of each so far */
    mu_modules *modules;
    struct mu_trace_outputs *outputs; /* private: which outputs are losses */
} mu_trace;

MU_CHECKED mu_err mu_trace_status(const mu_trace *t);
/* Makes an error sticky: `mu_trace_fail(t, MU_FAIL(MU_ERR_CONFIG, "..."))`. */
void mu_trace_fail(mu_trace *t, mu_err err);

/* What the batch holds under this name, as the data preprocessor makes it. Absent: a sticky MU_ERR_CONFIG that tells what it does hold. */
mu_value mu_trace_input(mu_trace *t, const char *name);
bool mu_trace_has_input(const mu_trace *t, const char *name);

/* Enters a child module `name` ("layer1", "0") of the current one, and leaves it. type is static or lives as long as the component. */
void mu_trace_enter(mu_trace *t, const char *name, const char *type, const mu_cfg *init_cfg);
void mu_trace_leave(mu_trace *t);
/* Of the current module: is_norm and depthwise of its mu_module_info. */
void mu_trace_note(mu_trace *t, bool norm, bool depthwise);

/* A parameter of the current module, and a state (never trained). Weights are declared f32 when `dtype` is a half type. */
mu_value mu_trace_param(mu_trace *t, const char *leaf, mu_type type, mu_fill fill);
mu_value mu_trace_state(mu_trace *t, const char *leaf, mu_type type, mu_fill fill);

/* Outputs. A loss (scalar or any shape: its mean is taken) adds to the total when its name contains "loss"; other names are logged
 * only, as "acc". Names are copied. A name twice is an error. */
void mu_trace_loss(mu_trace *t, const char *name, mu_value value);
/* Predictions and tensors: [N, ...], row i belongs to sample i. */
void mu_trace_output(mu_trace *t, const char *name, mu_value value);

#endif

/* Models: components (kind "model"). What MMEngine calls BaseModel: a forward pass in three modes, and what trains and runs it.
 *
 * A model traces its forward once per mode and types of inputs; the plans are kept (least recently used first out). One thread. */
#ifndef MU_NN_MODEL_H
#define MU_NN_MODEL_H

#include "data/batch.h"
#include "graph/params.h"
#include "graph/plan.h"
#include "nn/init.h"
#include "nn/layer.h"
#include "nn/preprocessor.h"

/* The first member of every model's struct. */
typedef struct {
    const mu_cfg *data_preprocessor, *init_cfg; /* options of all models: MU_MODEL_OPTIONS */
    struct mu_model_state *state;               /* private */
} mu_model;
#define MU_MODEL_OPTIONS(struct_)                                                                                       \
    {.key = "data_preprocessor", .type = MU_OPT_COMPONENT, .offset = offsetof(struct_, base.data_preprocessor),          \
     .nullable = true, .component_kind = "data_preprocessor", .help = "what a batch goes through first"},                \
    {.key = "init_cfg", .type = MU_OPT_COMPONENTS, .offset = offsetof(struct_, base.init_cfg), .nullable = true,         \
     .component_kind = "weight_init", .help = "how parameters are filled"}

/* The component's table of functions. */
typedef struct {
    /* Records the outputs that t->mode asks for (mu_trace_loss, mu_trace_output). */
    void (*forward)(const mu_model *model, mu_trace *t);
    /* Looks at the values of a batch's fields before they are used (labels in range); data is NULL of what the plan does not read. May be NULL. */
    mu_err (*check)(const mu_model *model, const mu_tensors *inputs);
    /* Names of modules of the model, NULL-terminated, which every iteration trains one after the other, each by an optimizer of its own and with
     * losses of its own: t->part says which. Every trained parameter is in one of them, and the first one's losses are recorded from all parameters.
     * NULL: the model is trained as a whole. */
    const char *const *parts;
} mu_model_ops;
enum { MU_MAX_PARTS = 4 };

typedef struct {
    mu_backend *backend;    /* must outlive the model */
    mu_dtype autocast;      /* MU_NONE, MU_BF16, MU_F16 */
    bool loss_scale;        /* gradients are multiplied by the state MU_LOSS_SCALE (graph/params.h), which the optimizer writes. Losses are not */
    int plan_capacity;      /* 0: 8 */
    const mu_cfg *data_preprocessor; /* the config's, for a model that names none; may be NULL */
    bool profile;
    mu_comm *comm; /* borrowed: the ranks whose batches SyncBN takes together, for nothing else while the model runs; NULL: one rank */
    bool sync_bn;  /* every batch norm is a SyncBN */
} mu_model_options;

/* Builds the preprocessor and the parameter store. Once, before anything below. */
MU_CHECKED mu_err mu_model_bind(mu_model *model, const mu_model_options *options);
/* Traces for such a batch and makes the first plan, which fixes the parameters: with gradients when training. */
MU_CHECKED mu_err mu_model_prepare(mu_model *model, const mu_batch *example, bool training);
void mu_model_destroy(void *model); /* destroy of a component that has nothing else to free */

mu_params *mu_model_params(const mu_model *model);
const mu_modules *mu_model_modules(const mu_model *model);
/* Parameters that the loss does not reach, after prepare(training): calls visit (may be NULL). Returns how many. */
int mu_model_unused_params(const mu_model *model, void (*visit)(void *user, const char *name), void *user);
/* mu_init_weights on this model. */
MU_CHECKED mu_err mu_model_init_weights(mu_model *model, uint64_t seed, mu_init_load_fn *load, void *user,
                                        mu_init_record *record);
/* After parameters or states were written from outside, or by an optimizer. */
void mu_model_changed(mu_model *model);

enum { MU_MAX_LOSSES = 32 };
typedef struct {
    const char *name; /* borrowed from the model */
    double value;     /* of this rank's batch */
} mu_log_var;
/* parse_losses: "loss" is the sum of those whose name contains "loss", first; then each as it was recorded. When only one of them is there
 * and it is called "loss", it stands once. A raw entry called "loss" among others is logged as "loss_" (doc/differences.md). */
typedef struct {
    int n;
    mu_log_var item[MU_MAX_LOSSES];
} mu_log_vars;

/* The training step of one batch, in parts. load: makes the plan where there is none, gives it its inputs and checks them: what this rank does alone. A batch in memory
 * that was lent (mu_batch.lent: the backend's alloc_host) is sent from where it lies, and stays as it is until the next one of its loader has been run; any other is
 * copied at once. run: forward and
 * backward, gradients of the total loss with respect to this rank's mean; where ranks share the parameters they travel meanwhile (graph/exchange.h).
 * Of what was loaded; seed and step are those of its random numbers. A loss that is not finite is MU_ERR_NUMERIC. */
MU_CHECKED mu_err mu_model_load_train(mu_model *model, const mu_batch *batch);
MU_CHECKED mu_err mu_model_run_train(mu_model *model, uint64_t seed, int64_t step, mu_log_vars *out);
/* With `out` NULL a device is only told to run, and nobody waits for it. What its losses are is then looked at in its memory, up to the next run of the
 * part: address and type ([n] of floats); and, once these bytes have come to the host, by name: returns how many bytes they are. */
void *mu_model_losses(const mu_model *model, int part, mu_type *type);
size_t mu_model_read_losses(const mu_model *model, int part, const void *bytes, mu_log_vars *out);
/* Not where the loss is scaled. MU_ERR_NUMERIC when a gradient in host memory (this rank's piece of it) is not finite: an activation that hides a NaN from the loss does not hide it from them. Where they travel:
 * when they have arrived. */
MU_CHECKED mu_err mu_model_check_gradients(const mu_model *model);
/* After MU_ERR_NUMERIC of these on any rank, nothing travelling any more: runs what was loaded (again), node by node, with these random numbers. Not
 * collective. MU_ERR_NUMERIC names the first operation whose values are not finite; MU_OK: there is none on this rank. Gradients that overflow under a loss
 * scale are not meant. Changes gradients, no parameters and no states. */
MU_CHECKED mu_err mu_model_explain(mu_model *model, uint64_t seed, int64_t step);
/* All of this, for one rank alone. */
MU_CHECKED mu_err mu_model_train_step(mu_model *model, const mu_batch *batch, uint64_t seed, int64_t step, mu_log_vars *out);
/* The parts that are trained one after the other; 0: the model is trained as a whole. Of such a model load makes ready all parts, and the rest is about
 * the one that was selected last (at first part 0). Log vars: "loss" is the part's total; what a part calls "loss" is "<part>_loss". */
int mu_model_n_parts(const mu_model *model);
const char *mu_model_part(const mu_model *model, int i);
void mu_model_select_part(mu_model *model, int i);
/* Losses without gradients, with running statistics: validation losses. Not of models with parts. */
MU_CHECKED mu_err mu_model_loss(mu_model *model, const mu_batch *batch, mu_log_vars *out);
/* val_step and test_step: the outputs of a mode, [size, ...] each, in host memory; borrowed until the next call. */
MU_CHECKED mu_err mu_model_forward(mu_model *model, const mu_batch *batch, mu_mode mode, mu_tensors *out);
/* The same in parts, as in training: the second is collective where parameters are in pieces. */
MU_CHECKED mu_err mu_model_load_forward(mu_model *model, const mu_batch *batch, mu_mode mode);
MU_CHECKED mu_err mu_model_run_forward(mu_model *model, mu_mode mode, mu_tensors *out);

/* Without running anything: the trace of a mode for such a batch, owned by the caller; and its dry plan's figures, of this
 * rank when the store is shared (mu_params_share). For `muster check`. */
MU_CHECKED mu_err mu_model_trace(mu_model *model, const mu_batch *example, mu_mode mode, bool training, mu_graph **out);
/* Does training on such a batch speak to other ranks, by mu_model_options.comm? */
MU_CHECKED mu_err mu_model_is_collective(mu_model *model, const mu_batch *example, bool *out);
MU_CHECKED mu_err mu_model_estimate(mu_model *model, const mu_batch *example, mu_mode mode, bool training, mu_plan_stats *out);

/* What has been planned last for training: for profiles (NULL: nothing yet). */
mu_plan *mu_model_train_plan(const mu_model *model);

#endif

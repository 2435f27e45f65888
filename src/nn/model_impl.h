/* What the files model*.c share. */
#ifndef MU_NN_MODEL_IMPL_H
#define MU_NN_MODEL_IMPL_H

#include "graph/plan_cache.h"
#include "nn/model.h"
#include "nn/trace_impl.h"

/* What plans are made for. */
typedef enum {
    MU_PLAN_TRAIN, /* of the model, or of its first part; */
    MU_PLAN_TRAIN_LAST = MU_PLAN_TRAIN + MU_MAX_PARTS - 1, /* then of the other ones */
    MU_PLAN_LOSS,
    MU_PLAN_PREDICT,
    MU_PLAN_TENSOR,
    MU_N_PLAN_KINDS
} mu_plan_kind;

/* The last plan of a kind, at hand for the next batch alike. */
typedef struct {
    mu_plan *plan;                 /* borrowed from the cache; NULL: none */
    int at[MU_MAX_TENSORS];        /* of each input, among the plan's; -1: not read */
    mu_tensors inputs;             /* the batch's fields, names interned; data: of the last batch, NULL: not read */
    mu_type output[MU_MAX_TENSORS]; /* of state->names[kind], or log_vars alone */
} mu_model_slot;

typedef struct mu_model_state {
    mu_model_options options;
    void *preprocessor; /* owned; NULL hands batches on */
    mu_params *params;
    mu_plan_cache *cache;
    mu_modules *modules;
    bool prepared;
    bool stale; /* evaluation plans are to be refreshed */
    mu_model_slot slot[MU_N_PLAN_KINDS];
    int part;    /* that is selected */
    mu_run run;  /* of the training batch that is loaded */
    double loss; /* of the training batch that is loaded, */
    bool has_run; /* once it has run, and somebody waited for it */
    mu_trace_names names[MU_N_PLAN_KINDS]; /* set by the first plan of a kind */
    mu_trace_names fields;                 /* names of inputs, interned */
    size_t field_capacity;
    mu_trace_names unused;                 /* parameters that the loss does not reach */
    size_t unused_capacity;
    char *outputs; /* what mu_model_forward hands out */
    size_t output_capacity;
} mu_model_state;

mu_mode mu_plan_kind_mode(mu_plan_kind kind);
static inline bool mu_plan_kind_trains(mu_plan_kind kind)
{
    return kind <= MU_PLAN_TRAIN_LAST;
}

/* Traces, with gradients when training for losses (of this part, if the model has any). The graph and the names go to the caller. */
MU_CHECKED mu_err mu_model_record(const mu_model *model, const mu_tensors *inputs, mu_mode mode, bool training, int part,
                                  mu_modules *modules, mu_graph **graph, mu_trace_names *names);
/* The plan for inputs of these types, made when there is none: its slot. */
MU_CHECKED mu_err mu_model_plan(mu_model *model, mu_plan_kind kind, const mu_tensors *inputs, mu_model_slot **out);

#endif

/* Averaged models: components (kind "averaged_model") that keep an average of a model's parameters while it is trained.
 *
 * The average lies in an arena like the parameters', in pieces where those of an optimizer are, and is updated on the device. As long as there was no
 * update it is a copy of the model. States whose name begins with '.' belong to training, and are left alone. */
#ifndef MU_OPTIM_AVERAGED_MODEL_H
#define MU_OPTIM_AVERAGED_MODEL_H

#include "graph/params.h"
#include "registry/registry.h"

/* The first member of every averaged model's struct. */
typedef struct {
    int64_t interval;
    bool update_buffers;
    struct mu_averaged_state *state; /* NULL until mu_averaged_model_bind */
} mu_averaged_model;
#define MU_AVERAGED_MODEL_OPTIONS                                                                                       \
    {.key = "interval", .type = MU_OPT_INT, .offset = offsetof(mu_averaged_model, interval), .int_default = 1,            \
     .bounded_below = true, .min = 1, .unit = "iterations", .help = "from one update to the next"},                       \
    {.key = "update_buffers", .type = MU_OPT_BOOL, .offset = offsetof(mu_averaged_model, update_buffers),                 \
     .help = "states (running statistics) are averaged, too; else they are the model's"}

/* The component's table of functions. */
typedef struct {
    /* Of the model, when `steps` iterations (1 or more) have been seen before: average += weight * (model - average). */
    double (*weight)(const mu_averaged_model *average, int64_t steps);
} mu_averaged_model_ops;

/* Of a frozen store, which is retained; the backend must outlive the binding. Once. */
MU_CHECKED mu_err mu_averaged_model_bind(mu_averaged_model *average, mu_backend *backend, mu_params *params);
/* destroy of every component here. */
void mu_averaged_model_destroy(void *average);

/* After a step of training; the first one copies the model. Runs kernels, and neither allocates nor waits. */
MU_CHECKED mu_err mu_averaged_model_update(mu_averaged_model *average);
/* The average becomes what the model is. Steps stay. */
MU_CHECKED mu_err mu_averaged_model_copy(mu_averaged_model *average);
/* The model's values and the average's change places, and again by the next call: this rank's pieces, where there are pieces. The model is to be
 * told (mu_model_changed), and other ranks (mu_parallel_publish). Nothing happens as long as they are the same. */
MU_CHECKED mu_err mu_averaged_model_swap(mu_averaged_model *average);
bool mu_averaged_model_is_swapped(const mu_averaged_model *average);

/* Iterations that it has seen, those between updates as well. To be set when it is restored. */
int64_t mu_averaged_model_steps(const mu_averaged_model *average);
void mu_averaged_model_set_steps(mu_averaged_model *average, int64_t steps);

/* Where the average's value of parameter or state i lies, for mu_params_arena_read, and where the model's own; NULL: in the store. While they are
 * swapped they are that way round. */
void *mu_averaged_model_arena(const mu_averaged_model *average, int i);
void *mu_averaged_model_own_arena(const mu_averaged_model *average, int i);

#endif

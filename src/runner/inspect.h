/* What a run would be and take, without running anything: shapes, parameters, FLOPs, memory, data. For `muster check`. */
#ifndef MU_RUNNER_INSPECT_H
#define MU_RUNNER_INSPECT_H

#include "config/config.h"
#include "config/diagnostic.h"
#include "core/type.h"
#include "data/batch.h"

typedef struct {
    int ranks;           /* that the run is to have */
    mu_type input_shape; /* [C,H,W] of an image, for a model whose dataset is not here; ndim 0: ask the dataset */
} mu_inspect_options;

typedef struct {
    char *path, *type; /* "backbone.layer1.0", "BasicBlock" */
    int depth;         /* 0: the model */
    mu_type output;    /* of its last operation */
    int64_t params;    /* numbers in it, children included */
    int64_t flops;     /* forward, of one sample; a multiply-add counts 2 */
} mu_inspect_module;

typedef struct {
    const char *phase;               /* "train", "val", "test" */
    int64_t samples;                 /* 0: the dataset is not here */
    int64_t batch, global_batch;     /* of a rank, of all */
    int64_t batches;                 /* of a rank, in an epoch */
    int64_t repeated;                /* samples that come twice in an epoch so that all ranks have equally many */
    char *missing;                   /* why it could not be opened, or NULL */
} mu_inspect_data;

typedef struct {
    size_t n_modules, capacity;
    mu_inspect_module *module; /* owned */
    int n_data;
    mu_inspect_data data[3];
    bool traced;               /* all below is known */
    char *device;
    mu_batch_buffer *example;  /* owned: the batch that was traced */
    mu_type input;             /* of its image */
    int64_t params, trainable; /* numbers */
    int64_t flops;             /* of a training step of one rank (prediction when nothing trains) */
    bool training;
    size_t param_bytes, gradient_bytes, optimizer_bytes, activation_bytes; /* of one rank */
} mu_inspection;

/* Not collective. For a config that mu_runner_check has nothing against. Paths and shapes that do not fit are added to `list`. */
MU_CHECKED mu_err mu_inspect(const mu_config *config, const mu_inspect_options *options, mu_diagnostics *list, mu_inspection *out);
void mu_inspection_release(mu_inspection *inspection);

#endif

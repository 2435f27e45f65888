/* Initialisers: components (kind "weight_init") that fill parameters before training. Names and semantics are MMEngine's:
 * Constant, Xavier, Normal, TruncNormal, Uniform, Kaiming, Caffe2Xavier, Pretrained; `layer`, `override`, `bias`, `bias_prob`.
 *
 * What is drawn comes from a stream keyed by (seed, parameter's name): not from ranks or the order. */
#ifndef MU_NN_INIT_H
#define MU_NN_INIT_H

#include "graph/params.h"
#include "nn/module.h"
#include "registry/registry.h"

/* One line of the record: who filled what. */
typedef struct {
    const char *param;       /* borrowed from the modules */
    char by[128];            /* "KaimingInit: a=0, mode=fan_out, nonlinearity=relu, distribution=normal, bias=0 (backbone)", "PyTorch's default", "Pretrained: FILE" */
    double mean, std;        /* of the values, right after */
} mu_init_line;

typedef struct {
    int n;
    mu_init_line *line; /* one per parameter or state */
} mu_init_record;
void mu_init_record_release(mu_init_record *record);

/* Fills every parameter and state of `modules` in `params`: first the defaults, then the init_cfgs, those of parents before those
 * of children; below a module with Pretrained nothing else is applied. Reading a Pretrained file goes through `load`. Not
 * collective: all ranks get the same values. record may be NULL. */
typedef mu_err mu_init_load_fn(void *user, const char *path, const char *map_prefix, const char *into, int *n_loaded);
MU_CHECKED mu_err mu_init_weights(const mu_modules *modules, mu_params *params, uint64_t seed, mu_init_load_fn *load, void *user,
                                  mu_init_record *record);
/* "parameter, shape, mean, std, by": the text that goes into the log. */
MU_CHECKED mu_err mu_init_record_text(const mu_init_record *record, const mu_modules *modules, char **out);

#endif

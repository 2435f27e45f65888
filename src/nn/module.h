/* What a trace met: modules by path, and the parameters and states that belong to each.
 *
 * A model's forward is ordinary C that records operations; entering a module names what is made inside. The list that this leaves is
 * what initialisers, parameter groups, summaries and checkpoints look at. */
#ifndef MU_NN_MODULE_H
#define MU_NN_MODULE_H

#include "config/value.h"
#include "ir/graph.h"

/* How a parameter is filled when no init_cfg says otherwise: PyTorch's own defaults. */
typedef enum { MU_FILL_CONSTANT, MU_FILL_UNIFORM, MU_FILL_NORMAL } mu_fill_kind;
typedef struct {
    mu_fill_kind kind;
    double a, b; /* the constant; low and high; mean and standard deviation */
} mu_fill;

typedef struct {
    const char *name; /* "backbone.layer1.0.conv1.weight" */
    const char *leaf; /* "weight": the part behind its module */
    mu_type type;
    bool trainable;
    int module; /* index of the owner */
    mu_fill fill;
} mu_module_param;

typedef struct {
    const char *path;       /* "backbone.layer1.0.conv1"; "" is the model */
    const char *type;       /* "Conv2d", "BatchNorm2d", "Linear", "BasicBlock", ... */
    int parent;             /* -1: the model itself */
    const mu_cfg *init_cfg; /* borrowed from the config; may be NULL */
    bool norm;              /* a normalisation layer */
    bool depthwise;         /* a convolution with groups == in_channels > 1 */
    int32_t first_node, n_nodes; /* of the last trace: those made inside, children included */
} mu_module_info;

typedef struct mu_modules mu_modules;

MU_CHECKED mu_err mu_modules_new(mu_modules **out);
void mu_modules_release(mu_modules *modules);
/* Modules in the order in which they were entered, parents first. Borrowed until the next trace. */
int mu_modules_count(const mu_modules *modules);
const mu_module_info *mu_modules_at(const mu_modules *modules, int i);
int mu_modules_find(const mu_modules *modules, const char *path); /* -1: not there */
/* Parameters and states, in the order of their declaration. */
int mu_modules_n_params(const mu_modules *modules);
const mu_module_param *mu_modules_param(const mu_modules *modules, int i);
int mu_modules_find_param(const mu_modules *modules, const char *name);

#endif

/* Initialisers: components (kind "weight_init") that fill parameters before training. Names and semantics are MMEngine's:
 * Constant, Xavier, Normal, TruncNormal, Uniform, Kaiming, Caffe2Xavier, Pretrained.
 *
 * An init_cfg fills "weight" and "bias" of those modules at and below its own whose type `layer` names, then what `override` says of
 * children by name. What is drawn comes from a stream keyed by (seed, parameter's name): not from ranks or the order. */
#ifndef MU_NN_INIT_H
#define MU_NN_INIT_H

#include "graph/params.h"
#include "nn/module.h"
#include "registry/registry.h"

#include <math.h>

/* What a parameter is filled with. */
typedef struct {
    mu_fill fill;
    bool truncated; /* MU_FILL_NORMAL only: to [low, high] */
    double low, high;
} mu_weight_fill;

/* The first member of every initialiser's struct. */
typedef struct {
    mu_strings layer;
    double bias, bias_prob; /* bias_prob NaN: not set */
    const mu_cfg *override;
    char *name;
} mu_weight_init;

/* How an override names its child; the whole of one without a type. */
#define MU_OVERRIDE_NAME(...)                                                                                          \
    {.key = "name", .type = MU_OPT_STRING, .help = "in override: the child that it is about",    \
     __VA_ARGS__}
extern const mu_option mu_override_fields[];
#define MU_WEIGHT_INIT_OPTIONS(struct_)                                                                                \
    {.key = "bias", .type = MU_OPT_FLOAT, .offset = offsetof(struct_, base.bias), .help = "what biases are set to"},   \
    {.key = "bias_prob", .type = MU_OPT_FLOAT, .offset = offsetof(struct_, base.bias_prob), .nullable = true,          \
     .float_default = NAN, .text_default = "null", .bounded_below = true, .above_min = true, .bounded_above = true,    \
     .max = 0x1.fffffffffffffp-1, .help = "biases so that a sigmoid gives this probability; instead of bias"},         \
    {.key = "layer", .type = MU_OPT_STRINGS, .offset = offsetof(struct_, base.layer), .nullable = true,                \
     .bare_item = true, .help = "types of the layers to fill"},                                                        \
    {.key = "override", .type = MU_OPT_COMPONENTS, .offset = offsetof(struct_, base.override), .nullable = true,       \
     .component_kind = "weight_init", .fields = mu_override_fields,                                                    \
     .help = "children by name that are filled otherwise"},                                                            \
    MU_OVERRIDE_NAME(.offset = offsetof(struct_, base.name))

/* The component's table of functions. */
typedef struct {
    /* For a "weight" of this type. */
    mu_err (*fill)(const void *init, const mu_type *type, mu_weight_fill *out);
    /* Instead of it: where all values come from; prefix may be NULL. */
    void (*checkpoint)(const void *init, const char **path, const char **prefix);
} mu_weight_init_ops;

/* fan_in and fan_out as PyTorch counts them: of [out, in, kernel...]. MU_ERR_SHAPE below two dimensions. */
MU_CHECKED mu_err mu_weight_fans(const mu_type *type, double *fan_in, double *fan_out);
/* A distribution of this standard deviation around 0. */
enum { MU_DISTRIBUTION_NORMAL, MU_DISTRIBUTION_UNIFORM };
extern const char *const mu_distribution_names[]; /* for options: "normal", "uniform" */
mu_weight_fill mu_weight_fill_std(int distribution, double std);
/* Elements of a tensor of this type. `stream` is the parameter's. MU_ERR_CONFIG when [low, high] holds nothing of the distribution. */
MU_CHECKED mu_err mu_weight_draw(const mu_weight_fill *fill, uint64_t seed, const char *name, const mu_type *type, void *out);

/* One line of the record: who filled what. */
typedef struct {
    const char *param; /* borrowed from the modules */
    char by[256];      /* "KaimingInit: a=0, mode=fan_out, nonlinearity=relu, distribution=normal, bias=0 (backbone)" */
    double mean, std;  /* of the values, right after */
} mu_init_line;

typedef struct {
    int n;
    mu_init_line *line; /* one per parameter or state */
} mu_init_record;
void mu_init_record_release(mu_init_record *record);

/* Reads what begins with `prefix` (NULL: all) of the checkpoint `path` into the module `into` ("" is the model). *n_loaded: parameters. */
typedef mu_err mu_init_load_fn(void *user, const char *path, const char *prefix, const char *into, int *n_loaded);

/* Fills every parameter and state of `modules` in `params`: first the defaults, then the init_cfgs, those of parents before those
 * of children, then Pretrained, that of children before that of parents. Reading a Pretrained file goes through `load`. Not
 * collective: all ranks get the same values. record may be NULL. A `layer` or `override` that matches nothing is MU_ERR_CONFIG. */
MU_CHECKED mu_err mu_init_weights(const mu_modules *modules, mu_params *params, uint64_t seed, mu_init_load_fn *load, void *user,
                                  mu_init_record *record);
/* "parameter, shape, mean, std, by": the text that goes into the log; freed by mu_free. */
MU_CHECKED mu_err mu_init_record_text(const mu_init_record *record, const mu_modules *modules, char **out);

#endif

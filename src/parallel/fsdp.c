/* MMFullyShardedDataParallel: ranks keep pieces of what all of them would have alike (ZeRO, Rajbhandari et al. 2020; FSDP, Zhao et al. 2023). */
#include "core/mem.h"
#include "parallel/parallel.h"

typedef struct {
    mu_parallel base;
    int sharding_strategy;
    const mu_cfg *fsdp_auto_wrap_policy, *mixed_precision;
    int64_t backward_prefetch, forward_prefetch;

    size_t unit_bytes; /* 0: as of buckets */
    const char **modules; /* [n_modules]; strings of the config */
    int n_modules;
} fsdp;

static const char *const strategies[] = {"FULL_SHARD", "SHARD_GRAD_OP", "SHARD_OPTIMIZER", "NO_SHARD", NULL};
static const mu_shard_stage stages[] = {MU_SHARD_PARAMETERS, MU_SHARD_GRADIENTS, MU_SHARD_OPTIMIZER, MU_SHARD_NOTHING};
static const char *const dtypes[] = {"float32", "bfloat16", NULL};

typedef struct {
    int param_dtype, reduce_dtype;
} precision;

static const mu_option precision_keys[] = {
    MU_OPTION(precision, param_dtype, MU_OPT_CHOICE, .choices = dtypes, .help = "of gathered parameters; FULL_SHARD only"),
    MU_OPTION(precision, reduce_dtype, MU_OPT_CHOICE, .choices = dtypes, .help = "of gradients under way, as gradient_dtype"),
    MU_OPTION_END,
};

typedef struct {
    int64_t min_num_params;
} policy;

static const mu_option policy_keys[] = {
    MU_OPTION(policy, min_num_params, MU_OPT_INT, .required = true, .bounded_below = true, .min = 1, .unit = "elements",
              .help = "a unit ends with the parameter that makes it so large"),
    MU_OPTION_END,
};

static const mu_option options[] = {
    MU_PARALLEL_OPTIONS(fsdp),
    MU_OPTION(fsdp, sharding_strategy, MU_OPT_CHOICE, .choices = strategies,
              .help = "what is in pieces: parameters, gradients and optimizer states; the last two; the last; nothing"),
    MU_OPTION(fsdp, fsdp_auto_wrap_policy, MU_OPT_ANY, .nullable = true,
              .help = "what travels together: {min_num_params: N}, or a list of names of modules; null: as bucket_cap_mb says"),
    MU_OPTION(fsdp, backward_prefetch, MU_OPT_INT, .int_default = 1, .bounded_below = true, .min = 1, .bounded_above = true, .max = 64,
              .unit = "units", .help = "gathered ahead in backward, and reduced behind it"),
    MU_OPTION(fsdp, forward_prefetch, MU_OPT_INT, .int_default = 1, .bounded_below = true, .bounded_above = true, .max = 64,
              .unit = "units", .help = "gathered ahead in forward"),
    MU_OPTION(fsdp, mixed_precision, MU_OPT_DICT, .nullable = true, .fields = precision_keys, .help = "of what travels"),
    MU_OPTION_END,
};

#define POLICY "model_wrapper_cfg.fsdp_auto_wrap_policy"
#define PRECISION "model_wrapper_cfg.mixed_precision"

static mu_err expected(const mu_cfg *cfg, const char *what)
{
    char found[128];
    mu_cfg_describe(cfg, found, sizeof found);
    return MU_FAIL_AT(mu_cfg_pos(cfg), "%s, found %s", what, found);
}

static mu_err parse(const mu_option *keys, const mu_cfg *cfg, const char *path, void *out)
{
    mu_diagnostics list = {0};
    mu_err err = mu_options_parse(keys, cfg, path, out, &list);
    if (!err)
        err = mu_diagnostics_status(&list);
    mu_diagnostics_release(&list);
    MU_TRY(err);
    return MU_OK;
}

static mu_err read_modules(fsdp *self, const mu_cfg *list)
{
    size_t n = mu_cfg_size(list);
    MU_TRY(mu_calloc(&self->modules, n, sizeof *self->modules));
    for (size_t i = 0; i < n; i++) {
        const mu_cfg *name = mu_cfg_at(list, i);
        if (mu_cfg_kind_of(name) != MU_CFG_STRING || !*mu_cfg_string(name))
            return expected(name, POLICY ": expected names of modules");
        self->modules[self->n_modules++] = mu_cfg_string(name);
    }
    return MU_OK;
}

static mu_err read_policy(fsdp *self)
{
    const mu_cfg *cfg = self->fsdp_auto_wrap_policy;
    policy p = {0};
    if (!cfg || mu_cfg_kind_of(cfg) == MU_CFG_NULL)
        return MU_OK;
    if (mu_cfg_kind_of(cfg) == MU_CFG_LIST)
        return read_modules(self, cfg);
    if (mu_cfg_kind_of(cfg) != MU_CFG_DICT)
        return expected(cfg, POLICY ": expected {min_num_params: N}, a list of names of modules or null");
    MU_TRY(parse(policy_keys, cfg, POLICY, &p));
    MU_TRY(mu_mul_size((size_t)p.min_num_params, sizeof(float), &self->unit_bytes));
    return MU_OK;
}

static mu_err read_precision(fsdp *self)
{
    precision p = {0};
    if (!self->mixed_precision)
        return MU_OK;
    MU_TRY(parse(precision_keys, self->mixed_precision, PRECISION, &p));
    if (p.param_dtype && stages[self->sharding_strategy] < MU_SHARD_PARAMETERS) {
        MU_FAIL_AT(mu_cfg_pos(self->mixed_precision), PRECISION ".param_dtype: parameters are gathered only with FULL_SHARD");
        return mu_error_hint("optim_wrapper: {type: AmpOptimWrapper} computes in bfloat16");
    }
    self->base.narrow_params = p.param_dtype != 0;
    if (p.reduce_dtype) {
        char *wire;
        MU_TRY(mu_strdup(&wire, dtypes[p.reduce_dtype]));
        mu_free(self->base.wire);
        self->base.wire = wire;
    }
    return MU_OK;
}

static mu_err create(void *object, const mu_cfg *cfg)
{
    fsdp *self = object;
    (void)cfg;
    self->base.prefetch = self->backward_prefetch;
    self->base.forward_prefetch = self->forward_prefetch;
    mu_err err = read_policy(self);
    err = err ? err : read_precision(self);
    if (err)
        mu_free(self->modules);
    MU_TRY(err);
    return MU_OK;
}

static void destroy(void *object)
{
    mu_parallel_destroy(object);
    mu_free(((fsdp *)object)->modules);
}

static mu_err share(const mu_parallel *parallel, mu_params_sharing *out)
{
    const fsdp *self = (const fsdp *)parallel;
    out->stage = stages[self->sharding_strategy];
    out->modules = self->modules;
    out->n_modules = self->n_modules;
    if (self->unit_bytes)
        out->unit_bytes = self->unit_bytes;
    return MU_OK;
}

const mu_component mu_component_mm_fully_sharded_data_parallel = {
    .kind = "model_wrapper",
    .name = "MMFullyShardedDataParallel",
    .doc = "Ranks keep pieces of parameters, gradients and optimizer states, and bring them together unit by unit while they compute.",
    .size = sizeof(fsdp),
    .options = options,
    .create = create,
    .destroy = destroy,
    .ops = &(const mu_parallel_ops){.share = share},
};

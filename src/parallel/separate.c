/* MMSeparateDistributedDataParallel: for models that are trained in parts, each by an optimizer of its own (mu_model_ops.parts). */
#include "parallel/parallel.h"

typedef struct {
    mu_parallel base;
    bool find_unused_parameters;
} separate;

static const mu_option options[] = {
    MU_PARALLEL_OPTIONS(separate),
    MU_OPTION(separate, find_unused_parameters, MU_OPT_BOOL, .help = "accepted, without effect: they are always found, in the graph"),
    MU_OPTION_END,
};

static mu_err share(const mu_parallel *parallel, mu_params_sharing *out)
{
    (void)parallel;
    out->stage = MU_SHARD_NOTHING;
    return MU_OK;
}

const mu_component mu_component_mm_separate_distributed_data_parallel = {
    .kind = "model_wrapper",
    .name = "MMSeparateDistributedDataParallel",
    .doc = "For models with several optimizers: every rank has all of the model, and only the gradients of the part that is trained travel.",
    .size = sizeof(separate),
    .options = options,
    .destroy = mu_parallel_destroy,
    .ops = &(const mu_parallel_ops){.share = share, .parts = true},
};

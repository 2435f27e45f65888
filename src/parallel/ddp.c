/* MMDistributedDataParallel: every rank has all of the model; gradients are brought to their mean over the ranks while backward goes on. */
#include "parallel/parallel.h"

typedef struct {
    mu_parallel base;
    bool find_unused_parameters;
} ddp;

const mu_option mu_ddp_keys[] = {
    MU_PARALLEL_OPTIONS(ddp),
    MU_OPTION(ddp, find_unused_parameters, MU_OPT_BOOL, .help = "accepted, without effect: they are always found, in the graph"),
    MU_OPTION_END,
};

static mu_err share(const mu_parallel *parallel, mu_params_sharing *out)
{
    (void)parallel;
    out->stage = MU_SHARD_NOTHING;
    return MU_OK;
}

const mu_component mu_component_mm_distributed_data_parallel = {
    .kind = "model_wrapper",
    .name = "MMDistributedDataParallel",
    .doc = "Every rank has all of the model. Gradients travel in buckets, in the order in which backward gives them, while backward goes on.",
    .size = sizeof(ddp),
    .options = mu_ddp_keys,
    .destroy = mu_parallel_destroy,
    .ops = &(const mu_parallel_ops){.share = share},
};

#include "runner/runner.h"

typedef struct {
    mu_hook base;
} dist_sampler_seed_hook;

/* The loop starts the loader with it. */
static mu_err before_train_epoch(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)hook, (void)event;
    runner->sampler_epoch = runner->epoch;
    return MU_OK;
}

static const mu_option options[] = {MU_HOOK_OPTIONS(dist_sampler_seed_hook), MU_OPTION_END};

const mu_component mu_component_dist_sampler_seed_hook = {
    .kind = "hook",
    .name = "DistSamplerSeedHook",
    .doc = "Gives the sampler the number of the epoch, so that each epoch has an order of its own.",
    .size = sizeof(dist_sampler_seed_hook),
    .options = options,
    .ops = &(const mu_hook_ops){.priority = MU_PRIORITY_NORMAL,
                                .at = {[MU_BEFORE_TRAIN_EPOCH] = before_train_epoch}},
};

/* A hook: `touch WORK_DIR/stop`, and training ends. */
#include <muster.h>

#include <stdio.h>
#include <unistd.h>

typedef struct {
    mu_hook base;
    char *name;
    int64_t interval;
} stop_file_hook;

static const mu_option options[] = {
    MU_OPTION(stop_file_hook, name, MU_OPT_STRING, .text_default = "stop", .help = "of the file, in work_dir"),
    MU_OPTION(stop_file_hook, interval, MU_OPT_INT, .int_default = 10, .bounded_below = true, .min = 1,
              .unit = "iterations", .help = "between two looks"),
    MU_HOOK_OPTIONS(stop_file_hook),
    MU_OPTION_END,
};

/* Rank 0 looks and tells the others, so that all of them leave after the same iteration. A broadcast is collective: mu_runner_agree
 * stands before it, where a rank that has failed meanwhile meets the others. */
static mu_err after_train_iter(mu_hook *base, mu_runner *runner, const mu_hook_event *event)
{
    const stop_file_hook *self = (const stop_file_hook *)base;
    char path[4096];
    uint8_t found = 0;
    (void)event;
    if (runner->iters_done % self->interval)
        return MU_OK;
    snprintf(path, sizeof path, "%s/%s", runner->work_dir, self->name);
    if (mu_runner_is_main(runner))
        found = access(path, F_OK) == 0;
    MU_TRY(mu_runner_agree(runner, MU_OK));
    MU_TRY(mu_comm_broadcast_bytes(runner->comm, &found, sizeof found, 0));
    if (found) {
        MU_INFO("run", "%s is there: training ends after iteration %lld", path, (long long)runner->iters_done);
        runner->stop_requested = true;
    }
    return MU_OK;
}

static const mu_component component = {
    .kind = "hook",
    .name = "StopFileHook",
    .doc = "Ends training when a file appears in the work dir.",
    .size = sizeof(stop_file_hook),
    .options = options,
    .ops = &(const mu_hook_ops){.priority = MU_PRIORITY_NORMAL, .at = {[MU_AFTER_TRAIN_ITER] = after_train_iter}},
};

const int muster_plugin_version = MU_PLUGIN_VERSION;
mu_err muster_plugin_register(mu_registry *root);

mu_err muster_plugin_register(mu_registry *root)
{
    return mu_registry_add(root, &component, false);
}

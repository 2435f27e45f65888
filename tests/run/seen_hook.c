/* A plug-in for tests: SeenHook writes which samples training saw, a line "ITERATION EPOCH INDEX" each, to FOLDER/RANK. */
#include "core/text.h"
#include "registry/registry.h"
#include "runner/runner.h"

#include <stdio.h>

typedef struct {
    mu_hook base;
    char *folder;
} seen_hook;

static const mu_option options[] = {
    MU_OPTION(seen_hook, folder, MU_OPT_STRING, .required = true, .help = "where the files are made, or made longer"),
    MU_HOOK_OPTIONS(seen_hook),
    MU_OPTION_END,
};

static mu_err after_train_iter(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%d", ((const seen_hook *)hook)->folder, runner->comm->rank);
    FILE *file = fopen(path, "a");
    if (!file)
        return MU_FAIL(MU_ERR_IO, "'%s' cannot be written", path);
    for (int64_t i = 0; i < event->batch->size; i++)
        fprintf(file, "%lld %lld %lld\n", (long long)runner->iter, (long long)runner->epoch, (long long)event->batch->index[i]);
    if (fclose(file) != 0)
        return MU_FAIL(MU_ERR_IO, "'%s' cannot be written", path);
    return MU_OK;
}

static const mu_hook_ops ops = {.priority = MU_PRIORITY_NORMAL, .at = {[MU_AFTER_TRAIN_ITER] = after_train_iter}};

static const mu_component component = {.kind = "hook", .name = "SeenHook", .doc = "Writes which samples training saw.",
                                       .size = sizeof(seen_hook), .options = options, .ops = &ops};

const int muster_plugin_version = MU_PLUGIN_VERSION;

mu_err muster_plugin_register(mu_registry *root);
mu_err muster_plugin_register(mu_registry *root)
{
    return mu_registry_add(root, &component, false);
}

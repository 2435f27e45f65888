/* A plug-in for tests: FaultHook makes one rank fail at one point of a run, SlowLoading slows the loading of one rank under mpirun. */
#include "core/text.h"
#include "data/transform.h"
#include "registry/registry.h"
#include "runner/runner.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct {
    mu_hook base;
    char *point, *command; /* "after_train_iter" */
    int64_t rank, iter;
    int action;
} fault_hook;

enum { ACTION_ERROR, ACTION_KILL, ACTION_TERM, ACTION_SLEEP, ACTION_FULL, ACTION_COMMAND, ACTION_SLOW, ACTION_STOP, ACTION_LOSE };
enum { FULL_BYTES = 40000, SLOW_MICROSECONDS = 100000, SLOW_SAMPLE_MICROSECONDS = 5000 };
static const char *const actions[] = {"error", "kill", "term", "sleep", "full", "command", "slow", "stop", "lose", NULL};

static const mu_option options[] = {
    MU_OPTION(fault_hook, point, MU_OPT_STRING, .text_default = "after_train_iter", .help = "where"),
    MU_OPTION(fault_hook, rank, MU_OPT_INT, .help = "which rank; -1: all"),
    MU_OPTION(fault_hook, iter, MU_OPT_INT, .int_default = -1, .help = "at which iteration; -1: at each"),
    MU_OPTION(fault_hook, action, MU_OPT_CHOICE, .choices = actions, .help = "what happens"),
    MU_OPTION(fault_hook, command, MU_OPT_STRING, .text_default = "true", .help = "for the shell, with action: command"),
    MU_HOOK_OPTIONS(fault_hook),
    MU_OPTION_END,
};

static mu_err strike(mu_hook *base, mu_runner *runner, mu_hook_point point)
{
    const fault_hook *hook = (const fault_hook *)base;
    if (strcmp(mu_hook_point_name(point), hook->point) != 0 || (hook->iter >= 0 && hook->iter != runner->iter) ||
        (hook->rank >= 0 && hook->rank != runner->comm->rank))
        return MU_OK;
    switch (hook->action) {
    case ACTION_KILL: raise(SIGKILL); break;
    case ACTION_TERM: raise(SIGTERM); break;
    case ACTION_STOP: raise(SIGSTOP); break;
    case ACTION_SLEEP: sleep(3600); break;
    case ACTION_FULL: /* from now on no file grows beyond */
        if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){FULL_BYTES, FULL_BYTES}) != 0)
            return MU_FAIL(MU_ERR_SYSTEM, "there is no limit for files");
        break;
    case ACTION_COMMAND:
        if (system(hook->command) != 0)
            return MU_FAIL(MU_ERR_SYSTEM, "'%s' failed", hook->command);
        break;
    case ACTION_LOSE: /* the emulated device */
        if (setenv("MUSTER_EMULATE_ERROR", "lost", 1) != 0)
            return MU_FAIL(MU_ERR_SYSTEM, "the device is not lost");
        break;
    case ACTION_SLOW: usleep(SLOW_MICROSECONDS); break;
    default: return MU_FAIL(MU_ERR_SYSTEM, "struck by a test");
    }
    return MU_OK;
}

#define X(name)                                                                                                        \
    static mu_err at_##name(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)                             \
    {                                                                                                                  \
        (void)event;                                                                                                   \
        return strike(hook, runner, MU_##name);                                                                        \
    }
MU_HOOK_POINT_MAP(X)
#undef X

static const mu_hook_ops ops = {.priority = MU_PRIORITY_NORMAL,
                                .at = {
#define X(name) [MU_##name] = at_##name,
                                    MU_HOOK_POINT_MAP(X)
#undef X
                                }};

static const mu_component component = {.kind = "hook", .name = "FaultHook", .doc = "Fails when it is told to.",
                                       .size = sizeof(fault_hook), .options = options, .ops = &ops};

typedef struct {
    int64_t rank;
} slow_loading;

static const mu_option slow_loading_options[] = {
    MU_OPTION(slow_loading, rank, MU_OPT_INT, .help = "which rank"),
    MU_OPTION_END,
};

static mu_err load_slowly(const void *transform, mu_sample *sample)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    (void)sample;
    if (rank && atoll(rank) == ((const slow_loading *)transform)->rank)
        usleep(SLOW_SAMPLE_MICROSECONDS);
    return MU_OK;
}

static const mu_component loading = {.kind = "transform", .name = "SlowLoading", .doc = "Takes its time on one rank.",
                                     .size = sizeof(slow_loading), .options = slow_loading_options,
                                     .ops = &(const mu_transform_ops){.apply = load_slowly}};

const int muster_plugin_version = MU_PLUGIN_VERSION;

mu_err muster_plugin_register(mu_registry *root);
mu_err muster_plugin_register(mu_registry *root)
{
    MU_TRY(mu_registry_add(root, &loading, false));
    return mu_registry_add(root, &component, false);
}

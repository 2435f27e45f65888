/* A runner filled by hand, with one hook. */
#ifndef MU_TESTS_RUNNER_RUN_HOOK_H
#define MU_TESTS_RUNNER_RUN_HOOK_H

#include "config/config.h"
#include "core/log.h"
#include "runner/log_processor.h"
#include "runner/loop.h"

#include "test.h"

#include <stdarg.h>

static mu_runner runner;
static mu_comm *comm;
static mu_loop loop;
static mu_config *config;
static mu_hook *hook;
static char logged[16384]; /* what the log was told, a line each */

static void keep_line(void *user, mu_log_level level, const char *room, const char *line)
{
    size_t n = strlen(logged);
    (void)user, (void)level, (void)room;
    snprintf(logged + n, sizeof logged - n, "%s\n", line);
}

static void drop_hook(void)
{
    mu_destroy(hook);
    mu_config_release(config);
    hook = NULL;
    config = NULL;
}

static void begin(void)
{
    logged[0] = '\0';
    mu_log_set_sink(keep_line, NULL);
    ck_ok(mu_comm_self_new(&comm));
    runner = (mu_runner){.comm = comm, .hook = &hook, .n_hooks = 1, .by_epoch = true, .max_epochs = 3, .max_iters = 30, .epoch_length = 10,
                         .last_saved_iter = -1, .phase = MU_PHASE_TRAIN, .train_loop = &loop, .experiment_name = "exp"};
    ck_ok(mu_message_hub_new(&runner.hub));
    ck_ok(mu_log_processor_new(NULL, "log_processor", &runner.log_processor));
}

static void end(void)
{
    drop_hook();
    mu_log_processor_release(runner.log_processor);
    mu_message_hub_release(runner.hub);
    mu_comm_release(comm);
    mu_log_set_sink(NULL, NULL);
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

/* "type: LoggerHook" */
static mu_err make(const char *yaml)
{
    drop_hook();
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &config));
    MU_TRY(mu_build("hook", mu_config_root(config), NULL, "hook", (void **)&hook));
    return MU_OK;
}

static mu_err call(mu_hook_point point, const mu_hook_event *event)
{
    mu_hook_fn *at = ((const mu_hook_ops *)mu_component_of(hook)->ops)->at[point];
    return at ? at(hook, &runner, event ? event : &(mu_hook_event){0}) : MU_OK;
}

#endif

#include "cli/run.h"

#include "cli/mistakes.h"
#include "cli/progress.h"
#include "cli/comm.h"
#include "cli/job_end.h"
#include "config/config.h"
#include "core/mem.h"
#include "core/text.h"
#include "runner/check.h"
#include "runner/failure.h"
#include "runner/run_log.h"
#include "runner/signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* KEY=VALUE, where the value is text. */
static mu_err override_text(mu_config *config, const char *key, const char *value)
{
    mu_text text = {0};
    mu_text_printf(&text, "%s=", key);
    mu_text_append_json(&text, value, strlen(value));
    mu_err err = mu_text_status(&text);
    if (!err)
        err = mu_config_override(config, text.data);
    mu_text_release(&text);
    MU_TRY(err);
    return MU_OK;
}

static mu_err apply_options(const cli_run *run, mu_config *config)
{
    for (size_t i = 0; i < run->overrides.n; i++)
        MU_TRY(mu_config_override(config, run->overrides.v[i]));
    if (run->device)
        MU_TRY(override_text(config, "device", run->device));
    if (run->amp)
        MU_TRY(mu_config_override(config, "optim_wrapper.type=AmpOptimWrapper"));
    if (run->deterministic)
        MU_TRY(mu_config_override(config, "randomness.deterministic=true"));
    if (run->seed) {
        char text[64];
        snprintf(text, sizeof text, "randomness.seed=%s", run->seed);
        MU_TRY(mu_config_override(config, text));
    }
    return MU_OK;
}

mu_err cli_run_read(const cli_run *run, mu_config **out, mu_diagnostics *list, uint64_t *fingerprint)
{
    char *text;
    MU_TRY(mu_config_read(run->config, out));
    MU_TRY(apply_options(run, *out));
    MU_TRY(mu_runner_check(mu_config_root(*out), list));
    MU_TRY(mu_config_dump(*out, "json", &text));
    *fingerprint = XXH3_64bits(text, strlen(text));
    mu_free(text);
    return MU_OK;
}

static void progress(void *user, const char *label, int64_t done, int64_t total)
{
    (void)user;
    if (total)
        cli_progress_update(label, done, total, "");
    else
        cli_progress_end();
}

static void clear_progress(void *user)
{
    (void)user;
    cli_progress_hide();
}

/* Collective. A mistake that only some ranks see, for want of a plug-in on their node, is everybody's: none goes on
 * alone. *n: the most on any rank. */
static mu_err share_mistakes(mu_comm *comm, const mu_diagnostics *list, int64_t *n)
{
    int64_t range[2] = {(int64_t)list->n, -(int64_t)list->n};
    MU_TRY(mu_comm_all_reduce(comm, range, 2, MU_I64, MU_COMM_MAX));
    *n = range[0];
    if (range[0] == -range[1])
        return MU_OK;
    mu_err err = mu_diagnostics_status(list);
    if (err)
        mu_error_hint("not all ranks see this mistake: give all nodes the same plug-ins, files and environment");
    return mu_comm_agree(comm, err);
}

/* Of what decides, beside the config, in which collectives the ranks meet. */
static mu_err options_fingerprint(const cli_run *run, bool training, uint64_t *out)
{
    const char *const files[] = {run->checkpoint, run->resume, run->load_from, run->out};
    mu_text text = {0};
    mu_text_printf(&text, "%d %d", training, run->changed_schedule);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (files[i])
            mu_text_printf(&text, "\n%zu %s", i, files[i]);
    mu_err err = mu_text_status(&text);
    if (!err)
        *out = XXH3_64bits(text.data, text.length);
    mu_text_release(&text);
    MU_TRY(err);
    return MU_OK;
}

/* Collective. */
static mu_err check_same(mu_comm *comm, const char *what, uint64_t fingerprint)
{
    mu_err err = mu_comm_check_same(comm, what, fingerprint);
    if (err == MU_ERR_USAGE)
        mu_error_hint("start all ranks with the same config file, options and environment");
    MU_TRY(err);
    return MU_OK;
}

/* Collective. Reads and checks the config; *n: mistakes in it. */
static mu_err read_same(const cli_run *run, bool training, mu_comm *comm, mu_config **config, mu_diagnostics *list, int64_t *n)
{
    uint64_t fingerprint = 0, options = 0;
    mu_err err = cli_run_read(run, config, list, &fingerprint);
    MU_TRY(mu_comm_agree(comm, err ? err : options_fingerprint(run, training, &options)));
    MU_TRY(check_same(comm, "the config", fingerprint));
    MU_TRY(check_same(comm, "the command line", options));
    return share_mistakes(comm, list, n);
}

/* Collective. What rank 0 was told, or asks for, of the time there is. */
static mu_err share_times(const cli_run *run, mu_comm *comm, mu_runner_options *options)
{
    double times[] = {run->max_time ? atof(run->max_time) : 0, run->end_margin ? atof(run->end_margin) : -1, 0};
    if (mu_comm_is_main(comm))
        times[2] = cli_job_end();
    MU_TRY(mu_comm_broadcast(comm, times, 3, MU_F64, 0));
    options->max_time = times[0];
    options->end_margin = times[1];
    options->job_end = times[2];
    return MU_OK;
}

mu_err cli_run_open(const cli_run *run, mu_comm *comm, bool training, mu_config **config, mu_runner **out, int *status)
{
    mu_diagnostics list = {0};
    int64_t n = 0;
    mu_err err = read_same(run, training, comm, config, &list, &n);
    if (!err && n) {
        *status = 2;
        err = mu_comm_is_main(comm) ? cli_tell_mistakes(run->config, &list) : MU_OK;
        mu_diagnostics_release(&list);
        return err;
    }
    mu_diagnostics_release(&list);
    double limit[MU_WATCH_PHASE_COUNT];
    mu_watch *watch = NULL;
    MU_TRY(err);
    MU_TRY(mu_comm_agree(comm, mu_failure_read_limits(mu_config_root(*config), limit)));
    MU_TRY(cli_comm_watch(limit, &watch));
    if (training)
        mu_signals_watch(); /* val and test end as any program does */
    mu_run_log_before_line(clear_progress, NULL);
    mu_run_log_set_console(run->quiet ? MU_LOG_WARNING : MU_LOG_TRACE);
    mu_runner_options options = {
        .work_dir = run->work_dir,
        .resume = run->resume,
        .load_from = run->load_from,
        .allow_changed_schedule = run->changed_schedule,
        .dump = run->out,
        .training = training,
        .n_threads = cli_threads(),
        .watch = watch,
        .progress = run->quiet ? NULL : progress,
    };
    if (training)
        MU_TRY(share_times(run, comm, &options));
    return mu_runner_new(comm, *config, &options, out);
}

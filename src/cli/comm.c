#include "cli/comm.h"

#include "cli/cli.h"
#include "core/log.h"
#include "dist/binding.h"
#include "dist/launch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static mu_comm *comm;
static mu_watch *watch;
static int cores = 1;

mu_err cli_comm(mu_comm **out)
{
    if (!comm) {
        MU_TRY(mu_launch(&comm));
        MU_TRY(mu_comm_agree(comm, mu_log_configure(comm->rank, comm->size)));
        MU_TRY(mu_binding_apply(comm, &cores));
    }
    *out = comm;
    return MU_OK;
}

int cli_threads(void)
{
    const char *wish = getenv("OMP_NUM_THREADS");
    int wanted = wish ? atoi(wish) : 0;
    return wanted > 0 ? wanted : cores;
}

/* The kernel ends this process if ending the others blocks: MPI may be what hangs. */
static void be_killed_in(time_t seconds)
{
    timer_t timer;
    struct sigevent kill_us = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct itimerspec when = {.it_value.tv_sec = seconds};
    if (timer_create(CLOCK_MONOTONIC, &kill_us, &timer) == 0)
        timer_settime(timer, 0, &when, NULL);
}

/* stdio may be locked by a thread that hangs: one write. */
static void tell_lost(void *user, const char *message, const char *hint)
{
    char text[4096];
    (void)user;
    int n = snprintf(text, sizeof text, "muster: %s%s%s\n", message, *hint ? "\n  hint: " : "", hint);
    ssize_t written = write(STDERR_FILENO, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
    (void)written;
}

static void end_job(void *user)
{
    (void)user;
    be_killed_in(5);
    mu_comm_abort(comm, CLI_LOST);
    _exit(CLI_LOST);
}

mu_err cli_comm_watch(const double limit[MU_WATCH_PHASE_COUNT], mu_watch **out)
{
    mu_watch_options options = {.limits = "watch_cfg", .tell = tell_lost, .end = end_job};
    for (int i = 0; i < MU_WATCH_PHASE_COUNT; i++)
        options.limit[i] = limit[i];
    MU_TRY(mu_watch_new(comm, &options, &watch));
    *out = watch;
    return MU_OK;
}

void cli_comm_release(void)
{
    mu_watch_release(watch);
    watch = NULL;
    mu_comm_release(comm);
    comm = NULL;
}

int cli_end(mu_comm *c, mu_err err, bool agreed)
{
    c = c ? c : comm; /* NULL also where cli_comm has failed, together with the other ranks */
    if (c && !agreed)
        err = mu_comm_agree(c, err);
    if (!err)
        return 0;
    int status = mu_err_exit_status(err);
    if (err == MU_ERR_COMM || !c) {
        cli_fail(err);
        mu_watch_leave(watch);
        if (c)
            mu_comm_abort(c, status);
        return status;
    }
    if (mu_comm_is_main(c))
        cli_fail(err);
    return status;
}

#include "runner/stop.h"

#include "core/clock.h"
#include "core/log.h"
#include "runner/checkpoint.h"
#include "runner/signals.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Without --end-margin: seconds for a step and for what the checkpoint's estimate misses, and that estimate. */
enum { MARGIN_SECONDS = 30, MARGIN_CHECKPOINTS = 3 };

void mu_stop_set(mu_runner *runner, const mu_runner_options *options)
{
    double now = mu_clock();
    runner->time_over = options->max_time > 0 ? now + options->max_time : 0;
    runner->job_over = options->job_end > 0 ? fmax(now + options->job_end - mu_wall_time(), 1e-9) : 0;
    runner->end_margin = options->end_margin;
    if (options->job_end > 0 && mu_runner_is_main(runner)) {
        char at[32];
        mu_wall_format(options->job_end, "%m/%d %H:%M:%S", at, sizeof at);
        MU_INFO("run", "the job ends at %s, in %.0f s", at, runner->job_over - now);
    }
}

static double longest_checkpoint(const mu_runner *runner)
{
    return fmax(mu_checkpoint_longest_seconds(runner), 0);
}

/* mu_clock at which --max-time makes training stop; INFINITY: never. */
static double time_stop(const mu_runner *runner)
{
    return runner->time_over > 0 ? runner->time_over : INFINITY;
}

/* The same of the job's end. */
static double job_stop(const mu_runner *runner)
{
    if (!(runner->job_over > 0))
        return INFINITY;
    double margin = runner->end_margin >= 0 ? runner->end_margin : MARGIN_CHECKPOINTS * longest_checkpoint(runner) + MARGIN_SECONDS;
    return runner->job_over - margin;
}

int mu_stop_pending(const mu_runner *runner)
{
    int number = mu_signals_pending();
    double now = mu_clock();
    return number ? number : now >= job_stop(runner) ? MU_STOP_JOB_END : now >= time_stop(runner) ? MU_STOP_MAX_TIME : 0;
}

bool mu_stop_comes_first(const mu_runner *runner)
{
    return mu_clock() + longest_checkpoint(runner) > fmin(job_stop(runner), time_stop(runner));
}

void mu_stop_tell(const mu_runner *runner)
{
    char why[128], at[32];
    double job_end = mu_wall_time() + runner->job_over - mu_clock();
    if (!mu_runner_is_main(runner))
        return;
    if (runner->stop_reason == MU_STOP_JOB_END)
        snprintf(why, sizeof why, "the job ends at %s", mu_wall_format(job_end + 0.5, "%H:%M:%S", at, sizeof at));
    else if (runner->stop_reason == MU_STOP_MAX_TIME)
        snprintf(why, sizeof why, "--max-time is over");
    else
        snprintf(why, sizeof why, "signal %d (%s)", runner->stop_reason, strsignal(runner->stop_reason));
    MU_WARN("run", "%s: stopped after iteration %lld; muster train ... --resume goes on from there", why, (long long)runner->iter);
}

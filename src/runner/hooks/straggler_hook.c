#include "runner/hook.h"

#include "core/log.h"
#include "core/mem.h"
#include "dist/host.h"
#include "runner/hooks/straggler.h"
#include "runner/runner.h"

#include <stdio.h>

typedef char host_name[MU_HOST_CHARS];

typedef struct {
    mu_hook base;
    int64_t window;
    double factor;

    bool warm;        /* the first iteration, which chooses kernels, is over */
    int64_t n;        /* iterations of this window so far */
    mu_rank_time sum; /* over them */
    int64_t windows;  /* that were judged */
    /* Of all ranks, on rank 0. */
    host_name *host;
    mu_rank_time *time;
    mu_rank_record *record;
    double *scratch;
} straggler_hook;

static void forget(straggler_hook *self)
{
    mu_free(self->host);
    mu_free(self->time);
    mu_free(self->record);
    mu_free(self->scratch);
    self->host = NULL;
    self->time = NULL;
    self->record = NULL;
    self->scratch = NULL;
    self->sum = (mu_rank_time){0};
    self->n = self->windows = 0;
    self->warm = false;
}

static void destroy(void *object)
{
    forget(object);
}

static mu_err make_room(straggler_hook *self, size_t ranks)
{
    MU_TRY(mu_calloc(&self->host, ranks, sizeof *self->host));
    MU_TRY(mu_calloc(&self->time, ranks, sizeof *self->time));
    MU_TRY(mu_calloc(&self->record, ranks, sizeof *self->record));
    MU_TRY(mu_calloc(&self->scratch, ranks, sizeof *self->scratch));
    return MU_OK;
}

static mu_err before_train(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    straggler_hook *self = (straggler_hook *)hook;
    host_name mine = "";
    (void)event;
    forget(self);
    if (runner->comm->size == 1)
        return MU_OK;
    mu_runner_time_waits(runner);
    MU_TRY(mu_runner_agree(runner, mu_runner_is_main(runner) ? make_room(self, (size_t)runner->comm->size) : MU_OK));
    mu_host_name(mine, sizeof mine);
    MU_TRY(mu_runner_agreed(runner, mu_comm_gather(runner->comm, mine, (int64_t)sizeof mine, MU_U8, self->host, 0)));
    return MU_OK;
}

typedef struct {
    char text[40];
} remark;

/* "; 2 more ranks, too", or nothing. */
static remark about_others(int others)
{
    remark out = {""};
    if (others > 0)
        snprintf(out.text, sizeof out.text, "; %d more rank%s, too", others, others == 1 ? "" : "s");
    return out;
}

static void judge(straggler_hook *self, int ranks)
{
    self->windows++;
    mu_straggler found = mu_straggler_judge(self->time, ranks, self->factor, self->record, self->scratch);
    if (found.rank < 0)
        return;
    const mu_rank_time *time = &self->time[found.rank];
    MU_WARN("run", "rank %d (host %s) is a straggler: %.1f ms an iteration of its own, %.1f of them for data; the median of %d ranks is %.1f%s",
            found.rank, self->host[found.rank], 1e3 * time->own, 1e3 * time->data, ranks, 1e3 * found.median, about_others(found.others).text);
}

/* Collective, when a window ends: at the same iteration on all ranks. */
static mu_err after_train_iter(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    straggler_hook *self = (straggler_hook *)hook;
    (void)event;
    if (runner->comm->size == 1)
        return MU_OK;
    if (!self->warm) {
        self->warm = true;
        return MU_OK;
    }
    self->sum.own += runner->own_seconds;
    self->sum.data += runner->data_seconds;
    if (++self->n < self->window)
        return MU_OK;
    mu_rank_time mean = {.own = self->sum.own / (double)self->n, .data = self->sum.data / (double)self->n};
    self->n = 0;
    self->sum = (mu_rank_time){0};
    MU_TRY(mu_runner_agree(runner, MU_OK));
    MU_TRY(mu_runner_agreed(runner, mu_comm_gather(runner->comm, &mean, (int64_t)(sizeof mean / sizeof mean.own), MU_F64, self->time, 0)));
    if (mu_runner_is_main(runner))
        judge(self, runner->comm->size);
    return MU_OK;
}

static mu_err after_train(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    const straggler_hook *self = (const straggler_hook *)hook;
    int others;
    (void)event;
    if (!self->record || self->windows < 2)
        return MU_OK;
    int rank = mu_straggler_worst(self->record, runner->comm->size, self->windows, &others);
    if (rank < 0)
        return MU_OK;
    MU_WARN("run", "rank %d (host %s) was slow in %lld of %lld windows of %lld iterations%s", rank, self->host[rank],
            (long long)self->record[rank].slow, (long long)self->windows, (long long)self->window, about_others(others).text);
    return MU_OK;
}

static const mu_option options[] = {
    MU_HOOK_OPTIONS(straggler_hook),
    MU_OPTION(straggler_hook, window, MU_OPT_INT, .int_default = 50, .bounded_below = true, .min = 1, .unit = "iterations",
              .help = "over which each rank's own time is averaged and compared"),
    MU_OPTION(straggler_hook, factor, MU_OPT_FLOAT, .float_default = 1.5, .bounded_below = true, .above_min = true, .min = 1,
              .help = "a rank that takes more than this times the median is named"),
    MU_OPTION_END,
};

const mu_component mu_component_straggler_hook = {
    .kind = "hook",
    .name = "StragglerHook",
    .doc = "Names ranks that hold the others up: loading, computing and updating, less what they wait for others.",
    .size = sizeof(straggler_hook),
    .options = options,
    .destroy = destroy,
    .ops = &(const mu_hook_ops){.priority = MU_PRIORITY_NORMAL,
                                .at = {[MU_BEFORE_TRAIN] = before_train,
                                       [MU_AFTER_TRAIN_ITER] = after_train_iter,
                                       [MU_AFTER_TRAIN] = after_train}},
};

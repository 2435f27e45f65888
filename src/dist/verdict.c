#include "dist/verdict.h"

#include <stdarg.h>
#include <stdio.h>

enum { TOLD = 4 }; /* ranks, a line each */

static const char *const phase_names[] = {
#define X(code, text) text,
    MU_WATCH_PHASE_MAP(X)
#undef X
};

const char *mu_watch_phase_name(mu_watch_phase phase)
{
    return (unsigned)phase < MU_WATCH_PHASE_COUNT ? phase_names[phase] : "unknown";
}

MU_PRINTF(2, 3) static void add(mu_verdict *v, const char *format, ...)
{
    size_t at = strlen(v->message);
    va_list args;
    va_start(args, format);
    vsnprintf(v->message + at, sizeof v->message - at, format, args);
    va_end(args);
}

/* "load batch, iteration 57" */
static void add_operation(mu_verdict *v, const mu_report *r)
{
    add(v, "%s%s%s", r->what[0] ? r->what : mu_watch_phase_name((mu_watch_phase)r->phase), r->where[0] ? ", " : "", r->where);
    if (r->iteration >= 0)
        add(v, ", iteration %lld", (long long)r->iteration);
}

static void add_rank(mu_verdict *v, const char *host, const mu_report *r, int world)
{
    add(v, "%srank %d/%d (host %s, pid %d)", v->message[0] ? "\n" : "", r->rank, world, host, r->pid);
}

static void add_hanging(mu_verdict *v, const mu_report *r, const char *host, int world)
{
    add_rank(v, host, r, world);
    if (r->state == 'T' || r->state == 't')
        add(v, " is stopped, by SIGSTOP or a debugger: ");
    else if (r->silent)
        add(v, " does not answer: ");
    else
        add(v, " hangs: ");
    add(v, "for %.1f s in ", (double)r->in_operation);
    add_operation(v, r);
    if (r->state == 'D')
        add(v, "; it waits for a disk or a network file system");
}

void mu_summary_add(mu_summary *s, const mu_report *r)
{
    bool waits = r->waits[0] && !r->silent, all_wait = s->waiting == s->ranks;
    s->ranks++;
    s->overdue = s->overdue || r->overdue;
    if (waits && s->waiting++ == 0)
        memcpy(s->waits, r->waits, sizeof s->waits);
    if (waits && !all_wait)
        return;
    if (!waits && all_wait)
        s->n = 0;
    if (s->n < MU_REPORTS) {
        s->report[s->n++] = *r;
        return;
    }
    for (int i = 0; !waits && r->overdue && i < s->n; i++)
        if (!s->report[i].overdue) {
            s->report[i] = *r;
            return;
        }
}

/* Of the longest overdue phase; -1: none is. */
static void set_hint(const mu_watch_options *options, int phase, mu_verdict *v)
{
    if (phase < 0 || phase >= MU_WATCH_PHASE_COUNT)
        return;
    const char *name = mu_watch_phase_name((mu_watch_phase)phase);
    snprintf(v->hint, sizeof v->hint, "the limit of %s is %g s: %s.%s raises it, 0 means none",
             phase == MU_WATCH_SETUP ? "setup, with the first step," : phase == MU_WATCH_STEP ? "a step" : phase == MU_WATCH_CHECKPOINT ? "a checkpoint" : "a batch of evaluation",
             options->limit[phase], options->limits, name);
}

static void add_deadlock(mu_verdict *v, const mu_watch_options *options, int world, const mu_summary *summary, int n)
{
    int told = 0, phase = -1;
    for (int s = 0; s < n; s++)
        for (int i = 0; i < summary[s].n && told < TOLD; i++, told++) {
            const mu_report *r = &summary[s].report[i];
            add_rank(v, summary[s].host, r, world);
            add(v, " waits for the others in %s: for %.1f s in ", r->waits, (double)r->in_operation);
            add_operation(v, r);
            phase = phase < 0 && r->overdue ? r->phase : phase;
        }
    add(v, "\nall ranks wait for each other");
    set_hint(options, phase < 0 ? MU_WATCH_STEP : phase, v);
}

bool mu_verdict_hang(const mu_watch_options *options, int world, const mu_summary *summary, int n, const mu_silent_node *silent, int n_silent,
                     mu_verdict *out)
{
    int ranks = 0, waiting = 0, guilty = 0, phase = -1, told = 0;
    const char *waits = "";
    bool overdue = false;
    for (int s = 0; s < n; s++) {
        ranks += summary[s].ranks;
        waiting += summary[s].waiting;
        overdue = overdue || summary[s].overdue;
        waits = waits[0] ? waits : summary[s].waits;
        for (int i = 0; i < summary[s].n && summary[s].waiting < summary[s].ranks; i++)
            guilty += summary[s].report[i].overdue;
    }
    if (!overdue || (!guilty && !n_silent && waiting < ranks))
        return false;
    *out = (mu_verdict){0};
    if (!guilty && !n_silent) {
        add_deadlock(out, options, world, summary, n);
        return true;
    }
    for (int s = 0; s < n; s++)
        for (int i = 0; i < summary[s].n && summary[s].waiting < summary[s].ranks; i++) {
            const mu_report *r = &summary[s].report[i];
            if (!r->overdue)
                continue;
            if (told++ < TOLD)
                add_hanging(out, r, summary[s].host, world);
            phase = phase < 0 ? r->phase : phase;
        }
    for (int s = 0; s < n_silent; s++, told++)
        if (told < TOLD && silent[s].ranks == 1)
            add(out, "%srank %d/%d (host %s) does not answer", told ? "\n" : "", silent[s].first, world, silent[s].host);
        else if (told < TOLD)
            add(out, "%sthe %d ranks of host %s, from rank %d/%d on, do not answer", told ? "\n" : "", silent[s].ranks, silent[s].host,
                silent[s].first, world);
    if (told > TOLD)
        add(out, "\nand %d more", told - TOLD);
    if (waiting)
        add(out, "; %d %s for %s in %s", waiting, waiting == 1 ? "rank waits" : "ranks wait", told == 1 && !(n_silent && silent[0].ranks > 1) ? "it" : "them", waits);
    set_hint(options, phase, out);
    return true;
}

void mu_verdict_gone(int world, const char *host, const mu_report *report, int n, mu_verdict *out)
{
    *out = (mu_verdict){0};
    for (int i = 0; i < n && i < TOLD; i++) {
        add_rank(out, host, &report[i], world);
        add(out, " is gone: killed by a signal, or for want of memory; it was in ");
        add_operation(out, &report[i]);
        add(out, " (%s)", mu_watch_phase_name((mu_watch_phase)report[i].phase));
    }
    if (n > TOLD)
        add(out, "\nand %d more", n - TOLD);
}

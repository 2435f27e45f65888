/* The monitor of a rank: a thread in every process that ends the job, with one message, when a rank hangs or is gone.
 *
 * A rank tells in which phase it is and what it does; the ranks of a node see each other's words in shared memory, also those of a rank that is
 * stopped or dead. A rank that does not wait for others and stays in a phase beyond its limit hangs; one that vanishes without mu_watch_leave is
 * gone. Nothing here is collective once the watch stands: a hung rank cannot hold it up. */
#ifndef MU_DIST_WATCH_H
#define MU_DIST_WATCH_H

#include "dist/comm.h"

typedef struct mu_watch mu_watch;

#define MU_WATCH_PHASE_MAP(X) X(SETUP, "setup") X(STEP, "step") X(CHECKPOINT, "checkpoint") X(EVALUATION, "evaluation")
typedef enum {
#define X(code, text) MU_WATCH_##code,
    MU_WATCH_PHASE_MAP(X)
#undef X
        MU_WATCH_PHASE_COUNT
} mu_watch_phase;
const char *mu_watch_phase_name(mu_watch_phase phase);

typedef struct {
    double limit[MU_WATCH_PHASE_COUNT]; /* seconds from one mu_watch_enter to the next; 0: none */
    const char *limits;                 /* where they come from, for the hint ("watch_cfg"); static */
    /* Both are called by the monitor's thread, at most once: tell on the one rank that speaks, then end on all ranks, which ends the job. The watched
     * thread may hold any lock but those of what it is doing by then. If end returns, nobody watches any more. */
    void (*tell)(void *user, const char *message, const char *hint);
    void (*end)(void *user);
    void *user;
} mu_watch_options;

/* Collective. comm is borrowed; what it waits in (mu_comm.doing) is looked at. The phase is SETUP. */
MU_CHECKED mu_err mu_watch_new(mu_comm *comm, const mu_watch_options *options, mu_watch **out);
/* Not collective: this rank is done and may vanish. */
void mu_watch_leave(mu_watch *watch);
/* Collective; leaves. NULL is allowed here and below. */
void mu_watch_release(mu_watch *watch);

/* While this rank waits for a thread of its own that talks to the other ranks over `comm`: what that waits in counts, too. NULL: no more. */
void mu_watch_follow(mu_watch *watch, mu_comm *comm);

/* Begins a phase, or the next round of the same one. Returns the phase before, to go back to. Cheap; from the thread that made the watch. */
mu_watch_phase mu_watch_enter(mu_watch *watch, mu_watch_phase phase);
/* The operation that begins ("load batch"), where (a hook's point; may be NULL) and a number that goes with it (-1: none). Texts are copied, and
 * cut at 39 bytes. */
void mu_watch_note(mu_watch *watch, const char *what, const char *where, int64_t iteration);

#endif

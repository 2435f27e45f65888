/* What monitors know of ranks, and what they conclude from it. Private to the room; nothing here looks at a clock or a process. */
#ifndef MU_DIST_VERDICT_H
#define MU_DIST_VERDICT_H

#include "dist/board.h"
#include "dist/host.h"
#include "dist/watch.h"

enum { MU_REPORTS = 5 };

typedef struct {
    int32_t rank, pid, phase;
    char state;                /* of the process: R, S, D (waits for a device), T (stopped), t (traced); '?' */
    bool silent;               /* its monitor does not look any more */
    bool overdue;              /* in its phase beyond the limit */
    float in_phase, in_operation; /* seconds */
    int64_t iteration;         /* -1: none */
    char what[MU_BOARD_CHARS], where[MU_BOARD_CHARS], waits[MU_BOARD_CHARS];
} mu_report;

/* The ranks of a node, told to other nodes. */
typedef struct {
    int32_t node;              /* index */
    int32_t ranks, waiting;    /* all (but those who left), and those who wait for others */
    bool overdue;              /* any of them */
    int32_t n;                 /* reports: of those who do not wait, the overdue first; when all wait, of the first */
    mu_report report[MU_REPORTS];
    char waits[MU_BOARD_CHARS]; /* what the first of the waiting is in; "" */
    char host[MU_HOST_CHARS];
} mu_summary;
_Static_assert(sizeof(mu_summary) <= MU_NOTE_BYTES, "a summary is a note");

/* A node that does not answer. */
typedef struct {
    int32_t first, ranks;
    char host[MU_HOST_CHARS];
} mu_silent_node;

typedef struct {
    char message[1536], hint[256];
} mu_verdict;

void mu_summary_add(mu_summary *summary, const mu_report *report);

/* summary[n] of the nodes that answer, silent[n_silent] of the others. False: a rank that does not wait is still within its limit, or nobody is
 * beyond any: go on. */
bool mu_verdict_hang(const mu_watch_options *options, int world, const mu_summary *summary, int n, const mu_silent_node *silent, int n_silent,
                     mu_verdict *out);
/* A rank that vanished; reports of what it did last. */
void mu_verdict_gone(int world, const char *host, const mu_report *report, int n, mu_verdict *out);

#endif

#include "config.h" /* _GNU_SOURCE */

#include "dist/watch.h"

#include "core/clock.h"
#include "core/mem.h"
#include "dist/host.h"
#include "dist/verdict.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <unistd.h>

/* Seconds, but for TICK_MS. */
enum { TICK_MS = 100 };
#define SILENT 1.5   /* without a look of its monitor: a rank does not answer */
#define PAUSED 1.0   /* between two looks of this one: the process was stopped */
#define RECOVERY 3.0 /* after that: the others may have been stopped, too */
#define SURE 0.4     /* that a verdict has to stand */
#define GRACE 0.05   /* between a rank's end and our word: we may be ended with it */
#define REPEAT 1.0   /* between summaries to other nodes */
#define ANSWER 5.0   /* for other nodes to answer in */
#define LISTEN 2.0   /* for the one rank that speaks */
#define LAUNCHER 3.0 /* for the launcher to end a job of which a rank is gone: mpirun does it by itself, srun need not */

/* Ranks that share a board. Notes go to its first two, in case that one is stopped. */
typedef struct {
    int leader[2], ranks;
    char host[MU_HOST_CHARS];
    double heard; /* mu_clock; 0: never */
    mu_summary summary;
} node;

struct mu_watch {
    mu_comm *comm, *own; /* own: for notes, NULL on one node */
    pthread_mutex_t lock; /* of: */
    mu_comm *followed;    /* may be released once it is not */
    mu_watch_options options;
    mu_board board;
    node *node;
    int n_nodes, mine;
    int64_t *sent, taken; /* notes: to each node's leaders, and of this rank */
    mu_summary *heard;    /* those that answer */
    mu_silent_node *silent;
    struct pollfd *fd; /* wake, then one per slot: readable when the process has ended, -1: not looked at */
    bool stands, running; /* on all ranks; here */
    pthread_t thread;
    double looked, hold_until, alarm, posted, sure; /* mu_clock; 0: not */
};

/* ---- what the watched thread does ---- */

static mu_slot *slot_of(const mu_watch *watch)
{
    return &watch->board.slot[watch->board.mine];
}

mu_watch_phase mu_watch_enter(mu_watch *watch, mu_watch_phase phase)
{
    if (!watch)
        return MU_WATCH_SETUP;
    mu_slot *slot = slot_of(watch);
    mu_watch_phase before = (mu_watch_phase)atomic_load_explicit(&slot->phase, memory_order_relaxed);
    atomic_store(&slot->since, mu_clock_ns());
    atomic_store(&slot->phase, (int32_t)phase);
    return before;
}

void mu_watch_follow(mu_watch *watch, mu_comm *comm)
{
    if (!watch)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->followed = comm;
    pthread_mutex_unlock(&watch->lock);
}

void mu_watch_note(mu_watch *watch, const char *what, const char *where, int64_t iteration)
{
    if (!watch)
        return;
    mu_slot *slot = slot_of(watch);
    mu_board_write(slot->what, what);
    mu_board_write(slot->where, where);
    atomic_store_explicit(&slot->iteration, iteration, memory_order_relaxed);
    atomic_store_explicit(&slot->noted, mu_clock_ns(), memory_order_relaxed);
}

/* ---- what the monitor sees ---- */

/* R, S, D, T, ... of /proc/PID/stat: "PID (name) STATE ...", where a name may hold anything. */
static char process_state(int pid)
{
    char path[32], text[256];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[n] = '\0';
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' && end[2] ? end[2] : '?';
}

static bool is_silent(const mu_slot *slot, int64_t now)
{
    return now - atomic_load(&slot->beat) > (int64_t)(SILENT * 1e9);
}

static void look_at(const mu_watch *watch, int i, int64_t now, mu_report *r)
{
    mu_slot *slot = &watch->board.slot[i];
    *r = (mu_report){.rank = slot->rank, .pid = slot->pid, .phase = slot->phase, .state = '?', .iteration = slot->iteration};
    r->in_phase = (float)((double)(now - slot->since) * 1e-9);
    r->in_operation = (float)((double)(now - slot->noted) * 1e-9);
    r->silent = is_silent(slot, now);
    double limit = watch->options.limit[r->phase];
    r->overdue = limit > 0 && (double)r->in_phase > limit;
    if (r->overdue)
        r->state = process_state(r->pid);
    mu_board_read(slot->what, r->what);
    mu_board_read(slot->where, r->where);
    mu_board_read(slot->waits, r->waits);
}

static void look_around(mu_watch *watch, mu_summary *out)
{
    int64_t now = mu_clock_ns();
    const node *here = &watch->node[watch->mine];
    *out = (mu_summary){.node = watch->mine};
    memcpy(out->host, here->host, sizeof out->host);
    for (int i = 0; i < watch->board.n; i++) {
        mu_report r;
        if (atomic_load(&watch->board.slot[i].left))
            continue;
        look_at(watch, i, now, &r);
        mu_summary_add(out, &r);
    }
}

static bool is_gone(const mu_watch *watch, int i)
{
    const mu_slot *slot = &watch->board.slot[i];
    if (i == watch->board.mine || atomic_load(&slot->left))
        return false;
    return watch->fd[i + 1].fd >= 0 ? watch->fd[i + 1].revents != 0 : kill(slot->pid, 0) != 0 && errno == ESRCH;
}

/* The lowest rank of the node that can speak. */
static bool speaks(const mu_watch *watch)
{
    int64_t now = mu_clock_ns();
    for (int i = 0; i < watch->board.mine; i++) {
        const mu_slot *slot = &watch->board.slot[i];
        if (!is_gone(watch, i) && !atomic_load(&slot->left) && !is_silent(slot, now))
            return false;
    }
    return true;
}

/* ---- the end ---- */

static void pause_for(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

static void end(const mu_watch *watch, bool speaker, const mu_verdict *verdict, double pause)
{
    int32_t nobody = 0;
    speaker = speaker && atomic_compare_exchange_strong(&watch->board.slot[0].told, &nobody, 1);
    if (speaker)
        watch->options.tell(watch->options.user, verdict->message, verdict->hint);
    pause_for(speaker ? pause : pause + LISTEN);
    watch->options.end(watch->options.user);
}

/* Another rank of the node has spoken. */
static bool end_if_told(const mu_watch *watch)
{
    bool told = atomic_load(&watch->board.slot[0].told) != 0;
    if (told)
        end(watch, false, NULL, LAUNCHER);
    return told;
}

static bool end_if_gone(mu_watch *watch)
{
    mu_report gone[MU_REPORTS];
    mu_verdict verdict;
    int n = 0;
    bool any = false;
    for (int i = 0; i < watch->board.n && !any; i++)
        any = is_gone(watch, i);
    if (!any)
        return false;
    pause_for(GRACE);
    poll(watch->fd, (nfds_t)watch->board.n + 1, 0);
    int64_t now = mu_clock_ns();
    for (int i = 0; i < watch->board.n && n < MU_REPORTS; i++)
        if (is_gone(watch, i))
            look_at(watch, i, now, &gone[n++]);
    mu_verdict_gone(watch->comm->size, watch->node[watch->mine].host, gone, n, &verdict);
    end(watch, speaks(watch), &verdict, LAUNCHER);
    return true;
}

/* ---- other nodes ---- */

static mu_err take_notes(mu_watch *watch)
{
    mu_summary note;
    for (int from;;) {
        MU_TRY(mu_comm_poll(watch->own, &note, sizeof note, &from));
        if (from < 0)
            return MU_OK;
        watch->taken++;
        watch->node[note.node].summary = note;
        watch->node[note.node].heard = mu_clock();
        if (note.overdue && watch->alarm == 0)
            watch->alarm = mu_clock();
    }
}

static mu_err tell_nodes(mu_watch *watch, const mu_summary *here)
{
    for (int k = 0; k < watch->n_nodes; k++)
        for (int i = 0; i < 2 && k != watch->mine; i++)
            if (watch->node[k].leader[i] >= 0) {
                MU_TRY(mu_comm_post(watch->own, here, sizeof *here, watch->node[k].leader[i]));
                watch->sent[2 * k + i]++;
            }
    return MU_OK;
}

/* Collective. Takes what is still on its way. */
static mu_err take_last_notes(mu_watch *watch)
{
    const node *here = &watch->node[watch->mine];
    int64_t n = 0;
    MU_TRY(mu_comm_all_reduce(watch->own, watch->sent, 2 * watch->n_nodes, MU_I64, MU_COMM_SUM));
    for (int i = 0; i < 2; i++)
        if (here->leader[i] == watch->comm->rank)
            n = watch->sent[2 * watch->mine + i];
    while (watch->taken < n)
        MU_TRY(take_notes(watch));
    return MU_OK;
}

/* Summaries go to all nodes as long as somebody is overdue. */
static mu_err exchange(mu_watch *watch, const mu_summary *here, double now)
{
    MU_TRY(take_notes(watch));
    if (here->overdue && watch->alarm == 0)
        watch->alarm = now;
    if (watch->alarm > 0 && now - watch->posted > REPEAT && speaks(watch)) {
        watch->posted = now;
        MU_TRY(tell_nodes(watch, here));
    }
    return MU_OK;
}

/* Who answers and who does not. False: it is too early to tell. *lowest: no node before this one answers. */
static bool gather(mu_watch *watch, const mu_summary *here, double now, int *n, int *n_silent, bool *lowest)
{
    bool told = true;
    *n = *n_silent = 0;
    *lowest = true;
    for (int k = 0; k < watch->n_nodes; k++) {
        const node *other = &watch->node[k];
        if (k == watch->mine) {
            watch->heard[(*n)++] = *here;
        } else if (other->heard >= watch->alarm && now - other->heard < 3 * REPEAT) {
            watch->heard[(*n)++] = other->summary;
            *lowest = *lowest && k > watch->mine;
        } else if (now - watch->alarm > ANSWER) {
            mu_silent_node *silent = &watch->silent[(*n_silent)++];
            *silent = (mu_silent_node){.first = other->leader[0], .ranks = other->ranks};
            memcpy(silent->host, other->host, sizeof silent->host);
        } else {
            told = false;
        }
    }
    return told;
}

/* ---- hanging ---- */

static bool end_if_hanging(mu_watch *watch, double now)
{
    mu_summary here;
    mu_verdict verdict;
    int n = 1, n_silent = 0;
    bool lowest = true, known = true;
    look_around(watch, &here);
    watch->heard[0] = here;
    if (watch->own) {
        mu_err err = exchange(watch, &here, now);
        if (err)
            mu_error_clear(); /* the watched thread meets the same failure and tells it */
        known = watch->alarm > 0 && gather(watch, &here, now, &n, &n_silent, &lowest);
    }
    bool hangs = known && now >= watch->hold_until &&
                 mu_verdict_hang(&watch->options, watch->comm->size, watch->heard, n, watch->silent, n_silent, &verdict);
    if (known && !hangs)
        watch->alarm = 0;
    if (!hangs || watch->sure == 0)
        watch->sure = hangs ? now : 0;
    if (!hangs || now - watch->sure < SURE)
        return false;
    end(watch, lowest && speaks(watch) && (!watch->own || watch->board.mine < 2), &verdict, 0);
    return true;
}

static void forget_those_who_left(mu_watch *watch)
{
    for (int i = 0; i < watch->board.n; i++) {
        struct pollfd *fd = &watch->fd[i + 1];
        if (fd->fd < 0 || !atomic_load(&watch->board.slot[i].left))
            continue;
        close(fd->fd);
        fd->fd = -1;
    }
}

static const char *waits_in(mu_watch *watch)
{
    const char *doing = atomic_load(&watch->comm->doing);
    pthread_mutex_lock(&watch->lock);
    if (watch->followed)
        doing = atomic_load(&watch->followed->doing);
    pthread_mutex_unlock(&watch->lock);
    return doing;
}

static void *run(void *user)
{
    mu_watch *watch = user;
    mu_slot *mine = slot_of(watch);
    watch->looked = mu_clock();
    for (;;) {
        poll(watch->fd, (nfds_t)watch->board.n + 1, TICK_MS);
        if (watch->fd[0].revents)
            return NULL;
        double now = mu_clock(), gap = now - watch->looked;
        watch->looked = now;
        if (gap > PAUSED) { /* that was no time to work in */
            atomic_fetch_add(&mine->since, (int64_t)(gap * 1e9));
            watch->hold_until = now + RECOVERY;
        }
        atomic_store(&mine->beat, mu_clock_ns());
        mu_board_write(mine->waits, waits_in(watch));
        forget_those_who_left(watch);
        if (end_if_told(watch) || end_if_gone(watch) || end_if_hanging(watch, now))
            return NULL;
    }
}

/* ---- beginning and end ---- */

typedef struct {
    int32_t node; /* lowest rank of those who share a board */
    char host[MU_HOST_CHARS];
} card;

static void count_nodes(mu_watch *watch, const card *cards, int *index)
{
    int size = watch->comm->size;
    for (int r = 0; r < size; r++) {
        int of = cards[r].node;
        if (of == r)
            index[r] = watch->n_nodes++;
        node *n = &watch->node[index[of]];
        if (n->ranks < 2)
            n->leader[n->ranks] = r;
        if (n->ranks++ == 0) {
            n->leader[1] = -1;
            memcpy(n->host, cards[r].host, sizeof n->host);
        }
        if (r == watch->comm->rank)
            watch->mine = index[of];
    }
}

/* Collective. */
static mu_err find_nodes(mu_watch *watch, bool shared)
{
    int size = watch->comm->size, *index = NULL;
    card mine = {.node = shared ? watch->comm->node : watch->comm->rank}, *cards = NULL;
    mu_host_name(mine.host, sizeof mine.host);
    mu_err err = mu_calloc(&cards, (size_t)size, sizeof *cards);
    if (!err)
        err = mu_calloc(&index, (size_t)size, sizeof *index);
    if (!err)
        err = mu_calloc(&watch->node, (size_t)size, sizeof *watch->node);
    err = mu_comm_agree(watch->comm, err);
    if (!err)
        err = mu_comm_all_gather(watch->comm, &mine, sizeof mine, MU_U8, cards);
    if (!err)
        count_nodes(watch, cards, index);
    mu_free(cards);
    mu_free(index);
    MU_TRY(err);
    return MU_OK;
}

static mu_err start(mu_watch *watch)
{
    int n = watch->board.n;
    MU_TRY(mu_calloc(&watch->heard, (size_t)watch->n_nodes, sizeof *watch->heard));
    MU_TRY(mu_calloc(&watch->sent, 2 * (size_t)watch->n_nodes, sizeof *watch->sent));
    MU_TRY(mu_calloc(&watch->silent, (size_t)watch->n_nodes, sizeof *watch->silent));
    MU_TRY(mu_calloc(&watch->fd, (size_t)n + 1, sizeof *watch->fd));
    for (int i = 0; i <= n; i++)
        watch->fd[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    watch->fd[0].fd = eventfd(0, EFD_CLOEXEC);
    if (watch->fd[0].fd < 0)
        return MU_FAIL(MU_ERR_SYSTEM, "the monitor of this rank: eventfd: %s", strerror(errno));
    for (int i = 0; i < n; i++)
        if (i != watch->board.mine)
            watch->fd[i + 1].fd = pidfd_open(watch->board.slot[i].pid, 0);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the threads that work */
    int code = pthread_create(&watch->thread, NULL, run, watch);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0)
        return MU_FAIL(MU_ERR_SYSTEM, "the monitor of this rank: %s", strerror(code));
    watch->running = true;
    return MU_OK;
}

static mu_err open_watch(mu_watch *watch)
{
    bool shared = false;
    MU_TRY(mu_comm_agree(watch->comm, mu_board_open(watch->comm, &watch->board, &shared)));
    MU_TRY(find_nodes(watch, shared));
    if (watch->n_nodes > 1 && watch->comm->threads)
        MU_TRY(mu_comm_split(watch->comm, 0, watch->comm->rank, &watch->own));
    MU_TRY(mu_comm_agree(watch->comm, start(watch)));
    watch->stands = true;
    return MU_OK;
}

mu_err mu_watch_new(mu_comm *comm, const mu_watch_options *options, mu_watch **out)
{
    mu_watch *watch = NULL;
    mu_err err = mu_comm_agree(comm, mu_calloc(&watch, 1, sizeof *watch));
    if (!err) {
        watch->comm = comm;
        watch->options = *options;
        pthread_mutex_init(&watch->lock, NULL);
        err = open_watch(watch);
    }
    if (err) {
        mu_watch_release(watch);
        MU_TRY(err);
    }
    *out = watch;
    return MU_OK;
}

void mu_watch_leave(mu_watch *watch)
{
    if (!watch || !watch->running)
        return;
    uint64_t one = 1;
    atomic_store(&slot_of(watch)->left, 1);
    if (write(watch->fd[0].fd, &one, sizeof one) == (ssize_t)sizeof one)
        pthread_join(watch->thread, NULL);
    watch->running = false;
}

void mu_watch_release(mu_watch *watch)
{
    if (!watch)
        return;
    mu_watch_leave(watch);
    if (watch->own && watch->stands && take_last_notes(watch) != MU_OK)
        mu_error_clear(); /* it is the end */
    mu_comm_release(watch->own);
    for (int i = 0; watch->fd && i <= watch->board.n; i++)
        if (watch->fd[i].fd >= 0)
            close(watch->fd[i].fd);
    mu_board_close(&watch->board);
    pthread_mutex_destroy(&watch->lock);
    mu_free(watch->node);
    mu_free(watch->sent);
    mu_free(watch->heard);
    mu_free(watch->silent);
    mu_free(watch->fd);
    mu_free(watch);
}

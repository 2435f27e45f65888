#include "runner/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Handlers may use lock-free atomics only. */
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "flags for signal handlers");

static const int watched[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
enum { N_WATCHED = sizeof watched / sizeof watched[0] };

static struct sigaction before[N_WATCHED]; /* what the process did with them */
static bool watching;
static atomic_int first_signal, interrupts;

static void handle(int number)
{
    int saved = errno, none = 0;
    atomic_compare_exchange_strong(&first_signal, &none, number);
    if (number == SIGINT && atomic_fetch_add(&interrupts, 1) > 0) {
        struct sigaction usual = {.sa_handler = SIG_DFL};
        sigemptyset(&usual.sa_mask);
        sigaction(SIGINT, &usual, NULL);
        raise(SIGINT); /* arrives when this handler returns */
    }
    errno = saved;
}

void mu_signals_watch(void)
{
    if (watching)
        return;
    mu_signals_clear();
    struct sigaction ours = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigemptyset(&ours.sa_mask);
    for (int i = 0; i < N_WATCHED; i++) {
        sigaction(watched[i], NULL, &before[i]);
        bool ignored = !(before[i].sa_flags & SA_SIGINFO) && before[i].sa_handler == SIG_IGN;
        if (!ignored) /* as nohup and shells want it */
            sigaction(watched[i], &ours, NULL);
    }
    signal(SIGXFSZ, SIG_IGN);
    watching = true;
}

void mu_signals_restore(void)
{
    for (int i = 0; watching && i < N_WATCHED; i++)
        sigaction(watched[i], &before[i], NULL);
    watching = false;
}

int mu_signals_pending(void)
{
    return atomic_load(&first_signal);
}

void mu_signals_clear(void)
{
    atomic_store(&first_signal, 0);
    atomic_store(&interrupts, 0);
}

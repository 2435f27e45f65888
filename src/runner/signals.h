/* Signals that ask for a clean stop: SIGTERM, SIGINT, SIGUSR1, SIGUSR2 set a flag; a second SIGINT ends the process as usual. */
#ifndef MU_RUNNER_SIGNALS_H
#define MU_RUNNER_SIGNALS_H

/* SIGXFSZ is ignored from then on: a file size limit is an error of the write. Takes the handlers over, but of signals that the process ignores; restore puts the old ones back. Process-wide, from one thread. */
void mu_signals_watch(void);
void mu_signals_restore(void);
/* The signal that came first, or 0. */
int mu_signals_pending(void);
/* Forgets what came. */
void mu_signals_clear(void);

#endif

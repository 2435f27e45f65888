/* The communicator of the process. */
#ifndef MU_CLI_COMM_H
#define MU_CLI_COMM_H

#include "dist/watch.h"

/* Collective, once, after cli_comm: from now on a rank that hangs or vanishes ends the job with CLI_LOST. The watch is released by
 * cli_comm_release. */
enum { CLI_LOST = 76 };
MU_CHECKED mu_err cli_comm_watch(const double limit[MU_WATCH_PHASE_COUNT], mu_watch **out);

/* Collective where cli_comm was called; else nothing. For the end of main. */
void cli_comm_release(void);

#endif

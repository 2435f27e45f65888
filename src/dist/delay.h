/* A slower network, for measurements and tests of what happens under way. */
#ifndef MU_DIST_DELAY_H
#define MU_DIST_DELAY_H

#include "dist/comm.h"

/* Not collective, but the same on all ranks. A communicator over `inner`, which it owns on success: an operation is not done before
 * `latency` and `per_mib` for each MiB (seconds) have passed since it started on this rank. Operations of it and of all that is split
 * from it share one link: those on their way at once come one after the other. With one rank nothing is slow. */
MU_CHECKED mu_err mu_comm_delay_new(mu_comm *inner, double latency, double per_mib, mu_comm **out);

/* Collective. Takes *comm over and gives it back slowed down as MUSTER_COMM_DELAY=MICROSECONDS[,MICROSECONDS_PER_MIB] says, or as it
 * is where that is not set. On failure *comm is as it was. */
MU_CHECKED mu_err mu_comm_delay_from_environment(mu_comm **comm);

#endif

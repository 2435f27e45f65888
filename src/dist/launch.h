/* Who started this process, and the communicator that follows from it. */
#ifndef MU_DIST_LAUNCH_H
#define MU_DIST_LAUNCH_H

#include "dist/comm.h"

typedef struct {
    const char *name; /* "mpirun", "srun", "pmix", "pmi"; NULL when nobody launched it */
    int rank, size;   /* as announced; size 0: not told */
    bool wired;       /* the launcher offers what MPI needs to find the other ranks */
} mu_launcher;

/* Reads the environment (Open MPI's, Slurm's, PMIx's and PMI's variables); touches nothing. */
mu_launcher mu_launch_detect(void);

/* What is to be done here: MUSTER_LAUNCHER=auto (MPI when a launcher is detected; the default), mpi or none. */
MU_CHECKED mu_err mu_launch_wants_mpi(const mu_launcher *launcher, bool *out);

/* Collective. The communicator of all ranks that were launched together, or the one-rank one; release it last of all. MPI is
 * initialised (and finalised by the release) only where it is wanted and not up yet. */
MU_CHECKED mu_err mu_launch(mu_comm **out);

/* The same, whatever MUSTER_COMM_DELAY (dist/delay.h) says. */
MU_CHECKED mu_err mu_launch_plain(mu_comm **out);

/* "Open MPI v4.1.4, MPI-3.1", or NULL when built without. Does not initialise MPI. */
const char *mu_launch_mpi_version(char *buf, size_t size);

#endif

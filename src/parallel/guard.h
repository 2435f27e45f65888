/* Frees the ranks whose devices wait for one that has failed. A device that has been lost, or a link, cannot be told of by the devices: the ranks' hosts
 * do, by a thread of each that listens. Whoever gives up tells all the others, and every rank's communicators of devices are aborted. */
#ifndef MU_PARALLEL_GUARD_H
#define MU_PARALLEL_GUARD_H

#include "backend.h"
#include "dist/comm.h"

typedef struct mu_guard mu_guard;

/* Collective. comm and backend are borrowed. Without mu_comm.threads nobody listens: only what a rank has of its own is aborted. */
MU_CHECKED mu_err mu_guard_new(mu_comm *comm, mu_backend *backend, mu_guard **out);
/* Collective. NULL is allowed. */
void mu_guard_release(mu_guard *guard);

/* The communicator belongs to those that are aborted, until it is removed: before its closing. */
MU_CHECKED mu_err mu_guard_add(mu_guard *guard, mu_device_comm *comm);
void mu_guard_remove(mu_guard *guard, mu_device_comm *comm);

/* Not collective, by the thread that made the guard. Leaves the error record as it is. */
void mu_guard_give_up(mu_guard *guard);
/* Has this rank given up, or another? */
bool mu_guard_gave_up(mu_guard *guard);

#endif

/* Tells in comm->doing what a thread is about, from here to the end of the block, which comm->waited counts if comm->timed:
 * MU_DOING(comm, "barrier"). In calls within calls the outermost one counts. */
#ifndef MU_DIST_DOING_H
#define MU_DIST_DOING_H

#include "core/clock.h"
#include "dist/comm.h"

#include <stdatomic.h>

static inline mu_comm *mu_doing_begin(mu_comm *comm, const char *what)
{
    if (atomic_load_explicit(&comm->doing, memory_order_relaxed))
        return NULL;
    if (comm->timed)
        comm->since = mu_clock();
    atomic_store_explicit(&comm->doing, what, memory_order_release);
    return comm;
}

static inline void mu_doing_end(mu_comm **comm)
{
    if (!*comm)
        return;
    if ((*comm)->timed)
        (*comm)->waited += mu_clock() - (*comm)->since;
    atomic_store_explicit(&(*comm)->doing, NULL, memory_order_release);
}

#define MU_DOING(comm, what)                                                                                           \
    mu_comm *doing_ __attribute__((cleanup(mu_doing_end))) = mu_doing_begin((comm), (what))

#endif

/* Which cores a rank computes on. A launcher may leave ranks unbound: then those of a node share its cores out, each with
 * neighbouring ones, inside of a NUMA node where that costs nobody a core. What a launcher has bound stays so. */
#ifndef MU_DIST_BINDING_H
#define MU_DIST_BINDING_H

#include "core/cpus.h"
#include "core/text.h"
#include "dist/comm.h"

/* A processor, the core that it is a hardware thread of, and its NUMA node (as the operating system numbers it). */
typedef struct {
    int cpu, core, numa;
} mu_place;

/* Neighbours lie side by side: the processors of a core, the cores of a NUMA node. */
typedef struct {
    mu_place *place;
    int n; /* 0: not known */
} mu_machine;

/* Asks hwloc about this node. Built without it, and where it fails: *out is empty. */
MU_CHECKED mu_err mu_machine_read(mu_machine *out);
void mu_machine_release(mu_machine *machine);

typedef enum {
    MU_BINDING_KEPT,    /* as the launcher has it, or alone on the node */
    MU_BINDING_SHARED,  /* a share of the cores that ranks had in common */
    MU_BINDING_CROWDED, /* fewer cores than ranks that have them in common: not bound */
    MU_BINDING_OVERLAP  /* has some cores in common with another rank, but not all: left so */
} mu_binding_choice;

/* What rank `me` of a node's n ranks computes on, where may[r] is what rank r may use; *out is never empty if may[me] is not. */
mu_binding_choice mu_binding_decide(const mu_machine *machine, const mu_cpus *may, int n, int me, mu_cpus *out);

/* Collective; before threads are started. Binds this process, and tells how many cores it has for itself (at least 1): where ranks have
 * cores in common, its part of them. MUSTER_BIND=auto (the default) or none; OMP_PROC_BIND, OMP_PLACES and GOMP_CPU_AFFINITY mean none, too. */
MU_CHECKED mu_err mu_binding_apply(mu_comm *comm, int *cores);

/* Where a rank is. */
typedef struct {
    char node[64];
    int32_t node_index; /* comm->node */
    int32_t cores, threads;
    int32_t node_cores; /* of all ranks of this node together */
    bool overlap;       /* other ranks use some of its cores */
    uint64_t numa;      /* bit n: NUMA node n */
    mu_cpus cpus;
} mu_seat;

/* Collective. On rank 0 *out are the seats of all ranks, owned by the caller (mu_free); elsewhere NULL. `threads` is how many this rank
 * computes with. */
MU_CHECKED mu_err mu_binding_gather(mu_comm *comm, int threads, mu_seat **out);

/* A line per node, nodes that are alike together, without a newline at the end:
 *   node n1: rank 0 cores 0-7 (NUMA 0), rank 1 cores 8-15 (NUMA 1) */
void mu_binding_map(const mu_seat *seat, int n, mu_text *text);

/* Appends what is wrong when ranks of a node have more threads than cores; nothing when all is well. */
void mu_binding_crowding(const mu_seat *seat, int n, mu_text *text);

#endif

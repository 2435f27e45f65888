/* A communicator that reduces inside the nodes first, so that each byte crosses the network once a node instead of once a rank. */
#ifndef MU_DIST_HIERARCHY_H
#define MU_DIST_HIERARCHY_H

#include "dist/comm.h"

/* Collective. The same ranks as `comm`, which is borrowed, outlives it and is not used beside it. all_reduce: reduce-scatter among the
 * ranks of a node, all-reduce among those of equal local rank, all-gather in the node; where nodes have different numbers of ranks: to
 * one rank of each, among these, and back. In fixed order the ranks of a node combine in ascending order, then the nodes do. All else is
 * done by `comm`, as is everything where there is one node, or one rank on each. */
MU_CHECKED mu_err mu_comm_hierarchy_new(mu_comm *comm, mu_comm **out);
/* The same for groups of one's own instead of nodes: ranks of the same color >= 0. */
MU_CHECKED mu_err mu_comm_hierarchy_of(mu_comm *comm, int color, mu_comm **out);

#endif

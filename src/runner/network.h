/* What a network, a node and a file system give, and what collective operations cost on them.
 *
 * A message of n bytes takes latency + n / bandwidth (Hockney 1994, "The communication challenge for MPP"); the steps of the algorithms are
 * counted as Thakur, Rabenseifner and Gropp (2005), "Optimization of collective communication operations in MPICH", do. */
#ifndef MU_RUNNER_NETWORK_H
#define MU_RUNNER_NETWORK_H

#include "config/diagnostic.h"

typedef struct {
    double latency, bandwidth;             /* s, bytes/s */
    double small_latency, small_bandwidth; /* the same of up to MU_SHORT_MESSAGE bytes in exchanges; bandwidth 0: as above, both */
    bool by_cores;                         /* the ranks' own cores move the bytes */
} mu_link;

enum { MU_SHORT_MESSAGE = 1 << 16 };

enum { MU_RING = 1, MU_DOUBLING = 2, MU_RABENSEIFNER = 4, MU_HIERARCHICAL = 8, MU_TREE = 16, MU_PAIRS = 32 };

/* As mpi/comm_mpi.c reduces what is started, in place of the tree: the cost is that of a ring, but for one link alone. */
enum { MU_PAIRS_FEWEST_BYTES = 1 << 20, MU_PAIRS_MOST_RANKS = 64 };

typedef struct {
    int64_t ranks_per_node, cores_per_node; /* cores 0: enough for everything */
    mu_link inside, between;                /* bandwidth of a rank inside its node; of a node to the others. 0: there is none */
    unsigned algorithms;                    /* of which the quickest is taken */
    /* Of the file system, bytes/s: of all ranks, of one; 0: not known. */
    double write_bandwidth, read_bandwidth, rank_write_bandwidth, rank_read_bandwidth;
    double open_latency;   /* s, to create and to commit a file */
    double copy_bandwidth; /* memory to memory, of one rank while all copy; 0: not known */
    double noise;          /* standard deviation of a step's compute time over its mean; negative: as measured */
    double node_mtbf;      /* s between failures of one node; 0: not known */
} mu_network;

/* The file of `muster check --net`. Mistakes are added to `list`, and *out is then not to be used; a file that cannot be read is an error. ranks:
 * the most that will be asked about. */
MU_CHECKED mu_err mu_network_read(const char *path, int64_t ranks, mu_diagnostics *list, mu_network *out);

typedef struct {
    double seconds, by_cores; /* in all; of them on links whose bytes the ranks' cores move */
} mu_cost;
/* Of `ranks` ranks that fill node after node, `bytes` on every rank; of the halves of an all-reduce too: reduce-scatter and all-gather. */
mu_cost mu_network_all_reduce(const mu_network *network, int64_t ranks, double bytes);
mu_cost mu_network_half(const mu_network *network, int64_t ranks, double bytes);
/* From one rank to all, along a binomial tree. */
mu_cost mu_network_broadcast(const mu_network *network, int64_t ranks, double bytes);
/* One link among p >= 2 members whose all-reduces took so long: first n_short by exchanges, then n_long in pairs (more than
 * MU_PAIRS_MOST_RANKS members: along a tree); 1 or more each. */
mu_link mu_link_fit(int64_t p, const double *bytes, const double *seconds, int n_short, int n_long);
/* What such an all-reduce takes. */
double mu_link_all_reduce(const mu_link *link, unsigned algorithms, int64_t p, double bytes);

/* seconds[i] = latency + bytes[i] / bandwidth, fitted to relative errors by iterated weights that bound the influence of outliers (Huber 1964).
 * n >= 1; a latency or a cost per byte that would be negative is 0 (an infinite bandwidth). */
void mu_network_fit(const double *bytes, const double *seconds, int n, double *latency, double *bandwidth);

#endif

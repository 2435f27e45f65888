/* What the network between ranks gives, and how far their clocks are apart. */
#ifndef MU_DIST_PROBE_H
#define MU_DIST_PROBE_H

#include "dist/comm.h"

/* A look at another clock: our own before, the other, our own after (s). */
typedef struct {
    double before, other, after;
} mu_clock_look;

/* How far the other clock is ahead (s), by the look that took least, and how far off that may be: half of what it took (Cristian 1989). */
void mu_clock_offset(const mu_clock_look *look, int n, double *offset, double *error);

/* Collective. On rank 0 the offsets of all ranks' wall clocks against its own, offset[size] and error[size]; elsewhere not looked at. */
MU_CHECKED mu_err mu_comm_clock_offsets(mu_comm *comm, double *offset, double *error);

typedef struct {
    double latency;   /* s of an all-reduce of 8 bytes */
    double bandwidth; /* bytes of a rank all-reduced in a second, with messages of `bytes` */
} mu_comm_speed;

/* Collective. The same on all ranks: the slowest of them, in the best of some rounds. */
MU_CHECKED mu_err mu_comm_measure(mu_comm *comm, size_t bytes, mu_comm_speed *out);

#endif

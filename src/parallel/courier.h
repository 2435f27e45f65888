/* The communication thread of a rank: it starts reductions and gathers in the order in which they were asked for and sees them through, while
 * the caller computes.
 *
 * It has a communicator of its own. Where the ranks of a node have no core to spare it sleeps between looks as long as the caller computes, and
 * polls while the caller waits. Without mu_comm.threads there is no thread: everything happens in wait. */
#ifndef MU_PARALLEL_COURIER_H
#define MU_PARALLEL_COURIER_H

#include "dist/comm.h"

typedef struct mu_courier mu_courier;
typedef struct mu_parcel mu_parcel;

typedef enum {
    MU_PARCEL_REDUCE,        /* data[count] becomes the mean over the ranks */
    MU_PARCEL_REDUCE_SCATTER, /* piece[count / size] becomes this rank's slice of the mean; data may be overwritten */
    MU_PARCEL_GATHER         /* data[count] becomes all ranks' pieces, one after the other */
} mu_parcel_kind;

/* In the caller's memory, untouched from send to wait. */
struct mu_parcel {
    mu_parcel_kind kind;
    void *data, *piece;
    int64_t count;   /* elements of `data`; a multiple of the ranks' number unless REDUCE */
    mu_dtype dtype;
    mu_dtype wire;   /* MU_BF16 or MU_F16, for data of f32 or f64: what travels, and is summed step by step; MU_NONE: dtype */
    /* private */
    mu_parcel *next;
    bool pending;
    mu_err err;
    double began, ended; /* mu_clock: when it was sent and done */
};

typedef struct {
    int n_threads;     /* with which the caller computes: are there cores to spare? */
    size_t wire_bytes; /* of the largest parcel that travels in another dtype (0: none does) */
    bool fixed_order;  /* mu_comm_set_fixed_order: in the communicator of the courier */
    bool hierarchical; /* reduces inside the nodes first (dist/hierarchy.h) */
} mu_courier_options;

/* Collective. comm is borrowed. */
MU_CHECKED mu_err mu_courier_new(mu_comm *comm, const mu_courier_options *options, mu_courier **out);
/* Collective; waits for what is on its way. NULL is allowed. */
void mu_courier_release(mu_courier *courier);

/* Collective start, the same order on all ranks. Allocates nothing, never blocks. One thread sends and waits. */
void mu_courier_send(mu_courier *courier, mu_parcel *parcel);
/* What went wrong under way is told here, with its message. A parcel that was not sent is done. */
MU_CHECKED mu_err mu_courier_wait(mu_courier *courier, mu_parcel *parcel);

/* Seconds since the last reset: in which something was on its way, and in which the caller waited for it. The difference was hidden. */
typedef struct {
    double busy, waited;
    int64_t bytes, parcels;
} mu_courier_times;
mu_courier_times mu_courier_take_times(mu_courier *courier);

#endif

/* What brings parameters and gradients from rank to rank: it starts reductions and gathers in the order in which they were asked for and sees them
 * through, while the caller computes. It has a communicator of its own.
 *
 * Parcels in host memory are looked after by a thread. Those in memory of a device are its own: collectives in MU_LANE_RANKS that begin behind the
 * kernels so far, and that the kernels follow which come after wait. The host waits for none of them. */
#ifndef MU_PARALLEL_COURIER_H
#define MU_PARALLEL_COURIER_H

#include "backend.h"
#include "dist/comm.h"
#include "parallel/guard.h"

typedef struct mu_courier mu_courier;
typedef struct mu_parcel mu_parcel;

typedef enum {
    MU_PARCEL_REDUCE,        /* data[count] becomes the mean over the ranks */
    MU_PARCEL_REDUCE_SCATTER, /* piece[count / size] becomes this rank's slice of the mean; data may be overwritten */
    MU_PARCEL_GATHER,        /* data[count] becomes all ranks' pieces, one after the other */
    MU_PARCEL_BROADCAST      /* data[count] becomes rank 0's; in its own dtype, which may be any */
} mu_parcel_kind;

/* In the caller's memory, untouched from send to wait; data and piece are the backend's memory, and are used by kernels that run before send, or after
 * wait. */
struct mu_parcel {
    mu_parcel_kind kind;
    void *data, *piece;
    int64_t count;   /* elements of `data`; of REDUCE_SCATTER and GATHER a multiple of the ranks' number */
    mu_dtype dtype;
    mu_dtype wire;   /* MU_BF16 or MU_F16, for data of f32 or f64: what travels, and is summed step by step; MU_NONE: dtype */
    /* private */
    mu_parcel *next;
    bool pending;
    mu_err err;
    double began, ended; /* mu_clock: when it was sent and done (devices: waited for) */
    int64_t ticket;
    int slot;
};

typedef struct {
    mu_backend *backend; /* in whose memory the parcels are; NULL: the host's. A device needs comm_open, where there are other ranks */
    mu_guard *guard;     /* of devices; told when nothing can be sent any more. NULL: only this courier gives up */
    int n_threads;     /* with which the caller computes: are there cores to spare? */
    size_t wire_bytes; /* of the largest parcel that travels in another dtype (0: none does) */
    bool fixed_order;  /* mu_comm_set_fixed_order: in the communicator of the courier. Devices: their library keeps to one order on the same ranks */
    bool hierarchical; /* reduces inside the nodes first (dist/hierarchy.h). Devices: their library knows the nodes, and chooses */
} mu_courier_options;

/* Collective. comm is borrowed. */
MU_CHECKED mu_err mu_courier_new(mu_comm *comm, const mu_courier_options *options, mu_courier **out);
/* Collective; waits for what is on its way. NULL is allowed. After comm_abort nothing is. */
void mu_courier_release(mu_courier *courier);

/* Collective start, the same order on all ranks. Allocates nothing (devices: the first narrow parcel of a size does), never blocks. One thread sends and
 * waits. */
void mu_courier_send(mu_courier *courier, mu_parcel *parcel);
/* What went wrong under way is told here, with its message. A parcel that was not sent is done. */
MU_CHECKED mu_err mu_courier_wait(mu_courier *courier, mu_parcel *parcel);

/* Seconds since the last reset: in which something was on its way, and in which the caller waited for it. The difference was hidden. Devices tell
 * neither: 0. */
typedef struct {
    double busy, waited;
    int64_t bytes, parcels;
} mu_courier_times;
mu_courier_times mu_courier_take_times(mu_courier *courier);

#endif

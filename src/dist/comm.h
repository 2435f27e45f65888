/* What a communicator is: ranks that act together. The one-rank one lives in dist/self.c, the one over MPI in mpi/.
 *
 * A function marked Collective is called by all ranks of the communicator, in the same order and with fitting arguments;
 * one thread at a time may use a communicator. Buffers are host memory and are not kept after the call (those of a
 * request: until it is done). Wrong arguments are refused before anything is sent. What a transport reports is
 * MU_ERR_COMM with its own text; the communicator is then of no more use. */
#ifndef MU_DIST_COMM_H
#define MU_DIST_COMM_H

#include "core/tensor.h"
#include "dist/collective.h"

enum { MU_COMM_INFLIGHT = 4 };

/* A collective operation on its way; the caller keeps it in place, zeroed before its first use, until waited for. */
typedef struct {
    mu_comm *comm; /* NULL: none on its way */
    mu_request_kind kind;
    const void *send; /* of REDUCE_SCATTER and ALL_GATHER */
    void *data;       /* what becomes the result */
    int64_t count;    /* elements of data; of REDUCE_SCATTER and ALL_GATHER: of a rank's slice */
    mu_dtype dtype;
    mu_comm_op op;
    int root;                       /* of BROADCAST */
    bool mean;                      /* the sum is still to be divided; a transport that does it in passing says false */
    void *handle[MU_COMM_INFLIGHT]; /* the transport's, as are these */
    int n_handles;
    void *job;
    uint64_t ticket;
    bool staged; /* the job is one of dist/hierarchy.c */
    double due;  /* mu_clock: not done before */
} mu_request;

/* What a transport implements. Arguments have been checked, MEAN has become SUM and bool u8; sizes are bytes unless they
 * are named count. */
typedef struct {
    const char *name; /* "self", "mpi" */
    void (*release)(mu_comm *comm);
    mu_err (*barrier)(mu_comm *comm);
    mu_err (*broadcast)(mu_comm *comm, void *data, size_t size, int root);
    mu_err (*all_reduce)(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, mu_comm_op op);
    mu_err (*all_gather)(mu_comm *comm, const void *send, size_t size, void *recv);
    mu_err (*gather)(mu_comm *comm, const void *send, size_t size, void *recv, int root);
    mu_err (*all_gather_bytes)(mu_comm *comm, const void *send, size_t size, void *recv, const size_t *sizes);
    mu_err (*gather_bytes)(mu_comm *comm, const void *send, size_t size, void *recv, const size_t *sizes, int root);
    mu_err (*start)(mu_comm *comm, mu_request *request); /* what request->kind says */
    mu_err (*wait)(mu_comm *comm, mu_request *request);
    mu_err (*test)(mu_comm *comm, mu_request *request, bool *done);
    mu_err (*split)(mu_comm *comm, int color, int key, mu_comm **out);
    mu_err (*set_fixed_order)(mu_comm *comm, bool on);
    mu_err (*post)(mu_comm *comm, const void *note, size_t size, int to);
    mu_err (*poll)(mu_comm *comm, void *note, size_t size, int *from);
    void (*abort_all)(mu_comm *comm, int status);
} mu_comm_ops;

struct mu_comm {
    const mu_comm_ops *ops;
    int rank, size;             /* in this communicator */
    int local_rank, local_size; /* among its ranks on this node */
    int node;                   /* the same on the ranks of one node, different on different nodes */
    bool threads;               /* different communicators may be used by different threads at once */
    int64_t chunk;              /* bytes of one message at most; tests lower it, on all ranks alike */
    const char *_Atomic doing;  /* the outermost blocking call that its thread is in ("all_reduce"), for who watches; NULL: none */
    bool timed;                 /* set by who wants to know: do calls count the seconds of their thread? */
    double since, waited;       /* mu_clock when such a call began; seconds in all of them so far */
};

/* The communicator of one rank: what a program has that nobody launched. */
MU_CHECKED mu_err mu_comm_self_new(mu_comm **out);
/* Collective. NULL is allowed. */
void mu_comm_release(mu_comm *comm);

/* "sum". */
const char *mu_comm_op_name(mu_comm_op op);
static inline bool mu_comm_is_main(const mu_comm *comm)
{
    return comm->rank == 0;
}

/* Collective. Nobody returns before all have come. */
MU_CHECKED mu_err mu_comm_barrier(mu_comm *comm);

/* Collective. `size` bytes, or `count` elements of `dtype`, of rank `root` to all; the same size everywhere. */
MU_CHECKED mu_err mu_comm_broadcast_bytes(mu_comm *comm, void *data, size_t size, int root);
MU_CHECKED mu_err mu_comm_broadcast(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, int root);

/* Collective. data[count], in place; all ranks get the same values. */
MU_CHECKED mu_err mu_comm_all_reduce(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, mu_comm_op op);

/* Collective. Ranks combine in ascending order whatever the size of the message (slower): sums repeat bit by bit. It goes for
 * what is started later, and for communicators that are split off later. */
MU_CHECKED mu_err mu_comm_set_fixed_order(mu_comm *comm, bool on);

/* Collective start; data[count] is not touched until the request is done. Starts come in the same order on all ranks, blocking
 * calls included; waiting may come in any order. wait and test return the request to its zeroed state when it is done; both do
 * nothing (done) on a zeroed one. They drive all that is on its way in the communicator, and so does each of its blocking calls.
 * The first start may wait for the other ranks' first. */
MU_CHECKED mu_err mu_comm_start_all_reduce(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, mu_comm_op op,
                                           mu_request *request);
/* The same for slices: recv[count] becomes this rank's slice of the reduced send[size * count]; recv[size * count] becomes all
 * ranks' send[count], one after the other. The slice lies in its place in the larger buffer, or outside of it. */
MU_CHECKED mu_err mu_comm_start_reduce_scatter(mu_comm *comm, const void *send, void *recv, int64_t count, mu_dtype dtype,
                                               mu_comm_op op, mu_request *request);
MU_CHECKED mu_err mu_comm_start_all_gather(mu_comm *comm, const void *send, void *recv, int64_t count, mu_dtype dtype,
                                           mu_request *request);
MU_CHECKED mu_err mu_comm_start_broadcast(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, int root,
                                          mu_request *request);
MU_CHECKED mu_err mu_request_wait(mu_request *request);
MU_CHECKED mu_err mu_request_test(mu_request *request, bool *done);

/* Collective. The blocking form of start_reduce_scatter. */
MU_CHECKED mu_err mu_comm_reduce_scatter(mu_comm *comm, const void *send, void *recv, int64_t count, mu_dtype dtype,
                                         mu_comm_op op);

/* Collective. send[count] of every rank one after the other into recv[size * count], on all ranks or on `root` (elsewhere
 * recv is not looked at). */
MU_CHECKED mu_err mu_comm_all_gather(mu_comm *comm, const void *send, int64_t count, mu_dtype dtype, void *recv);
MU_CHECKED mu_err mu_comm_gather(mu_comm *comm, const void *send, int64_t count, mu_dtype dtype, void *recv, int root);

/* Collective. The same with a size in bytes of each rank's own: sizes[r], known wherever recv is filled. */
MU_CHECKED mu_err mu_comm_all_gather_bytes(mu_comm *comm, const void *send, size_t size, void *recv,
                                           const size_t *sizes);
MU_CHECKED mu_err mu_comm_gather_bytes(mu_comm *comm, const void *send, size_t size, void *recv, const size_t *sizes,
                                       int root);

/* Collective. New communicators of the ranks with the same color >= 0, ordered by key and then by rank; a color < 0 takes no
 * part and gets NULL. *out is owned by the caller. split_local: the ranks of one node. */
MU_CHECKED mu_err mu_comm_split(mu_comm *comm, int color, int key, mu_comm **out);
MU_CHECKED mu_err mu_comm_split_local(mu_comm *comm, mu_comm **out);

enum { MU_NOTE_BYTES = 2048 };
/* Not collective: a note of at most MU_NOTE_BYTES to another rank; nobody waits. poll takes the next one (at most `size` bytes) that has come;
 * *from -1: none has. All notes have to be taken before the communicator is released. */
MU_CHECKED mu_err mu_comm_post(mu_comm *comm, const void *note, size_t size, int to);
MU_CHECKED mu_err mu_comm_poll(mu_comm *comm, void *note, size_t size, int *from);

/* Not collective: ends all other ranks, as the last resort of a program's main, which exits with `status` if this
 * returns. */
void mu_comm_abort(mu_comm *comm, int status);

/* Collective. Every rank brings its own error (or MU_OK) to the same place and all return alike: MU_OK when all are well, else
 * the code of the lowest failing rank, with a record that names the ranks ("rank 3/8: ...") and tells each distinct message
 * once. A failure of this call itself is MU_ERR_COMM. Allocates nothing. */
MU_CHECKED mu_err mu_comm_agree(mu_comm *comm, mu_err err);

/* Collective. The same for a background thread: it sleeps while it waits for the others, instead of asking without pause. */
MU_CHECKED mu_err mu_comm_agree_patiently(mu_comm *comm, mu_err err);

/* Collective. Rank 0 calls fn(user); all return alike, as from mu_comm_agree. */
MU_CHECKED mu_err mu_comm_on_main(mu_comm *comm, mu_err (*fn)(void *user), void *user);

/* Collective. MU_ERR_USAGE on all ranks when `fingerprint` is not the same everywhere; `what` names it ("the config"). */
MU_CHECKED mu_err mu_comm_check_same(mu_comm *comm, const char *what, uint64_t fingerprint);

/* Collective. Rank 0 draws a seed below 2^31, all get it. */
MU_CHECKED mu_err mu_comm_sync_random_seed(mu_comm *comm, uint32_t *out);

typedef struct {
    const char *name;
    double value;
} mu_named_value;

/* Collective. Reduces the values of equal names, whatever their order on each rank, in place. Names are unique and the same on
 * all ranks: else all return MU_ERR_USAGE that tells which name is missing where. */
MU_CHECKED mu_err mu_comm_all_reduce_dict(mu_comm *comm, mu_named_value *values, size_t n, mu_comm_op op);
/* The same for tensors, whose data are replaced; types have to be the same too. */
MU_CHECKED mu_err mu_comm_all_reduce_tensors(mu_comm *comm, const mu_tensor *tensors, size_t n, mu_comm_op op);

/* Collective. Reduces tensors of any dtypes in place, in the same order on all ranks (names are not looked at). Those of one dtype
 * are copied together into messages of at most `bucket_bytes`, a larger one goes alone; 0: each alone, without a copy; SIZE_MAX: one
 * message for each dtype. */
MU_CHECKED mu_err mu_comm_all_reduce_params(mu_comm *comm, const mu_tensor *tensors, size_t n, mu_comm_op op,
                                            size_t bucket_bytes);

/* Byte strings, one per rank: that of rank r lies at data + offset[r] and has offset[r + 1] - offset[r] bytes. */
typedef struct {
    int count; /* 0 on ranks that receive nothing */
    size_t *offset;
    unsigned char *data;
} mu_blobs;

/* Collective. *out is set on all ranks or on `root`. Allocation failures are agreed on. */
MU_CHECKED mu_err mu_comm_all_gather_blobs(mu_comm *comm, const void *data, size_t size, mu_blobs *out);
MU_CHECKED mu_err mu_comm_gather_blobs(mu_comm *comm, const void *data, size_t size, int root, mu_blobs *out);
void mu_blobs_release(mu_blobs *blobs);
/* Collective. *data of *size bytes on `root`; the others get a copy that they own (mu_free), one byte longer and zero-ended. */
MU_CHECKED mu_err mu_comm_broadcast_blob(mu_comm *comm, void **data, size_t *size, int root);

#endif

/* The communicator over MPI: what its files share. */
#ifndef MU_MPI_COMM_MPI_H
#define MU_MPI_COMM_MPI_H

#include "dist/comm.h"

#include <mpi.h>

enum { MU_MPI_MAX_OPS = 16 };

/* Shared by a launched communicator and all that were split from it; the last release undoes it. */
typedef struct {
    int users;
    bool finalize, threads;
    MPI_Op op[MU_DTYPE_COUNT][MU_COMM_OP_COUNT];
    MPI_Op made[MU_MPI_MAX_OPS]; /* those of our own */
    int n_made;
} mpi_runtime;

typedef struct mpi_job mpi_job;
typedef struct mpi_note mpi_note;

typedef struct {
    mu_comm base;
    MPI_Comm comm;
    mpi_runtime *runtime;
    int *counts, *displs; /* one per rank */
    bool fixed_order;
    bool even; /* all ranks are on one node, or each is on its own */
    mpi_job *jobs;   /* free and busy ones */
    int busy;        /* jobs */
    uint64_t ticket; /* of the last job: the same on all ranks */
    mpi_note *notes; /* on their way */
} comm_mpi;

/* Not collective: room for a communicator of at most `size` ranks; mpi_comm_fill takes `comm` over. */
MU_CHECKED mu_err mpi_comm_alloc(mpi_runtime *runtime, int size, comm_mpi **out);
/* Collective over `comm`. On failure the room is still the caller's (mpi_comm_free). */
MU_CHECKED mu_err mpi_comm_fill(comm_mpi *self, MPI_Comm comm);
void mpi_comm_free(comm_mpi *self);

MU_CHECKED mu_err mpi_runtime_init_ops(mpi_runtime *runtime);
void mpi_runtime_release(mpi_runtime *runtime);
MPI_Datatype mpi_datatype(mu_dtype dtype);

/* Jobs (pairwise.c): all kinds of requests, in steps that drive takes; all-reduce in ascending order of ranks, if so wished. The first start
 * makes room, collectively. */
MU_CHECKED mu_err mpi_jobs_reserve(comm_mpi *self); /* Collective; room for MU_COMM_INFLIGHT, unless there is some */
MU_CHECKED mu_err mpi_jobs_make(comm_mpi *self);    /* the same, not collective */
MU_CHECKED mu_err mpi_job_start(comm_mpi *self, mu_request *request);
bool mpi_job_done(const mu_request *request);
MU_CHECKED mu_err mpi_jobs_drive(comm_mpi *self);
void mpi_jobs_free(comm_mpi *self);
/* Until no job is busy: before a blocking call, whose other side may be waiting for one. */
MU_CHECKED mu_err mpi_jobs_settle(comm_mpi *self);

MU_CHECKED mu_err mpi_post(mu_comm *comm, const void *data, size_t size, int to);
MU_CHECKED mu_err mpi_poll(mu_comm *comm, void *data, size_t size, int *from);
void mpi_notes_drop(comm_mpi *self);

/* Sets a MU_ERR_COMM record with MPI's own text. */
mu_err mpi_fail(int code, const char *call, const char *file, int line, const char *function);

/* MU_TRY_MPI(MPI_Barrier(comm)) */
#define MU_TRY_MPI(call)                                                                                               \
    do {                                                                                                               \
        int mpi_code_ = (call);                                                                                        \
        if (__builtin_expect(mpi_code_ != MPI_SUCCESS, 0))                                                             \
            return mu_error_code(mpi_fail(mpi_code_, #call, __FILE__, __LINE__, __func__), MU_ERR_COMM);               \
    } while (0)

#endif

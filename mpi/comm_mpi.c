/* Messages are cut into pieces of base.chunk bytes, so that no count leaves MPI's int. */
#include "comm_mpi.h"

#include "core/mem.h"

_Static_assert(sizeof(MPI_Request) <= sizeof(void *), "a request fits in mu_request");

enum { TAG_GATHER = 1 };

static comm_mpi *mpi_of(mu_comm *comm)
{
    return (comm_mpi *)comm;
}

static int piece(const mu_comm *comm, size_t left)
{
    return (int)(left < (size_t)comm->chunk ? left : (size_t)comm->chunk);
}

static int64_t elements_per_message(const mu_comm *comm, mu_dtype dtype)
{
    int64_t n = comm->chunk / (int64_t)mu_dtype_size(dtype);
    return n > 0 ? n : 1;
}

/* Do `size` bytes of every rank go in one collective call? The same answer on all ranks. */
static bool fits(const mu_comm *comm, size_t size)
{
    return size <= (size_t)comm->chunk / (size_t)comm->size;
}

/* Begins every blocking call. */
static mu_err settle(mu_comm *comm)
{
    comm_mpi *self = mpi_of(comm);
    return __builtin_expect(self->busy > 0, 0) ? mpi_jobs_settle(self) : MU_OK;
}

static mu_err mpi_barrier(mu_comm *comm)
{
    MU_TRY(settle(comm));
    MU_TRY_MPI(MPI_Barrier(mpi_of(comm)->comm));
    return MU_OK;
}

static mu_err broadcast(mu_comm *comm, void *data, size_t size, int root)
{
    unsigned char *at = data;
    for (int n; size > 0; at += n, size -= (size_t)n) {
        n = piece(comm, size);
        MU_TRY_MPI(MPI_Bcast(at, n, MPI_BYTE, root, mpi_of(comm)->comm));
    }
    return MU_OK;
}

static mu_err mpi_broadcast(mu_comm *comm, void *data, size_t size, int root)
{
    MU_TRY(settle(comm));
    MU_TRY(broadcast(comm, data, size, root));
    return MU_OK;
}

static mu_err all_reduce(comm_mpi *self, void *data, int64_t count, mu_dtype dtype, mu_comm_op op)
{
    int64_t step = elements_per_message(&self->base, dtype);
    unsigned char *at = data;
    for (int n; count > 0; at += (size_t)n * mu_dtype_size(dtype), count -= n) {
        n = (int)(count < step ? count : step);
        MU_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, at, n, mpi_datatype(dtype), self->runtime->op[dtype][op], self->comm));
    }
    return MU_OK;
}

static mu_err mpi_all_reduce(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, mu_comm_op op)
{
    comm_mpi *self = mpi_of(comm);
    if (self->fixed_order) {
        mu_request request = {.kind = MU_REQUEST_ALL_REDUCE, .data = data, .count = count, .dtype = dtype, .op = op};
        MU_TRY(mpi_job_start(self, &request));
        MU_TRY(mpi_jobs_settle(self));
        return MU_OK;
    }
    MU_TRY(settle(comm));
    if (count <= comm->chunk / (int64_t)sizeof(int64_t)) /* one message, whatever the dtype */
        MU_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, data, (int)count, mpi_datatype(dtype), self->runtime->op[dtype][op],
                                 self->comm));
    else
        MU_TRY(all_reduce(self, data, count, dtype, op));
    return MU_OK;
}

static mu_err start_all_reduce(comm_mpi *self, mu_request *request, int64_t step)
{
    mu_dtype dtype = request->dtype;
    unsigned char *at = request->data;
    for (int64_t n, count = request->count; count > 0; at += (size_t)n * mu_dtype_size(dtype), count -= n) {
        MPI_Request handle;
        n = count < step ? count : step;
        MU_TRY_MPI(MPI_Iallreduce(MPI_IN_PLACE, at, (int)n, mpi_datatype(dtype), self->runtime->op[dtype][request->op],
                                  self->comm, &handle));
        memcpy(&request->handle[request->n_handles++], &handle, sizeof handle);
    }
    return MU_OK;
}

static mu_err start_broadcast(comm_mpi *self, mu_request *request, int64_t step)
{
    size_t width = mu_dtype_size(request->dtype);
    unsigned char *at = request->data;
    for (int64_t n, count = request->count; count > 0; at += (size_t)n * width, count -= n) {
        MPI_Request handle;
        n = count < step ? count : step;
        MU_TRY_MPI(MPI_Ibcast(at, (int)((size_t)n * width), MPI_BYTE, request->root, self->comm, &handle));
        memcpy(&request->handle[request->n_handles++], &handle, sizeof handle);
    }
    return MU_OK;
}

/* Open MPI sends all of a non-blocking all-reduce in place over and over, down and up a tree; in pairs every byte leaves a rank
 * but twice. Where several ranks of each of several nodes share a link, the pairs would crowd it. The same answer on all ranks. */
static bool goes_in_pairs(const comm_mpi *self, const mu_request *request)
{
    enum { FEWEST_BYTES = 1 << 20, MOST_RANKS = 64 };
    return self->fixed_order || (self->even && self->base.size <= MOST_RANKS &&
                                 request->count >= FEWEST_BYTES / (int64_t)mu_dtype_size(request->dtype));
}

/* MPI's own way where it has one for what is in as few pieces as a request can hold. */
static mu_err mpi_start(mu_comm *comm, mu_request *request)
{
    comm_mpi *self = mpi_of(comm);
    int64_t step = elements_per_message(comm, request->dtype);
    bool few = request->count <= step * MU_COMM_INFLIGHT;
    if (few && request->kind == MU_REQUEST_BROADCAST)
        MU_TRY(start_broadcast(self, request, step));
    else if (few && request->kind == MU_REQUEST_ALL_REDUCE && !goes_in_pairs(self, request))
        MU_TRY(start_all_reduce(self, request, step));
    else
        MU_TRY(mpi_job_start(self, request));
    return MU_OK;
}

static mu_err mpi_test(mu_comm *comm, mu_request *request, bool *done)
{
    comm_mpi *self = mpi_of(comm);
    if (self->busy > 0)
        MU_TRY(mpi_jobs_drive(self));
    for (; request->n_handles > 0; request->n_handles--) {
        MPI_Request handle;
        int complete = 0;
        memcpy(&handle, &request->handle[request->n_handles - 1], sizeof handle);
        MU_TRY_MPI(MPI_Test(&handle, &complete, MPI_STATUS_IGNORE));
        if (!complete)
            break;
    }
    *done = request->n_handles == 0 && mpi_job_done(request);
    return MU_OK;
}

/* The ranks that this one needs may themselves wait for any of the jobs. */
static mu_err mpi_wait(mu_comm *comm, mu_request *request)
{
    for (bool done = false; !done && mpi_of(comm)->busy > 0;)
        MU_TRY(mpi_test(comm, request, &done));
    for (; request->n_handles > 0; request->n_handles--) {
        MPI_Request handle;
        memcpy(&handle, &request->handle[request->n_handles - 1], sizeof handle);
        MU_TRY_MPI(MPI_Wait(&handle, MPI_STATUS_IGNORE));
    }
    return MU_OK;
}

/* Each rank's bytes by a broadcast of its own: for what one call cannot count. */
static mu_err all_gather_by_turns(mu_comm *comm, const void *send, unsigned char *recv, size_t each,
                                  const size_t *sizes)
{
    for (int r = 0; r < comm->size; r++) {
        size_t n = sizes ? sizes[r] : each;
        if (r == comm->rank && n)
            memmove(recv, send, n);
        MU_TRY(broadcast(comm, recv, n, r));
        recv += n;
    }
    return MU_OK;
}

static mu_err mpi_all_gather(mu_comm *comm, const void *send, size_t size, void *recv)
{
    MU_TRY(settle(comm));
    if (!fits(comm, size)) {
        MU_TRY(all_gather_by_turns(comm, send, recv, size, NULL));
        return MU_OK;
    }
    if (size > 0 && send == (unsigned char *)recv + size * (size_t)comm->rank)
        send = MPI_IN_PLACE;
    MU_TRY_MPI(MPI_Allgather(send, (int)size, MPI_BYTE, recv, (int)size, MPI_BYTE, mpi_of(comm)->comm));
    return MU_OK;
}

static mu_err mpi_all_gather_bytes(mu_comm *comm, const void *send, size_t size, void *recv, const size_t *sizes)
{
    comm_mpi *self = mpi_of(comm);
    size_t total = 0;
    MU_TRY(settle(comm));
    for (int r = 0; r < comm->size; r++)
        total += sizes[r];
    if (total > (size_t)comm->chunk) {
        MU_TRY(all_gather_by_turns(comm, send, recv, 0, sizes));
        return MU_OK;
    }
    for (int r = 0, at = 0; r < comm->size; at += self->counts[r++]) {
        self->counts[r] = (int)sizes[r];
        self->displs[r] = at;
    }
    MU_TRY_MPI(MPI_Allgatherv(send, (int)size, MPI_BYTE, recv, self->counts, self->displs, MPI_BYTE, self->comm));
    return MU_OK;
}

/* Only the root knows the sizes, so nothing may depend on their sum: piece by piece from one rank after the other. */
static mu_err mpi_gather_bytes(mu_comm *comm, const void *send, size_t size, void *recv, const size_t *sizes, int root)
{
    MPI_Comm over = mpi_of(comm)->comm;
    const unsigned char *from = send;
    unsigned char *to = recv;
    MU_TRY(settle(comm));
    for (int n; comm->rank != root && size > 0; from += n, size -= (size_t)n) {
        n = piece(comm, size);
        MU_TRY_MPI(MPI_Send(from, n, MPI_BYTE, root, TAG_GATHER, over));
    }
    for (int r = 0; comm->rank == root && r < comm->size; r++) {
        size_t left = sizes[r];
        if (r == root && left) {
            memmove(to, send, left);
            to += left;
            continue;
        }
        for (int n; left > 0; to += n, left -= (size_t)n) {
            n = piece(comm, left);
            MU_TRY_MPI(MPI_Recv(to, n, MPI_BYTE, r, TAG_GATHER, over, MPI_STATUS_IGNORE));
        }
    }
    return MU_OK;
}

static mu_err gather_by_turns(mu_comm *comm, const void *send, size_t size, void *recv, int root)
{
    MPI_Comm over = mpi_of(comm)->comm;
    const unsigned char *from = send;
    for (size_t at = 0; at < size; at += (size_t)piece(comm, size - at)) {
        int n = piece(comm, size - at);
        if (comm->rank != root)
            MU_TRY_MPI(MPI_Send(from + at, n, MPI_BYTE, root, TAG_GATHER, over));
        for (int r = 0; comm->rank == root && r < comm->size; r++) {
            unsigned char *to = (unsigned char *)recv + (size_t)r * size + at;
            if (r == root)
                memmove(to, from + at, (size_t)n);
            else
                MU_TRY_MPI(MPI_Recv(to, n, MPI_BYTE, r, TAG_GATHER, over, MPI_STATUS_IGNORE));
        }
    }
    return MU_OK;
}

static mu_err mpi_gather(mu_comm *comm, const void *send, size_t size, void *recv, int root)
{
    MU_TRY(settle(comm));
    if (!fits(comm, size)) {
        MU_TRY(gather_by_turns(comm, send, size, recv, root));
        return MU_OK;
    }
    MU_TRY_MPI(MPI_Gather(send, (int)size, MPI_BYTE, recv, (int)size, MPI_BYTE, root, mpi_of(comm)->comm));
    return MU_OK;
}

static mu_err mpi_set_fixed_order(mu_comm *comm, bool on)
{
    comm_mpi *self = mpi_of(comm);
    MU_TRY(settle(comm));
    if (on)
        MU_TRY(mpi_jobs_reserve(self));
    self->fixed_order = on;
    return MU_OK;
}

static mu_err mpi_split(mu_comm *comm, int color, int key, mu_comm **out)
{
    comm_mpi *self = mpi_of(comm), *part = NULL;
    MPI_Comm made = MPI_COMM_NULL;
    MU_TRY(settle(comm));
    mu_err err = color < 0 ? MU_OK : mpi_comm_alloc(self->runtime, comm->size, &part);
    if (err == MU_OK && part && self->fixed_order)
        err = mpi_jobs_make(part);
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), failed);
    int code = MPI_Comm_split(self->comm, color < 0 ? MPI_UNDEFINED : color, key, &made);
    if (code != MPI_SUCCESS) {
        err = mpi_fail(code, "MPI_Comm_split", __FILE__, __LINE__, __func__);
        goto failed;
    }
    if (part) {
        part->base.chunk = comm->chunk;
        part->fixed_order = self->fixed_order;
        MU_TRY_GOTO(err, mpi_comm_fill(part, made), failed);
        *out = &part->base;
    }
    return MU_OK;
failed:
    mpi_comm_free(part);
    return err;
}

static void mpi_release(mu_comm *comm)
{
    mpi_comm_free(mpi_of(comm));
}

static void mpi_abort_all(mu_comm *comm, int status)
{
    (void)comm;
    MPI_Abort(MPI_COMM_WORLD, status);
}

mu_err mpi_comm_alloc(mpi_runtime *runtime, int size, comm_mpi **out)
{
    static const mu_comm_ops ops = {
        .name = "mpi",
        .release = mpi_release,
        .barrier = mpi_barrier,
        .broadcast = mpi_broadcast,
        .all_reduce = mpi_all_reduce,
        .all_gather = mpi_all_gather,
        .gather = mpi_gather,
        .all_gather_bytes = mpi_all_gather_bytes,
        .gather_bytes = mpi_gather_bytes,
        .start = mpi_start,
        .wait = mpi_wait,
        .test = mpi_test,
        .split = mpi_split,
        .set_fixed_order = mpi_set_fixed_order,
        .post = mpi_post,
        .poll = mpi_poll,
        .abort_all = mpi_abort_all,
    };
    comm_mpi *self;
    MU_TRY(mu_calloc(&self, 1, sizeof *self));
    self->base = (mu_comm){.ops = &ops, .threads = runtime->threads, .chunk = 1 << 30};
    self->comm = MPI_COMM_NULL;
    self->runtime = runtime;
    runtime->users++;
    mu_err err = mu_calloc(&self->counts, (size_t)size, sizeof(int));
    if (err == MU_OK)
        err = mu_calloc(&self->displs, (size_t)size, sizeof(int));
    if (err != MU_OK) {
        mpi_comm_free(self);
        return mu_error_trace(err, __FILE__, __LINE__, __func__);
    }
    *out = self;
    return MU_OK;
}

/* Ranks of one node are those that can share memory; the node is named after the lowest of them. */
static mu_err find_node(comm_mpi *self)
{
    MPI_Comm local;
    mu_comm *base = &self->base;
    MU_TRY_MPI(MPI_Comm_split_type(self->comm, MPI_COMM_TYPE_SHARED, base->rank, MPI_INFO_NULL, &local));
    MPI_Comm_set_errhandler(local, MPI_ERRORS_RETURN);
    MPI_Comm_rank(local, &base->local_rank);
    MPI_Comm_size(local, &base->local_size);
    base->node = base->rank;
    int code = MPI_Bcast(&base->node, 1, MPI_INT, 0, local), most = base->local_size;
    MPI_Comm_free(&local);
    if (code != MPI_SUCCESS)
        return mpi_fail(code, "MPI_Bcast", __FILE__, __LINE__, __func__);
    MU_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_INT, MPI_MAX, self->comm));
    self->even = most == 1 || most == base->size;
    return MU_OK;
}

mu_err mpi_comm_fill(comm_mpi *self, MPI_Comm comm)
{
    self->comm = comm;
    MU_TRY_MPI(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN));
    MU_TRY_MPI(MPI_Comm_rank(comm, &self->base.rank));
    MU_TRY_MPI(MPI_Comm_size(comm, &self->base.size));
    MU_TRY(find_node(self));
    return MU_OK;
}

void mpi_comm_free(comm_mpi *self)
{
    int ended = 1;
    if (!self)
        return;
    MPI_Finalized(&ended);
    if (!ended)
        mpi_notes_drop(self);
    if (!ended && self->comm != MPI_COMM_NULL)
        MPI_Comm_free(&self->comm);
    mpi_jobs_free(self);
    mu_free(self->counts);
    mu_free(self->displs);
    mpi_runtime_release(self->runtime);
    mu_free(self);
}

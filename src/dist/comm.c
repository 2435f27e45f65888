#include "dist/comm.h"

#include "core/mem.h"
#include "dist/check.h"
#include "dist/doing.h"
#include "dist/reduce.h"

static const char *const op_names[] = {
#define X(code, text) text,
    MU_COMM_OP_MAP(X)
#undef X
};

const char *mu_comm_op_name(mu_comm_op op)
{
    return (unsigned)op < MU_COMM_OP_COUNT ? op_names[op] : "unknown";
}

void mu_comm_release(mu_comm *comm)
{
    if (comm)
        comm->ops->release(comm);
}

void mu_comm_abort(mu_comm *comm, int status)
{
    comm->ops->abort_all(comm, status);
}

static mu_err check_root(const mu_comm *comm, const char *call, int root)
{
    if (root < 0 || root >= comm->size)
        return MU_FAIL(MU_ERR_USAGE, "%s: root %d is not a rank: expected 0 to %d", call, root, comm->size - 1);
    return MU_OK;
}

mu_err mu_comm_barrier(mu_comm *comm)
{
    MU_DOING(comm, "barrier");
    MU_TRY(comm->ops->barrier(comm));
    return MU_OK;
}

mu_err mu_comm_broadcast_bytes(mu_comm *comm, void *data, size_t size, int root)
{
    MU_TRY(check_root(comm, "broadcast", root));
    MU_DOING(comm, "broadcast");
    MU_TRY(comm->ops->broadcast(comm, data, size, root));
    return MU_OK;
}

mu_err mu_comm_broadcast(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, int root)
{
    size_t bytes;
    MU_TRY(mu_check_buffer("broadcast", count, dtype, 1, &bytes));
    MU_TRY(mu_comm_broadcast_bytes(comm, data, bytes, root));
    return MU_OK;
}

/* Sums and means of floats of a size that fits for certain: most calls, with a few branches instead of the checks. */
static bool is_plain(int64_t count, mu_dtype dtype, mu_comm_op op)
{
    const unsigned floats = 1u << MU_F32 | 1u << MU_F64 | 1u << MU_BF16 | 1u << MU_F16;
    return (uint64_t)count <= INT32_MAX && (unsigned)dtype < MU_DTYPE_COUNT && (floats >> dtype & 1) &&
           (op == MU_COMM_SUM || op == MU_COMM_MEAN);
}

mu_err mu_comm_all_reduce(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, mu_comm_op op)
{
    mu_dtype wire = dtype;
    mu_comm_op wire_op = MU_COMM_SUM;
    if (__builtin_expect(!is_plain(count, dtype, op), 0)) {
        size_t bytes;
        wire_op = op;
        MU_TRY(mu_check_buffer("all_reduce", count, dtype, 1, &bytes));
        MU_TRY(mu_check_reduction("all_reduce", &wire, &wire_op));
    }
    MU_DOING(comm, "all_reduce");
    MU_TRY(comm->ops->all_reduce(comm, data, count, wire, wire_op));
    if (op == MU_COMM_MEAN)
        mu_divide(data, count, dtype, comm->size);
    return MU_OK;
}

mu_err mu_comm_set_fixed_order(mu_comm *comm, bool on)
{
    MU_DOING(comm, "set_fixed_order");
    MU_TRY(comm->ops->set_fixed_order(comm, on));
    return MU_OK;
}

/* `request` is checked but for its operation, which the transport gets in its own terms. */
static mu_err start(const char *call, mu_request *slot, mu_request request)
{
    mu_dtype dtype = request.dtype;
    mu_comm_op op = request.op;
    request.mean = op == MU_COMM_MEAN;
    MU_TRY(mu_check_reduction(call, &request.dtype, &request.op));
    if (slot->comm)
        return MU_FAIL(MU_ERR_USAGE, "%s: the request is still on its way: wait for it first", call);
    MU_DOING(request.comm, call);
    MU_TRY(request.comm->ops->start(request.comm, &request));
    request.dtype = dtype;
    request.op = op;
    *slot = request;
    return MU_OK;
}

mu_err mu_comm_start_all_reduce(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, mu_comm_op op,
                                mu_request *request)
{
    size_t bytes;
    MU_TRY(mu_check_buffer("start_all_reduce", count, dtype, 1, &bytes));
    MU_TRY(start(
        "start_all_reduce", request,
        (mu_request){
            .comm = comm, .kind = MU_REQUEST_ALL_REDUCE, .data = data, .count = count, .dtype = dtype, .op = op}));
    return MU_OK;
}

/* The slice is that of this rank in the larger buffer, or outside of it. */
static mu_err check_slice(const mu_comm *comm, const char *call, const void *whole, const void *slice, int64_t count,
                          mu_dtype dtype)
{
    size_t bytes;
    MU_TRY(mu_check_buffer(call, count, dtype, comm->size, &bytes));
    uintptr_t begin = (uintptr_t)whole, end = begin + bytes * (size_t)comm->size, at = (uintptr_t)slice;
    if (bytes && at + bytes > begin && at < end && at != begin + bytes * (size_t)comm->rank)
        return MU_FAIL(MU_ERR_USAGE,
                       "%s: the slice lies %lld bytes into the larger buffer: expected %zu, the place of rank %d, or "
                       "a buffer of its own",
                       call, (long long)at - (long long)begin, bytes * (size_t)comm->rank, comm->rank);
    return MU_OK;
}

mu_err mu_comm_start_reduce_scatter(mu_comm *comm, const void *send, void *recv, int64_t count, mu_dtype dtype,
                                    mu_comm_op op, mu_request *request)
{
    MU_TRY(check_slice(comm, "start_reduce_scatter", send, recv, count, dtype));
    MU_TRY(start("start_reduce_scatter", request,
                 (mu_request){.comm = comm,
                              .kind = MU_REQUEST_REDUCE_SCATTER,
                              .send = send,
                              .data = recv,
                              .count = count,
                              .dtype = dtype,
                              .op = op}));
    return MU_OK;
}

mu_err mu_comm_start_all_gather(mu_comm *comm, const void *send, void *recv, int64_t count, mu_dtype dtype,
                                mu_request *request)
{
    MU_TRY(check_slice(comm, "start_all_gather", recv, send, count, dtype));
    MU_TRY(start("start_all_gather", request,
                 (mu_request){.comm = comm,
                              .kind = MU_REQUEST_ALL_GATHER,
                              .send = send,
                              .data = recv,
                              .count = count,
                              .dtype = dtype,
                              .op = MU_COMM_SUM}));
    return MU_OK;
}

mu_err mu_comm_start_broadcast(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, int root, mu_request *request)
{
    size_t bytes;
    MU_TRY(check_root(comm, "start_broadcast", root));
    MU_TRY(mu_check_buffer("start_broadcast", count, dtype, 1, &bytes));
    MU_TRY(start("start_broadcast", request,
                 (mu_request){.comm = comm,
                              .kind = MU_REQUEST_BROADCAST,
                              .data = data,
                              .count = count,
                              .dtype = dtype,
                              .op = MU_COMM_SUM,
                              .root = root}));
    return MU_OK;
}

mu_err mu_comm_reduce_scatter(mu_comm *comm, const void *send, void *recv, int64_t count, mu_dtype dtype, mu_comm_op op)
{
    MU_DOING(comm, "reduce_scatter");
    mu_request request = {0};
    MU_TRY(mu_comm_start_reduce_scatter(comm, send, recv, count, dtype, op, &request));
    MU_TRY(mu_request_wait(&request));
    return MU_OK;
}

static void finish(mu_request *request)
{
    if (request->mean)
        mu_divide(request->data, request->count, request->dtype, request->comm->size);
    *request = (mu_request){0};
}

mu_err mu_request_wait(mu_request *request)
{
    static const char *const names[] = {
        [MU_REQUEST_ALL_REDUCE] = "all_reduce",
        [MU_REQUEST_REDUCE_SCATTER] = "reduce_scatter",
        [MU_REQUEST_ALL_GATHER] = "all_gather",
        [MU_REQUEST_BROADCAST] = "broadcast",
    };
    if (!request->comm)
        return MU_OK;
    MU_DOING(request->comm, names[request->kind]);
    MU_TRY(request->comm->ops->wait(request->comm, request));
    finish(request);
    return MU_OK;
}

mu_err mu_request_test(mu_request *request, bool *done)
{
    bool complete = true;
    if (request->comm) {
        MU_TRY(request->comm->ops->test(request->comm, request, &complete));
        if (complete)
            finish(request);
    }
    *done = complete;
    return MU_OK;
}

mu_err mu_comm_all_gather(mu_comm *comm, const void *send, int64_t count, mu_dtype dtype, void *recv)
{
    size_t bytes;
    MU_TRY(mu_check_buffer("all_gather", count, dtype, comm->size, &bytes));
    MU_DOING(comm, "all_gather");
    MU_TRY(comm->ops->all_gather(comm, send, bytes, recv));
    return MU_OK;
}

mu_err mu_comm_gather(mu_comm *comm, const void *send, int64_t count, mu_dtype dtype, void *recv, int root)
{
    size_t bytes;
    MU_TRY(check_root(comm, "gather", root));
    MU_TRY(mu_check_buffer("gather", count, dtype, comm->size, &bytes));
    MU_DOING(comm, "gather");
    MU_TRY(comm->ops->gather(comm, send, bytes, recv, root));
    return MU_OK;
}

static mu_err check_sizes(const mu_comm *comm, const char *call, size_t size, const size_t *sizes)
{
    size_t total = 0;
    for (int r = 0; r < comm->size; r++)
        MU_TRY(mu_add_size(total, sizes[r], &total));
    if (sizes[comm->rank] != size)
        return MU_FAIL(MU_ERR_USAGE, "%s: this rank sends %zu bytes, but its place in sizes is %zu", call, size,
                       sizes[comm->rank]);
    return MU_OK;
}

mu_err mu_comm_all_gather_bytes(mu_comm *comm, const void *send, size_t size, void *recv, const size_t *sizes)
{
    MU_TRY(check_sizes(comm, "all_gather_bytes", size, sizes));
    MU_DOING(comm, "all_gather_bytes");
    MU_TRY(comm->ops->all_gather_bytes(comm, send, size, recv, sizes));
    return MU_OK;
}

mu_err mu_comm_gather_bytes(mu_comm *comm, const void *send, size_t size, void *recv, const size_t *sizes, int root)
{
    MU_TRY(check_root(comm, "gather_bytes", root));
    if (comm->rank == root)
        MU_TRY(check_sizes(comm, "gather_bytes", size, sizes));
    MU_DOING(comm, "gather_bytes");
    MU_TRY(comm->ops->gather_bytes(comm, send, size, recv, sizes, root));
    return MU_OK;
}

mu_err mu_comm_split(mu_comm *comm, int color, int key, mu_comm **out)
{
    mu_comm *part = NULL;
    MU_DOING(comm, "split");
    MU_TRY(comm->ops->split(comm, color, key, &part));
    *out = part;
    return MU_OK;
}

mu_err mu_comm_split_local(mu_comm *comm, mu_comm **out)
{
    MU_TRY(mu_comm_split(comm, comm->node, comm->rank, out));
    return MU_OK;
}

mu_err mu_comm_post(mu_comm *comm, const void *note, size_t size, int to)
{
    MU_TRY(check_root(comm, "post", to));
    if (to == comm->rank || size > MU_NOTE_BYTES)
        return MU_FAIL(MU_ERR_USAGE, "post: %zu bytes to rank %d: expected at most %d, to another rank", size, to, MU_NOTE_BYTES);
    MU_TRY(comm->ops->post(comm, note, size, to));
    return MU_OK;
}

mu_err mu_comm_poll(mu_comm *comm, void *note, size_t size, int *from)
{
    MU_TRY(comm->ops->poll(comm, note, size, from));
    return MU_OK;
}

#include "core/mem.h"
#include "dist/comm.h"

static void self_release(mu_comm *comm)
{
    mu_free(comm);
}

static mu_err self_barrier(mu_comm *comm)
{
    (void)comm;
    return MU_OK;
}

static mu_err self_broadcast(mu_comm *comm, void *data, size_t size, int root)
{
    (void)comm, (void)data, (void)size, (void)root;
    return MU_OK;
}

static mu_err self_all_reduce(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, mu_comm_op op)
{
    (void)comm, (void)data, (void)count, (void)dtype, (void)op;
    return MU_OK;
}

static mu_err copy(const void *send, size_t size, void *recv)
{
    if (size && recv != send)
        memmove(recv, send, size);
    return MU_OK;
}

static mu_err self_all_gather(mu_comm *comm, const void *send, size_t size, void *recv)
{
    (void)comm;
    return copy(send, size, recv);
}

static mu_err self_gather(mu_comm *comm, const void *send, size_t size, void *recv, int root)
{
    (void)comm, (void)root;
    return copy(send, size, recv);
}

static mu_err self_all_gather_bytes(mu_comm *comm, const void *send, size_t size, void *recv, const size_t *sizes)
{
    (void)comm, (void)sizes;
    return copy(send, size, recv);
}

static mu_err self_gather_bytes(mu_comm *comm, const void *send, size_t size, void *recv, const size_t *sizes, int root)
{
    (void)comm, (void)sizes, (void)root;
    return copy(send, size, recv);
}

static mu_err self_start(mu_comm *comm, mu_request *request)
{
    (void)comm;
    if (!request->send)
        return MU_OK;
    return copy(request->send, (size_t)request->count * mu_dtype_size(request->dtype), request->data);
}

static mu_err self_wait(mu_comm *comm, mu_request *request)
{
    (void)comm, (void)request;
    return MU_OK;
}

static mu_err self_test(mu_comm *comm, mu_request *request, bool *done)
{
    (void)comm, (void)request;
    *done = true;
    return MU_OK;
}

static mu_err self_split(mu_comm *comm, int color, int key, mu_comm **out)
{
    (void)comm, (void)key;
    if (color >= 0)
        MU_TRY(mu_comm_self_new(out));
    return MU_OK;
}

static mu_err self_set_fixed_order(mu_comm *comm, bool on)
{
    (void)comm, (void)on;
    return MU_OK;
}

static mu_err self_post(mu_comm *comm, const void *note, size_t size, int to)
{
    (void)comm, (void)note, (void)size, (void)to;
    return MU_OK;
}

static mu_err self_poll(mu_comm *comm, void *note, size_t size, int *from)
{
    (void)comm, (void)note, (void)size;
    *from = -1;
    return MU_OK;
}

static void self_abort_all(mu_comm *comm, int status)
{
    (void)comm, (void)status;
}

mu_err mu_comm_self_new(mu_comm **out)
{
    static const mu_comm_ops ops = {
        .name = "self",
        .release = self_release,
        .barrier = self_barrier,
        .broadcast = self_broadcast,
        .all_reduce = self_all_reduce,
        .all_gather = self_all_gather,
        .gather = self_gather,
        .all_gather_bytes = self_all_gather_bytes,
        .gather_bytes = self_gather_bytes,
        .start = self_start,
        .wait = self_wait,
        .test = self_test,
        .split = self_split,
        .set_fixed_order = self_set_fixed_order,
        .post = self_post,
        .poll = self_poll,
        .abort_all = self_abort_all,
    };
    mu_comm *comm;
    MU_TRY(mu_calloc(&comm, 1, sizeof *comm));
    *comm = (mu_comm){.ops = &ops, .size = 1, .local_size = 1, .threads = true, .chunk = INT64_MAX};
    *out = comm;
    return MU_OK;
}

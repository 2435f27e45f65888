/* Ranks with a device each, by NCCL. Its id goes from rank to rank by the communicator of the hosts. */
#include "comm.h"

#ifdef HAVE_NCCL

#include "core/clock.h"
#include "dist/check.h"
#include "dist/comm.h"
#include "dist/doing.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

struct mu_device_comm {
    mu_device_comm *next; /* of the instance */
    mu_comm *comm;
    pthread_mutex_t lock; /* of: */
    ncclComm_t nccl;      /* NULL: one rank, or given up */
    atomic_bool given_up;
    cudaStream_t used[MU_N_LANES]; /* streams that it has given work to */
    uint64_t bit;                  /* in recordings; beyond 64 of them they share the last one */
    pthread_t aborting;            /* where is_aborting */
    bool is_aborting;
};

enum { EAGER = 256 }; /* questions without a pause: what NCCL does beside the caller takes some microseconds */

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

/* ---- opening ---- */

static mu_err comm_new(mu_cuda *cuda, mu_comm *comm, mu_device_comm **out)
{
    mu_device_comm *self;
    MU_TRY(mu_cuda_enter(cuda));
    MU_TRY(mu_calloc(&self, 1, sizeof *self));
    self->comm = comm;
    pthread_mutex_init(&self->lock, NULL);
    *out = self;
    return MU_OK;
}

static void comm_free(mu_device_comm *self)
{
    if (!self)
        return;
    pthread_mutex_destroy(&self->lock);
    mu_free(self);
}

static mu_err draw_id(const mu_comm *comm, ncclUniqueId *out)
{
    if (comm->rank == 0)
        MU_TRY_NCCL(NULL, ncclGetUniqueId(out));
    return MU_OK;
}

static mu_err lost(void)
{
    return MU_FAIL(MU_ERR_COMM, "NCCL: the communicator of the devices was given up, as another rank or a device has failed");
}

/* Until NCCL is done with what it was told; *heard counts other ranks' notes that they failed (NULL: they send none), the first of which ends it. */
static mu_err settle(mu_device_comm *self, const char *call, int *heard)
{
    for (int asked = 0;; asked++) {
        ncclResult_t state;
        int from = -1;
        char note;
        MU_TRY_NCCL(self->nccl, ncclCommGetAsyncError(self->nccl, &state));
        if (state != ncclInProgress)
            return state == ncclSuccess ? MU_OK : mu_nccl_fail(state, self->nccl, call, __FILE__, __LINE__, __func__);
        if (atomic_load(&self->given_up))
            return lost();
        if (heard)
            MU_TRY(mu_comm_poll(self->comm, &note, sizeof note, &from));
        if (from >= 0) {
            ++*heard;
            return MU_OK;
        }
        if (asked >= EAGER)
            nap();
    }
}

/* NCCL waits for all ranks, also for one that has failed: that one tells the others by notes. */
static mu_err connect_ranks(mu_device_comm *self, const ncclUniqueId *id, int *heard)
{
    mu_comm *comm = self->comm;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclResult_t status = ncclCommInitRankConfig(&self->nccl, comm->size, *id, comm->rank, &config);
    if (status != ncclSuccess && status != ncclInProgress)
        return mu_nccl_fail(status, self->nccl, "ncclCommInitRankConfig", __FILE__, __LINE__, __func__);
    return settle(self, "ncclCommInitRankConfig", heard);
}

static mu_err tell_failure(mu_comm *comm)
{
    char note = 1;
    mu_error kept = *mu_error_last();
    for (int r = 0; r < comm->size; r++)
        if (r != comm->rank)
            MU_TRY(mu_comm_post(comm, &note, sizeof note, r));
    return mu_error_restore(&kept);
}

/* Collective. Takes the notes that are still on their way; all ranks return alike. */
static mu_err agree(mu_comm *comm, mu_err err, int heard)
{
    int64_t n_failed = err != MU_OK;
    mu_error kept = *mu_error_last();
    MU_TRY(mu_comm_all_reduce(comm, &n_failed, 1, MU_I64, MU_COMM_SUM));
    for (int64_t due = n_failed - (err != MU_OK); heard < due;) {
        char note;
        int from;
        MU_TRY(mu_comm_poll(comm, &note, sizeof note, &from));
        heard += from >= 0;
    }
    if (err)
        (void)mu_error_restore(&kept);
    return mu_comm_agree(comm, err);
}

static mu_err open_ranks(mu_device_comm *self)
{
    mu_comm *comm = self->comm;
    ncclUniqueId id = {{0}};
    int heard = 0;
    MU_TRY(mu_comm_agree(comm, draw_id(comm, &id)));
    MU_TRY(mu_comm_broadcast_bytes(comm, &id, sizeof id, 0));
    MU_DOING(comm, "comm_open");
    mu_err err = connect_ranks(self, &id, &heard);
    if (err)
        err = tell_failure(comm);
    MU_TRY(agree(comm, err, heard));
    return MU_OK;
}

static uint64_t free_bit(const mu_cuda *cuda)
{
    uint64_t taken = 0, bit = 1;
    for (const mu_device_comm *at = cuda->comms; at; at = at->next)
        taken |= at->bit;
    while (bit << 1 && taken & bit)
        bit <<= 1;
    return bit;
}

mu_err mu_cuda_comm_open(mu_backend *backend, mu_comm *comm, mu_device_comm **out)
{
    mu_cuda *cuda = mu_cuda_of(backend);
    mu_device_comm *self = NULL;
    mu_err err = comm_new(cuda, comm, &self);
    err = mu_comm_agree(comm, err);
    if (!err && comm->size > 1)
        err = open_ranks(self);
    if (err) {
        if (self && self->nccl)
            (void)ncclCommAbort(self->nccl);
        comm_free(self);
        MU_TRY(err);
    }
    self->bit = free_bit(cuda);
    self->next = cuda->comms;
    cuda->comms = self;
    *out = self;
    return MU_OK;
}

mu_device_comm *mu_cuda_comm_of(const mu_cuda *cuda, const mu_comm *comm)
{
    mu_device_comm *at = cuda->comms;
    while (at && at->comm != comm)
        at = at->next;
    return at;
}

/* ---- the end ---- */

static void *end_collectives(void *nccl)
{
    (void)ncclCommAbort(nccl);
    return NULL;
}

/* Its first act frees the devices; then NCCL waits until there is no recording with a collective of this communicator, and these are another thread's. */
static void start_abort(mu_device_comm *self, ncclComm_t nccl)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    self->is_aborting = pthread_create(&self->aborting, NULL, end_collectives, nccl) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!self->is_aborting)
        (void)ncclCommAbort(nccl);
}

void mu_cuda_comm_abort(mu_backend *backend, mu_device_comm *self)
{
    struct timespec until;
    atomic_store(&self->given_up, true);
    (void)cudaSetDevice(mu_cuda_of(backend)->device);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2; /* who is in a call of NCCL's by then does not come out of it without this */
    bool locked = pthread_mutex_timedlock(&self->lock, &until) == 0;
    ncclComm_t nccl = self->nccl;
    self->nccl = NULL;
    if (nccl)
        start_abort(self, nccl);
    if (locked)
        pthread_mutex_unlock(&self->lock);
}

/* What is still on its way may wait for a rank that does not come any more. */
static bool drained(const mu_device_comm *self)
{
    const double patience = 5, begun = mu_clock();
    ncclResult_t state;
    if (ncclCommGetAsyncError(self->nccl, &state) != ncclSuccess || state != ncclSuccess)
        return false;
    for (int lane = 0; lane < MU_N_LANES; lane++) {
        cudaError_t status = cudaSuccess;
        while (self->used[lane] && (status = cudaStreamQuery(self->used[lane])) == cudaErrorNotReady && mu_clock() - begun < patience)
            nap();
        if (status != cudaSuccess)
            return false;
    }
    return true;
}

void mu_cuda_comm_close(mu_backend *backend, mu_device_comm *self)
{
    mu_cuda *cuda = mu_cuda_of(backend);
    if (!self)
        return;
    for (mu_device_comm **at = &cuda->comms; *at; at = &(*at)->next)
        if (*at == self) {
            *at = self->next;
            break;
        }
    (void)cudaSetDevice(cuda->device);
    cuda->base.n_unbound++;
    mu_cuda_recordings_end(cuda, self->bit); /* NCCL waits for them */
    if (self->nccl && drained(self))
        (void)ncclCommDestroy(self->nccl);
    else if (self->nccl)
        (void)ncclCommAbort(self->nccl);
    if (self->is_aborting)
        (void)pthread_join(self->aborting, NULL);
    comm_free(self);
}

static mu_err check(mu_device_comm *self)
{
    ncclResult_t state = ncclSuccess;
    if (atomic_load(&self->given_up))
        return lost();
    if (self->nccl)
        MU_TRY_NCCL(self->nccl, ncclCommGetAsyncError(self->nccl, &state));
    if (state != ncclSuccess && state != ncclInProgress)
        return mu_nccl_fail(state, self->nccl, "a collective of the devices", __FILE__, __LINE__, __func__);
    return MU_OK;
}

mu_err mu_cuda_comm_check(mu_backend *backend, mu_device_comm *self)
{
    (void)backend;
    pthread_mutex_lock(&self->lock);
    mu_err err = check(self);
    pthread_mutex_unlock(&self->lock);
    MU_TRY(err);
    return MU_OK;
}

/* ---- collectives ---- */

static mu_err types_of(const mu_collective *what, ncclDataType_t *type, ncclRedOp_t *op)
{
    static const ncclDataType_t types[MU_DTYPE_COUNT] = {
        [MU_F32] = ncclFloat32, [MU_F16] = ncclFloat16, [MU_BF16] = ncclBfloat16, [MU_F64] = ncclFloat64,
        [MU_I64] = ncclInt64,   [MU_I32] = ncclInt32,   [MU_U8] = ncclUint8,      [MU_BOOL] = ncclUint8,
    };
    bool reduces = what->kind == MU_REQUEST_ALL_REDUCE || what->kind == MU_REQUEST_REDUCE_SCATTER;
    *type = types[what->dtype];
    *op = ncclSum;
    if (!reduces)
        return MU_OK;
    if (what->op != MU_COMM_SUM && what->op != MU_COMM_MEAN && what->op != MU_COMM_MAX)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "a reduction between devices by \"%s\": expected sum, mean or max", mu_comm_op_name(what->op));
    if (what->op == MU_COMM_MEAN && !mu_dtype_is_float(what->dtype))
        return MU_FAIL(MU_ERR_USAGE, "a mean of %s between devices: expected floats", mu_dtype_name(what->dtype));
    if (what->op == MU_COMM_MAX || what->dtype == MU_BOOL)
        *op = ncclMax;
    else if (what->op == MU_COMM_MEAN)
        *op = ncclAvg;
    return MU_OK;
}

static mu_err start(mu_device_comm *self, const mu_collective *what, cudaStream_t stream)
{
    size_t count = (size_t)what->count;
    ncclComm_t nccl = self->nccl;
    ncclDataType_t type;
    ncclRedOp_t op;
    ncclResult_t status = ncclSuccess;
    MU_TRY(types_of(what, &type, &op));
    switch (what->kind) {
    case MU_REQUEST_ALL_REDUCE: status = ncclAllReduce(what->data, what->data, count, type, op, nccl, stream); break;
    case MU_REQUEST_REDUCE_SCATTER: status = ncclReduceScatter(what->send, what->data, count, type, op, nccl, stream); break;
    case MU_REQUEST_ALL_GATHER: status = ncclAllGather(what->send, what->data, count, type, nccl, stream); break;
    case MU_REQUEST_BROADCAST: status = ncclBroadcast(what->data, what->data, count, type, what->root, nccl, stream); break;
    }
    if (status != ncclSuccess && status != ncclInProgress)
        return mu_nccl_fail(status, nccl, "a collective of the devices", __FILE__, __LINE__, __func__);
    if (status == ncclInProgress)
        MU_TRY(settle(self, "a collective of the devices", NULL));
    return MU_OK;
}

/* Of one rank. */
static mu_err copy_own(const mu_collective *what, size_t bytes, cudaStream_t stream)
{
    bool slices = what->kind == MU_REQUEST_REDUCE_SCATTER || what->kind == MU_REQUEST_ALL_GATHER;
    if (slices && what->send != what->data)
        MU_TRY_CUDA(cudaMemcpyAsync(what->data, what->send, bytes, cudaMemcpyDeviceToDevice, stream));
    return MU_OK;
}

mu_err mu_cuda_collect(mu_backend *backend, mu_device_comm *self, mu_lane lane, const mu_collective *what)
{
    mu_cuda *cuda = mu_cuda_of(backend);
    cudaStream_t stream;
    size_t bytes;
    MU_TRY(mu_check_buffer("a collective of the devices", what->count, what->dtype, self->comm->size, &bytes));
    if (!what->count)
        return MU_OK;
    MU_TRY(mu_cuda_enter(cuda));
    MU_TRY(mu_cuda_lane(cuda, lane, &stream));
    if (self->comm->size == 1)
        return copy_own(what, bytes, stream);
    pthread_mutex_lock(&self->lock);
    mu_err err = self->nccl ? start(self, what, stream) : lost();
    self->used[lane] = stream;
    cuda->collecting |= self->bit;
    pthread_mutex_unlock(&self->lock);
    MU_TRY(err);
    return MU_OK;
}

#else

mu_err mu_cuda_comm_open(mu_backend *backend, mu_comm *comm, mu_device_comm **out)
{
    (void)backend, (void)comm, (void)out;
    MU_FAIL(MU_ERR_UNSUPPORTED, "devices cannot exchange anything: this build has no NCCL");
    return mu_error_hint("install libnccl-dev and configure --with-nccl, or start one rank");
}

void mu_cuda_comm_close(mu_backend *backend, mu_device_comm *comm)
{
    (void)backend, (void)comm; /* none is ever open */
}

mu_device_comm *mu_cuda_comm_of(const mu_cuda *cuda, const mu_comm *comm)
{
    (void)cuda, (void)comm;
    return NULL;
}

#endif

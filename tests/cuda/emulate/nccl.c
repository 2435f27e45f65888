/* NCCL between the processes of one machine, through shared memory that is named after the id. As strict as NCCL may be:
 *
 *   - a collective is done when its stream comes to it, and ends when all ranks have come; without an abort it waits for ever for a rank that
 *     hangs, and PATIENCE for one that is gone, of which ncclCommGetAsyncError tells at once;
 *   - with a communicator that does not block, a call is only on its way when it returns: it is given to the stream when the error is asked for;
 *   - sums begin at another rank for every piece, means are sums of what was divided before, a maximum drops NaN;
 *   - two ranks on one device are refused;
 *   - a communicator does not end, and is not aborted to its end, while a graph has work of it: after SURE seconds that is a fault of the device;
 *   - while there is a communicator, the device goes on by itself, with a delay: its host may wait for another that waits for the device.
 *
 * What NCCL does not find is a fault of the device here: ranks that do different things, and two that wait for each other in two communicators.
 * MUSTER_EMULATE_ERROR=nccl: no communicator can be made. */
#define _GNU_SOURCE
#include "nccl.h"

#include "core/type.h"
#include "emulate.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { MOST_RANKS = 64, PIECE = 256 << 10, PATIENCE = 60, SURE = 3 }; /* seconds */

typedef enum { ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, BROADCAST } kind;
static const char *const kind_names[] = {"all-reduce", "reduce-scatter", "all-gather", "broadcast"};
static const char *const type_names[ncclNumTypes] = {
    [ncclUint8] = "u8",    [ncclInt32] = "i32",   [ncclInt64] = "i64",    [ncclFloat16] = "f16",
    [ncclFloat32] = "f32", [ncclFloat64] = "f64", [ncclBfloat16] = "bf16",
};
static const unsigned char type_sizes[ncclNumTypes] = {
    [ncclUint8] = 1, [ncclInt32] = 4, [ncclInt64] = 8, [ncclFloat16] = 2, [ncclFloat32] = 4, [ncclFloat64] = 8, [ncclBfloat16] = 2,
};

/* What all ranks must say alike. */
typedef struct {
    uint64_t number; /* of the communicator's calls */
    uint64_t count;
    int kind, type, op, root;
} call;

/* Of a rank, written by it alone. */
typedef struct {
    _Atomic int pid; /* 0: it has not come yet */
    _Atomic bool left;
    cudaUUID_t device;
    _Atomic uint64_t posted, taken; /* pieces that it has put here, and that it has read from all ranks */
    _Atomic uint64_t elsewhere;     /* another communicator in which its process waits */
    _Atomic int64_t elsewhere_at;   /* when it said so */
    call call;                      /* that the piece is of */
    _Alignas(64) char piece[PIECE];
} slot;

typedef struct {
    ncclComm_t comm;
    const void *send;
    void *recv;
    call call;
} closure;

/* Stays when it is destroyed, with no slots: the stream may still hold its work. */
struct ncclComm {
    ncclComm_t next;
    uint64_t id;
    char name[32];
    int rank, n;
    slot *slots; /* [n] */
    int pidfd[MOST_RANKS];
    bool blocking, aborted;
    ncclResult_t state;
    char error[512];
    uint64_t calls;
    const closure *current; /* work that has begun */
    size_t piece;           /* of it */
    bool posted;
    int64_t gone_since, crossed_since; /* 0: nobody is gone; waits across communicators */
    bool deferred;          /* `next_work` waits for the next but one question for the error */
    int asked;
    closure next_work;
    cudaStream_t stream;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all communicators of this process */
static ncclComm_t comms;
static _Thread_local char last_error[512]; /* before there is a communicator */

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static ncclResult_t fail(ncclComm_t comm, ncclResult_t result, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(comm != NULL ? comm->error : last_error, sizeof last_error, format, ap);
    va_end(ap);
    return result;
}

const char *ncclGetErrorString(ncclResult_t result)
{
    static const char *const texts[] = {
        "no error",         "unhandled cuda error (run with NCCL_DEBUG=INFO for details)",
        "unhandled system error (run with NCCL_DEBUG=INFO for details)",
        "internal error - please report this issue to the NCCL developers", "invalid argument (run with NCCL_DEBUG=WARN for details)",
        "invalid usage (run with NCCL_DEBUG=WARN for details)", "remote process exited or there was a network error", "NCCL operation in progress",
    };
    return (unsigned)result < ncclNumResults ? texts[result] : "unknown result code";
}

const char *ncclGetLastError(ncclComm_t comm)
{
    return comm != NULL ? comm->error : last_error;
}

ncclResult_t ncclGetVersion(int *version)
{
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}

/* ---- beginning and end ---- */

static void name_of(uint64_t id, char name[32])
{
    snprintf(name, 32, "/mu-nccl-%016llx", (unsigned long long)id);
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    uint64_t drawn;
    char name[32];
    *id = (ncclUniqueId){{0}};
    if (getrandom(&drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn)
        return fail(NULL, ncclSystemError, "no random numbers");
    name_of(drawn, name);
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return fail(NULL, ncclSystemError, "shm_open: %m");
    close(fd);
    memcpy(id->internal, &drawn, sizeof drawn);
    return ncclSuccess;
}

static ncclResult_t attach(ncclComm_t self)
{
    struct cudaDeviceProp prop;
    int device;
    if (cudaGetDevice(&device) != cudaSuccess || cudaGetDeviceProperties(&prop, device) != cudaSuccess)
        return fail(self, ncclUnhandledCudaError, "Cuda failure '%s'", cudaGetErrorString(cudaGetLastError()));
    size_t bytes = (size_t)self->n * sizeof(slot);
    int fd = shm_open(self->name, O_RDWR, 0600);
    if (fd < 0)
        return fail(self, ncclSystemError, "shm_open: %m");
    self->slots = ftruncate(fd, (off_t)bytes) == 0 ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    close(fd);
    if (self->slots == MAP_FAILED) {
        self->slots = NULL;
        return fail(self, ncclSystemError, "mmap: %m");
    }
    slot *mine = &self->slots[self->rank];
    mine->device = prop.uuid;
    atomic_store(&mine->pid, getpid());
    return ncclInProgress;
}

/* Have all ranks come, each with its device? */
static ncclResult_t meet(ncclComm_t self)
{
    for (int r = 0; r < self->n; r++)
        if (atomic_load(&self->slots[r].pid) == 0)
            return ncclInProgress;
    shm_unlink(self->name);
    for (int r = 0; r < self->n; r++) {
        for (int q = 0; q < r; q++)
            if (memcmp(&self->slots[r].device, &self->slots[q].device, sizeof(cudaUUID_t)) == 0)
                return fail(self, ncclInvalidUsage, "Duplicate GPU detected : rank %d and rank %d both on one CUDA device", q, r);
        if (self->pidfd[r] < 0)
            self->pidfd[r] = pidfd_open(self->slots[r].pid, 0);
    }
    return ncclSuccess;
}

/* Another process may wait for this one's device while this one waits for something else: the device goes on by itself, a little late. */
static int n_open;
static bool goes_on;

static void *go_on(void *unused)
{
    for (bool more = true; more;) {
        usleep(1000);
        emulate_go_on();
        pthread_mutex_lock(&lock);
        more = goes_on = n_open > 0;
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

/* With the lock. */
static bool start_device(void)
{
    pthread_t thread;
    sigset_t all, old;
    n_open++;
    if (goes_on)
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    goes_on = pthread_create(&thread, NULL, go_on, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (goes_on)
        pthread_detach(thread);
    return goes_on;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int nranks, ncclUniqueId id, int rank, ncclConfig_t *config)
{
    const char *wanted = getenv("MUSTER_EMULATE_ERROR");
    *comm = NULL;
    if (nranks < 1 || nranks > MOST_RANKS || rank < 0 || rank >= nranks)
        return fail(NULL, ncclInvalidArgument, "rank %d of %d", rank, nranks);
    if (wanted != NULL && strcmp(wanted, "nccl") == 0)
        return fail(NULL, ncclSystemError, "as MUSTER_EMULATE_ERROR wants it");
    ncclComm_t self = calloc(1, sizeof *self);
    if (self == NULL)
        return fail(NULL, ncclSystemError, "out of memory");
    self->rank = rank;
    self->n = nranks;
    self->blocking = config == NULL || config->blocking != 0;
    memcpy(&self->id, id.internal, sizeof self->id);
    name_of(self->id, self->name);
    for (int r = 0; r < MOST_RANKS; r++)
        self->pidfd[r] = -1;
    self->state = attach(self);
    pthread_mutex_lock(&lock);
    self->next = comms;
    comms = self;
    if (!start_device())
        self->state = fail(self, ncclSystemError, "no thread for the device");
    pthread_mutex_unlock(&lock);
    *comm = self;
    while (self->blocking && self->state == ncclInProgress) {
        usleep(1000);
        self->state = meet(self);
    }
    return self->state;
}

ncclResult_t ncclCommInitRank(ncclComm_t *comm, int nranks, ncclUniqueId id, int rank)
{
    return ncclCommInitRankConfig(comm, nranks, id, rank, NULL);
}

static cudaError_t run(const void *data);

/* It would wait for ever. */
static void wait_for_graphs(ncclComm_t self)
{
    for (int64_t begun = now_ns(); emulate_in_graphs(run, self); usleep(1000))
        if (now_ns() - begun > SURE * 1000000000LL) {
            (void)emulate_fault(cudaErrorLaunchTimeout, "NCCL: a communicator ends while a graph has a collective of it");
            return;
        }
}

static ncclResult_t leave(ncclComm_t self, bool aborted)
{
    if (self == NULL || self->slots == NULL)
        return fail(NULL, ncclInvalidArgument, "the communicator is no more");
    pthread_mutex_lock(&lock);
    if (self->state == ncclInProgress)
        shm_unlink(self->name);
    atomic_store(&self->slots[self->rank].left, true);
    munmap(self->slots, (size_t)self->n * sizeof(slot));
    self->slots = NULL;
    self->aborted = aborted;
    n_open--;
    for (int r = 0; r < self->n; r++)
        if (self->pidfd[r] >= 0)
            close(self->pidfd[r]);
    pthread_mutex_unlock(&lock);
    wait_for_graphs(self);
    return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    (void)emulate_finish();
    return leave(comm, false);
}

ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    return leave(comm, true);
}

/* ---- one piece after the other ---- */

#define EACH(type, load, store)                                                                    \
    do {                                                                                           \
        type *x = into;                                                                            \
        const type *y = from;                                                                      \
        for (size_t i = 0; i < count; i++)                                                         \
            x[i] = op == ncclMax ? (load(y[i]) > load(x[i]) ? y[i] : x[i]) : (type)store(load(x[i]) + load(y[i])); \
    } while (0)
#define SAME(x) (x)

static void combine(void *into, const void *from, size_t count, int type, int op)
{
    switch (type) {
    case ncclUint8: EACH(uint8_t, SAME, SAME); break;
    case ncclInt32: EACH(uint32_t, (int32_t), SAME); break;
    case ncclInt64: EACH(uint64_t, (int64_t), SAME); break;
    case ncclFloat16: EACH(uint16_t, mu_f16_to_f32, mu_f32_to_f16); break;
    case ncclBfloat16: EACH(uint16_t, mu_bf16_to_f32, mu_f32_to_bf16); break;
    case ncclFloat32: EACH(float, SAME, SAME); break;
    default: EACH(double, SAME, SAME); break;
    }
}

/* Before a mean is summed. */
static void scale(void *data, size_t count, int type, int n)
{
    for (size_t i = 0; i < count; i++)
        switch (type) {
        case ncclFloat16: ((uint16_t *)data)[i] = mu_f32_to_f16(mu_f16_to_f32(((uint16_t *)data)[i]) * (1 / (float)n)); break;
        case ncclBfloat16: ((uint16_t *)data)[i] = mu_f32_to_bf16(mu_bf16_to_f32(((uint16_t *)data)[i]) * (1 / (float)n)); break;
        case ncclFloat32: ((float *)data)[i] *= 1 / (float)n; break;
        default: ((double *)data)[i] *= 1 / (double)n; break;
        }
}

static size_t piece_elements(const call *c)
{
    return PIECE / type_sizes[c->type];
}

static size_t elements(const call *c, int n)
{
    return (size_t)c->count * (c->kind == REDUCE_SCATTER ? (size_t)n : 1);
}

/* Where the piece that is being done begins, and how many elements it has. */
static size_t piece_at(const struct ncclComm *self, const call *c, size_t *count)
{
    size_t most = piece_elements(c), at = self->piece * most, left = elements(c, self->n) - at;
    *count = left < most ? left : most;
    return at;
}

static void post(ncclComm_t self, const closure *work)
{
    slot *mine = &self->slots[self->rank];
    size_t count, width = type_sizes[work->call.type], at = piece_at(self, &work->call, &count);
    mine->call = work->call;
    mine->call.number = self->calls;
    if (work->call.kind != BROADCAST || work->call.root == self->rank)
        memcpy(mine->piece, (const char *)work->send + at * width, count * width);
    if (work->call.op == ncclAvg)
        scale(mine->piece, count, work->call.type, self->n);
    atomic_fetch_add(&mine->posted, 1);
    self->posted = true;
}

/* Elements first .. first+count-1 of the piece, of all ranks, to `into`. */
static void reduce(const struct ncclComm *self, const call *c, size_t first, size_t count, void *into)
{
    size_t width = type_sizes[c->type];
    for (int i = 0; i < self->n; i++) {
        const char *from = self->slots[((size_t)i + self->piece) % (size_t)self->n].piece + first * width;
        if (i == 0)
            memcpy(into, from, count * width);
        else
            combine(into, from, count, c->type, c->op);
    }
}

static void take(ncclComm_t self, const closure *work)
{
    const call *c = &work->call;
    size_t count, width = type_sizes[c->type], at = piece_at(self, c, &count);
    char *recv = work->recv;
    if (c->kind == ALL_REDUCE)
        reduce(self, c, 0, count, recv + at * width);
    else if (c->kind == BROADCAST)
        memcpy(recv + at * width, self->slots[c->root].piece, count * width);
    for (int r = 0; c->kind == ALL_GATHER && r < self->n; r++)
        memcpy(recv + ((size_t)r * c->count + at) * width, self->slots[r].piece, count * width);
    if (c->kind == REDUCE_SCATTER) {
        size_t begin = (size_t)self->rank * c->count, end = begin + c->count;
        size_t from = at > begin ? at : begin, to = at + count < end ? at + count : end;
        if (from < to)
            reduce(self, c, from - at, to - from, recv + (from - begin) * width);
    }
    atomic_fetch_add(&self->slots[self->rank].taken, 1);
    self->posted = false;
    self->piece++;
}

/* ---- waiting ---- */

static const char *describe(const call *c, char text[96])
{
    snprintf(text, 96, "call %llu, %s of %llu %s, operation %d, root %d", (unsigned long long)c->number, kind_names[c->kind],
             (unsigned long long)c->count, type_names[c->type], c->op, c->root);
    return text;
}

/* The lowest rank that has not come this far, or n. */
static int missing(const struct ncclComm *self)
{
    const slot *mine = &self->slots[self->rank];
    for (int r = 0; r < self->n; r++)
        if (self->posted ? atomic_load(&self->slots[r].posted) < mine->posted : atomic_load(&self->slots[r].taken) < mine->posted)
            return r;
    return self->n;
}

static bool is_gone(const struct ncclComm *self, int r)
{
    struct pollfd fd = {.fd = self->pidfd[r], .events = POLLIN};
    return atomic_load(&self->slots[r].left) || (fd.fd >= 0 && poll(&fd, 1, 0) > 0);
}

/* Does rank r wait in another communicator for this process, which has not come there? Tells the others where this one waits, too. */
static bool waits_elsewhere(ncclComm_t self, int r, int64_t now)
{
    const slot *other = &self->slots[r];
    bool found = false;
    for (ncclComm_t c = comms; c != NULL; c = c->next) {
        if (c == self || c->slots == NULL || c->state == ncclInProgress)
            continue;
        atomic_store(&c->slots[c->rank].elsewhere, self->id);
        atomic_store(&c->slots[c->rank].elsewhere_at, now);
        for (int q = 0; q < c->n && c->id == atomic_load(&other->elsewhere) && now - 1000000000 < atomic_load(&other->elsewhere_at); q++)
            found |= c->slots[q].pid == other->pid && atomic_load(&c->slots[q].posted) > atomic_load(&c->slots[c->rank].posted);
    }
    return found;
}

static cudaError_t wait_for(ncclComm_t self, const closure *work, int r)
{
    int64_t now = now_ns();
    char text[96];
    call mine = work->call;
    mine.number = self->calls;
    if (is_gone(self, r)) {
        if (self->gone_since == 0) {
            self->gone_since = now;
            self->state = fail(self, ncclRemoteError, "rank %d is gone: %s", r, describe(&mine, text));
        }
        if (now - self->gone_since > PATIENCE * 1000000000LL)
            return emulate_fault(cudaErrorLaunchTimeout, "NCCL: rank %d waits for rank %d, which is gone: %s", self->rank, r,
                                 describe(&mine, text));
        return cudaErrorNotReady;
    }
    if (!waits_elsewhere(self, r, now))
        self->crossed_since = 0;
    else if (self->crossed_since == 0)
        self->crossed_since = now;
    else if (now - self->crossed_since > SURE * 1000000000LL) {
        (void)waits_elsewhere(self, r, INT64_MAX); /* this one does not wait any more, but the other is to see it, too */
        return emulate_fault(cudaErrorLaunchTimeout,
                             "NCCL: a deadlock: rank %d waits for rank %d, which waits for it in another communicator: %s", self->rank, r,
                             describe(&mine, text));
    }
    return cudaErrorNotReady;
}

static cudaError_t compare(const struct ncclComm *self)
{
    char ours[96], theirs[96];
    const call *mine = &self->slots[self->rank].call;
    for (int r = 0; r < self->n; r++) {
        const call *c = &self->slots[r].call;
        if (c->number != mine->number || c->count != mine->count || c->kind != mine->kind || c->type != mine->type || c->op != mine->op ||
            c->root != mine->root)
            return emulate_fault(cudaErrorLaunchFailure, "NCCL: ranks do different things: rank %d %s; rank %d %s", self->rank,
                                 describe(mine, ours), r, describe(c, theirs));
    }
    return cudaSuccess;
}

static cudaError_t advance(ncclComm_t self, const closure *work)
{
    size_t most = piece_elements(&work->call), pieces = (elements(&work->call, self->n) + most - 1) / most;
    cudaError_t status = cudaSuccess;
    if (self->current != NULL && self->current != work)
        return cudaErrorNotReady;
    if (self->current == NULL) {
        self->current = work;
        self->calls++;
        self->piece = 0;
    }
    while (self->piece < pieces) {
        int r = missing(self);
        if (r < self->n)
            return wait_for(self, work, r);
        if (!self->posted) {
            post(self, work);
        } else {
            status = compare(self);
            if (status != cudaSuccess)
                break;
            take(self, work);
        }
    }
    self->current = NULL;
    return status;
}

static cudaError_t run(const void *data)
{
    const closure *work = data;
    ncclComm_t comm = work->comm;
    cudaError_t status = cudaSuccess;
    pthread_mutex_lock(&lock);
    if (comm->slots != NULL)
        status = advance(comm, work);
    else if (!comm->aborted)
        status = emulate_fault(cudaErrorIllegalAddress, "NCCL: a collective of a communicator that was destroyed");
    pthread_mutex_unlock(&lock);
    return status;
}

/* ---- calls ---- */

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error)
{
    if (comm == NULL || comm->slots == NULL)
        return fail(NULL, ncclInvalidArgument, "the communicator is no more");
    pthread_mutex_lock(&lock);
    if (comm->state == ncclInProgress && !comm->deferred)
        comm->state = meet(comm);
    *error = comm->state;
    bool submit = comm->deferred && comm->asked++ > 0;
    comm->deferred = comm->deferred && !submit;
    pthread_mutex_unlock(&lock);
    if (submit) {
        cudaError_t status = emulate_submit(comm->stream, run, &comm->next_work, sizeof comm->next_work);
        comm->state = status == cudaSuccess ? ncclSuccess : fail(comm, ncclUnhandledCudaError, "Cuda failure '%s'", cudaGetErrorString(status));
        *error = comm->state;
    }
    return ncclSuccess;
}

static ncclResult_t collective(const void *send, void *recv, call c, ncclComm_t comm, cudaStream_t stream)
{
    bool by_send = c.kind == REDUCE_SCATTER, by_recv = c.kind == ALL_GATHER, sends = c.kind != BROADCAST || c.root == comm->rank;
    if (comm->slots == NULL)
        return fail(NULL, ncclInvalidArgument, "the communicator is no more");
    if (comm->state != ncclSuccess)
        return comm->state == ncclInProgress ? fail(comm, ncclInvalidUsage, "the communicator is still busy with the call before") : comm->state;
    if ((unsigned)c.type >= ncclNumTypes || type_sizes[c.type] == 0 || (c.op != ncclSum && c.op != ncclAvg && c.op != ncclMax) || c.root < 0 ||
        c.root >= comm->n)
        return fail(comm, ncclInvalidArgument, "type %d, operation %d, root %d", c.type, c.op, c.root);
    if (c.op == ncclAvg && (c.type == ncclUint8 || c.type == ncclInt32 || c.type == ncclInt64))
        return fail(comm, ncclInvalidArgument, "a mean of integers");
    if (c.count == 0)
        return ncclSuccess;
    size_t bytes = (size_t)c.count * type_sizes[c.type];
    if ((sends && !emulate_on_device(send, bytes * (by_send ? (size_t)comm->n : 1))) ||
        !emulate_on_device(recv, bytes * (by_recv ? (size_t)comm->n : 1)))
        return fail(comm, ncclInvalidArgument, "not all of the memory is that of the device");
    closure work = {.comm = comm, .send = send, .recv = recv, .call = c};
    if (!comm->blocking) {
        pthread_mutex_lock(&lock);
        comm->next_work = work;
        comm->stream = stream;
        comm->deferred = true;
        comm->asked = 0;
        comm->state = ncclInProgress;
        pthread_mutex_unlock(&lock);
        return ncclInProgress;
    }
    cudaError_t status = emulate_submit(stream, run, &work, sizeof work);
    return status == cudaSuccess ? ncclSuccess : fail(comm, ncclUnhandledCudaError, "Cuda failure '%s'", cudaGetErrorString(status));
}

ncclResult_t ncclAllReduce(const void *send, void *recv, size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)
{
    return collective(send, recv, (call){.kind = ALL_REDUCE, .count = count, .type = (int)type, .op = (int)op}, comm, stream);
}

ncclResult_t ncclReduceScatter(const void *send, void *recv, size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                               cudaStream_t stream)
{
    return collective(send, recv, (call){.kind = REDUCE_SCATTER, .count = count, .type = (int)type, .op = (int)op}, comm, stream);
}

ncclResult_t ncclAllGather(const void *send, void *recv, size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream)
{
    return collective(send, recv, (call){.kind = ALL_GATHER, .count = count, .type = (int)type}, comm, stream);
}

ncclResult_t ncclBroadcast(const void *send, void *recv, size_t count, ncclDataType_t type, int root, ncclComm_t comm, cudaStream_t stream)
{
    return collective(send, recv, (call){.kind = BROADCAST, .count = count, .type = (int)type, .root = root}, comm, stream);
}

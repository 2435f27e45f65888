/* Every rank sends every other one the part that is meant for it. A job is driven in small steps from wherever the
 * ranks wait, so that a start does not block, and uses the same memory whatever the size of the message. */
#include "comm_mpi.h"

#include "core/mem.h"
#include "dist/reduce.h"

enum { BLOCK = 256 << 10, SLOTS = 4, WINDOW = 64, FIRST_TAG = 16, N_TAGS = 16384 };

typedef enum { FREE, REDUCING, GATHERING } job_state;

typedef struct {
    int peer;
    size_t at, n; /* bytes, in a slice */
} message;

/* The messages of one direction, in the order in which they go: block by block, and in each from or to one rank after
 * the other. */
typedef struct {
    size_t block;
    int step;
    unsigned begun, ended; /* messages so far */
} stream;

struct mpi_job {
    mpi_job *next;
    job_state state;
    uint64_t ticket;
    bool ascending, gathers; /* the order of ranks in sums; what is reduced is then gathered */
    bool broadcasts;         /* rank `root` has the only slice */
    int root;
    mu_dtype dtype;
    mu_comm_op op;
    bool mean;                 /* sums are divided */
    const unsigned char *from; /* all slices that are reduced */
    unsigned char *own;        /* this rank's slice of the result */
    unsigned char *whole;      /* all slices of the result */
    size_t slice, total;       /* bytes: of a slice (the last ones may be shorter) and of all */
    size_t block, n_blocks;
    stream out, in;
    MPI_Request send[WINDOW], recv[SLOTS];
    message arriving[SLOTS];
    unsigned char *slot[SLOTS + 1]; /* of BLOCK bytes; the last one is where sums grow */
    unsigned char *memory;
};

static size_t begin_of(const mpi_job *job, int rank)
{
    size_t at = job->slice * (size_t)rank;
    if (job->broadcasts)
        return rank > job->root ? job->total : 0;
    return at < job->total ? at : job->total;
}

static size_t bytes_of(const mpi_job *job, int rank)
{
    return begin_of(job, rank + 1) - begin_of(job, rank);
}

/* At step k a rank hears from the k-th after it and sends to the k-th before it: all pairs are busy. */
static int peer_of(const comm_mpi *self, const mpi_job *job, bool sends, int step)
{
    int rank = self->base.rank, size = self->base.size;
    if (sends)
        return (rank - step + size) % size;
    if (job->ascending)
        return step <= rank ? step - 1 : step;
    return (rank + step) % size;
}

/* false: there are no more. */
static bool next_message(const comm_mpi *self, const mpi_job *job, stream *s, message *out)
{
    bool sends = s == &job->out;
    for (; s->block < job->n_blocks; s->block++, s->step = 0)
        while (++s->step < self->base.size) {
            int peer = peer_of(self, job, sends, s->step);
            int slice = (job->state == REDUCING) == sends ? peer : self->base.rank;
            size_t at = s->block * job->block, bytes = bytes_of(job, slice);
            if (at >= bytes)
                continue;
            *out = (message){.peer = peer, .at = at, .n = bytes - at < job->block ? bytes - at : job->block};
            return true;
        }
    return false;
}

static mu_err post(comm_mpi *self, mpi_job *job)
{
    int tag = FIRST_TAG + (int)(job->ticket % N_TAGS);
    message m;
    while (job->in.begun - job->in.ended < SLOTS && next_message(self, job, &job->in, &m)) {
        unsigned i = job->in.begun % SLOTS;
        unsigned char *to = job->state == REDUCING ? job->slot[i] : job->whole + begin_of(job, m.peer) + m.at;
        MU_TRY_MPI(MPI_Irecv(to, (int)m.n, MPI_BYTE, m.peer, tag, self->comm, &job->recv[i]));
        job->arriving[i] = m;
        job->in.begun++;
    }
    while (job->out.begun - job->out.ended < WINDOW && next_message(self, job, &job->out, &m)) {
        const unsigned char *from = job->state == REDUCING ? job->from + begin_of(job, m.peer) : job->own;
        MU_TRY_MPI(
            MPI_Isend(from + m.at, (int)m.n, MPI_BYTE, m.peer, tag, self->comm, &job->send[job->out.begun % WINDOW]));
        job->out.begun++;
    }
    return MU_OK;
}

/* Which rank's bytes come last of a block's, so that the sum is whole? */
static bool is_last(const comm_mpi *self, const mpi_job *job, int peer)
{
    return peer == peer_of(self, job, false, self->base.size - 1);
}

/* The slot's bytes join the sum. In ascending order that of the ranks before this one grows aside, for the slice is
 * still wanted. */
static void combine(const comm_mpi *self, mpi_job *job, unsigned slot)
{
    message m = job->arriving[slot];
    int rank = self->base.rank;
    int64_t count = (int64_t)(m.n / mu_dtype_size(job->dtype));
    unsigned char *result = job->own + m.at, *sum = job->slot[SLOTS];
    if (!job->ascending || m.peer > rank) {
        mu_reduce(result, job->slot[slot], count, job->dtype, job->op);
    } else if (m.peer == 0) {
        job->slot[SLOTS] = job->slot[slot];
        job->slot[slot] = sum;
        sum = job->slot[SLOTS];
    } else {
        mu_reduce(sum, job->slot[slot], count, job->dtype, job->op);
    }
    if (job->ascending && m.peer == rank - 1) {
        mu_reduce(sum, result, count, job->dtype, job->op);
        memcpy(result, sum, m.n);
    }
    if (job->mean && is_last(self, job, m.peer))
        mu_divide(result, count, job->dtype, self->base.size); /* while it is in the cache */
}

static void begin_phase(mpi_job *job, job_state state)
{
    job->state = state;
    job->out = job->in = (stream){0};
}

/* Takes what has arrived and sends what there is room for; *moved: something happened. */
static mu_err drive(comm_mpi *self, mpi_job *job, bool *moved)
{
    MU_TRY(post(self, job));
    for (int complete = 1; complete && job->in.ended != job->in.begun;) {
        unsigned i = job->in.ended % SLOTS;
        MU_TRY_MPI(MPI_Test(&job->recv[i], &complete, MPI_STATUS_IGNORE));
        if (!complete)
            break;
        if (job->state == REDUCING)
            combine(self, job, i);
        job->in.ended++;
        *moved = true;
        MU_TRY(post(self, job));
    }
    for (int complete = 1; complete && job->out.ended != job->out.begun;) {
        MU_TRY_MPI(MPI_Test(&job->send[job->out.ended % WINDOW], &complete, MPI_STATUS_IGNORE));
        if (!complete)
            break;
        job->out.ended++;
        *moved = true;
    }
    MU_TRY(post(self, job));
    if (job->in.ended != job->in.begun || job->out.ended != job->out.begun)
        return MU_OK;
    *moved = true;
    if (job->state == REDUCING && job->gathers) {
        begin_phase(job, GATHERING);
    } else {
        job->state = FREE;
        self->busy--;
    }
    return MU_OK;
}

mu_err mpi_jobs_drive(comm_mpi *self)
{
    for (bool moved = true; moved && self->busy > 0;) {
        moved = false;
        for (mpi_job *job = self->jobs; job; job = job->next)
            if (job->state != FREE)
                MU_TRY(drive(self, job, &moved));
    }
    return MU_OK;
}

mu_err mpi_jobs_settle(comm_mpi *self)
{
    while (self->busy > 0)
        MU_TRY(mpi_jobs_drive(self));
    return MU_OK;
}

bool mpi_job_done(const mu_request *request)
{
    const mpi_job *job = request->job;
    return !job || job->state == FREE || job->ticket != request->ticket;
}

static mu_err add_job(comm_mpi *self)
{
    mpi_job *job;
    MU_TRY(mu_calloc(&job, 1, sizeof *job));
    mu_err err = mu_alloc(&job->memory, (size_t)(SLOTS + 1) * BLOCK);
    if (err != MU_OK) {
        mu_free(job);
        return mu_error_trace(err, __FILE__, __LINE__, __func__);
    }
    for (size_t i = 0; i <= SLOTS; i++)
        job->slot[i] = job->memory + i * BLOCK;
    job->next = self->jobs;
    self->jobs = job;
    return MU_OK;
}

mu_err mpi_jobs_make(comm_mpi *self)
{
    for (int i = 0; i < MU_COMM_INFLIGHT; i++)
        MU_TRY(add_job(self));
    return MU_OK;
}

mu_err mpi_jobs_reserve(comm_mpi *self)
{
    if (self->jobs)
        return MU_OK;
    mu_err err = mu_comm_agree(&self->base, mpi_jobs_make(self));
    if (err != MU_OK)
        mpi_jobs_free(self);
    MU_TRY(err);
    return MU_OK;
}

void mpi_jobs_free(comm_mpi *self)
{
    for (mpi_job *job = self->jobs, *next; job; job = next) {
        next = job->next;
        mu_free(job->memory);
        mu_free(job);
    }
    self->jobs = NULL;
}

static mpi_job *find_free(const comm_mpi *self)
{
    for (mpi_job *job = self->jobs; job; job = job->next)
        if (job->state == FREE)
            return job;
    return NULL;
}

/* Without memory for one more job it waits for one of those that there are. */
static mu_err take_job(comm_mpi *self, mpi_job **out)
{
    MU_TRY(mpi_jobs_reserve(self));
    if (!find_free(self) && add_job(self) != MU_OK)
        mu_error_clear();
    while (!(*out = find_free(self)))
        MU_TRY(mpi_jobs_drive(self));
    return MU_OK;
}

mu_err mpi_job_start(comm_mpi *self, mu_request *request)
{
    mpi_job *job;
    bool moved = false;
    size_t width = mu_dtype_size(request->dtype), bytes = (size_t)request->count * width,
           ranks = (size_t)self->base.size;
    size_t limit = self->base.chunk < BLOCK ? (size_t)self->base.chunk / width * width : BLOCK;
    MU_TRY(take_job(self, &job));
    job->ticket = ++self->ticket;
    job->dtype = request->dtype;
    job->op = request->op;
    job->mean = request->mean;
    request->mean = false;
    job->ascending = self->fixed_order;
    job->gathers = request->kind != MU_REQUEST_REDUCE_SCATTER;
    job->broadcasts = request->kind == MU_REQUEST_BROADCAST;
    job->root = request->root;
    job->slice = bytes;
    job->total = bytes * ranks;
    job->own = job->whole = request->data;
    job->from = request->send ? request->send : request->data;
    if (request->kind == MU_REQUEST_ALL_REDUCE)
        job->slice = ((size_t)request->count + ranks - 1) / ranks * width;
    if (job->broadcasts || request->kind == MU_REQUEST_ALL_REDUCE)
        job->total = bytes;
    if (request->kind != MU_REQUEST_REDUCE_SCATTER)
        job->own += begin_of(job, self->base.rank);
    const unsigned char *mine =
        request->kind == MU_REQUEST_ALL_GATHER ? job->from : job->from + begin_of(job, self->base.rank);
    size_t n = bytes_of(job, self->base.rank);
    if (n && mine != job->own)
        memcpy(job->own, mine, n);
    job->block = limit > width ? limit : width;
    job->n_blocks = (job->slice + job->block - 1) / job->block;
    begin_phase(job, job->broadcasts || request->kind == MU_REQUEST_ALL_GATHER ? GATHERING : REDUCING);
    self->busy++;
    request->job = job;
    request->ticket = job->ticket;
    MU_TRY(drive(self, job, &moved));
    return MU_OK;
}

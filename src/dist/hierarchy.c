#include "dist/hierarchy.h"

#include "core/mem.h"

/* Each phase has a communicator of its own, on which all ranks start it in the order of the reductions: when a rank
 * gets to it in one of them depends on nobody's timing. */
enum { INSIDE, ACROSS, BACK, PHASES };

typedef struct stage stage;
struct stage {
    stage *next;
    uint64_t ticket;
    int phase; /* the one that is under way */
    unsigned char *data, *slice;
    int64_t count, each; /* elements of data, of a slice */
    mu_dtype dtype;
    mu_comm_op op;
    mu_request step, rest; /* rest: what the slices leave over */
};

typedef struct {
    mu_comm base;
    mu_comm *comm;         /* borrowed */
    mu_comm *part[PHASES]; /* all NULL: everything is left to comm. ACROSS is NULL on ranks that have no part in it */
    bool even;             /* all nodes have as many ranks */
    int slices;            /* their number, or 1: the same on all ranks */
    stage *busy, *free;    /* busy ones in the order of their starts */
    uint64_t ticket;
} hierarchy;

static hierarchy *hierarchy_of(mu_comm *comm)
{
    return (hierarchy *)comm;
}

static mu_err start_phase(hierarchy *self, stage *job)
{
    mu_comm *part = self->part[job->phase];
    if (!part)
        return MU_OK;
    part->chunk = self->base.chunk;
    if (!self->even && job->phase == BACK)
        MU_TRY(mu_comm_start_broadcast(part, job->data, job->count, job->dtype, 0, &job->step));
    else if (!self->even)
        MU_TRY(mu_comm_start_all_reduce(part, job->data, job->count, job->dtype, job->op, &job->step));
    else if (job->phase == INSIDE)
        MU_TRY(mu_comm_start_reduce_scatter(part, job->data, job->slice, job->each, job->dtype, job->op, &job->step));
    else if (job->phase == ACROSS)
        MU_TRY(mu_comm_start_all_reduce(part, job->slice, job->each, job->dtype, job->op, &job->step));
    else
        MU_TRY(mu_comm_start_all_gather(part, job->slice, job->data, job->each, job->dtype, &job->step));
    return MU_OK;
}

/* As far as it goes now; `last`: the phase of the one before it. */
static mu_err advance(hierarchy *self, stage *job, int last, bool *done)
{
    bool complete;
    *done = false;
    for (;;) {
        MU_TRY(mu_request_test(&job->step, &complete));
        if (complete && job->phase == BACK) {
            MU_TRY(mu_request_test(&job->rest, done));
            return MU_OK;
        }
        if (!complete || job->phase == last)
            return MU_OK;
        job->phase++;
        MU_TRY(start_phase(self, job));
    }
}

static mu_err drive(hierarchy *self)
{
    int last = BACK;
    for (stage **at = &self->busy; *at;) {
        stage *job = *at;
        bool done;
        MU_TRY(advance(self, job, last, &done));
        if (done) {
            *at = job->next;
            job->next = self->free;
            job->ticket = 0;
            self->free = job;
        } else {
            last = job->phase;
            at = &job->next;
        }
    }
    return MU_OK;
}

/* What the oldest one waits for comes from ranks that are in it too, or drive it on while they wait for another. */
static mu_err wait_for_oldest(hierarchy *self)
{
    stage *job = self->busy;
    MU_TRY(mu_request_wait(&job->step));
    if (job->phase == BACK)
        MU_TRY(mu_request_wait(&job->rest));
    MU_TRY(drive(self));
    return MU_OK;
}

static mu_err settle(hierarchy *self)
{
    while (self->busy)
        MU_TRY(wait_for_oldest(self));
    self->comm->chunk = self->base.chunk;
    return MU_OK;
}

static mu_err add_job(hierarchy *self)
{
    stage *job;
    MU_TRY(mu_calloc(&job, 1, sizeof *job));
    job->next = self->free;
    self->free = job;
    return MU_OK;
}

static bool is_done(const mu_request *request)
{
    const stage *job = request->job;
    return !job || job->ticket != request->ticket;
}

static mu_err hierarchy_start(mu_comm *comm, mu_request *request)
{
    hierarchy *self = hierarchy_of(comm);
    int64_t each = request->count / self->slices, rest = request->count % self->slices;
    if (!self->part[INSIDE] || request->kind != MU_REQUEST_ALL_REDUCE || each == 0) {
        self->comm->chunk = comm->chunk;
        MU_TRY(self->comm->ops->start(self->comm, request));
        return MU_OK;
    }
    if (!self->free && add_job(self) != MU_OK)
        mu_error_clear(); /* one of those that there are will do */
    while (!self->free)
        MU_TRY(wait_for_oldest(self));
    stage *job = self->free, **end = &self->busy;
    size_t width = mu_dtype_size(request->dtype);
    self->free = job->next;
    while (*end)
        end = &(*end)->next;
    *job =
        (stage){.ticket = ++self->ticket,
                .data = request->data,
                .slice = (unsigned char *)request->data + (size_t)(each * (self->even ? comm->local_rank : 0)) * width,
                .count = request->count,
                .each = each,
                .dtype = request->dtype,
                .op = request->op};
    *end = job;
    request->job = job;
    request->staged = true;
    request->ticket = job->ticket;
    MU_TRY(start_phase(self, job));
    if (rest > 0) {
        self->comm->chunk = comm->chunk;
        MU_TRY(mu_comm_start_all_reduce(self->comm, job->data + (size_t)(request->count - rest) * width, rest,
                                        job->dtype, job->op, &job->rest));
    }
    MU_TRY(drive(self));
    return MU_OK;
}

static mu_err hierarchy_test(mu_comm *comm, mu_request *request, bool *done)
{
    hierarchy *self = hierarchy_of(comm);
    MU_TRY(drive(self));
    if (request->staged)
        *done = is_done(request);
    else
        MU_TRY(self->comm->ops->test(self->comm, request, done));
    return MU_OK;
}

static mu_err hierarchy_wait(mu_comm *comm, mu_request *request)
{
    hierarchy *self = hierarchy_of(comm);
    while (request->staged && !is_done(request))
        MU_TRY(wait_for_oldest(self));
    for (bool done = request->staged; !done && self->busy;)
        MU_TRY(hierarchy_test(comm, request, &done));
    if (!request->staged)
        MU_TRY(self->comm->ops->wait(self->comm, request));
    return MU_OK;
}

static mu_err hierarchy_all_reduce(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, mu_comm_op op)
{
    hierarchy *self = hierarchy_of(comm);
    if (!self->part[INSIDE] || count < self->slices) {
        MU_TRY(settle(self));
        MU_TRY(self->comm->ops->all_reduce(self->comm, data, count, dtype, op));
        return MU_OK;
    }
    mu_request request = {.comm = comm, .data = data, .count = count, .dtype = dtype, .op = op};
    MU_TRY(hierarchy_start(comm, &request));
    MU_TRY(hierarchy_wait(comm, &request));
    return MU_OK;
}

/* What is left to comm. */
#define DELEGATE(call)                                                                                                 \
    do {                                                                                                               \
        hierarchy *self = hierarchy_of(comm);                                                                          \
        MU_TRY(settle(self));                                                                                          \
        comm = self->comm;                                                                                             \
        MU_TRY(comm->ops->call);                                                                                       \
        return MU_OK;                                                                                                  \
    } while (0)

static mu_err hierarchy_barrier(mu_comm *comm)
{
    DELEGATE(barrier(comm));
}

static mu_err hierarchy_broadcast(mu_comm *comm, void *data, size_t size, int root)
{
    DELEGATE(broadcast(comm, data, size, root));
}

static mu_err hierarchy_all_gather(mu_comm *comm, const void *send, size_t size, void *recv)
{
    DELEGATE(all_gather(comm, send, size, recv));
}

static mu_err hierarchy_gather(mu_comm *comm, const void *send, size_t size, void *recv, int root)
{
    DELEGATE(gather(comm, send, size, recv, root));
}

static mu_err hierarchy_all_gather_bytes(mu_comm *comm, const void *send, size_t size, void *recv, const size_t *sizes)
{
    DELEGATE(all_gather_bytes(comm, send, size, recv, sizes));
}

static mu_err hierarchy_gather_bytes(mu_comm *comm, const void *send, size_t size, void *recv, const size_t *sizes,
                                     int root)
{
    DELEGATE(gather_bytes(comm, send, size, recv, sizes, root));
}

static mu_err hierarchy_split(mu_comm *comm, int color, int key, mu_comm **out)
{
    DELEGATE(split(comm, color, key, out));
}

static mu_err hierarchy_set_fixed_order(mu_comm *comm, bool on)
{
    hierarchy *self = hierarchy_of(comm);
    MU_TRY(settle(self));
    MU_TRY(mu_comm_set_fixed_order(self->comm, on));
    for (int i = 0; i < PHASES; i++)
        if (self->part[i])
            MU_TRY(mu_comm_set_fixed_order(self->part[i], on));
    return MU_OK;
}

static mu_err hierarchy_post(mu_comm *comm, const void *note, size_t size, int to)
{
    DELEGATE(post(comm, note, size, to));
}

static mu_err hierarchy_poll(mu_comm *comm, void *note, size_t size, int *from)
{
    DELEGATE(poll(comm, note, size, from));
}

static void hierarchy_abort_all(mu_comm *comm, int status)
{
    mu_comm_abort(hierarchy_of(comm)->comm, status);
}

static void release_parts(hierarchy *self)
{
    for (int i = 0; i < PHASES; i++) {
        mu_comm_release(self->part[i]);
        self->part[i] = NULL;
    }
}

static void hierarchy_release(mu_comm *comm)
{
    hierarchy *self = hierarchy_of(comm);
    release_parts(self);
    for (int i = 0; i < 2; i++)
        for (stage *job = i == 0 ? self->busy : self->free, *next; job; job = next) {
            next = job->next;
            mu_free(job);
        }
    mu_free(self);
}

static mu_err hierarchy_make(hierarchy **out)
{
    static const mu_comm_ops ops = {
        .name = "hierarchy",
        .release = hierarchy_release,
        .barrier = hierarchy_barrier,
        .broadcast = hierarchy_broadcast,
        .all_reduce = hierarchy_all_reduce,
        .all_gather = hierarchy_all_gather,
        .gather = hierarchy_gather,
        .all_gather_bytes = hierarchy_all_gather_bytes,
        .gather_bytes = hierarchy_gather_bytes,
        .start = hierarchy_start,
        .wait = hierarchy_wait,
        .test = hierarchy_test,
        .split = hierarchy_split,
        .set_fixed_order = hierarchy_set_fixed_order,
        .post = hierarchy_post,
        .poll = hierarchy_poll,
        .abort_all = hierarchy_abort_all,
    };
    MU_TRY(mu_calloc(out, 1, sizeof **out));
    (*out)->base.ops = &ops;
    for (int i = 0; i < MU_COMM_INFLIGHT; i++)
        MU_TRY(add_job(*out));
    return MU_OK;
}

/* Whatever a part does with its first message, such as making room, is done here: not while ranks wait for each other
 * elsewhere. */
static mu_err warm_up(hierarchy *self)
{
    for (int i = 0; i < PHASES; i++) {
        mu_err err = MU_OK;
        if (self->part[i])
            err = mu_comm_reduce_scatter(self->part[i], NULL, NULL, 0, MU_F32, MU_COMM_SUM);
        MU_TRY(mu_comm_agree(self->comm, err));
    }
    return MU_OK;
}

static mu_err split_up(hierarchy *self, int color)
{
    mu_comm *comm = self->comm;
    MU_TRY(mu_comm_split(comm, color, comm->rank, &self->part[INSIDE]));
    int rank = self->part[INSIDE]->rank, size = self->part[INSIDE]->size;
    int64_t most[2] = {size, -size};
    self->base.local_rank = rank;
    self->base.local_size = size;
    MU_TRY(mu_comm_all_reduce(comm, most, 2, MU_I64, MU_COMM_MAX));
    if (most[0] == 1 || most[0] == comm->size) {
        release_parts(self);
        return MU_OK;
    }
    self->even = most[0] == -most[1];
    self->slices = self->even ? size : 1;
    MU_TRY(mu_comm_split(comm, self->even ? rank : rank == 0 ? 0 : -1, comm->rank, &self->part[ACROSS]));
    MU_TRY(mu_comm_split(comm, color, comm->rank, &self->part[BACK]));
    MU_TRY(warm_up(self));
    return MU_OK;
}

mu_err mu_comm_hierarchy_of(mu_comm *comm, int color, mu_comm **out)
{
    hierarchy *self = NULL;
    mu_err err = hierarchy_make(&self);
    if (err == MU_OK && color < 0)
        err = MU_FAIL(MU_ERR_USAGE, "hierarchy: color %d: expected 0 or more", color);
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), failed);
    const mu_comm_ops *ops = self->base.ops;
    self->comm = comm;
    self->slices = 1;
    self->base = (mu_comm){.ops = ops,
                           .rank = comm->rank,
                           .size = comm->size,
                           .node = color,
                           .threads = comm->threads,
                           .chunk = comm->chunk};
    MU_TRY_GOTO(err, split_up(self, color), failed);
    *out = &self->base;
    return MU_OK;
failed:
    if (self)
        hierarchy_release(&self->base);
    return err;
}

mu_err mu_comm_hierarchy_new(mu_comm *comm, mu_comm **out)
{
    MU_TRY(mu_comm_hierarchy_of(comm, comm->node, out));
    return MU_OK;
}

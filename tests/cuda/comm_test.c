/* Collectives between devices: alone, and by comm_test.sh under mpirun, a device for each rank. Arguments: how the ranks fall out with each other. */
#include "config.h"

#include "backend/host.h"
#include "core/clock.h"
#include "core/mem.h"
#include "mpi/ranks.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static mu_backend *device;
static mu_device_comm *devices;
static const mu_backend_ops *ops;

static void *block(size_t bytes)
{
    void *at = NULL;
    OK(ops->alloc(device, bytes, &at));
    return at;
}

static double get(mu_dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case MU_F32: return ((const float *)data)[i];
    case MU_F16: return mu_f16_to_f32(((const uint16_t *)data)[i]);
    case MU_BF16: return mu_bf16_to_f32(((const uint16_t *)data)[i]);
    case MU_F64: return ((const double *)data)[i];
    case MU_I64: return (double)((const int64_t *)data)[i];
    case MU_I32: return ((const int32_t *)data)[i];
    default: return ((const uint8_t *)data)[i];
    }
}

static void put(mu_dtype dtype, void *data, int64_t i, double x)
{
    switch (dtype) {
    case MU_F32: ((float *)data)[i] = (float)x; break;
    case MU_F16: ((uint16_t *)data)[i] = mu_f32_to_f16((float)x); break;
    case MU_BF16: ((uint16_t *)data)[i] = mu_f32_to_bf16((float)x); break;
    case MU_F64: ((double *)data)[i] = x; break;
    case MU_I64: ((int64_t *)data)[i] = (int64_t)x; break;
    case MU_I32: ((int32_t *)data)[i] = (int32_t)x; break;
    default: ((uint8_t *)data)[i] = (uint8_t)x; break;
    }
}

/* Element i of rank r, such that sums and means are exact in all dtypes. */
static double value(mu_dtype dtype, int r, int64_t i)
{
    return dtype == MU_BOOL ? (i + r) % 3 == 0 : (double)((i * 5 + r * 12) % 32);
}

static double reduced(mu_dtype dtype, mu_comm_op op, int64_t i)
{
    double sum = 0, most = 0;
    for (int r = 0; r < world->size; r++) {
        double x = value(dtype, r, i);
        sum += x;
        most = x > most ? x : most;
    }
    return op == MU_COMM_MAX || dtype == MU_BOOL ? most : op == MU_COMM_MEAN ? sum / world->size : sum;
}

/* What the collective leaves in element i of its data. */
static double expected(const mu_collective *what, int64_t i)
{
    switch (what->kind) {
    case MU_REQUEST_ALL_REDUCE: return reduced(what->dtype, what->op, i);
    case MU_REQUEST_REDUCE_SCATTER: return reduced(what->dtype, what->op, what->count * world->rank + i);
    case MU_REQUEST_ALL_GATHER: return value(what->dtype, (int)(i / what->count), i % what->count);
    default: return value(what->dtype, what->root, i);
    }
}

/* One collective; in_place: a slice in its place in the larger buffer. recorded: from a recording, replayed twice. */
static void one(mu_collective what, bool in_place, bool recorded, mu_lane lane)
{
    int64_t n = world->size, sent = what.count, got = what.count;
    size_t width = mu_dtype_size(what.dtype);
    bool scatters = what.kind == MU_REQUEST_REDUCE_SCATTER, gathers = what.kind == MU_REQUEST_ALL_GATHER;
    mu_recording *recording = NULL;
    sent *= scatters ? n : 1;
    got *= gathers ? n : 1;
    int64_t most = sent > got ? sent : got;
    char *send = block((size_t)most * width), *data = scatters || gathers ? block((size_t)got * width) : send, *own = data, *host;
    OK(mu_alloc(&host, (size_t)most * width + 1));
    if (in_place && scatters)
        data = send + (size_t)(what.count * world->rank) * width;
    char *from = in_place && gathers ? data + (size_t)(what.count * world->rank) * width : send;
    what.send = from;
    what.data = data;
    if (recorded) {
        OK(ops->record_begin(device));
        OK(ops->collect(device, devices, lane, &what));
        mu_err err = ops->record_end(device, &recording);
        CHECK(err == MU_OK || what.count == 0);
    }
    for (int round = 0; round < (recorded ? 2 : 1); round++) {
        for (int64_t i = 0; i < sent; i++)
            put(what.dtype, host, i, value(what.dtype, world->rank, i));
        OK(ops->upload(device, from, host, (size_t)sent * width));
        OK(recorded && recording ? ops->replay(device, recording) : ops->collect(device, devices, lane, &what));
        OK(ops->synchronize(device));
        OK(ops->download(device, host, data, (size_t)got * width));
        int64_t wrong = 0;
        for (int64_t i = 0; i < got; i++)
            wrong += get(what.dtype, host, i) != expected(&what, i);
        CHECK(wrong == 0, "kind %d of %lld %s, op %d: %lld are wrong", what.kind, (long long)what.count, mu_dtype_name(what.dtype), what.op,
              (long long)wrong);
    }
    ops->recording_release(device, recording);
    ops->dealloc(device, send);
    if (own != send)
        ops->dealloc(device, own);
    mu_free(host);
}

static void all_kinds(int64_t count, mu_dtype dtype, bool recorded)
{
    static const mu_comm_op of[] = {MU_COMM_SUM, MU_COMM_MAX, MU_COMM_MEAN};
    for (int i = 0; i < (mu_dtype_is_float(dtype) ? 3 : 2); i++) {
        one((mu_collective){.kind = MU_REQUEST_ALL_REDUCE, .count = count, .dtype = dtype, .op = of[i]}, true, recorded, MU_LANE_KERNELS);
        for (int in_place = 0; in_place < 2; in_place++)
            one((mu_collective){.kind = MU_REQUEST_REDUCE_SCATTER, .count = count, .dtype = dtype, .op = of[i]}, in_place, recorded,
                MU_LANE_KERNELS);
    }
    for (int in_place = 0; in_place < 2; in_place++)
        one((mu_collective){.kind = MU_REQUEST_ALL_GATHER, .count = count, .dtype = dtype}, in_place, recorded, MU_LANE_KERNELS);
    for (int root = 0; root < world->size; root++)
        one((mu_collective){.kind = MU_REQUEST_BROADCAST, .count = count, .dtype = dtype, .root = root}, true, recorded, MU_LANE_KERNELS);
}

static void conforms(void)
{
    static const mu_dtype dtypes[] = {MU_F32, MU_F16, MU_BF16, MU_F64, MU_I64, MU_I32, MU_U8, MU_BOOL};
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
        all_kinds(0, dtypes[d], false);
        all_kinds(1, dtypes[d], false);
        all_kinds(1237, dtypes[d], false);
    }
    all_kinds(70001, MU_F32, false); /* several pieces, the last of which is not whole */
    all_kinds(1237, MU_F32, true);
    all_kinds(300001, MU_BF16, true);
}

static void refuses(void)
{
    void *at = block(64);
    mu_collective what = {.kind = MU_REQUEST_ALL_REDUCE, .data = at, .count = 4, .dtype = MU_I32, .op = MU_COMM_MEAN};
    if (world->size > 1)
        FAILS(ops->collect(device, devices, MU_LANE_KERNELS, &what), MU_ERR_USAGE, "a mean of i32");
    what.op = MU_COMM_PRODUCT;
    if (world->size > 1)
        FAILS(ops->collect(device, devices, MU_LANE_KERNELS, &what), MU_ERR_UNSUPPORTED, "\"product\": expected sum, mean or max");
    what.count = -1;
    FAILS(ops->collect(device, devices, MU_LANE_KERNELS, &what), MU_ERR_USAGE, "-1 elements");
    OK(ops->comm_check(device, devices));
    ops->dealloc(device, at);
}

static mu_err all_reduce(mu_device_comm *comm, mu_lane lane, float *data, int64_t count)
{
    return ops->collect(device, comm, lane,
                        &(mu_collective){.kind = MU_REQUEST_ALL_REDUCE, .data = data, .count = count, .dtype = MU_F32, .op = MU_COMM_SUM});
}

/* Two communicators in two lanes: what is in one does not hold up the other. */
static void two_lanes(void)
{
    mu_device_comm *other = NULL;
    float ones[100], *a = block(sizeof ones), *b = block(sizeof ones);
    for (int i = 0; i < 100; i++)
        ones[i] = 1;
    OK(ops->comm_open(device, world, &other));
    OK(ops->upload(device, a, ones, sizeof ones));
    OK(ops->upload(device, b, ones, sizeof ones));
    OK(ops->synchronize(device));
    for (int i = 0; i < 4; i++) {
        OK(all_reduce(devices, MU_LANE_KERNELS, a, 100));
        OK(all_reduce(other, MU_LANE_RANKS, b, 100));
    }
    OK(ops->synchronize(device));
    ops->comm_close(device, other); /* behind what it has been given */
    double wanted = 1;
    for (int i = 0; i < 4; i++)
        wanted *= world->size;
    for (int k = 0; k < 2; k++) {
        OK(ops->download(device, ones, k ? b : a, sizeof ones));
        CHECK(ones[0] == wanted && ones[99] == wanted, "%g instead of %g", (double)ones[99], wanted);
    }
    ops->dealloc(device, a);
    ops->dealloc(device, b);
}

static mu_recording *record_reduce(mu_device_comm *comm, float *data, int64_t count)
{
    mu_recording *recording = NULL;
    OK(ops->record_begin(device));
    OK(all_reduce(comm, MU_LANE_KERNELS, data, count));
    OK(ops->record_end(device, &recording));
    return recording;
}

/* NCCL ends a communicator when there is no recording of it any more: those that are left cannot be replayed. */
static void closes_before_recording(void)
{
    mu_device_comm *other = NULL;
    float *data = block(4000);
    OK(ops->comm_open(device, world, &other));
    mu_recording *kept = record_reduce(devices, data, 1000), *lost = record_reduce(other, data, 1000);
    int64_t unbound = device->n_unbound;
    OK(ops->replay(device, kept));
    OK(ops->replay(device, lost));
    ops->comm_close(device, other);
    OK(ops->synchronize(device));
    CHECK(device->n_unbound > unbound); /* spans forget what they have noted */
    if (world->size > 1)
        FAILS(ops->replay(device, lost), MU_ERR_COMM, "a communicator that was closed");
    OK(ops->replay(device, kept));
    OK(ops->synchronize(device));
    ops->recording_release(device, lost);
    ops->recording_release(device, kept);
    ops->dealloc(device, data);
}

/* ---- those who fall out with each other ---- */

/* One rank cannot connect: all hear of it. */
static void one_cannot_open(void)
{
    mu_device_comm *none = NULL;
    if (world->rank == world->size - 1)
        setenv("MUSTER_EMULATE_ERROR", "nccl", 1);
    char who[64];
    snprintf(who, sizeof who, "rank %d/%d: NCCL: unhandled system error", world->size - 1, world->size);
    FAILS(ops->comm_open(device, world, &none), MU_ERR_COMM, who);
    CHECK(strstr(mu_error_last()->message, "as MUSTER_EMULATE_ERROR wants it"));
    CHECK(strstr(mu_error_last()->hint, "NCCL_DEBUG=INFO"));
    CHECK(!none);
    unsetenv("MUSTER_EMULATE_ERROR");
    OK(ops->comm_open(device, world, &none)); /* nothing is left of it */
    ops->comm_close(device, none);
}

static void say(const char *text)
{
    printf("rank %d: %s\n", world->rank, text);
    fflush(stdout);
}

static void *give_up(void *user)
{
    (void)user;
    mu_err err;
    while ((err = ops->comm_check(device, devices)) == MU_OK)
        usleep(20000);
    say(mu_error_last()->message);
    ops->comm_abort(device, devices);
    return NULL;
}

/* The last rank dies; the others' devices wait for it until another thread gives up. mpirun is told to leave them the time. */
static void one_dies(void)
{
    pthread_t thread;
    float *data = block(4000);
    signal(SIGTERM, SIG_IGN);
    mu_recording *recording = record_reduce(devices, data, 1000);
    OK(ops->replay(device, recording));
    OK(ops->synchronize(device));
    OK(mu_comm_barrier(world));
    if (world->rank == world->size - 1)
        kill(getpid(), SIGKILL);
    OK(ops->replay(device, recording));
    CHECK(pthread_create(&thread, NULL, give_up, NULL) == 0);
    double begun = mu_clock();
    OK(ops->synchronize(device));
    pthread_join(thread, NULL);
    CHECK(mu_clock() - begun < 20);
    FAILS(ops->comm_check(device, devices), MU_ERR_COMM, "was given up");
    FAILS(all_reduce(devices, MU_LANE_KERNELS, data, 1000), MU_ERR_COMM, "was given up");
    ops->comm_close(device, devices);
    OK(ops->synchronize(device)); /* the recording held nobody up */
    ops->recording_release(device, recording);
    ops->dealloc(device, data);
    mu_backend_close(device);
    say(failures ? "failed" : "came out of it");
    _exit(failures != 0); /* without the dead one there is no end of MPI */
}

/* Ranks that do different things are told by the emulated device; a real one would wait or take what comes. */
static void they_differ(void)
{
    float *data = block(4000);
    OK(all_reduce(devices, MU_LANE_KERNELS, data, world->rank == 0 ? 1000 : 999));
    mu_err err = ops->synchronize(device);
    CHECK(err == MU_ERR_BACKEND);
    CHECK(strstr(mu_error_last()->message, "all-reduce of 1000 f32") && strstr(mu_error_last()->message, "all-reduce of 999 f32"), "%s",
          mu_error_last()->message);
    ops->dealloc(device, data);
}

static void they_cross(void)
{
    mu_device_comm *other = NULL, *order[2];
    float *data = block(4000);
    OK(ops->comm_open(device, world, &other));
    order[world->rank == 0] = devices;
    order[world->rank != 0] = other;
    for (int i = 0; i < 2; i++)
        OK(all_reduce(order[i], MU_LANE_KERNELS, data, 1000));
    mu_err err = ops->synchronize(device);
    CHECK(err == MU_ERR_BACKEND);
    CHECK(strstr(mu_error_last()->message, "a deadlock"), "%s", mu_error_last()->message);
    OK(mu_comm_barrier(world));
    ops->comm_close(device, other);
    ops->dealloc(device, data);
}

/* All ranks on the first device: NCCL refuses, and all hear of it. */
static void one_device(void)
{
    FAILS(ops->comm_open(device, world, &devices), MU_ERR_COMM, "Duplicate GPU detected");
    CHECK(!devices);
}

static bool open_device(bool shared)
{
    int n = 0;
    if (mu_backend_cuda.devices(NULL, 0, &n) != MU_OK || n < world->local_size) {
        printf("skipped: %d ranks and %d devices\n", world->local_size, n);
        return false;
    }
    OK(mu_backend_open("cuda", &(mu_backend_options){.device = shared ? 0 : world->local_rank, .cache_dir = ""}, &device));
    if (!device)
        exit(1);
    ops = device->ops;
    return true;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } quarrels[] = {{"fail", one_cannot_open}, {"die", one_dies}, {"differ", they_differ}, {"cross", they_cross}};
    ranks_begin();
    bool shared = argc > 1 && strcmp(argv[1], "shared") == 0;
    if (!open_device(shared))
        return 77;
    if (shared) {
        one_device();
    } else {
        OK(ops->comm_open(device, world, &devices));
        if (!devices)
            return 1;
    }
    for (size_t i = 0; i < sizeof quarrels / sizeof *quarrels; i++)
        if (argc > 1 && strcmp(argv[1], quarrels[i].name) == 0)
            quarrels[i].run();
    if (argc == 1) {
        conforms();
        refuses();
        two_lanes();
        closes_before_recording();
    }
    ops->comm_close(device, devices);
    ops->comm_close(device, NULL);
    mu_backend_close(device);
    return ranks_end();
}

/* Notes, what a thread is seen doing, several threads, a slowed network, and the launch. */
#include "mpi/comm_checks.h"

#include "core/clock.h"
#include "dist/delay.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Every rank writes to every other, twice; what comes from one rank comes in order. */
void check_notes(void)
{
    int64_t note[4], seen[MAX_RANKS] = {0};
    int from, me = world->rank, n = world->size;
    mu_comm *own;
    OK(mu_comm_split(world, 0, me, &own));
    for (int i = 0; i < 2 * n; i++) {
        int64_t words[4] = {me, i / n, i % n, 99};
        if (i % n != me)
            OK(mu_comm_post(own, words, sizeof words, i % n));
    }
    for (int left = 2 * (n - 1); left > 0;) {
        OK(mu_comm_poll(own, note, sizeof note, &from));
        if (from < 0)
            continue;
        CHECK(note[0] == from && note[1] == seen[from] && note[2] == me && note[3] == 99);
        seen[from]++;
        left--;
    }
    OK(mu_comm_poll(own, note, sizeof note, &from));
    CHECK(from == -1);
    OK(mu_comm_barrier(world));
    FAILS(mu_comm_post(own, note, sizeof note, n), MU_ERR_USAGE, "is not a rank");
    FAILS(mu_comm_post(own, note, sizeof note, me), MU_ERR_USAGE, "to another rank");
    FAILS(mu_comm_post(own, note, MU_NOTE_BYTES + 1, 0), MU_ERR_USAGE, "2049 bytes");
    mu_comm_release(own);
}

void check_start_broadcast(void)
{
    enum { N = 100 };
    int32_t data[2][N];
    mu_request request[2] = {0};
    for (int root = 0; root < world->size; root++) {
        for (int k = 0; k < 2; k++) {
            for (int i = 0; i < N; i++)
                data[k][i] = world->rank * 1000 + i + k;
            OK(mu_comm_start_broadcast(world, data[k], N, MU_I32, root, &request[k]));
        }
        OK(mu_request_wait(&request[1]));
        OK(mu_request_wait(&request[0]));
        for (int i = 0; i < N; i++)
            CHECK(data[0][i] == root * 1000 + i && data[1][i] == root * 1000 + i + 1);
    }
    OK(mu_comm_start_broadcast(world, NULL, 0, MU_I32, 0, &request[0]));
    OK(mu_request_wait(&request[0]));
    FAILS(mu_comm_start_broadcast(world, data, 1, MU_I32, world->size, &request[0]), MU_ERR_USAGE, "is not a rank");
}

/* Sees what another thread is doing and lets the last rank go on; then sees the end. */
typedef struct {
    mu_comm *side;
    const char *seen;
    mu_err err;
} watcher;

static void *watch(void *user)
{
    watcher *w = user;
    while (!(w->seen = atomic_load(&world->doing)))
        sched_yield();
    w->err = mu_comm_barrier(w->side);
    while (atomic_load(&world->doing))
        sched_yield();
    return NULL;
}

/* Who waits for the last rank can be seen to, by the name of the outermost call. */
void check_doing(void)
{
    static const char *const names[] = {"barrier", "all_reduce_dict", "agree", "all_reduce"};
    mu_comm *side;
    CHECK(world->doing == NULL);
    OK(mu_comm_split(world, 0, 0, &side));
    for (int call = 0; call < 4 && world->size > 1 && world->threads; call++) {
        pthread_t thread;
        watcher w = {.side = side};
        mu_named_value loss = {"loss", 1};
        float data[2] = {1, 1};
        mu_request request = {0};
        bool last = world->rank == world->size - 1;
        if (call < 3 && !last)
            CHECK(pthread_create(&thread, NULL, watch, &w) == 0);
        if (call < 3 && last)
            OK(mu_comm_barrier(side));
        if (call == 0)
            OK(mu_comm_barrier(world));
        else if (call == 1)
            OK(mu_comm_all_reduce_dict(world, &loss, 1, MU_COMM_SUM));
        else if (call == 2)
            OK(mu_comm_agree(world, MU_OK));
        if (call == 3 && last)
            OK(mu_comm_barrier(side));
        if (call == 3)
            OK(mu_comm_start_all_reduce(world, data, 2, MU_F32, MU_COMM_SUM, &request));
        if (call == 3 && !last)
            CHECK(pthread_create(&thread, NULL, watch, &w) == 0);
        OK(mu_request_wait(&request));
        if (!last) {
            pthread_join(thread, NULL);
            CHECK(w.err == MU_OK && w.seen && strcmp(w.seen, names[call]) == 0, "%s instead of %s", w.seen,
                  names[call]);
        }
        CHECK(world->doing == NULL);
    }
    mu_comm_release(side);
}

/* Two threads, two communicators: each gets its own sums. */
typedef struct {
    mu_comm *comm;
    int64_t wrong;
} worker;

static void *work(void *user)
{
    worker *w = user;
    for (int k = 0; k < 200; k++) {
        int64_t x[3] = {w->comm->rank, k, 1}, size = w->comm->size, *slice = &x[1], whole[MAX_RANKS];
        mu_request request = {0};
        w->wrong += mu_comm_all_reduce(w->comm, x, 3, MU_I64, MU_COMM_SUM) != MU_OK;
        w->wrong += x[0] != size * (size - 1) / 2 || x[1] != k * size || x[2] != size;
        w->wrong += mu_comm_start_all_gather(w->comm, slice, whole, 1, MU_I64, &request) != MU_OK;
        w->wrong += mu_request_wait(&request) != MU_OK;
        for (int64_t r = 0; r < size; r++)
            w->wrong += whole[r] != k * size;
    }
    return NULL;
}

void check_threads(void)
{
    pthread_t thread;
    worker here = {.comm = world}, there = {0};
    if (!world->threads)
        return;
    OK(mu_comm_split(world, 0, -world->rank, &there.comm));
    CHECK(pthread_create(&thread, NULL, work, &there) == 0);
    work(&here);
    pthread_join(thread, NULL);
    CHECK(here.wrong == 0 && there.wrong == 0, "%lld, %lld wrong", (long long)here.wrong, (long long)there.wrong);
    mu_comm_release(there.comm);
}

void check_delay(void)
{
    const double latency = 0.02;
    mu_comm *inner, *slow, *part;
    mu_request request[2] = {0};
    float data[2] = {1, 1};
    bool done;
    OK(mu_comm_split(world, 0, 0, &inner));
    FAILS(mu_comm_delay_new(inner, -1, 0, &slow), MU_ERR_USAGE, "-1 s");
    OK(mu_comm_delay_new(inner, latency, 0, &slow));
    OK(mu_comm_split(slow, 0, 0, &part));
    CHECK(slow->rank == world->rank && slow->size == world->size && slow->local_size == world->local_size);
    double begun = mu_clock();
    for (int k = 0; k < 2; k++)
        OK(mu_comm_start_all_reduce(slow, &data[k], 1, MU_F32, MU_COMM_SUM, &request[k]));
    OK(mu_request_test(&request[1], &done));
    CHECK(done == (world->size == 1) || mu_clock() - begun >= 2 * latency);
    OK(mu_request_wait(&request[1]));
    CHECK(world->size == 1 || mu_clock() - begun >= 2 * latency, "the second is behind the first: %g s",
          mu_clock() - begun);
    OK(mu_request_test(&request[0], &done));
    CHECK(done && data[0] == (float)world->size && data[1] == data[0]);
    begun = mu_clock();
    OK(mu_comm_barrier(slow));
    OK(mu_comm_barrier(part));
    CHECK(world->size == 1 || mu_clock() - begun >= 2 * latency, "%g s", mu_clock() - begun);
    mu_comm_release(slow);
    mu_comm_release(part);

    OK(mu_comm_split(world, 0, 0, &inner));
    OK(mu_comm_delay_new(inner, 0, latency * 1024, &slow)); /* of 1 KiB */
    char kilobyte[1024] = "";
    begun = mu_clock();
    OK(mu_comm_broadcast_bytes(slow, kilobyte, sizeof kilobyte, 0));
    CHECK(world->size == 1 || mu_clock() - begun >= latency, "%g s", mu_clock() - begun);
    mu_comm_release(slow);
}

void check_environment(void)
{
    static const char *const wrong[] = {"fast", "-1", "1,", "1,2,3", "nan", "5us"};
    mu_comm *comm;
    OK(mu_comm_split(world, 0, 0, &comm));
    mu_comm *plain = comm;
    OK(mu_comm_delay_from_environment(&comm));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("MUSTER_COMM_DELAY", wrong[i], 1);
        FAILS(mu_comm_delay_from_environment(&comm), MU_ERR_USAGE, wrong[i]);
        CHECK(comm == plain);
    }
    setenv("MUSTER_COMM_DELAY", "0,0", 1);
    OK(mu_comm_delay_from_environment(&comm));
    CHECK(comm == plain);
    setenv("MUSTER_COMM_DELAY", "1.5,20", 1);
    OK(mu_comm_delay_from_environment(&comm));
    CHECK(strcmp(comm->ops->name, "delay") == 0);
    unsetenv("MUSTER_COMM_DELAY");
    mu_comm_release(comm);
}

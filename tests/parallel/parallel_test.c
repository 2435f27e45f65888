/* MMDistributedDataParallel on parameters whose gradients are written by hand: run by itself (one rank) and under mpirun by parallel_test.sh. */
#include "parallel/parallel.h"

#include "core/cache.h"
#include "core/clock.h"
#include "core/mem.h"
#include "dist/delay.h"
#include "parallel/bucket.h"

#include "mpi/ranks.h"
#include "optim/shared.h"
#include "parallel/fake_device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Elements of the parameters; the last two are f64. */
static const int64_t counts[] = {100, 7, 300, 64, 1, 0, 1000, 33, 500, 129, 65};
enum { N_PARAMS = sizeof counts / sizeof *counts, F64_FROM = N_PARAMS - 2, MOST = 1000 };

typedef struct {
    mu_comm *comm;
    mu_backend *backend;
    mu_cfg *cfg;
    mu_parallel *parallel;
    mu_params *params;
    fake_device device; /* unless on_host */
} run;

static mu_dtype dtype_of(int p)
{
    return p >= F64_FROM ? MU_F64 : MU_F32;
}

static void run_begin(run *r, mu_comm *comm, const char *options, bool accumulates, bool on_host)
{
    mu_params_sharing sharing;
    *r = (run){.comm = comm};
    OK(mu_backend_open("cpu:ref", &(mu_backend_options){.n_threads = 1, .cache_dir = ""}, &r->backend));
    if (!on_host)
        fake_device_make(r->backend, &r->device);
    OK(shared_open(comm, options, &r->cfg, &r->parallel, &sharing));
    OK(mu_params_new(r->backend, &r->params));
    OK(mu_params_share(r->params, &sharing));
    for (int p = 0; p < N_PARAMS; p++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", p);
        OK(mu_params_declare(r->params, name, MU_TYPE(dtype_of(p), counts[p]), true));
    }
    OK(mu_params_declare(r->params, "state", MU_TYPE(MU_F32, 10), false));
    OK(mu_params_freeze(r->params, true));
    OK(mu_parallel_bind(r->parallel, r->backend, r->params, accumulates));
}

static void run_end(run *r)
{
    mu_destroy(r->parallel);
    mu_params_release(r->params);
    mu_cfg_release(r->cfg);
    mu_backend_close(r->backend);
}

/* What rank `rank` has for element i of parameter p in step `step`. */
static double value(int rank, int step, int p, int64_t i)
{
    return sin((double)(i + 1) * (rank + 2) + p + 3 * step) + 0.5 * rank;
}

static void *gradient(const run *r, int p)
{
    return (char *)mu_params_gradients(r->params, NULL) + mu_params_at(r->params, p)->offset;
}

static void write_gradients(const run *r, int step)
{
    double wide[MOST];
    for (int p = 0; p < N_PARAMS; p++) {
        for (int64_t i = 0; i < counts[p]; i++)
            wide[i] = value(r->comm->rank, step, p, i);
        mu_convert(gradient(r, p), dtype_of(p), wide, MU_F64, counts[p]);
    }
}

/* As a plan tells them; the first n units. */
static void tell(const run *r, int n)
{
    mu_exchange *exchange = mu_params_sharing_of(r->params)->exchange;
    for (int u = 0; exchange && u < n; u++)
        OK(exchange->ops->start_reduce(exchange, u, (char *)mu_params_gradients(r->params, NULL) + mu_params_unit(r->params, u)->offset));
}

static int64_t step(run *r, int number, bool updates)
{
    int64_t batches = -1;
    mu_parallel_begin(r->parallel, updates);
    write_gradients(r, number);
    tell(r, mu_params_n_units(r->params));
    OK(mu_parallel_end_run(r->parallel, MU_OK));
    OK(mu_parallel_finish(r->parallel, &batches));
    return batches;
}

/* Gradients are means over the ranks of the sums of steps from .. to. relative: to the sum of magnitudes. */
static void check_means(const run *r, int from, int to, double relative32, double relative64)
{
    for (int p = 0; p < N_PARAMS; p++)
        for (int64_t i = 0; i < counts[p]; i++) {
            double sum = 0, size = 0, found;
            for (int rank = 0; rank < r->comm->size; rank++)
                for (int s = from; s <= to; s++) {
                    sum += value(rank, s, p, i);
                    size += fabs(value(rank, s, p, i));
                }
            mu_convert(&found, MU_F64, (char *)gradient(r, p) + (size_t)i * mu_dtype_size(dtype_of(p)), dtype_of(p), 1);
            CHECK(fabs(found - sum / r->comm->size) <= (p >= F64_FROM ? relative64 : relative32) * size, "p%d, %d: %.17g instead of %.17g", p,
                  (int)i, found, sum / r->comm->size);
        }
}

static const char *const buckets[] = {", \"bucket_cap_mb\": 1e-6", ", \"bucket_cap_mb\": 0.0006", ", \"bucket_cap_mb\": 0.002", ", \"bucket_cap_mb\": 9", ""};
enum { N_BUCKETS = sizeof buckets / sizeof *buckets };

static void check_sizes(mu_comm *comm, bool on_host)
{
    int last = 1 << 30;
    for (int b = 0; b < N_BUCKETS; b++) {
        run r;
        run_begin(&r, comm, buckets[b], false, on_host);
        int n = mu_params_n_units(r.params);
        CHECK(comm->size == 1 ? n == 2 : b == 0 ? n >= N_PARAMS - 1 : b < 3 ? n <= last && n > 3 : n <= 4, "%d units", n);
        last = n;
        CHECK(step(&r, b, true) == 1, "one batch");
        check_means(&r, b, b, 0x1p-22, 0x1p-51);
        int64_t blocks = mu_mem_get_counts().total_blocks;
        CHECK(step(&r, b + 1, true) == 1, "one batch");
        CHECK(mu_mem_get_counts().total_blocks == blocks, "a step allocates");
        check_means(&r, b + 1, b + 1, 0x1p-22, 0x1p-51);
        CHECK(on_host || r.device.downloads == 0, "%d downloads: gradients pass through the host", r.device.downloads);
        mu_courier_times times = mu_parallel_take_times(r.parallel);
        CHECK(times.parcels == 2 * n, "%d parcels", (int)times.parcels);
        run_end(&r);
    }
}

/* Nothing travels while gradients are added up. */
static void check_accumulation(bool on_host)
{
    run r;
    int64_t batches;
    run_begin(&r, world, buckets[1], true, on_host);
    for (int round = 0; round < 2; round++) {
        (void)mu_parallel_take_times(r.parallel);
        for (int s = 0; s < 3; s++)
            CHECK(step(&r, s, false) == s + 1, "added up");
        CHECK(mu_parallel_take_times(r.parallel).parcels == 0, "something has travelled");
        CHECK(mu_parallel_accumulated(r.parallel, &batches) && batches == 3, "%d", (int)batches);
        CHECK(step(&r, 3, true) == 4, "four batches");
        check_means(&r, 0, 3, 0x1p-21, 0x1p-50);
        CHECK(!mu_parallel_accumulated(r.parallel, &batches) && batches == 0, "%d", (int)batches);
    }
    run_end(&r);
    run_begin(&r, world, "", false, true);
    mu_parallel_begin(r.parallel, false);
    FAILS(mu_parallel_end_run(r.parallel, MU_OK), MU_ERR_USAGE, "which was not said before");
    run_end(&r);
}

/* The last rank fails in the middle of a run: it keeps its error, and the next step is as if nothing had been. */
static void check_failure(bool accumulates, bool on_host)
{
    run r;
    run_begin(&r, world, buckets[0], accumulates, on_host);
    bool failing = world->rank == world->size - 1;
    if (accumulates)
        (void)step(&r, 0, false);
    mu_parallel_begin(r.parallel, true);
    write_gradients(&r, 5);
    tell(&r, failing ? 2 : mu_params_n_units(r.params));
    mu_err err = failing ? MU_FAIL(MU_ERR_BACKEND, "a kernel has failed") : MU_OK;
    err = mu_parallel_end_run(r.parallel, err);
    CHECK(err == (failing ? MU_ERR_BACKEND : MU_OK), "%d", (int)err);
    CHECK(!failing || strstr(mu_error_last()->message, "a kernel has failed"), "%s", mu_error_last()->message);
    FAILS(mu_comm_agree(world, err), MU_ERR_BACKEND, "a kernel has failed");
    mu_parallel_drain(r.parallel);
    OK(mu_parallel_set_accumulated(r.parallel, 0));
    CHECK(step(&r, 6, true) == 1, "one batch");
    check_means(&r, 6, 6, 0x1p-22, 0x1p-51);
    run_end(&r);
}

/* The last rank's device is lost while gradients travel, or it gives up: the others' are freed by it, whatever they wait for. */
static void check_lost_device(bool updates, bool lost)
{
    run r;
    mu_device_comm *between = NULL; /* of kernels */
    run_begin(&r, world, buckets[0], true, false);
    mu_guard *guard = mu_parallel_guard(r.parallel);
    CHECK((guard != NULL) == (world->size > 1), "a guard");
    if (!guard) {
        run_end(&r);
        return;
    }
    mu_comm *inner;
    OK(mu_comm_split(world, 0, world->rank, &inner));
    OK(r.backend->ops->comm_open(r.backend, inner, &between));
    OK(mu_guard_add(guard, between));
    bool failing = world->rank == world->size - 1;
    mu_parallel_begin(r.parallel, updates);
    write_gradients(&r, 5);
    r.device.lost = failing && lost;
    mu_err err = failing ? MU_FAIL(MU_ERR_BACKEND, "a kernel has failed") : MU_OK;
    if (failing)
        err = mu_parallel_end_run(r.parallel, err);
    else
        tell(&r, 2);
    if (failing && !lost)
        mu_parallel_give_up(r.parallel);
    for (double until = mu_clock() + 20; !mu_guard_gave_up(guard) && mu_clock() < until;)
        usleep(1000);
    CHECK(between->aborted && r.device.aborts == 2, "%d communicators have been aborted", (int)r.device.aborts);
    if (!failing)
        err = mu_parallel_end_run(r.parallel, MU_OK);
    mu_parallel_drain(r.parallel);
    CHECK(err == (failing ? MU_ERR_BACKEND : MU_OK), "%d", (int)err);
    FAILS(mu_comm_agree(world, err), MU_ERR_BACKEND, "a kernel has failed");
    r.device.lost = false;
    mu_guard_remove(guard, between);
    r.backend->ops->comm_close(r.backend, between);
    mu_comm_release(inner);
    run_end(&r);
}

static void check_order(void)
{
    run r;
    run_begin(&r, world, buckets[0], false, true);
    mu_exchange *exchange = mu_params_sharing_of(r.params)->exchange;
    mu_parallel_begin(r.parallel, true);
    if (exchange)
        FAILS(exchange->ops->start_reduce(exchange, 1, gradient(&r, 1)), MU_ERR_INTERNAL, "unit 1 of the gradients is complete before unit 0");
    OK(mu_parallel_end_run(r.parallel, MU_OK));
    mu_parallel_drain(r.parallel);
    run_end(&r);
}

/* Half the bytes. Every summand and every sum of them is rounded to 8 bits. */
static void check_narrow(bool on_host)
{
    run r;
    run_begin(&r, world, ", \"bucket_cap_mb\": 0.002, \"gradient_dtype\": \"bfloat16\"", false, on_host);
    CHECK(step(&r, 1, true) == 1, "one batch");
    check_means(&r, 1, 1, 1.02 * 0x1p-8, 1.02 * 0x1p-8);
    double worst = 0;
    for (int64_t i = 0; i < counts[0]; i++) {
        double sum = 0;
        for (int rank = 0; rank < world->size; rank++)
            sum += value(rank, 1, 0, i);
        worst = fmax(worst, fabs(((const float *)gradient(&r, 0))[i] - sum / world->size));
    }
    CHECK(world->size == 1 ? worst < 1e-6 : worst > 1e-5, "%g: nothing was rounded", worst);
    run_end(&r);
}

/* The same bits whatever the buckets, and those of a plain loop over the ranks. */
static void check_fixed_order(void)
{
    for (int b = 0; b < N_BUCKETS; b++) {
        char options[96];
        run r;
        snprintf(options, sizeof options, "%s, \"fixed_order\": true", buckets[b]);
        run_begin(&r, world, options, false, true);
        (void)step(&r, 2, true);
        for (int p = 0; p < F64_FROM; p++)
            for (int64_t i = 0; i < counts[p]; i++) {
                float sum = (float)value(0, 2, p, i);
                for (int rank = 1; rank < world->size; rank++)
                    sum += (float)value(rank, 2, p, i);
                sum /= (float)world->size;
                CHECK(((const float *)gradient(&r, p))[i] == sum, "p%d, %d", p, (int)i);
            }
        run_end(&r);
    }
}

/* All nodes are one here: what there is of a hierarchy is tested in tests/mpi. */
static void check_hierarchy(void)
{
    run r;
    run_begin(&r, world, ", \"bucket_cap_mb\": 0.002, \"hierarchical\": true", false, true);
    for (int s = 0; s < 2; s++) {
        CHECK(step(&r, s, true) == 1, "one batch");
        check_means(&r, s, s, 0x1p-22, 0x1p-51);
    }
    run_end(&r);
}

/* On a slow network everything still arrives. */
static void check_slow_network(void)
{
    mu_comm *inner, *slow;
    run r;
    OK(mu_comm_split(world, 0, world->rank, &inner));
    OK(mu_comm_delay_new(inner, 1e-3, 0, &slow));
    run_begin(&r, slow, buckets[0], false, true);
    for (int s = 0; s < 3; s++) {
        CHECK(step(&r, s, true) == 1, "one batch");
        check_means(&r, s, s, 0x1p-22, 0x1p-51);
    }
    mu_courier_times times = mu_parallel_take_times(r.parallel);
    CHECK(world->size == 1 || times.busy >= 3 * mu_params_n_units(r.params) * 1e-3, "%g s", times.busy);
    run_end(&r);
    mu_comm_release(slow);
}

static void check_states(bool broadcast, bool on_host)
{
    run r;
    run_begin(&r, world, broadcast ? "" : ", \"broadcast_buffers\": false", false, on_host);
    float *states = mu_params_states(r.params, NULL);
    for (int i = 0; i < 10; i++)
        states[i] = (float)(100 * world->rank + i);
    OK(mu_parallel_share_states(r.parallel));
    for (int i = 0; i < 10; i++)
        CHECK(states[i] == (float)((broadcast ? 0 : 100 * world->rank) + i), "%g", (double)states[i]);
    double means[2] = {world->rank, 7 - world->rank};
    OK(mu_parallel_mean(r.parallel, means, 2, MU_F64));
    CHECK(fabs(means[0] - (world->size - 1) / 2.0) < 1e-15 && fabs(means[0] + means[1] - 7) < 1e-14, "%g, %g", means[0], means[1]);
    char text[] = "rank 0";
    text[5] = (char)('0' + world->rank);
    OK(mu_parallel_broadcast(r.parallel, text, sizeof text));
    CHECK(strcmp(text, "rank 0") == 0, "%s", text);
    CHECK(on_host || r.device.downloads == 0, "%d downloads", r.device.downloads);
    run_end(&r);
}

/* Rank 0 writes `text` where the size of buckets is kept. */
static void remember(const char *text)
{
    char name[64], *path = NULL;
    snprintf(name, sizeof name, "bucket-%s-%d-ranks-1-nodes-%d-bytes.txt", world->ops->name, world->size, 50000000);
    OK(mu_cache_path(NULL, name, &path));
    FILE *file = world->rank == 0 && path ? fopen(path, "w") : NULL;
    if (file)
        fputs(text, file);
    CHECK(world->rank != 0 || (file && fclose(file) == 0), "%s", path ? path : "no cache");
    mu_free(path);
}

static void check_bucket_size(void)
{
    size_t first = 0, second = 0;
    OK(mu_bucket_choose(world, 50000000, &first));
    CHECK(first >= 1 << 20 && first <= 64 << 20 && (first & (first - 1)) == 0, "%zu", first);
    OK(mu_comm_check_same(world, "the size", first));
    OK(mu_bucket_choose(world, 50000000, &second));
    CHECK(first == second, "%zu, then %zu", first, second);
    remember("4194304\n");
    OK(mu_bucket_choose(world, 50000000, &second));
    CHECK(second == 4 << 20, "%zu", second);
    static const char *const bad[] = {"", "many\n", "17\n", "99999999999999999999\n", "-4194304"};
    for (int i = 0; i < 5; i++) {
        remember(bad[i]);
        OK(mu_bucket_choose(world, 50000000, &second));
        CHECK(second >= 1 << 20 && second <= 64 << 20 && (second & (second - 1)) == 0, "%zu", second);
    }
}

static void check_wrong_use(void)
{
    run r;
    mu_params_sharing sharing;
    int64_t batches;
    run_begin(&r, world, "", false, true);
    FAILS(mu_parallel_open(r.parallel, world, 0, false, &sharing), MU_ERR_USAGE, "opened twice");
    FAILS(mu_parallel_set_accumulated(r.parallel, -1), MU_ERR_USAGE, "-1 batches");
    CHECK(!mu_parallel_accumulated(r.parallel, &batches), "sums");
    CHECK(mu_parallel_comm(r.parallel) == world, "comm");
    OK(mu_parallel_bind(r.parallel, r.backend, r.params, true));
    CHECK(step(&r, 0, false) == 1, "bound again");
    run_end(&r);
}

int main(void)
{
    ranks_begin();
    check_sizes(world, true);
    check_sizes(world, false);
    check_accumulation(true);
    check_accumulation(false);
    for (int on_host = 0; on_host < 2; on_host++) {
        check_failure(false, on_host);
        check_failure(true, on_host);
        check_narrow(on_host);
        check_states(true, on_host);
        check_states(false, on_host);
    }
    check_lost_device(true, true);
    check_lost_device(false, true);
    check_lost_device(true, false);
    check_order();
    check_fixed_order();
    check_hierarchy();
    check_slow_network();
    if (getenv("MUSTER_CACHE_DIR")) /* not into somebody's own */
        check_bucket_size();
    check_wrong_use();
    return ranks_end();
}

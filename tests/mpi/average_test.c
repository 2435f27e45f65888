/* Optimizer wrappers on several ranks: run by itself (one rank) and under mpirun by average_test.sh. */
#include "optim/wrapper.h"

#include "config/config.h"
#include "core/mem.h"
#include "mpi/ranks.h"
#include "optim/shared.h"
#include "optim/toy.h"
#include "parallel/fake_device.h"

#include <stdio.h>
#include <string.h>

static const mu_param_traits traits[] = {
    {.name = "fc.weight", .ndim = 2},
    {.name = "gain", .ndim = 1},
    {.name = "fc.bias", .ndim = 1, .bias = true},
};

typedef struct {
    mu_backend *backend;
    mu_config *config;
    mu_cfg *cfg;
    mu_params *params;
    mu_parallel *parallel;
    mu_optim_wrapper *wrapper;
    fake_device device; /* unless on_host */
} run;

static mu_err run_begin(run *r, const char *text, bool on_host, mu_comm *comm)
{
    void *object;
    *r = (run){0};
    MU_TRY(mu_backend_open("cpu:ref", &(mu_backend_options){.n_threads = 1, .cache_dir = ""}, &r->backend));
    if (!on_host)
        fake_device_make(r->backend, &r->device);
    MU_TRY(mu_config_parse(text, strlen(text), "yaml", &r->config));
    MU_TRY(mu_build("optim_wrapper", mu_config_root(r->config), NULL, "optim_wrapper", &object));
    r->wrapper = object;
    MU_TRY(toy_params(r->backend, &r->params));
    MU_TRY(toy_start(r->params));
    MU_TRY(shared_open(comm, "", &r->cfg, &r->parallel, NULL));
    MU_TRY(mu_parallel_bind(r->parallel, r->backend, r->params, mu_optim_wrapper_accumulates(r->wrapper)));
    MU_TRY(mu_optim_wrapper_bind(r->wrapper, r->backend, r->params, traits, 3, 1, r->parallel));
    return MU_OK;
}

static void run_end(run *r)
{
    mu_destroy(r->wrapper);
    mu_destroy(r->parallel);
    mu_cfg_release(r->cfg);
    mu_params_release(r->params);
    mu_config_release(r->config);
    mu_backend_close(r->backend);
}

static const char one_by_one[] = "{type: OptimWrapper, optimizer: {type: SGD, lr: 0.1, momentum: 0.9}, clip_grad: {max_norm: 0.4}}";
static const char in_threes[] = "{type: OptimWrapper, optimizer: {type: SGD, lr: 0.1, momentum: 0.9}, clip_grad: {max_norm: 0.4}, "
                                "accumulative_counts: 3}";

/* All ranks together go the way of one rank that sees their samples at once. Samples are dealt out by batch, then by rank. */
static void check_update(bool on_host)
{
    enum { BATCHES = 7, PER_RANK = 2 };
    run alone, together;
    mu_comm *self = NULL;
    double a[TOY_N], b[TOY_N];
    int global = PER_RANK * world->size;
    OK(mu_comm_self_new(&self));
    OK(run_begin(&alone, one_by_one, true, self));
    OK(run_begin(&together, in_threes, on_host, world));
    mu_optim_wrapper_set_progress(together.wrapper, 0, BATCHES);
    for (int batch = 0, begun = 0; batch < BATCHES; batch++) {
        mu_update_info info, whole;
        OK(toy_backward(together.params, batch * global + world->rank * PER_RANK, PER_RANK));
        OK(shared_update(together.parallel, together.wrapper, &info));
        CHECK(info.updated == (batch % 3 == 2 || batch == BATCHES - 1), "batch %d", batch);
        if (!info.updated)
            continue;
        OK(toy_backward(alone.params, begun * global, (batch + 1 - begun) * global));
        OK(shared_update(alone.parallel, alone.wrapper, &whole));
        CHECK(fabs(info.grad_norm / whole.grad_norm - 1) < 1e-6, "batch %d: %g, %g", batch, info.grad_norm, whole.grad_norm);
        begun = batch + 1;
        OK(toy_move(alone.params, mu_params_data(alone.params, NULL), a, false));
        OK(toy_move(together.params, mu_params_data(together.params, NULL), b, false));
        for (int i = 0; i < TOY_N; i++)
            CHECK(fabs(a[i] - b[i]) <= 1e-6 * fabs(a[i]), "batch %d, element %d: %.9g, %.9g", batch, i, a[i], b[i]);
    }
    run_end(&alone);
    run_end(&together);
    mu_comm_release(self);
}

/* A run of all ranks stops between two updates, and one rank goes on with what it has left. */
static void check_shared_sums(void)
{
    run straight, stopped, resumed;
    mu_comm *self = NULL;
    mu_update_info info;
    double a[TOY_N], b[TOY_N], sums[TOY_N];
    int64_t count = 0;
    int size = world->size, rank = world->rank;
    OK(mu_comm_self_new(&self));
    OK(run_begin(&straight, in_threes, true, world));
    OK(run_begin(&stopped, in_threes, false, world));
    OK(run_begin(&resumed, in_threes, true, self));
    OK(mu_parallel_share_accumulated(stopped.parallel));
    for (int batch = 0; batch < 2; batch++) {
        OK(toy_backward(straight.params, batch * size + rank, 1));
        OK(shared_update(straight.parallel, straight.wrapper, &info));
        OK(toy_backward(stopped.params, batch * size + rank, 1));
        OK(shared_update(stopped.parallel, stopped.wrapper, &info));
    }
    OK(mu_parallel_share_accumulated(stopped.parallel));
    OK(toy_move(stopped.params, mu_parallel_accumulated(stopped.parallel, &count), sums, false));
    CHECK(count == 2, "%d", (int)count);
    memcpy(a, sums, sizeof a);
    OK(mu_comm_broadcast(world, a, TOY_N, MU_F64, 0));
    CHECK(memcmp(a, sums, sizeof a) == 0, "the ranks have different sums");
    mu_optim_wrapper_set_progress(resumed.wrapper, 2, -1);
    OK(mu_parallel_set_accumulated(resumed.parallel, 2));
    OK(toy_move(resumed.params, mu_parallel_accumulated(resumed.parallel, &count), sums, true));
    OK(toy_backward(straight.params, 2 * size + rank, 1));
    OK(shared_update(straight.parallel, straight.wrapper, &info));
    CHECK(info.updated, "straight");
    OK(toy_backward(resumed.params, 2 * size, size));
    OK(shared_update(resumed.parallel, resumed.wrapper, &info));
    CHECK(info.updated, "resumed");
    OK(toy_move(straight.params, mu_params_data(straight.params, NULL), a, false));
    OK(toy_move(resumed.params, mu_params_data(resumed.params, NULL), b, false));
    for (int i = 0; i < TOY_N; i++)
        CHECK(fabs(a[i] - b[i]) <= 1e-6 * fabs(a[i]), "element %d: %.9g, %.9g", i, a[i], b[i]);
    run_end(&straight);
    run_end(&stopped);
    run_end(&resumed);
    mu_comm_release(self);
}

/* One rank's NaN is everyone's, and nobody updates. */
static void check_nan(void)
{
    run r;
    mu_update_info info;
    double gradient[TOY_N] = {0}, before[TOY_N], after[TOY_N];
    OK(run_begin(&r, one_by_one, true, world));
    OK(toy_move(r.params, mu_params_data(r.params, NULL), before, false));
    gradient[2] = world->rank == world->size - 1 ? NAN : 1;
    OK(toy_move(r.params, mu_params_gradients(r.params, NULL), gradient, true));
    FAILS(shared_update(r.parallel, r.wrapper, &info), MU_ERR_NUMERIC, "norm of the gradients is nan");
    OK(toy_move(r.params, mu_params_data(r.params, NULL), after, false));
    CHECK(memcmp(before, after, sizeof after) == 0, "updated");
    run_end(&r);
}

int main(void)
{
    ranks_begin();
    check_update(true);
    check_update(false);
    check_shared_sums();
    check_nan();
    return ranks_end();
}

/* MMFullyShardedDataParallel with plans, in layouts of blocks: run by itself (one rank) and under mpirun by pieces_test.sh. */
#include "core/mem.h"
#include "graph/autodiff.h"
#include "graph/plan.h"
#include "ops/ops.h"

#include "../graph/blocked.h"
#include "mpi/ranks.h"
#include "optim/shared.h"
#include "parallel/fake_device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    blocked_backend *blocked;
    mu_cfg *cfg, *optim_cfg;
    mu_parallel *parallel;
    mu_params *params;
    mu_graph *graph;
    mu_plan *plan;
    mu_optim *optim;
    fake_device device; /* with on_device */
} run;

static bool on_device; /* the backend is one */

static mu_value convolve(mu_graph *g, const char *name, mu_value x, int64_t maps)
{
    char leaf[32];
    mu_conv2d_attrs a = mu_conv2d_defaults();
    for (int i = 0; i < 4; i++)
        a.padding[i] = 1;
    snprintf(leaf, sizeof leaf, "%s.weight", name);
    mu_value w = mu_graph_param(g, leaf, MU_TYPE(MU_F64, maps, mu_graph_type(g, x)->dim[1], 3, 3));
    snprintf(leaf, sizeof leaf, "%s.bias", name);
    return mu_conv2d(g, x, w, mu_graph_param(g, leaf, MU_TYPE(MU_F64, maps)), &a);
}

/* Weights of 6 * 3 channels lie padded in blocks; "unused" has no path to the loss. */
static mu_err make_graph(mu_graph **out)
{
    mu_graph *g;
    MU_TRY(mu_graph_new(&g));
    *out = g;
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F64, 2, 3, 6, 6));
    x = mu_tanh(g, convolve(g, "conv1", x, 6));
    x = mu_tanh(g, convolve(g, "conv2", x, 6));
    x = mu_tanh(g, convolve(g, "conv3", x, 5));
    mu_value w = mu_graph_param(g, "fc.weight", MU_TYPE(MU_F64, 7, 180)), b = mu_graph_param(g, "fc.bias", MU_TYPE(MU_F64, 7));
    x = mu_linear(g, mu_flatten(g, x, 1), w, b);
    mu_value loss = mu_sum(g, mu_mul(g, x, x), 0, false);
    mu_graph_output(g, "loss", loss);
    mu_graph_output(g, "other", mu_sum(g, mu_graph_param(g, "unused", MU_TYPE(MU_F64, 50)), 0, false));
    mu_graph_backward(g, loss, NULL, 0, NULL);
    MU_TRY(mu_graph_status(g));
    return MU_OK;
}

static double number(int p, int64_t i)
{
    return 0.3 * sin(12.9898 * (double)(i + 1) + 78.233 * p);
}

static void write_all(mu_params *params)
{
    double host[2048];
    static const char *const names[] = {"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "conv3.weight",
                                        "conv3.bias",   "fc.weight",  "fc.bias",      "unused"};
    for (int p = 0; p < 9; p++) {
        const mu_param_info *info = mu_params_at(params, mu_params_find(params, names[p]));
        for (int64_t i = 0; i < mu_type_count(&info->type); i++)
            host[i] = number(p, i);
        OK(mu_params_write(params, names[p], host));
    }
}

static void begin(run *r, const char *strategy, const char *more)
{
    static const char adamw[] = "{\"type\": \"AdamW\", \"lr\": 0.01}";
    char text[512];
    mu_params_sharing sharing;
    void *object;
    *r = (run){0};
    OK(blocked_open(&r->blocked));
    if (on_device)
        fake_device_make(&r->blocked->base, &r->device);
    int n = snprintf(text, sizeof text,
                     "{\"type\": \"MMFullyShardedDataParallel\", \"fixed_order\": true, \"sharding_strategy\": \"%s\"%s}", strategy,
                     more);
    OK(mu_cfg_parse_json(text, (size_t)n, "<test>", &r->cfg));
    OK(mu_build("model_wrapper", r->cfg, NULL, "model_wrapper_cfg", &object));
    r->parallel = object;
    OK(mu_parallel_open(r->parallel, world, 0, true, &sharing));
    OK(mu_params_new(&r->blocked->base, &r->params));
    OK(mu_params_share(r->params, &sharing));
    OK(make_graph(&r->graph));
    OK(mu_plan_new(r->graph, &r->blocked->base, r->params, &(mu_plan_options){.no_fusion = true}, &r->plan));
    write_all(r->params);
    OK(mu_parallel_bind(r->parallel, &r->blocked->base, r->params, true));
    OK(mu_cfg_parse_json(adamw, sizeof adamw - 1, "<test>", &r->optim_cfg));
    OK(mu_build("optimizer", r->optim_cfg, NULL, "optimizer", &object));
    r->optim = object;
    OK(mu_optim_bind(r->optim, &r->blocked->base, r->params, NULL, NULL, 0));
    mu_optim_set_pieces(r->optim, mu_parallel_pieces(r->parallel), mu_parallel_pieces_device(r->parallel));
}

static void end(run *r)
{
    mu_destroy(r->optim);
    mu_plan_release(r->plan);
    mu_destroy(r->parallel);
    mu_params_release(r->params);
    mu_graph_release(r->graph);
    mu_cfg_release(r->cfg);
    mu_cfg_release(r->optim_cfg);
    mu_backend_close(&r->blocked->base);
}

/* Forward and backward of batch `number`; the optimizer steps where it updates. *norm: before clipping. */
static mu_err step(run *r, int batch, bool updates, double *norm)
{
    int64_t batches;
    double *x = mu_plan_input(r->plan, "x", NULL);
    for (int i = 0; i < 2 * 3 * 36; i++)
        x[i] = cos(0.7 * i + batch) + 0.1 * world->rank;
    mu_parallel_begin(r->parallel, updates);
    mu_err err = mu_parallel_end_run(r->parallel, mu_plan_run(r->plan, NULL));
    err = mu_comm_agree(world, err);
    if (err) {
        mu_parallel_drain(r->parallel);
        return err;
    }
    MU_TRY(mu_parallel_finish(r->parallel, &batches));
    if (!updates)
        return MU_OK;
    mu_optim_step_options options = {.gradient_scale = 1.0 / (double)batches, .max_norm = 1, .max_value = 3};
    MU_TRY(mu_optim_step(r->optim, &options, norm));
    MU_TRY(mu_parallel_publish(r->parallel));
    return MU_OK;
}

/* Every parameter's part of an arena, from owners that take turns, on all ranks: [n][2048]. */
static void collect(run *r, void *arena, double (*out)[2048])
{
    int owner[16];
    void *host[16];
    int n = mu_params_count(r->params);
    memset(out, 0, (size_t)n * sizeof *out);
    for (int i = 0; i < n; i++) {
        owner[i] = i % (world->size + 1) - (i % (world->size + 1) == world->size ? world->size + 1 : 0); /* some: nobody's, -1 */
        host[i] = owner[i] == world->rank ? out[i] : NULL;
    }
    OK(mu_params_collect(r->params, arena, world, owner, host));
    for (int i = 0; i < n; i++)
        if (owner[i] >= 0)
            OK(mu_comm_broadcast(world, out[i], 2048, MU_F64, owner[i]));
}

/* With the same order of parameters, whatever the stage. */
static void compare(run *a, run *b, void *arena_a, void *arena_b, const char *what)
{
    static double one[16][2048], two[16][2048];
    int n = mu_params_count(a->params);
    collect(a, arena_a, one);
    collect(b, arena_b, two);
    for (int i = 0; i < n; i++) {
        CHECK(strcmp(mu_params_at(a->params, i)->name, mu_params_at(b->params, i)->name) == 0, "another order");
        double worst = 0, most = 1e-3;
        for (int k = 0; k < 2048; k++) {
            worst = fmax(worst, fabs(one[i][k] - two[i][k]));
            most = fmax(most, fabs(one[i][k]));
        }
        CHECK(worst <= 1e-12 * most, "%s of %s differs by %g of %g", what, mu_params_at(a->params, i)->name, worst, most);
    }
}

static void same_as_whole(const char *strategy, const char *more)
{
    run whole, pieces;
    begin(&whole, "NO_SHARD", "");
    begin(&pieces, strategy, more);
    pieces.blocked->poison = true;
    for (int i = 0; i < 6; i++) {
        double a = 0, b = 0;
        OK(step(&whole, i, i % 3 != 0, &a));
        OK(step(&pieces, i, i % 3 != 0, &b));
        CHECK(fabs(a - b) <= 1e-12 * a, "norm %.17g, not %.17g", b, a);
    }
    compare(&whole, &pieces, NULL, NULL, "data");
    for (int i = 0; i < 2; i++)
        compare(&whole, &pieces, mu_optim_state(whole.optim, i), mu_optim_state(pieces.optim, i), mu_optim_state_name(whole.optim, i));
    size_t a, b;
    (void)mu_params_data(whole.params, &a);
    (void)mu_params_data(pieces.params, &b);
    bool sharded = strcmp(strategy, "FULL_SHARD") == 0;
    CHECK(b <= (sharded ? a / (size_t)world->size : a) + 16 * MU_ALIGN * (size_t)world->size, "%zu bytes of %zu", b, a);
    end(&whole);
    end(&pieces);
}

/* A rank whose kernel fails in the middle of a run: all are told, nobody waits, and the next run is as if nothing had been. */
static void failing_rank(const char *strategy)
{
    static const char *const operations[] = {"conv2d", "tanh", "linear", "conv2d_grad_weight"};
    run r, calm;
    double norm;
    begin(&r, strategy, ", \"fsdp_auto_wrap_policy\": {\"min_num_params\": 100}");
    begin(&calm, strategy, ", \"fsdp_auto_wrap_policy\": {\"min_num_params\": 100}");
    for (int i = 0; i < 4; i++) {
        r.blocked->fail_run_of = world->rank == i % world->size ? operations[i] : NULL;
        mu_err err = step(&r, i, true, &norm);
        CHECK(err != MU_OK, "a failing rank is not told of");
        r.blocked->fail_run_of = NULL;
    }
    OK(step(&r, 9, true, &norm));
    OK(step(&calm, 9, true, &norm));
    compare(&calm, &r, NULL, NULL, "data after failures");
    end(&r);
    end(&calm);
}

/* Memory that one rank lacks is told to all. */
static void collect_without_memory(void)
{
    run r;
    int owner[16] = {0};
    void *host[16];
    static double room[2048];
    begin(&r, "FULL_SHARD", "");
    for (int i = 0; i < 16; i++)
        host[i] = room;
    if (world->rank == world->size - 1)
        mu_mem_fail_at(1);
    mu_err err = mu_params_collect(r.params, NULL, world, owner, host);
    mu_mem_fail_at(0);
    CHECK(world->size == 1 || err == MU_ERR_MEMORY, "%s", mu_err_name(err));
    end(&r);
}

int main(void)
{
    ranks_begin();
    for (int device = 0; device < 2; device++) {
        on_device = device;
        same_as_whole("SHARD_OPTIMIZER", "");
        same_as_whole("SHARD_GRAD_OP", ", \"fsdp_auto_wrap_policy\": {\"min_num_params\": 150}");
        same_as_whole("SHARD_GRAD_OP", ", \"fsdp_auto_wrap_policy\": [\"conv2\", \"fc\"], \"backward_prefetch\": 3");
        same_as_whole("FULL_SHARD", "");
        same_as_whole("FULL_SHARD", ", \"fsdp_auto_wrap_policy\": {\"min_num_params\": 1}, \"forward_prefetch\": 2");
        same_as_whole("FULL_SHARD", ", \"fsdp_auto_wrap_policy\": [\"conv1\", \"conv3\"], \"forward_prefetch\": 0");
        failing_rank("SHARD_OPTIMIZER");
        failing_rank("SHARD_GRAD_OP");
        failing_rank("FULL_SHARD");
        collect_without_memory();
    }
    return ranks_end();
}

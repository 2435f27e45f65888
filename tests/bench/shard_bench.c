/* Memory of a rank, and the time of a step, of a deep network of large weights at one stage of sharding, on the ranks of mpirun:
 *
 *     mpirun -n 4 shard_bench FULL_SHARD
 *
 * tests/bench/shard_table.sh makes a table of all stages. */
#include "core/clock.h"
#include "core/mem.h"
#include "dist/launch.h"
#include "graph/autodiff.h"
#include "graph/plan.h"
#include "ops/ops.h"
#include "optim/shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LAYERS = 24, WIDTH = 1024, BATCH = 16, STEPS = 6 }; /* 24 Mi numbers: 96 MiB of weights */

typedef struct {
    mu_comm *comm;
    mu_backend *backend;
    mu_cfg *cfg, *optim_cfg;
    mu_parallel *parallel;
    mu_params *params;
    mu_graph *graph;
    mu_plan *plan;
    mu_optim *optim;
} bench;

static double resident_mib(void)
{
    long pages = 0, ignored;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &ignored, &pages) != 2)
        pages = 0;
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static mu_err make_graph(mu_graph **out)
{
    mu_graph *g;
    char name[32];
    MU_TRY(mu_graph_new(&g));
    *out = g;
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F32, BATCH, WIDTH));
    for (int i = 0; i < LAYERS; i++) {
        snprintf(name, sizeof name, "fc%d.weight", i);
        mu_value w = mu_graph_param(g, name, MU_TYPE(MU_F32, WIDTH, WIDTH));
        snprintf(name, sizeof name, "fc%d.bias", i);
        x = mu_relu(g, mu_linear(g, x, w, mu_graph_param(g, name, MU_TYPE(MU_F32, WIDTH))));
    }
    mu_value loss = mu_mean(g, mu_mul(g, x, x), 0, false);
    mu_graph_output(g, "loss", loss);
    mu_graph_backward(g, loss, NULL, 0, NULL);
    MU_TRY(mu_graph_status(g));
    return MU_OK;
}

/* In [-1, 1). */
static float number(uint64_t z)
{
    z = (z + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    return (float)((z ^ (z >> 27)) >> 40) * 0x1p-23F - 1;
}

static mu_err fill(bench *b)
{
    float *host;
    mu_err err = MU_OK;
    MU_TRY(mu_alloc(&host, (size_t)WIDTH * WIDTH * sizeof *host));
    for (int p = 0; p < mu_params_count(b->params) && !err; p++) {
        const mu_param_info *info = mu_params_at(b->params, p);
        for (int64_t i = 0; i < mu_type_count(&info->type); i++)
            host[i] = info->type.ndim > 1 ? number((uint64_t)i + ((uint64_t)p << 32)) / 13 : 0;
        err = mu_params_write(b->params, info->name, host);
    }
    mu_free(host);
    return err;
}

static mu_err set_up(bench *b, const char *stage)
{
    mu_params_sharing sharing;
    char text[256];
    void *optim;
    int n = snprintf(text, sizeof text,
                     "{\"type\": \"MMFullyShardedDataParallel\", \"sharding_strategy\": \"%s\", \"fsdp_auto_wrap_policy\": "
                     "{\"min_num_params\": %d}}", stage, WIDTH * WIDTH);
    void *parallel;
    MU_TRY(mu_cfg_parse_json(text, (size_t)n, "<bench>", &b->cfg));
    MU_TRY(mu_build("model_wrapper", b->cfg, NULL, "model_wrapper_cfg", &parallel));
    b->parallel = parallel;
    MU_TRY(mu_parallel_open(parallel, b->comm, 0, true, &sharing));
    MU_TRY(mu_params_new(b->backend, &b->params));
    MU_TRY(mu_params_share(b->params, &sharing));
    MU_TRY(make_graph(&b->graph));
    MU_TRY(mu_plan_new(b->graph, b->backend, b->params, NULL, &b->plan));
    MU_TRY(fill(b));
    MU_TRY(mu_parallel_bind(parallel, b->backend, b->params, false));
    const char adamw[] = "{\"type\": \"AdamW\", \"lr\": 1e-4}";
    MU_TRY(mu_cfg_parse_json(adamw, sizeof adamw - 1, "<bench>", &b->optim_cfg));
    MU_TRY(mu_build("optimizer", b->optim_cfg, NULL, "optimizer", &optim));
    b->optim = optim;
    MU_TRY(mu_optim_bind(optim, b->backend, b->params, NULL, NULL, 0));
    mu_optim_set_pieces(optim, mu_parallel_pieces(parallel), mu_parallel_pieces_device(parallel));
    float *x = mu_plan_input(b->plan, "x", NULL);
    for (int i = 0; i < BATCH * WIDTH; i++)
        x[i] = (float)((i * 7919 + b->comm->rank) % 512 - 256) / 256;
    return MU_OK;
}

static mu_err step(bench *b)
{
    int64_t batches;
    mu_parallel_begin(b->parallel, true);
    MU_TRY(mu_parallel_end_run(b->parallel, mu_plan_run(b->plan, NULL)));
    MU_TRY(mu_parallel_finish(b->parallel, &batches));
    MU_TRY(mu_optim_step(b->optim, NULL, NULL));
    MU_TRY(mu_parallel_publish(b->parallel));
    return MU_OK;
}

static mu_err measure(bench *b, const char *stage)
{
    double before = resident_mib(), seconds = 0;
    size_t data, gradients;
    MU_TRY(set_up(b, stage));
    for (int i = 0; i < STEPS; i++) {
        double began = mu_clock();
        MU_TRY(step(b));
        double took = mu_clock() - began;
        seconds = i == 1 || (i > 1 && took < seconds) ? took : seconds;
    }
    (void)mu_params_data(b->params, &data);
    (void)mu_params_gradients(b->params, &gradients);
    mu_plan_stats stats = mu_plan_get_stats(b->plan);
    double whole = 0, size = b->comm->size;
    for (int u = 0; u < mu_params_n_units(b->params); u++)
        whole += (double)mu_params_unit(b->params, u)->bytes / (1 << 20);
    double states = 2 * (mu_parallel_pieces(b->parallel) ? whole / size : whole);
    double word[] = {(double)data / (1 << 20), (double)gradients / (1 << 20), states, (double)stats.arena_bytes / (1 << 20),
                     resident_mib() - before, seconds};
    MU_TRY(mu_comm_all_reduce(b->comm, word, 6, MU_F64, MU_COMM_MAX));
    float loss;
    MU_TRY(mu_plan_read(b->plan, "loss", &loss, sizeof loss));
    if (b->comm->rank == 0)
        printf("| %d | %s | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.0f | %.6g |\n", b->comm->size, stage, word[0], word[1], word[2],
               word[3], word[0] + word[1] + word[2] + word[3], word[4], 1e3 * word[5], loss);
    return MU_OK;
}

static void tear_down(bench *b)
{
    mu_destroy(b->optim);
    mu_plan_release(b->plan);
    mu_destroy(b->parallel);
    mu_params_release(b->params);
    mu_graph_release(b->graph);
    mu_cfg_release(b->cfg);
    mu_cfg_release(b->optim_cfg);
    mu_backend_close(b->backend);
}

int main(int argc, char **argv)
{
    bench b = {0};
    char text[4096];
    mu_err err = mu_launch(&b.comm);
    if (!err)
        err = mu_backend_open("auto", &(mu_backend_options){.n_threads = 1, .deterministic = true}, &b.backend);
    if (!err)
        err = measure(&b, argc > 1 ? argv[1] : "FULL_SHARD");
    if (err) {
        mu_error_format(mu_error_last(), 1, text, sizeof text);
        fprintf(stderr, "%s\n", text);
        mu_comm_abort(b.comm, EXIT_FAILURE);
        return EXIT_FAILURE;
    }
    tear_down(&b);
    mu_registry_reset();
    mu_comm_release(b.comm);
    return EXIT_SUCCESS;
}

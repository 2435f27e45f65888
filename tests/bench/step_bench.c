/* Training and inference steps of a network, for compare.py and by hand.
 *
 *   step_bench --model resnet18 --batch 64 [--threads 1] [--dtype f32|bf16] [--mode train|infer] [--device cpu]
 *              [--conv-algorithm auto|direct] [--no-fusion] [--profile]
 *
 * Reads "N" lines: runs N steps and prints their seconds as a JSON list. "rss" prints the peak resident set in bytes,
 * "memory" the plan's. With --profile the end of input prints the time of every kernel. */
#include "core/clock.h"
#include "core/mem.h"
#include "graph/autodiff.h"
#include "graph/plan.h"
#include "train/models.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

typedef struct {
    const char *model, *device;
    int64_t batch;
    bool infer, bf16, profile, no_fusion;
    mu_backend_options backend;
} options;

typedef struct {
    mu_backend *backend;
    mu_params *params;
    mu_plan *plan;
    mu_kernel *update; /* one fused SGD over the arenas; NULL when inferring */
    void *momentum;
    double scalars[MU_UPDATE_SCALARS];
    mu_run run;
    bool infer;
} bench;

static const struct {
    const char *name;
    int64_t channels, side, classes;
} images[] = {{"lenet", 1, 28, 10}, {"resnet18", 3, 32, 10}, {"resnet50", 3, 224, 1000}, {NULL, 0, 0, 0}};

static mu_err prepare_update(bench *b)
{
    size_t bytes;
    void *data = mu_params_data(b->params, &bytes), *gradients = mu_params_gradients(b->params, NULL);
    MU_TRY(b->backend->ops->alloc(b->backend, bytes, &b->momentum));
    memset(b->momentum, 0, bytes);
    double scalars[MU_UPDATE_SCALARS] = {0.01, 1e-4, 0.9, 0, 0, 1}; /* lr, weight decay, momentum, dampening, -, gradient scale */
    memcpy(b->scalars, scalars, sizeof scalars);
    mu_type flat = MU_TYPE(MU_F32, (int64_t)(bytes / sizeof(float)));
    mu_update_attrs attrs = {.nesterov = false};
    mu_call call = {.op = &mu_op_sgd, .attrs = &attrs, .n_in = 4, .n_out = 2, .name = "sgd",
                    .in = (mu_type[]){flat, flat, flat, MU_TYPE(MU_F64, MU_UPDATE_SCALARS)}, .out = (mu_type[]){flat, flat}};
    const mu_layout *plain[4] = {NULL};
    MU_TRY(b->backend->ops->prepare(b->backend, &call, plain, plain, &b->update));
    MU_TRY(mu_kernel_bind(b->update, (void *[]){data, gradients, b->momentum, b->scalars}, (void *[]){data, b->momentum},
                          NULL));
    return MU_OK;
}

static mu_err prepare(const options *o, bench *b)
{
    int m = 0, i = 0;
    while (images[i].name && strcmp(images[i].name, o->model) != 0)
        i++;
    while (model_list[m].name && strcmp(model_list[m].name, o->model) != 0)
        m++;
    if (!images[i].name || !model_list[m].name)
        return MU_FAIL(MU_ERR_USAGE, "there is no model \"%s\"; use lenet, resnet18 or resnet50", o->model);
    MU_TRY(mu_backend_open(o->device, &o->backend, &b->backend));
    MU_TRY(mu_params_new(b->backend, &b->params));

    mu_graph *graph;
    mu_value loss;
    mu_type x = MU_TYPE(MU_F32, o->batch, images[i].channels, images[i].side, images[i].side);
    MU_TRY(model_graph(model_list[m].fn, x, images[i].classes, o->infer ? MODEL_EVAL : MODEL_TRAIN, &graph, &loss));
    if (!o->infer)
        mu_graph_backward(graph, loss, NULL, 0, NULL);
    MU_TRY(mu_graph_status(graph));
    MU_TRY(model_init(graph, b->params));
    mu_plan_options plan = {.autocast = o->bf16 ? MU_BF16 : MU_NONE, .profile = o->profile, .no_fusion = o->no_fusion};
    MU_TRY(mu_plan_new(graph, b->backend, b->params, &plan, &b->plan));
    mu_graph_release(graph);
    b->infer = o->infer;
    b->run.seed = 1;

    float *pixels = mu_plan_input(b->plan, "x", NULL);
    for (int64_t k = 0; k < mu_type_count(&x); k++)
        pixels[k] = (float)model_number("x", k);
    int64_t *target = mu_plan_input(b->plan, "target", NULL);
    for (int64_t k = 0; target && k < o->batch; k++)
        target[k] = k % images[i].classes;
    if (!o->infer)
        MU_TRY(prepare_update(b));
    return MU_OK;
}

static mu_err step(bench *b)
{
    MU_TRY(mu_plan_run(b->plan, &b->run));
    b->run.step++;
    if (b->infer)
        return MU_OK;
    MU_TRY(mu_kernel_run(b->update, &b->run));
    float loss;
    MU_TRY(mu_plan_read(b->plan, "loss", &loss, sizeof loss));
    if (loss != loss)
        return MU_FAIL(MU_ERR_NUMERIC, "the loss is NaN at step %lld", (long long)b->run.step);
    return MU_OK;
}

static mu_err answer(bench *b, const char *line)
{
    if (strncmp(line, "rss", 3) == 0) {
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        printf("%ld\n", usage.ru_maxrss * 1024);
    } else if (strncmp(line, "memory", 6) == 0) {
        mu_plan_stats s = mu_plan_get_stats(b->plan);
        printf("{\"arena\": %zu, \"activations\": %zu, \"lower_bound\": %zu, \"parameters\": %zu, \"gradients\": %zu, "
               "\"states\": %zu, \"steps\": %d, \"reorders\": %d, \"gflop\": %.3f}\n",
               s.arena_bytes, s.activation_bytes, s.lower_bound_bytes, s.param_bytes, s.gradient_bytes, s.state_bytes,
               s.n_steps, s.n_reorders, 1e-9 * (double)s.flops);
    } else {
        long n = atol(line);
        for (long i = 0; i < n; i++) {
            double start = mu_clock();
            MU_TRY(step(b));
            printf("%s%.9f", i ? ", " : "[", mu_clock() - start);
        }
        puts(n > 0 ? "]" : "[]");
    }
    fflush(stdout);
    return MU_OK;
}

static void print_profile(const mu_plan *plan)
{
    double total = 0;
    for (int i = 0; i < mu_plan_n_steps(plan); i++) {
        mu_plan_step s = mu_plan_get_step(plan, i);
        double ms = s.runs ? 1e3 * s.seconds / (double)s.runs : 0;
        total += ms;
        printf("%8.3f ms %7.1f GFLOP/s %6.1f GB/s  %-20s %-24s %s%s\n", ms, ms ? 1e-6 * (double)s.flops / ms : 0,
               ms ? 1e-6 * (double)s.bytes / ms : 0, s.op, s.impl ? s.impl : "", s.name ? s.name : "",
               s.once ? " (once)" : "");
    }
    printf("%8.3f ms in all\n", total);
}

static mu_err serve(const options *o, bench *b)
{
    char line[64];
    MU_TRY(prepare(o, b));
    while (fgets(line, sizeof line, stdin))
        MU_TRY(answer(b, line));
    if (o->profile)
        print_profile(b->plan);
    return MU_OK;
}

static int usage(void)
{
    fputs("usage: step_bench --model lenet|resnet18|resnet50 --batch N [--threads N] [--dtype f32|bf16] [--mode train|infer]\n"
          "                  [--device DEVICE] [--conv-algorithm auto|direct] [--no-fusion] [--profile]\n",
          stderr);
    return 2;
}

static int parse(int argc, char **argv, options *o)
{
    static const struct option table[] = {{"model", 1, NULL, 'm'},   {"batch", 1, NULL, 'b'},     {"threads", 1, NULL, 't'},
                                          {"dtype", 1, NULL, 'd'},   {"mode", 1, NULL, 'o'},      {"device", 1, NULL, 'D'},
                                          {"profile", 0, NULL, 'p'}, {"no-fusion", 0, NULL, 'f'}, {"conv-algorithm", 1, NULL, 'c'},
                                          {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        switch (c) {
        case 'm': o->model = optarg; break;
        case 'b': o->batch = atol(optarg); break;
        case 't': o->backend.n_threads = atoi(optarg); break;
        case 'd': o->bf16 = strcmp(optarg, "bf16") == 0; break;
        case 'o': o->infer = strcmp(optarg, "infer") == 0; break;
        case 'D': o->device = optarg; break;
        case 'c': o->backend.direct_convolution = strcmp(optarg, "direct") == 0; break;
        case 'f': o->no_fusion = true; break;
        case 'p': o->profile = true; break;
        default: return usage();
        }
    }
    return o->model && o->batch > 0 ? 0 : usage();
}

int main(int argc, char **argv)
{
    options o = {.device = "cpu"};
    if (parse(argc, argv, &o) != 0)
        return 2;
    bench b = {0};
    mu_err err = serve(&o, &b);
    if (err != MU_OK) {
        char text[4096];
        mu_error_format(mu_error_last(), 1, text, sizeof text);
        fprintf(stderr, "step_bench: %s\n", text);
    }
    if (b.momentum)
        b.backend->ops->dealloc(b.backend, b.momentum);
    mu_kernel_release(b.update);
    mu_plan_release(b.plan);
    mu_params_release(b.params);
    mu_backend_close(b.backend);
    return mu_err_exit_status(err);
}

/* Training steps of a model as a recipe has it, on synthetic images: u8 batches in host memory, as the loader of a run leaves them there (pinned where
 * there is a device), which every step brings to the device, normalises, learns from. For gpu_compare.py and by hand.
 *
 *   train_bench --model lenet|resnet18|resnet50 | --config "{type: ...}"   the model's YAML
 *               --batch 256 [--image 3,224,224] [--classes 1000]
 *               [--device cuda] [--dtype f32|bf16|f16] [--tf32] [--threads 1] [--profile]
 *
 * Reads lines, answers each with a line of JSON:
 *   N         runs N steps without waiting in between, then waits: the seconds between the beginnings of steps, the last up to the end of all
 *   host N    N steps, each begun by an idle device and waited for: seconds of the host, up to where it could do something else, of each; then those
 *             of them that went into giving it the batch: {"step": [...], "load": [...]}
 *   loss      of the last step
 *   memory    bytes of device memory, now and at most; steps and reorders of the plan
 *   rss       peak resident set, bytes
 * With --profile the end of input prints the time of every kernel, slowest first; the kernels then wait for each other. */
#include "backend.h"
#include "backend/lanes.h"
#include "backend/repeat.h"
#include "config/config.h"
#include "core/clock.h"
#include "core/mem.h"
#include "nn/model.h"
#include "optim/optim.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { WEIGHTS_SEED = 1, N_BATCHES = 3 };

typedef struct {
    const char *model, *config, *device, *image;
    int64_t batch, classes, dim[3];
    mu_dtype dtype;
    bool profile;
    mu_backend_options backend;
} options;

typedef struct {
    mu_backend *backend;
    mu_config *config, *optim_config;
    mu_model *model;
    mu_optim *optim;
    mu_repeat *repeat;
    mu_batch batch[N_BATCHES]; /* by turns */
    void *room[N_BATCHES]; /* of a batch: images, then labels */
    mu_log_vars vars;
    int64_t step;
} bench;

#define RGB "data_preprocessor: {type: ImgDataPreprocessor, mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375]}, "
static const struct {
    const char *name, *config, *image;
    int64_t classes;
} models[] = {
    {"lenet",
     "{type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor, mean: [33.3], std: [78.6]}, backbone: {type: LeNet}, "
     "head: {type: LinearClsHead, num_classes: 10}}",
     "1,28,28", 10},
    {"resnet18",
     "{type: ImageClassifier, " RGB "backbone: {type: ResNet_CIFAR, depth: 18}, neck: {type: GlobalAveragePooling}, "
     "head: {type: LinearClsHead, num_classes: 10}}",
     "3,32,32", 10},
    {"resnet50",
     "{type: ImageClassifier, " RGB "backbone: {type: ResNet, depth: 50}, neck: {type: GlobalAveragePooling}, "
     "head: {type: LinearClsHead, num_classes: 1000}}",
     "3,224,224", 1000},
    {NULL, NULL, NULL, 0}};
static const char sgd[] = "{type: SGD, lr: 0.01, momentum: 0.9, weight_decay: 0.0001}";

/* ---- making ready ---- */

static mu_err make_batch(const options *o, int i, bench *b)
{
    size_t n = (size_t)(o->batch * o->dim[0] * o->dim[1] * o->dim[2]);
    uint32_t x = 12345u + (uint32_t)i;
    MU_TRY(mu_host_room_new(b->backend, mu_align_up(n) + mu_align_up((size_t)o->batch * sizeof(int64_t)), &b->room[i]));
    uint8_t *img = b->room[i];
    int64_t *label = (int64_t *)(void *)(img + mu_align_up(n));
    for (size_t k = 0; k < n; k++) {
        x = x * 1664525u + 1013904223u; /* Knuth's linear congruential generator */
        img[k] = (uint8_t)(x >> 24);
    }
    for (int64_t k = 0; k < o->batch; k++)
        label[k] = (k + i) % o->classes;
    b->batch[i] = (mu_batch){.size = o->batch, .stride = 1, .lent = true};
    MU_TRY(mu_tensors_put(&b->batch[i].fields, "img", MU_TYPE(MU_U8, o->batch, o->dim[0], o->dim[1], o->dim[2]), img));
    MU_TRY(mu_tensors_put(&b->batch[i].fields, "gt_label", MU_TYPE(MU_I64, o->batch), label));
    return MU_OK;
}

static mu_err prepare(const options *o, bench *b)
{
    mu_model_options how = {.autocast = o->dtype == MU_F32 ? MU_NONE : o->dtype, .profile = o->profile};
    MU_TRY(mu_config_parse(o->config, strlen(o->config), "yaml", &b->config));
    MU_TRY(mu_config_parse(sgd, strlen(sgd), "yaml", &b->optim_config));
    MU_TRY(mu_backend_open(o->device, &o->backend, &b->backend));
    how.backend = b->backend;
    for (int i = 0; i < N_BATCHES; i++)
        MU_TRY(make_batch(o, i, b));
    MU_TRY(mu_build("model", mu_config_root(b->config), NULL, "model", (void **)&b->model));
    MU_TRY(mu_model_bind(b->model, &how));
    MU_TRY(mu_model_prepare(b->model, &b->batch[0], true));
    MU_TRY(mu_model_init_weights(b->model, WEIGHTS_SEED, NULL, NULL, NULL));
    MU_TRY(mu_build("optimizer", mu_config_root(b->optim_config), NULL, "optimizer", (void **)&b->optim));
    MU_TRY(mu_optim_bind(b->optim, b->backend, mu_model_params(b->model), NULL, NULL, 0));
    if (!b->backend->host_memory)
        MU_TRY(mu_repeat_new(b->backend, &b->repeat));
    return MU_OK;
}

static void release(bench *b)
{
    mu_repeat_release(b->repeat);
    mu_destroy(b->optim);
    mu_destroy(b->model);
    for (int i = 0; i < N_BATCHES; i++)
        if (b->backend)
            mu_host_room_release(b->backend, b->room[i]);
    if (b->backend)
        mu_backend_close(b->backend);
    mu_config_release(b->optim_config);
    mu_config_release(b->config);
}

/* ---- steps ---- */

static mu_err load(bench *b)
{
    return mu_model_load_train(b->model, &b->batch[b->step % N_BATCHES]);
}

static mu_err step(bench *b)
{
    MU_TRY(mu_model_run_train(b->model, WEIGHTS_SEED, b->step, b->backend->host_memory ? &b->vars : NULL));
    MU_TRY(mu_optim_step_late(b->optim, NULL));
    return MU_OK;
}

/* As a training loop does it: on a device at one call. */
static mu_err learn(bench *b)
{
    mu_repeat_begin(b->repeat);
    MU_TRY(mu_repeat_end(b->repeat, step(b)));
    mu_model_changed(b->model);
    b->step++;
    return MU_OK;
}

static mu_err wait_for_all(const bench *b)
{
    return b->backend->ops->synchronize(b->backend);
}

static mu_err run(bench *b, long n)
{
    double *at;
    MU_TRY(mu_calloc(&at, (size_t)n + 1, sizeof *at));
    mu_err err = MU_OK;
    for (long i = 0; i < n && !err; i++) {
        at[i] = mu_clock();
        err = load(b);
        err = err ? err : learn(b);
    }
    err = err ? err : wait_for_all(b);
    at[n] = mu_clock();
    fputs("[", stdout);
    for (long i = 0; i < n && !err; i++)
        printf("%s%.9f", i ? ", " : "", at[i + 1] - at[i]);
    fputs("]", stdout);
    mu_free(at);
    return err;
}

static void print_list(const char *name, const double *x, long n)
{
    printf("\"%s\": [", name);
    for (long i = 0; i < n; i++)
        printf("%s%.9f", i ? ", " : "", x[i]);
    fputs("]", stdout);
}

static mu_err run_host(bench *b, long n)
{
    double *whole, *loading;
    MU_TRY(mu_calloc(&whole, 2 * (size_t)n + 1, sizeof *whole));
    loading = whole + n;
    mu_err err = MU_OK;
    for (long i = 0; i < n && !err; i++) {
        double begun = mu_clock();
        err = load(b);
        loading[i] = mu_clock() - begun;
        err = err ? err : learn(b);
        whole[i] = mu_clock() - begun;
        err = err ? err : wait_for_all(b);
    }
    fputs("{", stdout);
    print_list("step", whole, n);
    fputs(", ", stdout);
    print_list("load", loading, n);
    fputs("}", stdout);
    mu_free(whole);
    return err;
}

static void print_memory(const bench *b)
{
    mu_plan_stats s = mu_plan_get_stats(mu_model_train_plan(b->model));
    size_t used = 0, peak = 0;
    if (b->backend->ops->memory)
        b->backend->ops->memory(b->backend, &used, &peak);
    printf("{\"used\": %zu, \"peak\": %zu, \"arena\": %zu, \"lower_bound\": %zu, \"steps\": %d, \"reorders\": %d, \"gflop\": %.3f}", used, peak,
           s.arena_bytes, s.lower_bound_bytes, s.n_steps, s.n_reorders, 1e-9 * (double)s.flops);
}

/* Of the last step: on a device nobody has looked at it yet. */
static mu_err print_loss(bench *b)
{
    char bytes[MU_MAX_LOSSES * sizeof(double)];
    mu_type type;
    if (!b->backend->host_memory) {
        const void *losses = mu_model_losses(b->model, 0, &type);
        MU_TRY(b->backend->ops->download(b->backend, bytes, losses, mu_type_bytes(&type)));
        mu_model_read_losses(b->model, 0, bytes, &b->vars);
    }
    printf("%.9g", b->vars.n ? b->vars.item[0].value : 0);
    return MU_OK;
}

static mu_err answer(bench *b, const char *line)
{
    struct rusage usage;
    if (strncmp(line, "rss", 3) == 0) {
        getrusage(RUSAGE_SELF, &usage);
        printf("%ld", usage.ru_maxrss * 1024);
    } else if (strncmp(line, "memory", 6) == 0) {
        print_memory(b);
    } else if (strncmp(line, "loss", 4) == 0) {
        MU_TRY(print_loss(b));
    } else if (strncmp(line, "host ", 5) == 0) {
        MU_TRY(run_host(b, atol(line + 5)));
    } else {
        MU_TRY(run(b, atol(line)));
    }
    puts("");
    fflush(stdout);
    return MU_OK;
}

static int slower(const void *pa, const void *pb)
{
    const mu_plan_step *a = pa, *b = pb;
    return (a->seconds < b->seconds) - (a->seconds > b->seconds);
}

static mu_err print_profile(const mu_plan *plan)
{
    int n = mu_plan_n_steps(plan);
    mu_plan_step *steps;
    double total = 0;
    MU_TRY(mu_calloc(&steps, (size_t)n + 1, sizeof *steps));
    for (int i = 0; i < n; i++) {
        steps[i] = mu_plan_get_step(plan, i);
        total += steps[i].runs ? 1e3 * steps[i].seconds / (double)steps[i].runs : 0;
    }
    qsort(steps, (size_t)n, sizeof *steps, slower);
    printf("%9.3f ms in all, %d kernels\n", total, n);
    for (int i = 0; i < n && steps[i].runs; i++) {
        const mu_plan_step *s = &steps[i];
        double ms = 1e3 * s->seconds / (double)s->runs;
        printf("%9.4f ms %8.1f GFLOP/s %7.1f GB/s  %-22s %-26s %s%s\n", ms, ms > 0 ? 1e-6 * (double)s->flops / ms : 0,
               ms > 0 ? 1e-6 * (double)s->bytes / ms : 0, s->op, s->impl ? s->impl : "", s->name ? s->name : "", s->backward ? " (backward)" : "");
    }
    mu_free(steps);
    return MU_OK;
}

static mu_err serve(const options *o, bench *b)
{
    char line[64];
    MU_TRY(prepare(o, b));
    while (fgets(line, sizeof line, stdin))
        MU_TRY(answer(b, line));
    if (o->profile)
        MU_TRY(print_profile(mu_model_train_plan(b->model)));
    return MU_OK;
}

/* ---- the command line ---- */

static int usage(void)
{
    fputs("usage: train_bench --model lenet|resnet18|resnet50 | --config YAML --image C,H,W --classes N\n"
          "                   --batch N [--image C,H,W] [--device DEVICE] [--dtype f32|bf16|f16] [--tf32] [--threads N] [--profile]\n",
          stderr);
    return 2;
}

static bool complete(options *o)
{
    for (int i = 0; o->model && models[i].name; i++)
        if (strcmp(models[i].name, o->model) == 0) {
            o->config = models[i].config;
            o->image = o->image ? o->image : models[i].image;
            o->classes = o->classes ? o->classes : models[i].classes;
        }
    return o->config && o->image && sscanf(o->image, "%" SCNd64 ",%" SCNd64 ",%" SCNd64, &o->dim[0], &o->dim[1], &o->dim[2]) == 3 &&
           o->dim[0] > 0 && o->dim[1] > 0 && o->dim[2] > 0 && o->classes > 0 && o->batch > 0 &&
           (o->dtype == MU_F32 || o->dtype == MU_BF16 || o->dtype == MU_F16);
}

static int parse(int argc, char **argv, options *o)
{
    static const struct option table[] = {{"model", 1, NULL, 'm'},   {"config", 1, NULL, 'c'},  {"batch", 1, NULL, 'b'},
                                          {"image", 1, NULL, 'i'},   {"classes", 1, NULL, 'k'}, {"device", 1, NULL, 'D'},
                                          {"dtype", 1, NULL, 'd'},   {"tf32", 0, NULL, 'f'},    {"threads", 1, NULL, 't'},
                                          {"profile", 0, NULL, 'p'}, {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        switch (c) {
        case 'm': o->model = optarg; break;
        case 'c': o->config = optarg; break;
        case 'b': o->batch = atol(optarg); break;
        case 'i': o->image = optarg; break;
        case 'k': o->classes = atol(optarg); break;
        case 'D': o->device = optarg; break;
        case 'd': o->dtype = mu_dtype_parse(optarg); break;
        case 'f': o->backend.tf32 = true; break;
        case 't': o->backend.n_threads = atoi(optarg); break;
        case 'p': o->profile = true; break;
        default: return usage();
        }
    }
    return complete(o) ? 0 : usage();
}

int main(int argc, char **argv)
{
    options o = {.device = "cpu", .dtype = MU_F32};
    if (parse(argc, argv, &o) != 0)
        return 2;
    bench b = {0};
    mu_err err = serve(&o, &b);
    if (err != MU_OK) {
        char text[4096];
        mu_error_format(mu_error_last(), 1, text, sizeof text);
        fprintf(stderr, "train_bench: %s\n", text);
    }
    release(&b);
    return mu_err_exit_status(err);
}

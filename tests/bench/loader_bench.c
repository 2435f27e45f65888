/* Rate of the loader from a dataset file of u8 images to normalised f32 batches, beside that of memcpy. Not a test.
 *
 *   loader_bench [FOLDER]     where the files are made; default: /tmp
 *
 * One line per image size and number of threads: images per second, GB/s of the f32 batches that come out (best of 8 epochs, in random
 * order), GB/s of a copy of 64 MiB by memcpy in one thread (best of 8 between the epochs), and their ratio. The files lie in the page cache. */
#include "config/config.h"
#include "core/clock.h"
#include "core/mem.h"
#include "data/h5_dataset.h"
#include "data/loader.h"
#include "graph/plan.h"
#include "nn/preprocessor.h"
#include "nn/trace_impl.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { EPOCHS = 8, MAX_PATH = 256, COPY_BYTES = 64 << 20 };

typedef struct {
    const char *name, *preprocessor;
    int64_t dim[3], n, batch;
} set;

static const set sets[] = {
    {"28x28", "{type: ImgDataPreprocessor, mean: [33.3], std: [78.6]}", {1, 28, 28}, 60000, 64},
    {"32x32x3", "{type: ImgDataPreprocessor, mean: [125.3, 123.0, 113.9], std: [63.0, 62.1, 66.7]}", {3, 32, 32}, 20000, 128},
    {"224x224x3", "{type: ImgDataPreprocessor, mean: [123.7, 116.3, 103.5], std: [58.4, 57.1, 57.4]}", {3, 224, 224}, 1024, 32},
};

/* Two arrays beyond any cache, to time a copy beside each epoch: other programs then disturb both. */
typedef struct {
    char *from, *to;
    double seconds; /* best so far */
} copier;

static void copy_once(copier *c)
{
    double begun = mu_clock();
    memcpy(c->to, c->from, COPY_BYTES);
    __asm__ volatile("" ::"r"(c->to) : "memory");
    double seconds = mu_clock() - begun;
    c->seconds = seconds < c->seconds ? seconds : c->seconds;
}

static mu_err write_set(const set *s, const char *path)
{
    mu_h5_writer *w;
    mu_type type;
    uint8_t *image;
    MU_TRY(mu_type_init(&type, MU_U8, 3, s->dim));
    const mu_h5_field fields[] = {{.name = "images", .sample = type}, {.name = "labels", .sample = MU_SCALAR(MU_I64)}};
    size_t bytes = mu_type_bytes(&type);
    MU_TRY(mu_alloc(&image, bytes));
    mu_err err = mu_h5_writer_new(path, fields, 2, s->n, "{}", &w);
    if (!err) {
        for (int64_t i = 0; !err && i < s->n; i++) {
            int64_t label = i % 10;
            for (size_t k = 0; k < bytes; k++)
                image[k] = (uint8_t)(i * 7 + (int64_t)k * 13);
            err = mu_h5_writer_append(w, 0, image, bytes);
            err = err ? err : mu_h5_writer_append(w, 1, &label, sizeof label);
        }
        err = err ? err : mu_h5_writer_finish(w);
        mu_h5_writer_release(w);
    }
    mu_free(image);
    return err;
}

/* A plan whose only output is the batch's images as the network reads them. */
static mu_err make_plan(const set *s, const void *preprocessor, mu_backend *backend, mu_params *params, mu_plan **out)
{
    mu_tensors inputs = {0};
    mu_trace trace;
    mu_trace_names names = {0};
    mu_modules *modules;
    mu_graph *graph;
    MU_TRY(mu_tensors_put(&inputs, "img", MU_TYPE(MU_U8, s->batch, s->dim[0], s->dim[1], s->dim[2]), NULL));
    MU_TRY(mu_modules_new(&modules));
    mu_err err = mu_trace_begin(&trace, MU_MODE_TENSOR, true, &inputs, modules, "Bench", NULL);
    if (!err) {
        trace.preprocessor = preprocessor;
        mu_trace_output(&trace, "img", mu_trace_input(&trace, "img"));
        err = mu_trace_end(&trace, false, &graph, &names);
    }
    if (!err) {
        err = mu_plan_new(graph, backend, params, NULL, out);
        mu_graph_release(graph);
        mu_trace_names_release(&names);
    }
    mu_modules_release(modules);
    return err;
}

static mu_err epoch(mu_loader *loader, mu_plan *plan, int64_t number, double *seconds)
{
    const mu_batch *batch;
    mu_type type;
    double begun = mu_clock();
    MU_TRY(mu_loader_start(loader, number));
    for (;;) {
        MU_TRY(mu_loader_next(loader, &batch));
        if (!batch)
            break;
        const mu_tensor *img = mu_tensors_find(&batch->fields, "img");
        memcpy(mu_plan_input(plan, "img", &type), img->data, mu_type_bytes(&img->type)); /* a short batch leaves the rest */
        MU_TRY(mu_plan_run(plan, NULL));
    }
    *seconds = mu_clock() - begun;
    return MU_OK;
}

static mu_err measure_plan(const set *s, mu_loader *loader, mu_plan *plan, int threads, copier *copy)
{
    double best = 1e9, seconds = 0;
    for (int64_t i = 0; i < EPOCHS; i++) {
        MU_TRY(epoch(loader, plan, i, &seconds));
        best = seconds < best ? seconds : best;
        copy_once(copy);
    }
    double bytes = (double)(s->n * s->dim[0] * s->dim[1] * s->dim[2]) * sizeof(float), copied = COPY_BYTES / copy->seconds;
    printf("%-10s %d threads  %10.0f images/s  %6.2f GB/s  memcpy %6.2f GB/s  ratio %5.2f\n", s->name, threads, (double)s->n / best,
           bytes / best / 1e9, copied / 1e9, bytes / best / copied);
    return MU_OK;
}

static mu_err measure(const set *s, const mu_cfg *cfg, const mu_cfg *preprocessor_cfg, int threads, copier *copy)
{
    mu_loader *loader = NULL;
    mu_backend *backend = NULL;
    mu_params *params = NULL;
    mu_plan *plan = NULL;
    void *preprocessor;
    mu_err err;
    MU_TRY(mu_build("data_preprocessor", preprocessor_cfg, NULL, "", &preprocessor));
    MU_TRY_GOTO(err, mu_backend_open("cpu", &(mu_backend_options){.n_threads = 1}, &backend), done);
    MU_TRY_GOTO(err, mu_params_new(backend, &params), done);
    MU_TRY_GOTO(err, make_plan(s, preprocessor, backend, params, &plan), done);
    MU_TRY_GOTO(err, mu_loader_new(cfg, "", &(mu_loader_options){.world_size = 1, .training = true}, &loader), done);
    MU_TRY_GOTO(err, measure_plan(s, loader, plan, threads, copy), done);
done:
    if (loader)
        mu_loader_release(loader);
    mu_plan_release(plan);
    mu_params_release(params);
    if (backend)
        mu_backend_close(backend);
    mu_destroy(preprocessor);
    return err;
}

static mu_err run_set(const set *s, const char *path, copier *copy)
{
    mu_config *config, *preprocessor;
    char yaml[MAX_PATH + 128];
    MU_TRY(write_set(s, path));
    MU_TRY(mu_config_parse(s->preprocessor, strlen(s->preprocessor), "yaml", &preprocessor));
    mu_err err = MU_OK;
    for (int threads = 0; !err && threads < 3; threads++) {
        copy->seconds = 1e9;
        snprintf(yaml, sizeof yaml, "{dataset: {type: HDF5Dataset, path: %s}, batch_size: %lld, num_workers: %d}", path,
                 (long long)s->batch, threads);
        err = mu_config_parse(yaml, strlen(yaml), "yaml", &config);
        if (!err) {
            err = measure(s, mu_config_root(config), mu_config_root(preprocessor), threads, copy);
            mu_config_release(config);
        }
    }
    mu_config_release(preprocessor);
    return err;
}

int main(int argc, char **argv)
{
    char path[MAX_PATH];
    copier copy;
    snprintf(path, sizeof path, "%.200s/muster-loader-bench-%ld.h5", argc > 1 ? argv[1] : "/tmp", (long)getpid());
    mu_err err = mu_calloc(&copy.from, COPY_BYTES, 1);
    err = err ? err : mu_calloc(&copy.to, COPY_BYTES, 1);
    if (!err)
        memset(copy.from, 1, COPY_BYTES);
    for (size_t i = 0; !err && i < sizeof sets / sizeof sets[0]; i++)
        err = run_set(&sets[i], path, &copy);
    unlink(path);
    if (err)
        fprintf(stderr, "%s\n", mu_error_last()->message);
    return err != MU_OK;
}

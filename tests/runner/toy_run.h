/* A small run on one rank, built and trained by hand as a runner does it, its checkpoints, and what is warned of. */
#ifndef MU_TESTS_RUNNER_TOY_RUN_H
#define MU_TESTS_RUNNER_TOY_RUN_H

#include "core/log.h"
#include "runner/checkpoint.h"

#include "../data/toy_set.h"
#include "../optim/shared.h"
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#define YAML(batch, samples, schedule, hidden)                                                                             \
    "model: {type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor, mean: 100, std: 50},\n"                  \
    "  backbone: {type: MLP, hidden: [" hidden "], dropout: 0.2}, head: {type: LinearClsHead, num_classes: 10,\n"            \
    "  in_channels: " hidden ", loss: {type: CrossEntropyLoss}}}\n"                                                         \
    "train_dataloader: {dataset: {type: ToySet, n: " samples "}, batch_size: " batch ",\n"                                  \
    "  sampler: {type: DefaultSampler, shuffle: true}}\n"                                                                   \
    "optim_wrapper: {type: OptimWrapper, accumulative_counts: 2, optimizer: {type: SGD, lr: 0.05, momentum: 0.9}}\n"        \
    "param_scheduler: [{type: LinearLR, start_factor: 0.1, by_epoch: false, end: 9}, " schedule "]\n"
#define SCHEDULE "{type: MultiStepLR, milestones: [1, 3]}"
#define PLAIN YAML("8", "53", SCHEDULE, "300")

typedef struct {
    mu_config *config;
    mu_cfg *parallel_cfg;
    mu_hook *hook; /* called after iterations; NULL: none */
    mu_runner r;
} run;

static const char *toy_device = "cpu";
static char folder[64], path[128], other[128], warnings[8192];
static mu_comm *comm;
static const mu_checkpoint_parts everything = {.optimizer = true, .schedulers = true};

static void keep_warning(void *user, mu_log_level level, const char *room, const char *line)
{
    (void)user, (void)room;
    size_t n = strlen(warnings);
    if (level == MU_LOG_WARNING)
        snprintf(warnings + n, sizeof warnings - n, "%s\n", line);
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/checkpoint_test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/epoch_1.h5", folder);
    snprintf(other, sizeof other, "%s/other.h5", folder);
    ck_ok(mu_comm_self_new(&comm));
    toy_register();
    warnings[0] = '\0';
    mu_log_set_sink(keep_warning, NULL);
}

static void teardown(void)
{
    char command[128];
    mu_log_set_sink(NULL, NULL);
    mu_comm_release(comm);
    mu_registry_reset();
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static void open_optim(run *t)
{
    mu_runner *r = &t->r;
    const mu_modules *modules = mu_model_modules(r->model);
    mu_param_traits traits[16];
    int n = 0;
    for (int i = 0; i < mu_modules_n_params(modules); i++)
        if (mu_modules_param(modules, i)->trainable)
            traits[n++] = (mu_param_traits){.name = mu_modules_param(modules, i)->name};
    ck_ok(mu_build("optim_wrapper", mu_cfg_get(r->cfg, "optim_wrapper"), NULL, "", (void **)&r->optim));
    ck_ok(shared_open(comm, "", &t->parallel_cfg, &r->parallel, NULL));
    ck_ok(mu_parallel_bind(r->parallel, r->backend, mu_model_params(r->model), mu_optim_wrapper_accumulates(r->optim)));
    ck_ok(mu_optim_wrapper_bind(r->optim, r->backend, mu_model_params(r->model), traits, n, 1, r->parallel));
    const mu_cfg *list = mu_cfg_get(r->cfg, "param_scheduler");
    r->n_schedulers = (int)mu_cfg_size(list);
    r->scheduler = calloc((size_t)r->n_schedulers, sizeof *r->scheduler);
    for (int i = 0; i < r->n_schedulers; i++) {
        ck_ok(mu_build("param_scheduler", mu_cfg_at(list, (size_t)i), NULL, "", (void **)&r->scheduler[i]));
        ck_ok(mu_scheduler_bind(r->scheduler[i], mu_optim_wrapper_optim(r->optim), r->epoch_length));
    }
}

static void run_open(run *t, const char *yaml, uint64_t seed)
{
    mu_runner *r = &t->r;
    mu_batch_buffer *example;
    *t = (run){0};
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &t->config));
    *r = (mu_runner){.comm = comm, .config = t->config, .cfg = mu_config_root(t->config), .seed = seed, .by_epoch = true,
                     .work_dir = folder, .experiment_name = "toy"};
    ck_ok(mu_backend_open(toy_device, &(mu_backend_options){.n_threads = 1, .deterministic = true, .cache_dir = ""}, &r->backend));
    ck_ok(mu_loader_new(mu_cfg_get(r->cfg, "train_dataloader"), "train_dataloader",
                        &(mu_loader_options){.world_size = 1, .seed = seed, .training = true}, &r->train_loader));
    r->epoch_length = mu_loader_length(r->train_loader);
    ck_ok(mu_build("model", mu_cfg_get(r->cfg, "model"), NULL, "model", (void **)&r->model));
    ck_ok(mu_model_bind(r->model, &(mu_model_options){.backend = r->backend}));
    ck_ok(mu_loader_example(r->train_loader, 0, &example));
    ck_ok(mu_model_prepare(r->model, mu_batch_buffer_batch(example), true));
    mu_batch_buffer_release(example);
    ck_ok(mu_model_init_weights(r->model, seed, NULL, NULL, NULL));
    open_optim(t);
    ck_ok(mu_message_hub_new(&r->hub));
}

static void run_close(run *t)
{
    mu_runner *r = &t->r;
    mu_checkpoint_close(r);
    for (int i = 0; i < r->n_schedulers; i++)
        mu_destroy(r->scheduler[i]);
    free(r->scheduler);
    mu_message_hub_release(r->hub);
    mu_destroy(t->hook);
    mu_destroy(r->optim);
    mu_destroy(r->parallel);
    mu_cfg_release(t->parallel_cfg);
    mu_destroy(r->model);
    mu_loader_release(r->train_loader);
    mu_backend_close(r->backend);
    mu_config_release(t->config);
}

static void step_schedulers(mu_runner *r, bool by_epoch)
{
    for (int i = 0; i < r->n_schedulers; i++)
        mu_scheduler_step(r->scheduler[i], by_epoch);
}

static void call_hook(run *t, mu_hook_point point)
{
    mu_hook_fn *at = t->hook ? ((const mu_hook_ops *)mu_component_of(t->hook)->ops)->at[point] : NULL;
    if (at)
        ck_ok(at(t->hook, &t->r, &(mu_hook_event){0}));
}

/* As EpochBasedTrainLoop does it; ends after `last` epochs, or in the middle of one after `stop` iterations. */
static void train(run *t, int64_t last, int64_t stop)
{
    mu_runner *r = &t->r;
    mu_log_vars vars;
    mu_update_info update;
    const mu_batch *batch;
    for (; r->epoch < last; r->epoch++, r->epoch_iter = 0) {
        if (r->epoch_iter == 0)
            ck_ok(mu_loader_start(r->train_loader, r->epoch));
        while (r->epoch_iter < r->epoch_length) {
            ck_ok(mu_loader_next(r->train_loader, &batch));
            ck_assert_ptr_nonnull(batch);
            ck_ok(mu_model_train_step(r->model, batch, r->seed, r->iter, &vars));
            mu_optim_wrapper_set_progress(r->optim, r->iter, 4 * r->epoch_length);
            ck_ok(shared_update(r->parallel, r->optim, &update));
            mu_model_changed(r->model);
            ck_ok(mu_message_hub_scalar(r->hub, "train/loss", vars.item[0].value, 1, true));
            r->epoch_iter++;
            r->iters_done++;
            step_schedulers(r, false);
            call_hook(t, MU_AFTER_TRAIN_ITER);
            if (++r->iter == stop)
                return;
        }
        step_schedulers(r, true);
    }
}

/* Everything but /meta, which tells the time. */
static void same_files(const char *a, const char *b)
{
    mu_tensor_file *f, *g;
    ck_ok(mu_tensor_file_open(a, MU_CHECKPOINT_FORMAT, 1, &f));
    ck_ok(mu_tensor_file_open(b, MU_CHECKPOINT_FORMAT, 1, &g));
    ck_assert_int_eq(mu_tensor_file_count(f), mu_tensor_file_count(g));
    ck_assert_int_gt(mu_tensor_file_count(f), 20);
    for (int i = 0; i < mu_tensor_file_count(f); i++) {
        const mu_tensor_entry *e = mu_tensor_file_at(f, i);
        size_t bytes = mu_type_bytes(&e->type);
        char *x = malloc(bytes + 1), *y = malloc(bytes + 1);
        ck_assert_str_eq(e->path, mu_tensor_file_at(g, i)->path);
        if (strcmp(e->path, "/meta") != 0) {
            ck_ok(mu_tensor_file_read(f, i, x, bytes));
            ck_ok(mu_tensor_file_read(g, i, y, bytes));
            ck_assert_msg(memcmp(x, y, bytes) == 0, "%s differs", e->path);
        }
        free(x);
        free(y);
    }
    mu_tensor_file_release(f);
    mu_tensor_file_release(g);
}

#endif

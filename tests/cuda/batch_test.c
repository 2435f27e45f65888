/* Training on the emulated device from batches that are sent from where the loader's threads made them: the parameters become what they become from copies. */
#include "backend/lanes.h"
#include "core/log.h"
#include "data/loader.h"
#include "nn/model.h"
#include "optim/optim.h"
#include "runner/runner.h"

#include "../data/toy_set.h"

#include <unistd.h>

enum { EPOCHS = 3 };

static const char model_yaml[] = "{type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor, mean: 100, std: 50}, "
                                 "backbone: {type: MLP, hidden: [300], dropout: 0.2}, head: {type: LinearClsHead, num_classes: 10, in_channels: 300}}";
/* The last batch of an epoch is a smaller one, and has a plan of its own. */
static const char loader_yaml[] = "{dataset: {type: ToySet, n: %d}, batch_size: 8, num_workers: %d}";

static int n_rooms, most_rooms; /* pinned blocks that are out; more than `most_rooms` are refused, unless that is negative */

static mu_err room_new(void *backend, size_t bytes, void **out)
{
    if (most_rooms >= 0 && n_rooms >= most_rooms)
        return MU_FAIL(MU_ERR_BACKEND, "no more pinned memory");
    MU_TRY(mu_host_room_new(backend, bytes, out));
    n_rooms++;
    return MU_OK;
}

static void room_release(void *backend, void *block)
{
    n_rooms--;
    mu_host_room_release(backend, block);
}

typedef struct {
    int samples, threads, keep;
    bool lent, example;
} way;

/* The parameters after some epochs in which the host waits for nothing; owned by the caller. *lent: batches that were. */
static float *trained(const way *w, size_t *bytes, int *lent)
{
    char yaml[128];
    mu_backend *b;
    mu_config *configs[3];
    mu_loader *loader;
    mu_batch_buffer *example;
    mu_model *model;
    mu_optim *optim;
    void *data;
    float *out;
    snprintf(yaml, sizeof yaml, loader_yaml, w->samples, w->threads);
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &configs[0]));
    ck_ok(mu_config_parse(model_yaml, strlen(model_yaml), "yaml", &configs[1]));
    ck_ok(mu_config_parse("{type: SGD, lr: 0.05, momentum: 0.9}", 36, "yaml", &configs[2]));
    ck_ok(mu_backend_open("cuda", &(mu_backend_options){.cache_dir = "", .deterministic = true}, &b));
    mu_loader_options options = {.world_size = 1, .seed = 5, .training = true, .keep = w->keep};
    if (w->lent)
        options.memory = (mu_loader_memory){.alloc = room_new, .dealloc = room_release, .user = b};
    ck_ok(mu_loader_new(mu_config_root(configs[0]), "loader", &options, &loader));
    ck_ok(mu_build("model", mu_config_root(configs[1]), NULL, "model", (void **)&model));
    ck_ok(mu_model_bind(model, &(mu_model_options){.backend = b}));
    mu_loader *other = NULL; /* tells types, and leaves the first one to find out */
    if (!w->example)
        ck_ok(mu_loader_new(mu_config_root(configs[0]), "loader", &(mu_loader_options){.world_size = 1}, &other));
    ck_ok(mu_loader_example(other ? other : loader, 0, &example));
    mu_loader_release(other);
    ck_ok(mu_model_prepare(model, mu_batch_buffer_batch(example), true));
    mu_batch_buffer_release(example);
    ck_ok(mu_model_init_weights(model, 5, NULL, NULL, NULL));
    ck_ok(mu_build("optimizer", mu_config_root(configs[2]), NULL, "optimizer", (void **)&optim));
    ck_ok(mu_optim_bind(optim, b, mu_model_params(model), NULL, NULL, 0));
    *lent = 0;
    for (int64_t epoch = 0, step = 0; epoch < EPOCHS; epoch++) {
        const mu_batch *batch;
        ck_ok(mu_loader_start(loader, epoch));
        for (;; step++) {
            ck_ok(mu_loader_next(loader, &batch));
            if (!batch)
                break;
            *lent += batch->lent;
            ck_ok(mu_model_load_train(model, batch));
            ck_ok(mu_model_run_train(model, 5, step, NULL));
            ck_ok(mu_optim_step_late(optim, NULL));
            mu_model_changed(model);
        }
    }
    data = mu_params_data(mu_model_params(model), bytes);
    ck_ok(mu_alloc(&out, *bytes));
    ck_ok(b->ops->download(b, out, data, *bytes));
    mu_destroy(optim);
    mu_destroy(model);
    mu_loader_release(loader);
    ck_assert_int_eq(n_rooms, 0);
    mu_backend_close(b);
    for (int i = 0; i < 3; i++)
        mu_config_release(configs[i]);
    return out;
}

static bool as_if_copied(const way *w, int *lent)
{
    const way copied = {.samples = w->samples, .example = true};
    size_t n_want, n_got;
    float *want = trained(&copied, &n_want, lent);
    ck_assert_int_eq(*lent, 0);
    float *got = trained(w, &n_got, lent);
    ck_assert_uint_eq(n_want, n_got);
    bool same = memcmp(want, got, n_want) == 0;
    mu_free(want);
    mu_free(got);
    return same;
}

static void setup(void)
{
    most_rooms = -1;
    toy_register();
}

static void teardown(void)
{
    mu_registry_reset();
}

START_TEST(the_same_as_from_copies)
{
    for (int samples = 48; samples <= 53; samples += 5)
        for (int threads = 0; threads <= 2; threads += 2)
            for (int example = 0; example < 2; example++) {
                const way w = {.samples = samples, .threads = threads, .keep = 2, .lent = true, .example = example};
                int lent, batches = EPOCHS * ((samples + 7) / 8);
                ck_assert(as_if_copied(&w, &lent));
                ck_assert_int_le(lent, batches);
                ck_assert_int_ge(lent, example ? batches : batches / 2); /* the first ones tell how large they are */
            }
}
END_TEST

/* A batch that does not stay is overwritten while it is sent. */
START_TEST(one_batch_is_too_few)
{
    int lent;
    ck_assert(!as_if_copied(&(way){.samples = 48, .keep = 1, .lent = true, .example = true}, &lent));
    ck_assert_int_eq(lent, EPOCHS * 6);
}
END_TEST

static int n_warned;

static void count_warning(void *user, mu_log_level level, const char *room, const char *line)
{
    (void)user, (void)room;
    n_warned += level == MU_LOG_WARNING && strstr(line, "no more pinned memory");
}

START_TEST(little_pinned_memory)
{
    mu_log_set_sink(count_warning, NULL);
    for (most_rooms = 0; most_rooms < 3; most_rooms++) {
        const way w = {.samples = 53, .threads = 2, .keep = 2, .lent = true, .example = true};
        int lent;
        n_warned = 0;
        ck_assert(as_if_copied(&w, &lent));
        ck_assert_int_eq(n_warned, 1);
        ck_assert(most_rooms == 0 ? lent == 0 : lent > 0 && lent < EPOCHS * 7);
    }
    mu_log_set_sink(NULL, NULL);
}
END_TEST

/* ---- in a run ---- */

typedef struct {
    mu_hook base;
} looker;

static int n_trained, n_trained_lent, n_validated, n_validated_lent;

/* After the iteration the batch still is what the data set has. */
static void look(const mu_batch *batch, int *n, int *n_lent)
{
    const mu_tensor *img = mu_tensors_find(&batch->fields, "img"), *label = mu_tensors_find(&batch->fields, "gt_label");
    for (int64_t i = 0; i < batch->size; i++) {
        for (int64_t k = 0; k < 12; k++)
            ck_assert_int_eq(((const uint8_t *)img->data)[i * 12 + k], toy_pixel(batch->index[i], k));
        ck_assert_int_eq(((const int64_t *)label->data)[i], batch->index[i] % 10);
    }
    *n += 1;
    *n_lent += batch->lent;
}

static mu_err look_at_trained(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)hook, (void)runner;
    look(event->batch, &n_trained, &n_trained_lent);
    return MU_OK;
}

static mu_err look_at_validated(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    (void)hook, (void)runner;
    look(event->batch, &n_validated, &n_validated_lent);
    return MU_OK;
}

static const mu_option looker_options[] = {MU_HOOK_OPTIONS(looker), MU_OPTION_END};
static const mu_component looker_component = {
    .kind = "hook", .name = "BatchLooker", .doc = "Looks at batches.", .size = sizeof(looker), .options = looker_options,
    .ops = &(const mu_hook_ops){.priority = MU_PRIORITY_NORMAL,
                                .at = {[MU_AFTER_TRAIN_ITER] = look_at_trained, [MU_AFTER_VAL_ITER] = look_at_validated}}};

static const char run_yaml[] =
    "model: {type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor, mean: 100, std: 50},\n"
    "  backbone: {type: MLP, hidden: [30]}, head: {type: LinearClsHead, num_classes: 10, in_channels: 30}}\n"
    "train_dataloader: {dataset: {type: ToySet, n: 53}, batch_size: 8, num_workers: 2}\n"
    "val_dataloader: {dataset: {type: ToySet, n: 80}, batch_size: 8, num_workers: 1}\n"
    "train_cfg: {by_epoch: true, max_epochs: 3, val_interval: 1}\n"
    "val_cfg: {}\n"
    "val_evaluator: {type: Accuracy}\n"
    "optim_wrapper: {type: OptimWrapper, optimizer: {type: SGD, lr: 0.05}}\n"
    "default_hooks: {checkpoint: null}\n"
    "custom_hooks: [{type: BatchLooker}]\n"
    "randomness: {seed: 1}\n";

static void run(const char *device, const char *folder)
{
    char yaml[2048];
    int status;
    mu_comm *comm;
    mu_config *config;
    mu_runner *runner;
    mu_registry *root;
    n_trained = n_trained_lent = n_validated = n_validated_lent = 0;
    ck_ok(mu_registry_root(&root));
    ck_ok(mu_registry_add(root, &looker_component, true));
    snprintf(yaml, sizeof yaml, "%sdevice: %s\n", run_yaml, device);
    ck_ok(mu_comm_self_new(&comm));
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &config));
    ck_ok(mu_runner_new(comm, config, &(mu_runner_options){.work_dir = folder, .training = true, .n_threads = 1}, &runner));
    ck_ok(mu_runner_train(runner, &status));
    ck_assert_int_eq(status, 0);
    mu_runner_release(runner);
    mu_config_release(config);
    mu_comm_release(comm);
    ck_assert_int_eq(n_trained, 3 * 7);
    ck_assert_int_eq(n_validated, 3 * 10);
}

/* On a device all batches of training are sent from where they lie, and those of validation as soon as it is known how large they are. */
START_TEST(whole_runs)
{
    char folder[] = "/tmp/batch_test.XXXXXX", command[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    setenv("MUSTER_CACHE_DIR", folder, 1);
    mu_log_set_sink(count_warning, NULL);
    run("cuda", folder);
    ck_assert_int_eq(n_trained_lent, n_trained);
    ck_assert(n_validated_lent >= 2 * 10 && n_validated_lent < n_validated);
    run("cpu", folder);
    ck_assert_int_eq(n_trained_lent + n_validated_lent, 0);
    mu_log_set_sink(NULL, NULL);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cuda batches");
    TCase *tests = tcase_create("batches");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_same_as_from_copies);
    tcase_add_test(tests, one_batch_is_too_few);
    tcase_add_test(tests, little_pinned_memory);
    tcase_add_test(tests, whole_runs);
    suite_add_tcase(suite, tests);
    setenv("MU_FALLBACK", "error", 1);
    return test_run(suite);
}

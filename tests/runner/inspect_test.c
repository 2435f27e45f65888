#include "runner/inspect.h"

#include "core/log.h"
#include "runner/check.h"
#include "runner/mistake.h"
#include "runner/runner.h"

#include "../optim/shared.h"
#include "test.h"

static void silent(void *user, mu_log_level level, const char *room, const char *line)
{
    (void)user, (void)level, (void)room, (void)line;
}

static void begin(void)
{
    mu_log_set_sink(silent, NULL);
}

static void end(void)
{
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static const char text[] = "device: cpu:ref\n"
                           "model:\n"
                           "  type: ImageClassifier\n"
                           "  data_preprocessor: {type: ImgDataPreprocessor}\n"
                           "  backbone: {type: LeNet, in_channels: 1, width: 8, kernel: 3}\n"
                           "  head: {type: LinearClsHead, num_classes: 5}\n"
                           "train_dataloader:\n"
                           "  batch_size: 3\n"
                           "  dataset: {type: HDF5Dataset, path: /nowhere/x.h5}\n"
                           "  sampler: {type: DefaultSampler, shuffle: true}\n"
                           "optim_wrapper: {type: OptimWrapper, optimizer: {type: AdamW, lr: 0.1}}\n"
                           "param_scheduler: {type: StepLR, step_size: 2}\n"
                           "train_cfg: {by_epoch: true, max_epochs: 1}\n";
static const mu_inspect_options options = {.ranks = 4, .input_shape = {.dtype = MU_U8, .ndim = 3, .dim = {1, 8, 8}}};

typedef struct {
    mu_config *config;
    mu_diagnostics list;
    mu_inspection in;
} job;

static void job_release(job *j)
{
    mu_inspection_release(&j->in);
    mu_diagnostics_release(&j->list);
    mu_config_release(j->config);
}

static mu_err inspect(const char *yaml, const char *change, job *j)
{
    *j = (job){0};
    mu_err err = mu_config_parse(yaml, strlen(yaml), "yaml", &j->config);
    if (!err && change)
        err = mu_config_override(j->config, change);
    if (!err)
        err = mu_inspect(j->config, &options, &j->list, &j->in);
    if (err)
        job_release(j);
    return err;
}

/* A batch as the inspection traces it. */
static void make_batch(mu_batch *batch)
{
    static uint8_t img[3 * 8 * 8];
    static int64_t label[3], index[3] = {0, 1, 2};
    *batch = (mu_batch){.size = 3, .index = index};
    ck_ok(mu_tensors_put(&batch->fields, "img", MU_TYPE(MU_U8, 3, 1, 8, 8), img));
    ck_ok(mu_tensors_put(&batch->fields, "gt_label", MU_TYPE(MU_I64, 3), label));
}

START_TEST(memory_is_what_a_run_takes)
{
    job j;
    mu_batch batch;
    mu_backend *backend;
    mu_model *model;
    mu_optim_wrapper *wrapper;
    mu_parallel *parallel;
    mu_cfg *parallel_cfg;
    mu_comm *comm;
    mu_params_sharing sharing;
    size_t data, states, gradients;
    ck_ok(inspect(text, NULL, &j));
    ck_assert_uint_eq(j.list.n, 0);
    ck_assert(j.in.traced && j.in.training && j.in.n_data == 1);
    ck_assert_ptr_nonnull(strstr(j.in.data[0].missing, "/nowhere/x.h5"));
    ck_assert_int_eq(j.in.data[0].global_batch, 12);

    make_batch(&batch);
    ck_ok(mu_backend_open("cpu:ref", &(mu_backend_options){.n_threads = 1, .deterministic = true, .cache_dir = ""}, &backend));
    ck_ok(mu_comm_self_new(&comm));
    const mu_cfg *root = mu_config_root(j.config);
    ck_ok(mu_build("model", mu_cfg_get(root, "model"), NULL, "model", (void **)&model));
    ck_ok(mu_build("optim_wrapper", mu_cfg_get(root, "optim_wrapper"), NULL, "optim_wrapper", (void **)&wrapper));
    ck_ok(shared_open(comm, "", &parallel_cfg, &parallel, NULL));
    ck_ok(mu_model_bind(model, &(mu_model_options){.backend = backend}));
    ck_ok(mu_parallel_foresee(parallel, 4, &sharing));
    ck_ok(mu_params_share(mu_model_params(model), &sharing));
    ck_ok(mu_model_prepare(model, &batch, true));
    mu_params *params = mu_model_params(model);
    mu_params_data(params, &data);
    mu_params_states(params, &states);
    mu_params_gradients(params, &gradients);
    mu_plan_stats stats = mu_plan_get_stats(mu_model_train_plan(model));
    ck_assert_uint_eq(j.in.param_bytes, data + states);
    ck_assert_uint_eq(j.in.gradient_bytes, gradients);
    ck_assert_uint_eq(j.in.activation_bytes, stats.arena_bytes);
    ck_assert_int_eq(j.in.flops, stats.flops);

    const mu_modules *modules = mu_model_modules(model);
    mu_param_traits traits[32];
    int n = 0;
    int64_t trained = 0;
    for (int i = 0; i < mu_modules_n_params(modules); i++) {
        const mu_module_param *p = mu_modules_param(modules, i);
        trained += p->trainable ? mu_type_count(&p->type) : 0;
        if (p->trainable)
            traits[n++] = (mu_param_traits){.name = p->name, .ndim = p->type.ndim};
    }
    ck_assert_int_eq(j.in.trainable, trained);
    /* Two states a parameter: as much as is allocated, but for a few small tables. */
    int64_t before = mu_mem_get_counts().live_bytes;
    ck_ok(mu_optim_wrapper_bind(wrapper, backend, params, traits, n, 1, parallel));
    int64_t taken = mu_mem_get_counts().live_bytes - before;
    ck_assert_uint_eq(j.in.optimizer_bytes, 2 * gradients);
    ck_assert_int_ge(taken, (int64_t)j.in.optimizer_bytes);
    ck_assert_int_lt(taken, (int64_t)j.in.optimizer_bytes + 8192);
    mu_destroy(wrapper);
    mu_destroy(parallel);
    mu_cfg_release(parallel_cfg);
    mu_destroy(model);
    mu_comm_release(comm);
    mu_backend_close(backend);
    job_release(&j);
}
END_TEST

START_TEST(modules_have_shapes_and_flops)
{
    job j;
    ck_ok(inspect(text, NULL, &j));
    int seen = 0;
    for (size_t i = 0; i < j.in.n_modules; i++) {
        const mu_inspect_module *m = &j.in.module[i];
        if (strcmp(m->path, "backbone.conv1") == 0) {
            ck_assert_int_eq(m->params, 8 * 9);
            ck_assert_int_eq(m->flops, 2 * 8 * 9 * 64);
            ck_assert(mu_type_equal(&m->output, &MU_TYPE(MU_F32, 3, 8, 8, 8)));
            ck_assert_int_eq(m->depth, 2);
            seen++;
        }
        if (strcmp(m->path, "head.fc") == 0) {
            ck_assert(mu_type_equal(&m->output, &MU_TYPE(MU_F32, 3, 5)));
            ck_assert_str_eq(m->type, "Linear");
            seen++;
        }
    }
    ck_assert_int_eq(seen, 2);
    ck_assert_int_eq(j.in.module[0].params, j.in.params);
    job_release(&j);
}
END_TEST

START_TEST(a_mistake_has_its_place_once)
{
    job j;
    ck_ok(inspect(text, "param_scheduler.end=0", &j));
    ck_assert_uint_eq(j.list.n, 1);
    ck_assert_str_eq(j.list.item[0].path, "param_scheduler");
    ck_assert_str_eq(j.list.item[0].found, "end must lie after begin, got begin 0 and end 0");
    ck_assert_ptr_null(j.list.item[0].expected);
    ck_assert_int_eq(j.list.item[0].pos.line, 12);
    ck_assert(j.in.traced); /* the rest is still looked at */
    job_release(&j);
}
END_TEST

/* What precedes the text of an error, in every form that it has. */
START_TEST(places_in_messages)
{
    static const struct {
        const char *message, *path, *file, *found;
        int line, column;
    } cases[] = {
        {"nothing", "here", "<value>", "nothing", 7, 9},
        {"model \"A\" (a.yaml:1:2): text: 3:4: x", "model", "a.yaml", "text: 3:4: x", 1, 2},
        {"m \"A\" (a b.yaml:1:2): m.n \"B\" (c(d.yaml:3:4): no", "m.n", "d.yaml", "no", 3, 4},
        {"m \"A\" (a.yaml:1:2): b.yaml:5:6: key: bad", "m", "b.yaml", "key: bad", 5, 6},
        {"here.type: is bad", "here.type", "<value>", "is bad", 7, 9},
        {":1:2: x", "here", "<value>", ":1:2: x", 7, 9},
        {"", "here", "<value>", "", 7, 9},
    };
    mu_cfg *cfg;
    ck_ok(mu_cfg_new_dict((mu_pos){"<value>", 7, 9}, &cfg));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mu_diagnostics list = {0};
        (void)MU_FAIL(MU_ERR_CONFIG, "%s", cases[i].message);
        ck_ok(mu_mistake_add(&list, cfg, "here"));
        ck_assert_uint_eq(list.n, 1);
        ck_assert_str_eq(list.item[0].path, cases[i].path);
        ck_assert_str_eq(list.item[0].pos.file, cases[i].file);
        ck_assert_str_eq(list.item[0].found, cases[i].found);
        ck_assert_int_eq(list.item[0].pos.line, cases[i].line);
        ck_assert_int_eq(list.item[0].pos.column, cases[i].column);
        mu_diagnostics_release(&list);
    }
    mu_cfg_release(cfg);
}
END_TEST

START_TEST(out_of_memory)
{
    job j;
    mu_registry *root;
    ck_ok(mu_registry_root(&root));
    ck_survives_oom(inspect(text, NULL, &j), job_release(&j));
    ck_survives_oom(inspect(text, "param_scheduler.end=0", &j), job_release(&j));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inspect");
    TCase *tests = tcase_create("inspect");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, memory_is_what_a_run_takes);
    tcase_add_test(tests, modules_have_shapes_and_flops);
    tcase_add_test(tests, a_mistake_has_its_place_once);
    tcase_add_test(tests, places_in_messages);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

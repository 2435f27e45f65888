/* LeNet and ResNet-18, built from YAML, against PyTorch (tests/golden/train.py): the first 100 losses, and names and
 * shapes of parameters. */
#include "train/models.h"

#include "config/config.h"
#include "nn/model.h"
#include "optim/optim.h"

#include "test.h"

#include <jansson.h>
#include <math.h>

enum { STEPS = 100, HALF_STEPS = 50, F64_STEPS = 4, LOGIT = 4, MAX_IMAGE = 32 * 3 * 16 * 16, MAX_N = 32 };
#define BOUND 1e-4

static json_t *golden;

static void load(void)
{
    json_error_t error;
    golden = json_load_file(MU_TEST_SRCDIR "/golden/train.json", 0, &error);
    ck_assert_msg(golden != NULL, "%s: %s", error.source, error.text);
}

static void unload(void)
{
    json_decref(golden);
    mu_registry_reset();
}

static double number(const json_t *run, const char *key)
{
    return json_number_value(json_object_get(run, key));
}

static int64_t integer(const json_t *list, size_t i)
{
    return json_integer_value(json_array_get(list, i));
}

/* A component from YAML; the config lives as long. */
typedef struct {
    mu_config *config;
    void *object;
} part;

static part make(const char *kind, const char *yaml)
{
    part p;
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &p.config));
    ck_ok(mu_build(kind, mu_config_root(p.config), NULL, "", &p.object));
    return p;
}

static void drop(part *p)
{
    mu_destroy(p->object);
    mu_config_release(p->config);
}

/* Batch i as the script makes it. */
typedef struct {
    double img[MAX_IMAGE]; /* or floats: of `dtype` */
    mu_dtype dtype;
    int64_t label[MAX_N], index[MAX_N];
    mu_batch batch;
} images;

static void fill_batch(images *b, const json_t *run, int i)
{
    const json_t *shape = json_object_get(run, "images");
    int64_t n = integer(shape, 0), side = integer(shape, 2);
    mu_type type = MU_TYPE(b->dtype ? b->dtype : MU_F32, n, integer(shape, 1), side, side);
    char name[32];
    snprintf(name, sizeof name, "batch%d", i);
    ck_assert_int_le(mu_type_count(&type), MAX_IMAGE);
    for (int64_t k = 0; k < mu_type_count(&type); k++) {
        double x = model_number(name, k);
        mu_convert((char *)b->img + (size_t)k * mu_dtype_size(type.dtype), type.dtype, &x, MU_F64, 1);
    }
    for (int64_t k = 0; k < n; k++) {
        b->label[k] = (k * 3 + i) % (int64_t)number(run, "classes");
        b->index[k] = k;
    }
    b->batch = (mu_batch){.size = n, .index = b->index, .stride = 1};
    ck_ok(mu_tensors_put(&b->batch.fields, "img", type, b->img));
    ck_ok(mu_tensors_put(&b->batch.fields, "gt_label", MU_TYPE(MU_I64, n), b->label));
}

/* The weights of the script: the formula's, and zeros in the last norm of a block. */
static void fill_weights(mu_model *model, const mu_batch *example)
{
    static const double zeros[4096];
    mu_params *params = mu_model_params(model);
    mu_graph *graph;
    ck_ok(mu_model_trace(model, example, MU_MODE_LOSS, true, &graph));
    ck_ok(model_init(graph, params));
    mu_graph_release(graph);
    for (int i = 0; i < mu_params_count(params); i++) {
        const mu_param_info *p = mu_params_at(params, i);
        if (strstr(p->name, "layer") && strstr(p->name, "bn2.weight"))
            ck_ok(mu_params_write(params, p->name, zeros));
    }
    mu_model_changed(model);
}

static const struct {
    const char *name, *yaml;
} runs[] = {{"lenet", "{type: ImageClassifier, backbone: {type: LeNet}, head: {type: LinearClsHead, num_classes: 10}}"},
            {"resnet18",
             "{type: ImageClassifier, backbone: {type: ResNet_CIFAR, depth: 18, stem_channels: 16, base_channels: 16},"
             " neck: {type: GlobalAveragePooling}, head: {type: LinearClsHead, num_classes: 10}}"}};

typedef struct {
    const json_t *run;
    mu_backend *backend;
    part model, optim;
    images b;
} training;

typedef struct {
    const char *device;
    bool direct;
    mu_dtype dtype, autocast;
} precision;

static void begin_training(training *t, int r, precision p)
{
    char yaml[160];
    t->run = json_object_get(golden, runs[r].name);
    ck_ok(mu_backend_open(p.device, &(mu_backend_options){.n_threads = 1, .direct_convolution = p.direct, .cache_dir = ""},
                          &t->backend));
    t->model = make("model", runs[r].yaml);
    t->b = (images){.dtype = p.dtype};
    fill_batch(&t->b, t->run, 0);
    ck_ok(mu_model_bind(t->model.object, &(mu_model_options){.backend = t->backend, .autocast = p.autocast}));
    ck_ok(mu_model_prepare(t->model.object, &t->b.batch, true));
    fill_weights(t->model.object, &t->b.batch);
    snprintf(yaml, sizeof yaml, "{type: SGD, lr: %.17g, momentum: %.17g, weight_decay: %.17g}", number(t->run, "lr"),
             number(t->run, "momentum"), number(t->run, "weight_decay"));
    t->optim = make("optimizer", yaml);
    ck_ok(mu_optim_bind(t->optim.object, t->backend, mu_model_params(t->model.object), NULL, NULL, 0));
}

/* The loss of a step, before its update. */
static double step_training(training *t, int step)
{
    mu_log_vars vars;
    fill_batch(&t->b, t->run, step % (int)number(t->run, "batches"));
    ck_ok(mu_model_train_step(t->model.object, &t->b.batch, 1, step, &vars));
    ck_ok(mu_optim_step(t->optim.object, NULL, NULL));
    mu_model_changed(t->model.object);
    return vars.item[0].value;
}

static void end_training(training *t)
{
    drop(&t->optim);
    drop(&t->model);
    mu_backend_close(t->backend);
}

static void compare_losses(int r, bool direct)
{
    static training t;
    double worst = 0;
    begin_training(&t, r, (precision){.device = "cpu", .direct = direct});
    const json_t *losses = json_object_get(t.run, "losses");
    ck_assert_uint_eq(json_array_size(losses), STEPS);
    for (int step = 0; step < STEPS; step++) {
        double loss = step_training(&t, step), expected = json_number_value(json_array_get(losses, (size_t)step));
        double error = fabs(loss - expected) / expected;
        ck_assert_msg(error <= BOUND, "%s: the loss of step %d is %.9g, PyTorch's is %.9g", runs[r].name, step, loss,
                      expected);
        worst = fmax(worst, error);
    }
    end_training(&t);
    printf("%s, %s convolutions: worst relative difference of %d losses from PyTorch: %.2g\n", runs[r].name,
           direct ? "direct" : "chosen", STEPS, worst);
}

START_TEST(losses)
{
    compare_losses(_i / 2, _i % 2);
}
END_TEST

/* Images in f64 make a model of f64: the first losses are PyTorch's to all their digits. */
START_TEST(losses_in_f64)
{
    static training t;
    begin_training(&t, 0, (precision){.device = "cpu:ref", .dtype = MU_F64});
    const json_t *expected = json_object_get(t.run, "losses");
    for (int step = 0; step < F64_STEPS; step++) {
        double want = json_number_value(json_array_get(expected, (size_t)step)), loss = step_training(&t, step);
        ck_assert_msg(fabs(loss - want) <= 1e-10 * want, "step %d: %.15g, PyTorch's is %.15g", step, loss, want);
    }
    end_training(&t);
}
END_TEST

/* The largest of the model's outputs for a batch. */
static double largest_logit(training *t, int i)
{
    mu_tensors out;
    double most = 0;
    fill_batch(&t->b, t->run, i);
    ck_ok(mu_model_forward(t->model.object, &t->b.batch, MU_MODE_TENSOR, &out));
    ck_assert_int_eq(out.item[0].type.dtype, MU_F32);
    for (int64_t k = 0; k < mu_type_count(&out.item[0].type); k++)
        most = fmax(most, fabs((double)((const float *)out.item[0].data)[k]));
    return most;
}

/* Autocast: a product of operands rounded to bf16 is off by 2^-8 of itself, there are four layers, and a loss moves by at most
 * twice what a logit does. The losses fall from 3.5 to 0.06. */
#define BF16_BOUND (2 * 4 * 0x1p-8 * LOGIT)

START_TEST(losses_in_bf16)
{
    static training t;
    double most = 0;
    begin_training(&t, 0, (precision){.device = "cpu", .autocast = MU_BF16});
    const json_t *in_f64 = json_object_get(t.run, "losses");
    for (int step = 0; step < HALF_STEPS; step++) {
        double loss = step_training(&t, step), expected = json_number_value(json_array_get(in_f64, (size_t)step));
        ck_assert_msg(fabs(loss - expected) <= BF16_BOUND, "the loss of step %d in bf16 is %g, in f64 it is %g", step, loss,
                      expected);
        most = fmax(most, fabs(loss - expected));
    }
    ck_assert_double_ge(largest_logit(&t, 0), LOGIT);
    ck_assert_msg(most >= 0x1p-12, "differs by %g only: nothing was rounded to bf16", most);
    const mu_params *params = mu_model_params(t.model.object);
    for (int i = 0; i < mu_params_count(params); i++)
        ck_assert_msg(mu_params_at(params, i)->type.dtype == MU_F32, "%s", mu_params_at(params, i)->name);
    end_training(&t);
    printf("lenet in bf16: worst difference of %d losses from f64: %.2g (bound %.2g)\n", HALF_STEPS, most, BF16_BOUND);
}
END_TEST

static const int depths[] = {18, 34, 50, 101, 152};

/* "backbone.conv1.weight f32[...]" of all that the modules list, as the script has them. */
static void compare_list(const mu_modules *modules, const json_t *list)
{
    char text[MU_TYPE_TEXT];
    ck_assert_uint_eq((size_t)mu_modules_n_params(modules), json_array_size(list));
    for (int i = 0; i < mu_modules_n_params(modules); i++) {
        const mu_module_param *p = mu_modules_param(modules, i);
        const json_t *entry = json_array_get(list, (size_t)i), *shape = json_array_get(entry, 1);
        ck_assert_str_eq(p->name, json_string_value(json_array_get(entry, 0)));
        ck_assert_msg((size_t)p->type.ndim == json_array_size(shape), "%s %s", p->name, mu_type_format(&p->type, text));
        for (int d = 0; d < p->type.ndim; d++)
            ck_assert_msg(p->type.dim[d] == integer(shape, (size_t)d), "%s %s", p->name,
                          mu_type_format(&p->type, text));
    }
}

START_TEST(parameters)
{
    char yaml[200], name[16];
    int64_t index = 0, count = 0;
    mu_backend *backend;
    mu_graph *graph;
    mu_batch batch = {.size = 1, .index = &index, .stride = 1};
    ck_ok(mu_tensors_put(&batch.fields, "img", MU_TYPE(MU_F32, 1, 3, 224, 224), NULL));
    ck_ok(mu_tensors_put(&batch.fields, "gt_label", MU_TYPE(MU_I64, 1), NULL));
    snprintf(name, sizeof name, "resnet%d", depths[_i]);
    snprintf(yaml, sizeof yaml,
             "{type: ImageClassifier, backbone: {type: ResNet, depth: %d}, neck: {type: GlobalAveragePooling},"
             " head: {type: LinearClsHead, num_classes: 1000}}",
             depths[_i]);
    part model = make("model", yaml);
    ck_ok(mu_backend_open("cpu:ref", &(mu_backend_options){.cache_dir = ""}, &backend));
    ck_ok(mu_model_bind(model.object, &(mu_model_options){.backend = backend}));
    ck_ok(mu_model_trace(model.object, &batch, MU_MODE_LOSS, true, &graph));
    mu_graph_release(graph);
    const mu_modules *modules = mu_model_modules(model.object);
    for (int i = 0; i < mu_modules_n_params(modules); i++)
        count += mu_modules_param(modules, i)->trainable ? mu_type_count(&mu_modules_param(modules, i)->type) : 0;
    const json_t *expected = json_object_get(json_object_get(golden, "parameters"), name);
    ck_assert_int_eq(count, (int64_t)number(expected, "count"));
    if (json_object_get(expected, "list"))
        compare_list(modules, json_object_get(expected, "list"));
    drop(&model);
    mu_backend_close(backend);
}
END_TEST

/* What a ResNet does to itself when its config says nothing: Kaiming, ones, and zeros in the last norm of a block. */
START_TEST(default_init)
{
    static images b;
    mu_init_record record = {0};
    mu_backend *backend;
    part model = make("model", runs[1].yaml);
    fill_batch(&b, json_object_get(golden, "resnet18"), 0);
    ck_ok(mu_backend_open("cpu:ref", &(mu_backend_options){.cache_dir = ""}, &backend));
    ck_ok(mu_model_bind(model.object, &(mu_model_options){.backend = backend}));
    ck_ok(mu_model_prepare(model.object, &b.batch, true));
    ck_ok(mu_model_init_weights(model.object, 1, NULL, NULL, &record));
    for (int i = 0; i < record.n; i++) {
        const mu_init_line *line = &record.line[i];
        bool last = strstr(line->param, "layer") && strstr(line->param, "bn2.weight");
        if (last)
            ck_assert_msg(line->mean == 0 && line->std == 0, "%s: %g", line->param, line->mean);
        else if (strstr(line->param, "bn") && strstr(line->param, ".weight"))
            ck_assert_msg(line->mean == 1 && line->std == 0, "%s: %g", line->param, line->mean);
        else if (strstr(line->param, "conv") && strstr(line->param, ".weight"))
            ck_assert_str_eq(
                line->by, "KaimingInit: a=0, mode=fan_out, nonlinearity=relu, distribution=normal, bias=0 (backbone)");
    }
    mu_init_record_release(&record);
    drop(&model);
    mu_backend_close(backend);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden_train");
    TCase *tests = tcase_create("golden_train");
    tcase_add_checked_fixture(tests, load, unload);
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, losses, 0, 4);
    tcase_add_test(tests, losses_in_f64);
    tcase_add_test(tests, losses_in_bf16);
    tcase_add_loop_test(tests, parameters, 0, 5);
    tcase_add_test(tests, default_init);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

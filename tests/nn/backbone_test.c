/* Backbones with each of their options: against PyTorch (tests/golden/backbone.py), how they begin, mistakes. */
#include "graph/plan.h"
#include "nn/init.h"
#include "nn/trace_impl.h"
#include "optim/optim.h"
#include "test.h"
#include "toy.h"
#include "train/models.h"

#include <jansson.h>
#include <math.h>

enum { N_CASES = 26, MAX_COUNT = 1 << 16 };

static json_t *golden;

static void load(void)
{
    json_error_t error;
    golden = json_load_file(MU_TEST_SRCDIR "/golden/backbone.json", 0, &error);
    ck_assert_msg(golden != NULL, "%s: %s", error.source, error.text);
}

static void unload(void)
{
    json_decref(golden);
    mu_registry_reset();
}

/* ---- a backbone, traced and planned ---- */

typedef struct {
    toy backbone;
    mu_backend *backend;
    mu_modules *modules;
    mu_trace_names names;
    mu_graph *graph;
    mu_params *params;
    mu_plan *plan;
} net;

static void close_net(net *n)
{
    mu_plan_release(n->plan);
    mu_params_release(n->params);
    mu_graph_release(n->graph);
    mu_trace_names_release(&n->names);
    mu_modules_release(n->modules);
    mu_backend_close(n->backend);
    toy_release(&n->backbone);
}

/* The stream of a name, of a tensor's size. */
static void fill(void *out, const mu_type *type, const char *name, double scale, double shift)
{
    for (int64_t i = 0; i < mu_type_count(type); i++) {
        double x = model_number(name, i) * scale + shift;
        mu_convert((char *)out + (size_t)i * mu_dtype_size(type->dtype), type->dtype, &x, MU_F64, 1);
    }
}

/* Mean product with the stream of the feature's number. */
static void record_loss(mu_trace *t, int i, mu_value feature)
{
    static double probe[MAX_COUNT];
    char name[32];
    const mu_type type = *mu_graph_type(t->graph, feature);
    ck_assert_int_le(mu_type_count(&type), MAX_COUNT);
    snprintf(name, sizeof name, "probe%d", i);
    fill(probe, &type, name, 1, 0);
    snprintf(name, sizeof name, "loss%d", i);
    mu_trace_loss(t, name, mu_mul(t->graph, feature, mu_graph_const(t->graph, type, probe)));
}

/* Features as the outputs "feat0", ...; in MU_MODE_LOSS also their loss, with gradients. */
static mu_err trace(net *n, const char *options, mu_type images, mu_mode mode, bool training)
{
    mu_tensors inputs = {.n = 1, .item = {{.name = "img", .type = images}}};
    mu_trace t;
    char yaml[256], name[16];
    snprintf(yaml, sizeof yaml, "{type: %s}", options);
    MU_TRY(toy_build("backbone", yaml, &n->backbone));
    MU_TRY(mu_modules_new(&n->modules));
    MU_TRY(mu_trace_begin(&t, mode, training, &inputs, n->modules, "Test", NULL));
    mu_features x = mu_features_one(mu_trace_input(&t, "img"));
    mu_layer_apply(n->backbone.object, &t, "backbone", &x);
    for (int i = 0; i < x.n && mu_trace_status(&t) == MU_OK; i++) {
        snprintf(name, sizeof name, "feat%d", i);
        if (mode == MU_MODE_LOSS) {
            mu_graph_output(t.graph, name, x.v[i]);
            record_loss(&t, i, x.v[i]);
        } else {
            mu_trace_output(&t, name, x.v[i]);
        }
    }
    return mu_trace_end(&t, mode == MU_MODE_LOSS, &n->graph, &n->names);
}

static mu_err plan(net *n, const char *device)
{
    MU_TRY(mu_backend_open(device, &(mu_backend_options){.n_threads = 1, .cache_dir = ""}, &n->backend));
    MU_TRY(mu_params_new(n->backend, &n->params));
    for (int i = 0; i < mu_modules_n_params(n->modules); i++) {
        const mu_module_param *p = mu_modules_param(n->modules, i);
        MU_TRY(mu_params_declare(n->params, p->name, p->type, p->trainable));
    }
    return mu_plan_new(n->graph, n->backend, n->params, NULL, &n->plan);
}

static void open_net(net *n, const char *device, const char *options, mu_type images, mu_mode mode, bool training)
{
    *n = (net){0};
    ck_ok(trace(n, options, images, mode, training));
    ck_ok(plan(n, device));
}

/* The weights, states and images of the script. */
static void fill_net(net *n)
{
    static double values[MAX_COUNT];
    mu_type type;
    for (int i = 0; i < mu_modules_n_params(n->modules); i++) {
        const mu_module_param *p = mu_modules_param(n->modules, i);
        double fan_in = (double)mu_type_count(&p->type) / (double)p->type.dim[0];
        bool running = strncmp(p->leaf, "running", 7) == 0;
        bool one = strcmp(p->leaf, "running_var") == 0 || (p->type.ndim == 1 && strcmp(p->leaf, "weight") == 0);
        ck_assert_int_le(mu_type_count(&p->type), MAX_COUNT);
        fill(values, &p->type, p->name, running ? 0.25 : p->type.ndim > 1 ? sqrt(6 / fan_in) : 0.1, one);
        if (!running && p->type.dtype == MU_F64)
            for (int64_t k = 0; k < mu_type_count(&p->type); k++)
                values[k] = (double)(float)values[k];
        ck_ok(mu_params_write(n->params, p->name, values));
    }
    mu_plan_refresh(n->plan);
    void *images = mu_plan_input(n->plan, "img", &type);
    fill(images, &type, "img", 1, 0);
}

/* ---- against PyTorch ---- */

static const json_t *at(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    ck_assert_msg(value != NULL, "the golden file has no %s", key);
    return value;
}

static double number(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

/* A tensor against its two numbers in the golden file, which begin at `first`; errors relative to the norm. */
static void compare(const char *stream, const mu_type *type, const void *values, const json_t *expected, size_t first,
                    double allowed, double *worst)
{
    double dot = 0, squares = 0;
    for (int64_t i = 0; i < mu_type_count(type); i++) {
        double x;
        mu_convert(&x, MU_F64, (const char *)values + (size_t)i * mu_dtype_size(type->dtype), type->dtype, 1);
        dot += x * model_number(stream, i);
        squares += x * x;
    }
    double norm = number(expected, first + 1);
    double error = fmax(fabs(dot - number(expected, first)), fabs(sqrt(squares) - norm)) / fmax(norm, 1e-12);
    ck_assert_msg(error <= allowed, "%s: product %.12g, norm %.12g; PyTorch's are %.12g and %.12g", stream, dot,
                  sqrt(squares), number(expected, first), norm);
    *worst = fmax(*worst, error);
}

static void compare_list(const net *n, const json_t *list)
{
    char text[MU_TYPE_TEXT];
    ck_assert_uint_eq(json_array_size(list), (size_t)mu_modules_n_params(n->modules));
    for (int i = 0; i < mu_modules_n_params(n->modules); i++) {
        const mu_module_param *p = mu_modules_param(n->modules, i);
        const json_t *entry = json_array_get(list, (size_t)i), *shape = json_array_get(entry, 1);
        ck_assert_str_eq(p->name, json_string_value(json_array_get(entry, 0)));
        ck_assert_uint_eq(json_array_size(shape), (size_t)p->type.ndim);
        for (int d = 0; d < p->type.ndim; d++)
            ck_assert_msg((double)p->type.dim[d] == number(shape, (size_t)d), "%s %s", p->name,
                          mu_type_format(&p->type, text));
        ck_assert_msg(p->trainable == json_is_true(json_array_get(entry, 2)), "%s is%s trained", p->name,
                      p->trainable ? "" : " not");
    }
}

static void compare_features(net *n, const json_t *features, double allowed, double *worst)
{
    static double values[MAX_COUNT];
    char name[32];
    for (size_t i = 0; i < json_array_size(features); i++) {
        const json_t *expected = json_array_get(features, i), *shape = json_array_get(expected, 0);
        snprintf(name, sizeof name, "feat%zu", i);
        mu_type type = mu_plan_output_type(n->plan, name);
        ck_assert_uint_eq((size_t)type.ndim, json_array_size(shape));
        for (int d = 0; d < type.ndim; d++)
            ck_assert_msg((double)type.dim[d] == number(shape, (size_t)d), "dimension %d of %s is %lld", d, name,
                          (long long)type.dim[d]);
        ck_assert_int_le(mu_type_count(&type), MAX_COUNT);
        ck_ok(mu_plan_read(n->plan, name, values, mu_type_bytes(&type)));
        compare(name, &type, values, expected, 1, allowed, worst);
    }
    snprintf(name, sizeof name, "feat%zu", json_array_size(features));
    ck_assert_int_eq(mu_plan_output_type(n->plan, name).dtype, MU_NONE);
}

/* Gradients of what is trained, also that nothing else has one; states after the pass; that frozen weights are as they were. */
static void compare_params(net *n, const json_t *run, double allowed, double *worst)
{
    static double values[MAX_COUNT], before[MAX_COUNT];
    for (int i = 0; i < mu_modules_n_params(n->modules); i++) {
        const mu_module_param *p = mu_modules_param(n->modules, i);
        if (p->trainable) {
            ck_ok(mu_params_read_gradient(n->params, p->name, values));
            compare(p->name, &p->type, values, at(at(run, "gradients"), p->name), 0, allowed, worst);
            continue;
        }
        ck_fails(mu_params_read_gradient(n->params, p->name, values), MU_ERR_USAGE, p->name);
        ck_ok(mu_params_read(n->params, p->name, values));
        if (strncmp(p->leaf, "running", 7) == 0) {
            compare(p->name, &p->type, values, at(at(run, "states"), p->name), 0, allowed, worst);
            continue;
        }
        double fan_in = (double)mu_type_count(&p->type) / (double)p->type.dim[0];
        fill(before, &p->type, p->name, p->type.ndim > 1 ? sqrt(6 / fan_in) : 0.1,
             p->type.ndim == 1 && strcmp(p->leaf, "weight") == 0);
        for (int64_t k = 0; k < mu_type_count(&p->type) && p->type.dtype == MU_F64; k++)
            before[k] = (double)(float)before[k];
        ck_assert_mem_eq(values, before, mu_type_bytes(&p->type));
    }
}

/* After a step with weight decay every trained parameter has moved, and nothing that is frozen. */
static void compare_step(net *n)
{
    static double before[MAX_COUNT], after[MAX_COUNT];
    toy optim;
    ck_ok(toy_build("optimizer", "{type: SGD, lr: 0.1, weight_decay: 0.5}", &optim));
    ck_ok(mu_optim_bind(optim.object, n->backend, n->params, NULL, NULL, 0));
    for (int i = 0; i < mu_modules_n_params(n->modules); i++) {
        const mu_module_param *p = mu_modules_param(n->modules, i);
        fill_net(n);
        ck_ok(mu_params_read(n->params, p->name, before));
        ck_ok(mu_optim_step(optim.object, NULL, NULL));
        ck_ok(mu_params_read(n->params, p->name, after));
        ck_assert_msg((memcmp(before, after, mu_type_bytes(&p->type)) != 0) == p->trainable, "%s", p->name);
    }
    toy_release(&optim);
}

static void check_golden(const json_t *run, const char *device, mu_dtype dtype, double allowed)
{
    net n;
    double loss[8], worst = 0, total, want = json_number_value(at(run, "loss"));
    const char *options = json_string_value(at(run, "options"));
    const json_t *shape = at(run, "images");
    mu_type images = {.dtype = dtype, .ndim = (int32_t)json_array_size(shape)};
    for (int d = 0; d < images.ndim; d++)
        images.dim[d] = (int64_t)number(shape, (size_t)d);
    open_net(&n, device, options, images, MU_MODE_LOSS, true);
    compare_list(&n, at(run, "list"));
    fill_net(&n);
    ck_ok(mu_plan_run(n.plan, NULL));
    mu_type type = mu_plan_output_type(n.plan, MU_TRACE_LOG_VARS);
    ck_ok(mu_plan_read(n.plan, MU_TRACE_LOG_VARS, loss, mu_type_bytes(&type)));
    mu_convert(&total, MU_F64, loss, dtype, 1);
    ck_assert_msg(fabs(total - want) <= allowed, "%s: the loss is %.15g, not %.15g", options, total, want);
    compare_features(&n, at(run, "features"), allowed, &worst);
    compare_params(&n, run, allowed, &worst);
    compare_step(&n);
    close_net(&n);
    printf("%-10s %s {type: %s}: worst difference from PyTorch %.1e\n", device, mu_dtype_name(dtype), options, worst);
}

START_TEST(test_golden)
{
    ck_assert_uint_eq(json_array_size(golden), N_CASES);
    const json_t *run = json_array_get(golden, (size_t)_i);
    check_golden(run, "cpu:ref", MU_F64, 1e-10);
    check_golden(run, "cpu:ref", MU_F32, 1e-4);
    check_golden(run, "cpu", MU_F32, 1e-4);
}
END_TEST

/* A backbone that is frozen throughout has only states: there is nothing to differentiate. */
START_TEST(test_all_frozen)
{
    net n = {0};
    ck_ok(trace(&n, "ResNet_CIFAR, depth: 18, base_channels: 2, stem_channels: 2, num_stages: 2, frozen_stages: 2",
                MU_TYPE(MU_F32, 2, 3, 8, 8), MU_MODE_TENSOR, true));
    ck_assert_int_gt(mu_modules_n_params(n.modules), 0);
    for (int i = 0; i < mu_modules_n_params(n.modules); i++)
        ck_assert_msg(!mu_modules_param(n.modules, i)->trainable, "%s", mu_modules_param(n.modules, i)->name);
    close_net(&n);
}
END_TEST

/* The norms of a ResNet by config: the standard one under its name, and another kind. */
START_TEST(test_norm_cfg)
{
    static const char *const kinds[][2] = {{"BN, eps: 0.00001", "batch_norm"}, {"SyncBN", "batch_norm"}, {"GroupNorm, num_groups: 2", "group_norm"}};
    for (int k = 0; k < 3; k++) {
        net n = {0};
        char yaml[256];
        int norms = 0;
        snprintf(yaml, sizeof yaml, "ResNet_CIFAR, depth: 18, base_channels: 2, stem_channels: 2, num_stages: 2, norm_cfg: {type: %s}", kinds[k][0]);
        ck_ok(trace(&n, yaml, MU_TYPE(MU_F32, 2, 3, 8, 8), MU_MODE_TENSOR, true));
        for (int i = 0; i < mu_graph_n_nodes(n.graph); i++)
            norms += strcmp(mu_graph_node(n.graph, i)->op->name, kinds[k][1]) == 0;
        ck_assert_int_eq(norms, 10);
        close_net(&n);
    }
}
END_TEST

/* ---- dropout ---- */

static const struct {
    const char *options;
    mu_type images;
    int units;
} dropping[] = {{"MLP, hidden: 512", MU_TYPE(MU_F32, 4, 10), 4 * 512},
                {"LeNet, width: 2, kernel: 3, norm: false, hidden: 512", MU_TYPE(MU_F32, 4, 1, 8, 8), 4 * 512}};

/* The features with this dropout. */
static void features_with(const char *options, double p, mu_type images, bool training, float *out, size_t bytes)
{
    net n;
    char text[128];
    snprintf(text, sizeof text, "%s, dropout: %g", options, p);
    open_net(&n, "cpu", text, images, MU_MODE_TENSOR, training);
    fill_net(&n);
    ck_ok(mu_plan_run(n.plan, &(mu_run){.seed = 3, .step = 1, .sample_stride = 1}));
    ck_ok(mu_plan_read(n.plan, "feat0", out, bytes));
    close_net(&n);
}

/* In training a share p of the units is 0 and the others are 1 / (1 - p) of what they are without; else nothing happens. */
START_TEST(test_dropout)
{
    static float plain[4 * 512], trained[4 * 512];
    const double p = 0.25;
    int alive = 0, dropped = 0, units = dropping[_i].units;
    features_with(dropping[_i].options, 0, dropping[_i].images, true, plain, sizeof plain);
    features_with(dropping[_i].options, p, dropping[_i].images, false, trained, sizeof trained);
    ck_assert_mem_eq(plain, trained, sizeof plain);
    features_with(dropping[_i].options, p, dropping[_i].images, true, trained, sizeof trained);
    for (int i = 0; i < units; i++) {
        alive += plain[i] > 0;
        dropped += plain[i] > 0 && trained[i] == 0;
        if (trained[i] != 0)
            ck_assert_float_eq_tol(trained[i], plain[i] / (float)(1 - p), 1e-5f * plain[i]);
    }
    ck_assert_int_gt(alive, 200); /* five standard deviations of the number dropped: */
    ck_assert_double_eq_tol(dropped, p * alive, 5 * sqrt(alive * p * (1 - p)));
    features_with(dropping[_i].options, 1, dropping[_i].images, true, trained, sizeof trained);
    for (int i = 0; i < units; i++)
        ck_assert_float_eq(trained[i], 0);
}
END_TEST

/* ---- how they begin ---- */

static void init_net(net *n, const char *options, mu_init_record *record)
{
    open_net(n, "cpu:ref", options, MU_TYPE(MU_F32, 1, 3, 16, 16), MU_MODE_TENSOR, true);
    ck_ok(mu_init_weights(n->modules, n->params, 1, NULL, NULL, record));
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static const struct {
    const char *options, *last; /* the last norm of a block */
    double expected;
} residuals[] = {{"depth: 18", "bn2.weight", 0},
                 {"depth: 50", "bn3.weight", 0},
                 {"depth: 18, zero_init_residual: true", "bn2.weight", 0},
                 {"depth: 18, zero_init_residual: false", "bn2.weight", 1},
                 {"depth: 50, zero_init_residual: false", "bn3.weight", 1}};

START_TEST(test_zero_init_residual)
{
    net n;
    char options[128];
    mu_init_record record = {0};
    int n_last = 0;
    snprintf(options, sizeof options, "ResNet, num_stages: 2, base_channels: 4, %s", residuals[_i].options);
    init_net(&n, options, &record);
    for (int i = 0; i < record.n; i++) {
        const mu_init_line *line = &record.line[i];
        if (!ends_with(line->param, "weight") || !(strstr(line->param, "bn") || strstr(line->param, "downsample.1")))
            continue;
        bool last = strstr(line->param, "layer") && ends_with(line->param, residuals[_i].last);
        n_last += last;
        ck_assert_msg(line->std == 0 && line->mean == (last ? residuals[_i].expected : 1), "%s is filled with %g",
                      line->param, line->mean);
        const char *by = last && residuals[_i].expected == 0 ? "ConstantInit: val=0, bias=0 (backbone.layer"
                                                             : "ConstantInit: val=1, bias=0 (backbone)";
        ck_assert_msg(strstr(line->by, by) == line->by, "%s: %s", line->param, line->by);
    }
    ck_assert_int_eq(n_last, strstr(residuals[_i].options, "50") ? 7 : 4);
    mu_init_record_release(&record);
    close_net(&n);
}
END_TEST

/* An init_cfg replaces the whole of what a ResNet does by itself, but for the zeros of its blocks; null is none. */
START_TEST(test_own_init)
{
    net n;
    mu_init_record record = {0};
    init_net(&n, "ResNet, depth: 18, num_stages: 1, base_channels: 4, zero_init_residual: false, init_cfg: null", &record);
    for (int i = 0; i < record.n; i++)
        ck_assert_str_eq(record.line[i].by, "PyTorch's default");
    mu_init_record_release(&record);
    close_net(&n);
    init_net(&n,
             "ResNet, depth: 18, num_stages: 1, base_channels: 4, init_cfg: {type: Constant, val: 3, layer: Conv2d}", &record);
    for (int i = 0; i < record.n; i++) {
        const mu_init_line *line = &record.line[i];
        if (strstr(line->param, "conv"))
            ck_assert_msg(line->mean == 3 && line->std == 0, "%s: %g", line->param, line->mean);
        else if (ends_with(line->param, "bn1.weight"))
            ck_assert_str_eq(line->by, "PyTorch's default");
        else if (ends_with(line->param, "bn2.weight"))
            ck_assert_double_eq(line->mean, 0);
    }
    mu_init_record_release(&record);
    close_net(&n);
}
END_TEST

/* ---- mistakes ---- */

static const struct {
    const char *options;
    mu_type images;
    mu_err code;
    const char *message;
} mistakes[] = {
    {"MLP", MU_TYPE(MU_F32, 2, 4), MU_ERR_CONFIG, "hidden"},
    {"MLP, hidden: []", MU_TYPE(MU_F32, 2, 4), MU_ERR_CONFIG, "hidden"},
    {"MLP, hidden: [3, 0]", MU_TYPE(MU_F32, 2, 4), MU_ERR_CONFIG, "hidden"},
    {"MLP, hidden: 3, dropout: 1.5", MU_TYPE(MU_F32, 2, 4), MU_ERR_CONFIG, "dropout"},
    {"MLP, hidden: 3, act: rellu", MU_TYPE(MU_F32, 2, 4), MU_ERR_CONFIG, "relu"},
    {"MLP, hidden: 3", MU_TYPE(MU_U8, 2, 4), MU_ERR_SHAPE, "ImgDataPreprocessor turns u8 images into f32"},
    {"LeNet, kernel: 4", MU_TYPE(MU_F32, 2, 1, 8, 8), MU_ERR_CONFIG, "kernel is 4: an odd side keeps the size"},
    {"LeNet, kernel: 0", MU_TYPE(MU_F32, 2, 1, 8, 8), MU_ERR_CONFIG, "kernel"},
    {"LeNet, in_channels: 3", MU_TYPE(MU_F32, 2, 1, 8, 8), MU_ERR_CONFIG,
     "LeNet: in_channels is 3, but the input has 1"},
    {"LeNet", MU_TYPE(MU_F32, 2, 1, 8), MU_ERR_SHAPE, "LeNet wants floating-point values of 4 dimensions"},
    {"LeNet", MU_TYPE(MU_F32, 2, 1, 3, 3), MU_ERR_SHAPE, "max_pool2d"},
    {"ResNet", MU_TYPE(MU_F32, 2, 3, 16, 16), MU_ERR_CONFIG, "depth"},
    {"ResNet, depth: 20", MU_TYPE(MU_F32, 2, 3, 16, 16), MU_ERR_CONFIG, "depth is 20, not one of 18, 34, 50, 101, 152"},
    {"ResNet, depth: 18, num_stages: 5", MU_TYPE(MU_F32, 2, 3, 16, 16), MU_ERR_CONFIG, "num_stages"},
    {"ResNet, depth: 18, strides: [1, 2]", MU_TYPE(MU_F32, 2, 3, 16, 16), MU_ERR_CONFIG,
     "2 strides are given for 4 stages"},
    {"ResNet, depth: 18, num_stages: 2, frozen_stages: 3", MU_TYPE(MU_F32, 2, 3, 16, 16), MU_ERR_CONFIG,
     "frozen_stages is 3, there are 2 stages"},
    {"ResNet, depth: 18, num_stages: 2, out_indices: [0, 2]", MU_TYPE(MU_F32, 2, 3, 16, 16), MU_ERR_CONFIG,
     "out_indices has 2; stages are 0 to 1"},
    {"ResNet, depth: 18, out_indices: [2, 1]", MU_TYPE(MU_F32, 2, 3, 16, 16), MU_ERR_CONFIG, "out_indices must ascend"},
    {"ResNet, depth: 18, out_indices: [1, 1]", MU_TYPE(MU_F32, 2, 3, 16, 16), MU_ERR_CONFIG, "out_indices must ascend"},
    {"ResNet, depth: 50, style: tensorflow", MU_TYPE(MU_F32, 2, 3, 16, 16), MU_ERR_CONFIG, "pytorch"},
    {"ResNet, depth: 18, in_channels: 1", MU_TYPE(MU_F32, 2, 3, 16, 16), MU_ERR_CONFIG,
     "ResNet: in_channels is 1, but the input has 3"},
    {"ResNet_CIFAR, depth: 19", MU_TYPE(MU_F32, 2, 3, 16, 16), MU_ERR_CONFIG, "depth is 19"},
};

START_TEST(test_mistakes)
{
    net n = {0};
    ck_fails(trace(&n, mistakes[_i].options, mistakes[_i].images, MU_MODE_TENSOR, true), mistakes[_i].code,
             mistakes[_i].message);
    close_net(&n);
}
END_TEST

static const char *const lean[] = {"MLP, hidden: [3, 2], dropout: 0.5", "LeNet, in_channels: 3, width: 2, hidden: 3",
                                   "ResNet, depth: 18, num_stages: 1, base_channels: 2, stem_channels: 2",
                                   "ResNet_CIFAR, depth: 50, num_stages: 1, base_channels: 2, frozen_stages: 0"};

static mu_err trace_and_release(const char *options)
{
    net n = {0};
    mu_err err = trace(&n, options, MU_TYPE(MU_F32, 2, 3, 8, 8), MU_MODE_TENSOR, true);
    close_net(&n);
    return err;
}

START_TEST(test_out_of_memory)
{
    ck_ok(trace_and_release(lean[_i]));
    ck_survives_oom(trace_and_release(lean[_i]), (void)0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backbone");
    TCase *tc = tcase_create("backbone");
    tcase_add_checked_fixture(tc, load, unload);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_golden, 0, N_CASES);
    tcase_add_test(tc, test_all_frozen);
    tcase_add_test(tc, test_norm_cfg);
    tcase_add_loop_test(tc, test_dropout, 0, 2);
    tcase_add_loop_test(tc, test_zero_init_residual, 0, sizeof residuals / sizeof *residuals);
    tcase_add_test(tc, test_own_init);
    tcase_add_loop_test(tc, test_mistakes, 0, sizeof mistakes / sizeof *mistakes);
    tcase_add_loop_test(tc, test_out_of_memory, 0, sizeof lean / sizeof *lean);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

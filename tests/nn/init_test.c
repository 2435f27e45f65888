/* The initialisers on a small network:
 *
 *   conv 4 -> 6 (3x3, bias), bn, block.conv1 (3x3), block.bn1, block.fc 6 -> 5, fc 5 -> 300, and "scale", a parameter
 * of the model's own. */
#include "nn/init.h"

#include "config/config.h"
#include "core/text.h"
#include "nn/layers.h"
#include "nn/trace_impl.h"

#include "test.h"

enum { FC_IN = 150, FC_OUT = 300 };

typedef struct {
    mu_config *config; /* {model: init_cfg, block: init_cfg} */
    mu_modules *modules;
    mu_graph *graph;
    mu_trace_names names;
    mu_backend *backend;
    mu_params *params;
    mu_init_record record;
} net;

static void forward(mu_trace *t, const mu_cfg *block_init)
{
    mu_conv2d_layer conv = {.out_channels = 6, .kernel = {3, 3}, .padding = {1, 1}, .bias = true};
    mu_value x = mu_trace_input(t, "x");
    mu_trace_param(t, "scale", MU_TYPE(MU_F32, 3), (mu_fill){MU_FILL_NORMAL, 5, 0});
    x = mu_nn_norm(t, "bn", mu_nn_conv2d(t, "conv", x, &conv), NULL);
    mu_trace_enter(t, "block", "Block", block_init);
    x = mu_nn_norm(t, "bn1", mu_nn_conv(t, "conv1", x, 6, 3, 1, 1), NULL);
    x = mu_nn_linear(t, "fc", mu_flatten(t->graph, x, 1), FC_IN, true);
    mu_trace_leave(t);
    mu_trace_output(t, "y", mu_nn_linear(t, "fc", x, FC_OUT, true));
}

static void open_net(net *n, const char *yaml)
{
    mu_tensors inputs = {.n = 1, .item = {{.name = "x", .type = MU_TYPE(MU_F32, 2, 4, 2, 2)}}};
    mu_trace t;
    *n = (net){0};
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &n->config));
    const mu_cfg *root = mu_config_root(n->config);
    ck_ok(mu_modules_new(&n->modules));
    ck_ok(mu_trace_begin(&t, MU_MODE_TENSOR, true, &inputs, n->modules, "Net", mu_cfg_get(root, "model")));
    forward(&t, mu_cfg_get(root, "block"));
    ck_ok(mu_trace_end(&t, false, &n->graph, &n->names));
    ck_ok(mu_backend_open("cpu:ref", &(mu_backend_options){.cache_dir = ""}, &n->backend));
    ck_ok(mu_params_new(n->backend, &n->params));
    for (int i = 0; i < mu_modules_n_params(n->modules); i++) {
        const mu_module_param *p = mu_modules_param(n->modules, i);
        ck_ok(mu_params_declare(n->params, p->name, p->type, p->trainable));
    }
}

static void close_net(net *n)
{
    mu_init_record_release(&n->record);
    mu_params_release(n->params);
    mu_backend_close(n->backend);
    mu_trace_names_release(&n->names);
    mu_graph_release(n->graph);
    mu_modules_release(n->modules);
    mu_config_release(n->config);
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static mu_err init_net(net *n, uint64_t seed)
{
    mu_init_record_release(&n->record);
    return mu_init_weights(n->modules, n->params, seed, NULL, NULL, &n->record);
}

static void begin(net *n, const char *yaml)
{
    open_net(n, yaml);
    ck_ok(init_net(n, 1));
}

/* Values of a parameter; valid until the next call. */
static const float *values(net *n, const char *name, int64_t *count)
{
    static float v[FC_IN * FC_OUT];
    int i = mu_modules_find_param(n->modules, name);
    ck_assert_msg(i >= 0, "no %s", name);
    *count = mu_type_count(&mu_modules_param(n->modules, i)->type);
    ck_assert_int_le(*count, FC_IN * FC_OUT);
    ck_ok(mu_params_read(n->params, name, v));
    return v;
}

static void expect_constant(net *n, const char *name, double x)
{
    int64_t count;
    const float *v = values(n, name, &count);
    for (int64_t i = 0; i < count; i++)
        ck_assert_msg(v[i] == (float)x, "%s[%lld] is %.9g, not %.9g", name, (long long)i, v[i], x);
}

static const mu_init_line *line_of(const net *n, const char *name)
{
    for (int i = 0; i < n->record.n; i++)
        if (strcmp(n->record.line[i].param, name) == 0)
            return &n->record.line[i];
    ck_abort_msg("no line of %s", name);
    return NULL;
}

static void expect_by(const net *n, const char *name, const char *by)
{
    ck_assert_str_eq(line_of(n, name)->by, by);
}

/* Mean and standard deviation of a sample within 5 of their own standard errors (kurtosis: that of the distribution, 3
 * for a normal one), and all of it in [low, high]. */
static void expect_sample(net *n, const char *name, double mean, double std, double kurtosis, double low, double high)
{
    int64_t count;
    const float *v = values(n, name, &count);
    double sum = 0, squares = 0, least = v[0], most = v[0];
    for (int64_t i = 0; i < count; i++) {
        sum += v[i];
        least = fmin(least, v[i]);
        most = fmax(most, v[i]);
    }
    double m = sum / (double)count;
    for (int64_t i = 0; i < count; i++)
        squares += (v[i] - m) * (v[i] - m);
    double s = sqrt(squares / (double)count), n_root = sqrt((double)count);
    ck_assert_msg(fabs(m - mean) <= 5 * std / n_root, "%s: mean %g, not %g", name, m, mean);
    ck_assert_msg(fabs(s - std) <= 5 * std * sqrt(kurtosis - 1) / 2 / n_root, "%s: std %g, not %g", name, s, std);
    ck_assert_msg(least >= low && most <= high, "%s: from %g to %g, not in [%g, %g]", name, least, most, low, high);
    /* 45000 numbers come near to their limits. */
    if (count == FC_IN * FC_OUT && isfinite(low))
        ck_assert_msg(least < low + 0.01 * (high - low) && most > high - 0.01 * (high - low), "%s: only from %g to %g",
                      name, least, most);
    const mu_init_line *line = line_of(n, name);
    ck_assert_double_eq_tol(line->mean, m, 1e-7 * (1 + fabs(m)));
    ck_assert_double_eq_tol(line->std, s, 1e-7 * (1 + s));
}

#define UNIFORM_KURTOSIS 1.8

static void expect_uniform(net *n, const char *name, double low, double high)
{
    expect_sample(n, name, (low + high) / 2, (high - low) / sqrt(12), UNIFORM_KURTOSIS, (float)low, (float)high);
}

static void expect_normal(net *n, const char *name, double mean, double std)
{
    expect_sample(n, name, mean, std, 3, -INFINITY, INFINITY);
}

START_TEST(defaults)
{
    net n;
    begin(&n, "{}");
    expect_constant(&n, "scale", 5);
    expect_constant(&n, "bn.weight", 1);
    expect_constant(&n, "bn.bias", 0);
    expect_constant(&n, "bn.running_mean", 0);
    expect_constant(&n, "bn.running_var", 1);
    expect_uniform(&n, "conv.weight", -1 / 6.0, 1 / 6.0);
    expect_uniform(&n, "conv.bias", -1 / 6.0, 1 / 6.0);
    expect_uniform(&n, "fc.weight", -1 / sqrt(FC_IN), 1 / sqrt(FC_IN));
    for (int i = 0; i < n.record.n; i++)
        ck_assert_str_eq(n.record.line[i].by, "PyTorch's default");
    ck_assert_int_eq(n.record.n, mu_modules_n_params(n.modules));
    close_net(&n);
}
END_TEST

START_TEST(constant)
{
    net n;
    begin(&n, "model: {type: Constant, val: 2.5, bias: -1, layer: Conv2d}\n");
    expect_constant(&n, "conv.weight", 2.5);
    expect_constant(&n, "conv.bias", -1);
    expect_constant(&n, "block.conv1.weight", 2.5);
    expect_constant(&n, "bn.weight", 1);
    expect_constant(&n, "scale", 5);
    expect_by(&n, "conv.weight", "ConstantInit: val=2.5, bias=-1 (the model)");
    expect_by(&n, "bn.weight", "PyTorch's default");
    close_net(&n);
}
END_TEST

/* Base classes as PyTorch names them, and a list of which only one is there. */
START_TEST(layers_by_base_class)
{
    net n;
    begin(&n, "model:\n  - {type: Constant, val: 3, layer: [_BatchNorm, GroupNorm]}\n"
              "  - {type: Constant, val: 4, layer: _ConvNd}\n");
    expect_constant(&n, "bn.weight", 3);
    expect_constant(&n, "block.bn1.weight", 3);
    expect_constant(&n, "bn.running_var", 1);
    expect_constant(&n, "block.conv1.weight", 4);
    close_net(&n);
}
END_TEST

START_TEST(bias_prob)
{
    net n;
    begin(&n, "model: {type: Normal, std: 0.01, bias: 7, bias_prob: 0.01, layer: Linear}\n");
    expect_constant(&n, "fc.bias", -log((1 - 0.01) / 0.01));
    expect_normal(&n, "fc.weight", 0, 0.01);
    expect_by(&n, "fc.bias", "NormalInit: mean=0, std=0.01, bias_prob=0.01 (the model)");
    close_net(&n);
}
END_TEST

START_TEST(distributions)
{
    static const double fans = FC_IN + FC_OUT;
    net n;
    begin(&n, "model: {type: Normal, mean: -3, std: 2, layer: Linear}\n");
    expect_normal(&n, "fc.weight", -3, 2);
    expect_normal(&n, "block.fc.weight", -3, 2);
    close_net(&n);
    begin(&n, "model: {type: Uniform, a: -0.25, b: 1, layer: Linear}\n");
    expect_uniform(&n, "fc.weight", -0.25, 1);
    expect_constant(&n, "fc.bias", 0);
    close_net(&n);
    begin(&n, "model: {type: Xavier, gain: 3, layer: Linear}\n");
    expect_normal(&n, "fc.weight", 0, 3 * sqrt(2 / fans));
    close_net(&n);
    begin(&n, "model: {type: Xavier, distribution: uniform, layer: Linear}\n");
    expect_uniform(&n, "fc.weight", -sqrt(6 / fans), sqrt(6 / fans));
    close_net(&n);
    begin(&n, "model: {type: Caffe2Xavier, layer: Linear}\n");
    expect_uniform(&n, "fc.weight", -sqrt(3.0 / FC_IN), sqrt(3.0 / FC_IN));
    close_net(&n);
}
END_TEST

START_TEST(kaiming)
{
    static const struct {
        const char *options;
        double gain;
        bool fan_in, uniform;
    } cases[] = {{"", M_SQRT2, false, false},
                 {"mode: fan_in, ", M_SQRT2, true, false},
                 {"distribution: uniform, ", M_SQRT2, false, true},
                 {"a: 0.5, nonlinearity: leaky_relu, ", 1.2649110640673518, false, false},
                 {"a: 0.5, ", M_SQRT2, false, false},
                 {"nonlinearity: tanh, ", 5.0 / 3, false, false},
                 {"nonlinearity: selu, ", 0.75, false, false},
                 {"nonlinearity: conv2d, mode: fan_in, ", 1, true, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[160];
        net n;
        snprintf(yaml, sizeof yaml, "model: {type: Kaiming, %slayer: [Linear, Conv2d]}\n", cases[i].options);
        begin(&n, yaml);
        double std = cases[i].gain / sqrt(cases[i].fan_in ? FC_IN : FC_OUT), bound = sqrt(3) * std;
        if (cases[i].uniform)
            expect_uniform(&n, "fc.weight", -bound, bound);
        else
            expect_normal(&n, "fc.weight", 0, std);
        /* 216 numbers; fans 4 * 9 and 6 * 9. */
        std = cases[i].gain / sqrt(cases[i].fan_in ? 36 : 54);
        if (!cases[i].uniform)
            expect_normal(&n, "conv.weight", 0, std);
        expect_constant(&n, "conv.bias", 0);
        close_net(&n);
    }
}
END_TEST

static double phi(double x)
{
    return exp(-x * x / 2) / sqrt(2 * M_PI);
}

/* Moments of a normal distribution cut to [a, b]: Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions
 * 1, 1994. The numbers' order statistics are compared with the distribution itself (Kolmogorov and Smirnov, at a level
 * of 1e-6). */
static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void expect_cut_normal(net *n, const char *name, double mean, double std, double a, double b)
{
    int64_t count;
    const float *v = values(n, name, &count);
    float *sorted = malloc((size_t)count * sizeof *sorted);
    ck_assert_ptr_nonnull(sorted);
    memcpy(sorted, v, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_floats);
    double low = (a - mean) / std, high = (b - mean) / std, sign = low + high > 0 ? -1 : 1, most = 0;
    /* Lower tails are accurate. */
    double p0 = erfc(-fmin(sign * low, sign * high) * M_SQRT1_2), p1 = erfc(-fmax(sign * low, sign * high) * M_SQRT1_2);
    for (int64_t i = 0; i < count; i++) {
        double p = (erfc(-sign * (sorted[i] - mean) / std * M_SQRT1_2) - p0) / (p1 - p0),
               rank = ((double)i + 0.5) / (double)count;
        most = fmax(most, fabs((sign > 0 ? p : 1 - p) - rank));
    }
    ck_assert_msg(sorted[0] >= (float)a && sorted[count - 1] <= (float)b, "from %g to %g", sorted[0],
                  sorted[count - 1]);
    ck_assert_msg(most <= 2.7 / sqrt((double)count), "distance %g", most);
    free(sorted);
}

START_TEST(trunc_normal)
{
    net n;
    begin(&n, "model: {type: TruncNormal, layer: Linear}\n");
    double z = erf(2 / sqrt(2)), variance = 1 - 2 * 2 * phi(2) / z;
    expect_sample(&n, "fc.weight", 0, sqrt(variance), 3, -2, 2);
    expect_cut_normal(&n, "fc.weight", 0, 1, -2, 2);
    close_net(&n);
    /* The limits are absolute: with a small std they cut nothing. */
    begin(&n, "model: {type: TruncNormal, std: 0.02, layer: Linear}\n");
    expect_normal(&n, "fc.weight", 0, 0.02);
    expect_cut_normal(&n, "fc.weight", 0, 0.02, -2, 2);
    close_net(&n);
    begin(&n, "model: {type: TruncNormal, mean: 1, std: 2, a: -1, b: 1.5, layer: Linear}\n");
    expect_cut_normal(&n, "fc.weight", 1, 2, -1, 1.5);
    close_net(&n);
    /* Far out in either tail. */
    begin(&n, "model: {type: TruncNormal, a: 9, b: 12, layer: Linear}\n");
    expect_cut_normal(&n, "fc.weight", 0, 1, 9, 12);
    close_net(&n);
    begin(&n, "model: {type: TruncNormal, a: -12, b: -9, layer: Linear}\n");
    expect_cut_normal(&n, "fc.weight", 0, 1, -12, -9);
    close_net(&n);
    open_net(&n, "model: {type: TruncNormal, a: 50, b: 60, layer: Linear}\n");
    ck_fails(init_net(&n, 1), MU_ERR_CONFIG, "nothing in [50, 60]");
    close_net(&n);
}
END_TEST

START_TEST(parents_before_children)
{
    net n;
    begin(&n, "model: {type: Constant, val: 1.5, layer: [Conv2d, Linear]}\n"
              "block: {type: Constant, val: 2.5, layer: Conv2d}\n");
    expect_constant(&n, "conv.weight", 1.5);
    expect_constant(&n, "block.conv1.weight", 2.5);
    expect_constant(&n, "block.fc.weight", 1.5);
    expect_by(&n, "block.conv1.weight", "ConstantInit: val=2.5, bias=0 (block)");
    close_net(&n);
}
END_TEST

START_TEST(overrides)
{
    net n;
    /* By name, with a type of its own: all of the child; a later list entry wins. */
    begin(&n, "model: {type: Constant, val: 1, bias: 2, layer: Conv2d, override: {type: Constant, name: conv, val: 3, "
              "bias: 4}}\n");
    expect_constant(&n, "conv.weight", 3);
    expect_constant(&n, "conv.bias", 4);
    expect_constant(&n, "block.conv1.weight", 1);
    close_net(&n);
    /* Only a name: as all else, also where no layer is named. */
    begin(&n,
          "model: {type: Constant, val: 6, bias: 7, override: [{name: block}, {type: Constant, name: fc, val: 8}]}\n");
    expect_constant(&n, "block.conv1.weight", 6);
    expect_constant(&n, "block.bn1.weight", 6);
    expect_constant(&n, "block.bn1.bias", 7);
    expect_constant(&n, "block.fc.weight", 6);
    expect_constant(&n, "fc.weight", 8);
    expect_constant(&n, "fc.bias", 0);
    expect_uniform(&n, "conv.weight", -1 / 6.0, 1 / 6.0);
    expect_by(&n, "block.fc.weight", "ConstantInit: val=6, bias=7 (the model)");
    close_net(&n);
    /* A child's own init_cfg comes after its parent's override. */
    begin(&n,
          "model: {type: Constant, val: 6, override: {name: block}}\nblock: {type: Constant, val: 9, layer: Conv2d}\n");
    expect_constant(&n, "block.conv1.weight", 9);
    expect_constant(&n, "block.bn1.weight", 6);
    close_net(&n);
}
END_TEST

START_TEST(numbers_depend_on_name_and_seed)
{
    static float first[FC_IN * FC_OUT];
    int64_t count;
    net n;
    begin(&n, "model: {type: Normal, layer: Linear}\n");
    memcpy(first, values(&n, "fc.weight", &count), sizeof first);
    ck_ok(init_net(&n, 2));
    ck_assert_int_ne(memcmp(first, values(&n, "fc.weight", &count), sizeof first), 0);
    ck_ok(init_net(&n, 1));
    ck_assert_int_eq(memcmp(first, values(&n, "fc.weight", &count), sizeof first), 0);
    close_net(&n);
    /* The same whatever else is filled, and in which order. */
    begin(&n, "model: [{type: Xavier, layer: Conv2d}, {type: Constant, val: 1, layer: Linear}, {type: Normal, "
              "override: {name: fc}}]\n");
    ck_assert_int_eq(memcmp(first, values(&n, "fc.weight", &count), sizeof first), 0);
    /* Another name, other numbers. */
    const float *other = values(&n, "block.fc.weight", &count);
    ck_assert_int_ne(memcmp(first, other, (size_t)count * sizeof *other), 0);
    close_net(&n);
}
END_TEST

/* ---- Pretrained ---- */

typedef struct {
    net *n;
    char log[256];
    int n_loaded;
} loader;

/* Sets "weight" of conv layers below `into` to the number of the call. */
static mu_err fake_load(void *user, const char *path, const char *prefix, const char *into, int *n_loaded)
{
    loader *l = user;
    float v[6 * 6 * 9];
    size_t at = strlen(l->log), k = strlen(into);
    snprintf(l->log + at, sizeof l->log - at, "%s %s %s;", path, prefix ? prefix : "-", into);
    for (int i = 0; i < 6 * 6 * 9; i++)
        v[i] = (float)strlen(l->log);
    *n_loaded = 0;
    for (int i = 0; i < mu_modules_n_params(l->n->modules); i++) {
        const mu_module_param *p = mu_modules_param(l->n->modules, i);
        if (strncmp(p->name, into, k) != 0 || !strstr(p->name, "conv") || p->type.ndim != 4)
            continue;
        MU_TRY(mu_params_write(l->n->params, p->name, v));
        ++*n_loaded;
    }
    return MU_OK;
}

START_TEST(pretrained_comes_last)
{
    net n;
    loader l = {.n = &n};
    /* The model's comes after the block's Kaiming and after its own others, whatever the order in the list. */
    open_net(&n, "model: [{type: Pretrained, checkpoint: a.h5}, {type: Constant, val: 1, layer: [Conv2d, Linear]}]\n"
                 "block: {type: Kaiming, layer: Conv2d}\n");
    ck_ok(mu_init_weights(n.modules, n.params, 1, fake_load, &l, &n.record));
    ck_assert_str_eq(l.log, "a.h5 - ;");
    expect_constant(&n, "conv.weight", 8);
    expect_constant(&n, "block.conv1.weight", 8);
    expect_constant(&n, "block.fc.weight", 1);
    expect_by(&n, "block.conv1.weight", "PretrainedInit: checkpoint=a.h5 (the model)");
    expect_by(&n, "fc.weight", "ConstantInit: val=1, bias=0 (the model)");
    ck_assert_double_eq(line_of(&n, "conv.weight")->mean, 8);
    close_net(&n);
    /* A child's before its parent's. */
    l.log[0] = '\0';
    open_net(&n, "model: {type: Pretrained, checkpoint: a.h5}\nblock: {type: Pretrained, checkpoint: b.h5, prefix: "
                 "backbone.}\n");
    ck_ok(mu_init_weights(n.modules, n.params, 1, fake_load, &l, NULL));
    ck_assert_str_eq(l.log, "b.h5 backbone. block;a.h5 - ;");
    close_net(&n);
    /* As an override. */
    l.log[0] = '\0';
    open_net(&n, "model: {type: Constant, val: 1, layer: Conv2d, override: {type: Pretrained, name: block, checkpoint: "
                 "c.h5}}\n");
    ck_ok(mu_init_weights(n.modules, n.params, 1, fake_load, &l, &n.record));
    ck_assert_str_eq(l.log, "c.h5 - block;");
    expect_constant(&n, "conv.weight", 1);
    expect_constant(&n, "block.conv1.weight", 13);
    expect_by(&n, "block.conv1.weight", "PretrainedInit: checkpoint=c.h5 (the model)");
    close_net(&n);
}
END_TEST

START_TEST(pretrained_that_fits_nothing)
{
    net n;
    loader l = {.n = &n};
    open_net(&n,
             "model: {type: Constant, val: 1, override: {type: Pretrained, name: bn, checkpoint: c.h5, prefix: x.}}\n");
    ck_fails(mu_init_weights(n.modules, n.params, 1, fake_load, &l, NULL), MU_ERR_CONFIG,
             "nothing that begins with x. in c.h5 fits bn");
    ck_fails(init_net(&n, 1), MU_ERR_USAGE, "c.h5");
    close_net(&n);
}
END_TEST

START_TEST(mistakes)
{
    static const char *const cases[][2] = {
        {"model: {type: Constant, val: 1, layer: Conv3d}\n", "did you mean 'Conv2d'?"},
        {"model: {type: Constant, val: 1, layer: [Quux]}\n", "<string>:1:40: the model has no layer of type 'Quux'"},
        {"block: {type: Constant, val: 1, layer: Quux}\n",
         "block has no layer of type 'Quux'\n  hint: there are Block, Conv2d"},
        {"block: {type: Constant, val: 1, override: {name: con1}}\n", "did you mean 'conv1'?"},
        {"model: {type: Constant, val: 1, override: {name: fx}}\n",
         "the model has no child 'fx'\n  hint: did you mean 'fc'?"},
        {"model: {type: Constant, val: 1, override: {name: conv1}}\n", "the model has no child 'conv1'"},
        {"model: {type: Constant, val: 1, override: {type: Constant, val: 3}}\n", "needs the `name` of a child"},
        {"model: {type: Constant, val: 1, override: {val: 3}}\n", "init_cfg.override.name: expected string"},
        {"model: {type: Constant, val: 1, override: {name: fc, val: 3}}\n", "unknown key 'val'"},
        {"model: {type: Constant, val: 1, override: {type: Constant, val: 1, name: fc, layer: Linear}}\n",
         "takes no `layer`"},
        {"model: {type: Constant, val: 1, override: {type: Constant, val: 1, name: fc, override: {name: x}}}\n",
         "takes no `layer`"},
        {"model: {type: Constant, val: 1, layer: Conv2d, name: fc}\n", "`name` belongs into `override`"},
        {"model: {type: Constant, val: 1}\n", "it fills nothing"},
        {"model: {type: Constant, layer: Conv2d}\n", "init_cfg.val: expected number, found no such key"},
        {"model: {type: Kaiming, layer: BatchNorm2d}\n", "Kaiming: bn.weight: a weight of shape [6]"},
        {"model: {type: Xavier, override: {name: block}}\n", "Xavier: block.bn1.weight: a weight of shape [6]"},
        {"model: {type: Kaiming, layer: Conv2d, mode: fan_inn}\n", "did you mean 'fan_in'?"},
        {"model: {type: Normal, std: -1, layer: Conv2d}\n", "init_cfg.std: expected number >= 0"},
        {"model: {type: Normal, bias_prob: 0, layer: Conv2d}\n", "init_cfg.bias_prob: expected number > 0"},
        {"model: {type: Normal, bias_prob: 1, layer: Conv2d}\n", "found integer 1"},
        {"model: {type: Uniform, a: 2, b: 1, layer: Conv2d}\n", "a = 2 lies above b = 1"},
        {"model: {type: TruncNormal, a: 2, layer: Conv2d}\n", "a = 2 is not below the greatest, b = 2"},
        {"model: {type: Pretrained}\n", "init_cfg.checkpoint: expected string"},
        {"model: {type: Pretrained, checkpoint: a.h5, layer: Conv2d}\n", "unknown key 'layer'"},
        {"model: [{type: Constant, val: 1, layer: Conv2d}, {type: Kaimming}]\n", "did you mean 'Kaiming'?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        net n;
        open_net(&n, cases[i][0]);
        ck_fails(init_net(&n, 1), strstr(cases[i][1], "of shape") ? MU_ERR_SHAPE : MU_ERR_CONFIG, cases[i][1]);
        close_net(&n);
    }
}
END_TEST

START_TEST(record_text)
{
    net n;
    char *text;
    begin(&n, "model: {type: Constant, val: 0.5, layer: Conv2d}\n");
    ck_ok(mu_init_record_text(&n.record, n.modules, &text));
    ck_assert_msg(strncmp(text, "parameter               shape             mean          std  by\n", 63) == 0, "%s",
                  text);
    ck_assert_ptr_nonnull(
        strstr(text, "\nblock.conv1.weight      [6,6,3,3]   5.0000e-01   0.0000e+00  ConstantInit: val=0.5, bias=0 "
                     "(the model)\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\nscale                   [3]         5.0000e+00   0.0000e+00  PyTorch's default\n"));
    mu_free(text);
    close_net(&n);
}
END_TEST

START_TEST(out_of_memory)
{
    net n;
    char *text = NULL;
    open_net(&n,
             "model: [{type: Constant, val: 1, layer: [Conv2d], override: [{name: fc}, {type: Normal, name: bn}]}]\n");
    ck_ok(init_net(&n, 1)); /* the registry and the store have what they keep */
    mu_init_record_release(&n.record);
    ck_survives_oom(mu_init_weights(n.modules, n.params, 1, NULL, NULL, &n.record), mu_init_record_release(&n.record));
    ck_ok(init_net(&n, 1));
    ck_survives_oom(mu_init_record_text(&n.record, n.modules, &text), mu_free(text));
    close_net(&n);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("init");
    TCase *tests = tcase_create("init");
    tcase_add_test(tests, defaults);
    tcase_add_test(tests, constant);
    tcase_add_test(tests, layers_by_base_class);
    tcase_add_test(tests, bias_prob);
    tcase_add_test(tests, distributions);
    tcase_add_test(tests, kaiming);
    tcase_add_test(tests, trunc_normal);
    tcase_add_test(tests, parents_before_children);
    tcase_add_test(tests, overrides);
    tcase_add_test(tests, numbers_depend_on_name_and_seed);
    tcase_add_test(tests, pretrained_comes_last);
    tcase_add_test(tests, pretrained_that_fits_nothing);
    tcase_add_test(tests, mistakes);
    tcase_add_test(tests, record_text);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

/* Layers and containers from YAML: what they record, name and refuse. */
#include "nn/layer.h"
#include "nn/trace_impl.h"
#include "test.h"
#include "toy.h"

static mu_modules *modules;
static mu_tensors inputs;
static mu_comm *comm; /* of the traces, and whether all norms are synchronised */
static bool sync_bn;

static void setup(void)
{
    ck_ok(mu_modules_new(&modules));
    inputs = (mu_tensors){0};
    ck_ok(mu_tensors_put(&inputs, "img", MU_TYPE(MU_F32, 2, 4, 9, 7), NULL));
}

static void teardown(void)
{
    comm = NULL;
    sync_bn = false;
    mu_modules_release(modules);
    mu_registry_reset();
}

/* Applies the layer as "net" to n_in features, each "img", and records what it gives as y0, y1, ... */
static mu_err record(const char *yaml, int n_in, bool training, mu_graph **graph)
{
    toy t;
    mu_trace trace;
    mu_trace_names names;
    MU_TRY(toy_build("layer", yaml, &t));
    mu_err err = mu_trace_begin(&trace, MU_MODE_TENSOR, training, &inputs, modules, "Test", NULL);
    if (!err) {
        trace.comm = comm;
        trace.sync_bn = sync_bn;
        mu_features x = {.n = n_in};
        for (int i = 0; i < n_in; i++)
            x.v[i] = mu_trace_input(&trace, "img");
        mu_layer_apply(t.object, &trace, "net", &x);
        for (int i = 0; i < x.n; i++) {
            char name[16];
            snprintf(name, sizeof name, "y%d", i);
            mu_trace_output(&trace, name, x.v[i]);
        }
        err = mu_trace_end(&trace, false, graph, &names);
        if (!err)
            mu_trace_names_release(&names);
    }
    toy_release(&t);
    return err;
}

static const struct {
    const char *yaml, *op; /* of the last node; NULL: none */
    const char *attrs;     /* part of its attributes */
    mu_type out;
    int n_params;
} layers[] = {
    {"{type: Conv2d, in_channels: 4, out_channels: 6, kernel_size: 3}", "conv2d", "stride=[1,1] padding=[0,0,0,0] dilation=[1,1] groups=1",
     MU_TYPE(MU_F32, 2, 6, 7, 5), 2},
    {"{type: Conv2d, out_channels: 6, kernel_size: [3, 1], stride: [2, 1], padding: [1, 0], dilation: [2, 1], groups: 2, bias: false}",
     "conv2d", "stride=[2,1] padding=[1,0,1,0] dilation=[2,1] groups=2", MU_TYPE(MU_F32, 2, 6, 4, 7), 1},
    {"{type: Linear, in_features: 7, out_features: 5}", "linear", "", MU_TYPE(MU_F32, 2, 4, 9, 5), 2},
    {"{type: Linear, out_features: 5, bias: false}", "linear", "", MU_TYPE(MU_F32, 2, 4, 9, 5), 1},
    {"{type: BatchNorm2d, num_features: 4, eps: 0.25, momentum: 0.5}", "batch_norm", "eps=0.25 momentum=0.5",
     MU_TYPE(MU_F32, 2, 4, 9, 7), 4},
    {"{type: BatchNorm2d, affine: false}", "batch_norm", "eps=1.0000000000000001e-05 momentum=0.10000000000000001", MU_TYPE(MU_F32, 2, 4, 9, 7), 2},
    {"{type: BN, eps: 0.25, momentum: 0.5}", "batch_norm", "eps=0.25 momentum=0.5", MU_TYPE(MU_F32, 2, 4, 9, 7), 4},
    {"{type: SyncBN, eps: 0.25, momentum: 0.5}", "batch_norm", "eps=0.25 momentum=0.5", MU_TYPE(MU_F32, 2, 4, 9, 7), 4},
    {"{type: MMSyncBN, num_features: 4}", "batch_norm", "momentum=0.1", MU_TYPE(MU_F32, 2, 4, 9, 7), 4},
    {"{type: GroupNorm, num_groups: 2, num_channels: 4}", "group_norm", "groups=2", MU_TYPE(MU_F32, 2, 4, 9, 7), 2},
    {"{type: GroupNorm, num_groups: 4, affine: false, eps: 0.5}", "group_norm", "eps=0.5", MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
    {"{type: LayerNorm, normalized_shape: [9, 7]}", "layer_norm", "normalized_ndim=2", MU_TYPE(MU_F32, 2, 4, 9, 7), 2},
    {"{type: LayerNorm, normalized_shape: 7, elementwise_affine: false}", "layer_norm", "normalized_ndim=1",
     MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
    {"{type: ReLU}", "relu", "", MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
    {"{type: ReLU6}", "relu6", "", MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
    {"{type: LeakyReLU, negative_slope: 0.125}", "leaky_relu", "0.125", MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
    {"{type: GELU}", "gelu", "alpha=0", MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
    {"{type: GELU, approximate: tanh}", "gelu", "alpha=1", MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
    {"{type: SiLU}", "silu", "", MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
    {"{type: Sigmoid}", "sigmoid", "", MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
    {"{type: Tanh}", "tanh", "", MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
    {"{type: Hardsigmoid}", "hard_sigmoid", "", MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
    {"{type: Hardswish}", "hard_swish", "", MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
    {"{type: MaxPool2d, kernel_size: 2}", "max_pool2d", "stride=[2,2]", MU_TYPE(MU_F32, 2, 4, 4, 3), 0},
    {"{type: MaxPool2d, kernel_size: 3, stride: 2, padding: 1, ceil_mode: true}", "max_pool2d", "padding=[1,1,1,1]",
     MU_TYPE(MU_F32, 2, 4, 5, 4), 0},
    {"{type: MaxPool2d, kernel_size: [3, 2], stride: 1, dilation: [2, 1]}", "max_pool2d", "dilation=[2,1]",
     MU_TYPE(MU_F32, 2, 4, 5, 6), 0},
    {"{type: AvgPool2d, kernel_size: 3, stride: [3, 2], padding: [0, 1]}", "avg_pool2d", "padding=[0,1,0,1]",
     MU_TYPE(MU_F32, 2, 4, 3, 4), 0},
    {"{type: AdaptiveAvgPool2d, output_size: [3, 1]}", "adaptive_avg_pool2d", "", MU_TYPE(MU_F32, 2, 4, 3, 1), 0},
    {"{type: Flatten}", "reshape", "", MU_TYPE(MU_F32, 2, 252), 0},
    {"{type: Flatten, start_dim: 2}", "reshape", "", MU_TYPE(MU_F32, 2, 4, 63), 0},
    {"{type: Dropout}", "dropout", "p=0.5", MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
    {"{type: Identity}", NULL, "", MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
    {"{type: Sequential, modules: {type: Identity}}", NULL, "", MU_TYPE(MU_F32, 2, 4, 9, 7), 0},
};

START_TEST(test_layers)
{
    char text[256], type[MU_TYPE_TEXT];
    mu_graph *graph;
    ck_ok(record(layers[_i].yaml, 1, true, &graph));
    const mu_type *out = mu_graph_type(graph, mu_graph_output_value(graph, 0));
    ck_assert_msg(mu_type_equal(out, &layers[_i].out), "%s gives %s", layers[_i].yaml, mu_type_format(out, type));
    ck_assert_int_eq(mu_modules_n_params(modules), layers[_i].n_params);
    if (layers[_i].op) {
        const mu_node *last = mu_graph_node(graph, mu_graph_n_nodes(graph) - 1);
        ck_assert_str_eq(last->op->name, layers[_i].op);
        ck_assert_str_eq(last->name, "net");
        mu_attrs_format(last->op, last->attrs, text, sizeof text);
        ck_assert_msg(strstr(text, layers[_i].attrs) != NULL, "%s: %s", layers[_i].yaml, text);
    } else {
        ck_assert_int_eq(mu_graph_n_nodes(graph), 0);
    }
    mu_graph_release(graph);
}
END_TEST

START_TEST(test_evaluation)
{
    mu_graph *graph;
    ck_ok(record("{type: Dropout, p: 0.5}", 1, false, &graph));
    ck_assert_int_eq(mu_graph_n_nodes(graph), 0);
    mu_graph_release(graph);
    ck_ok(record("{type: BatchNorm2d}", 1, false, &graph));
    ck_assert_str_eq(mu_graph_node(graph, 0)->op->name, "batch_norm_inference");
    mu_graph_release(graph);
}
END_TEST

static void expect_op(const char *yaml, bool training, const char *op)
{
    mu_graph *graph;
    ck_ok(record(yaml, 1, training, &graph));
    ck_assert_str_eq(mu_graph_node(graph, 0)->op->name, op);
    if (strcmp(op, "sync_batch_norm") == 0)
        ck_assert_ptr_eq(((const mu_batch_norm_attrs *)mu_graph_node(graph, 0)->attrs)->comm, comm);
    mu_graph_release(graph);
}

START_TEST(test_sync_bn)
{
    mu_comm two = {.size = 2}, one = {.size = 1};
    comm = &two;
    expect_op("{type: SyncBN}", true, "sync_batch_norm");
    expect_op("{type: SyncBN, affine: false}", true, "broadcast_to");
    expect_op("{type: MMSyncBN}", true, "sync_batch_norm");
    expect_op("{type: SyncBN}", false, "batch_norm_inference");
    expect_op("{type: BN}", true, "batch_norm");
    sync_bn = true;
    expect_op("{type: BN}", true, "sync_batch_norm");
    expect_op("{type: BatchNorm2d}", true, "sync_batch_norm");
    expect_op("{type: GroupNorm, num_groups: 2}", true, "group_norm");
    comm = &one;
    expect_op("{type: SyncBN}", true, "batch_norm");
    comm = NULL;
    expect_op("{type: BatchNorm2d}", true, "batch_norm");
}
END_TEST

START_TEST(test_norm_without_gradients)
{
    mu_graph *graph;
    ck_ok(record("{type: SyncBN, requires_grad: false}", 1, true, &graph));
    ck_assert_int_eq(mu_modules_n_params(modules), 4);
    for (int i = 0; i < 4; i++)
        ck_assert(!mu_modules_param(modules, i)->trainable);
    ck_assert_str_eq(mu_graph_node(graph, 0)->op->name, "batch_norm");
    mu_graph_release(graph);
}
END_TEST

/* ---- containers ---- */

START_TEST(test_sequential)
{
    static const char *const paths[] = {"", "net", "net.0", "net.1", "net.1.0", "net.1.1", "net.2"};
    static const char *const types[] = {"Test", "Sequential", "Conv2d", "Sequential", "BatchNorm2d", "ReLU", "Flatten"};
    static const char *const params[] = {"net.0.weight", "net.1.0.weight", "net.1.0.bias", "net.1.0.running_mean", "net.1.0.running_var"};
    mu_graph *graph;
    ck_ok(record("{type: Sequential, modules: [{type: Conv2d, out_channels: 3, kernel_size: 3, bias: false},"
                 " {type: Sequential, modules: [{type: BatchNorm2d}, {type: ReLU}]}, {type: Flatten}]}", 1, true, &graph));
    ck_assert_int_eq(mu_modules_count(modules), 7);
    for (int i = 0; i < 7; i++) {
        ck_assert_str_eq(mu_modules_at(modules, i)->path, paths[i]);
        ck_assert_str_eq(mu_modules_at(modules, i)->type, types[i]);
    }
    ck_assert_int_eq(mu_modules_n_params(modules), 5);
    for (int i = 0; i < 5; i++)
        ck_assert_int_ge(mu_modules_find_param(modules, params[i]), 0);
    mu_graph_release(graph);
}
END_TEST

static int64_t channels(const mu_graph *graph, int i)
{
    return mu_graph_type(graph, mu_graph_output_value(graph, i))->dim[1];
}

START_TEST(test_module_list_and_dict)
{
    mu_graph *graph;
    ck_ok(record("{type: ModuleList, modules: [{type: Conv2d, out_channels: 3, kernel_size: 1}, {type: Identity}]}", 2, true, &graph));
    ck_assert_int_eq(mu_graph_n_outputs(graph), 2);
    ck_assert_int_eq(channels(graph, 0), 3);
    ck_assert_int_eq(channels(graph, 1), 4);
    ck_assert_int_ge(mu_modules_find(modules, "net.1"), 0);
    mu_graph_release(graph);
    ck_ok(record("{type: ModuleDict, modules: {b: {type: Conv2d, out_channels: 5, kernel_size: 1}, off: null,"
                 " a: {type: Conv2d, out_channels: 6, kernel_size: 1}}}", 1, true, &graph));
    ck_assert_int_eq(mu_graph_n_outputs(graph), 2);
    ck_assert_int_eq(channels(graph, 0), 5);
    ck_assert_int_eq(channels(graph, 1), 6);
    ck_assert_int_ge(mu_modules_find_param(modules, "net.a.weight"), 0);
    ck_assert_int_eq(mu_modules_find(modules, "net.off"), -1);
    mu_graph_release(graph);
}
END_TEST

START_TEST(test_init_cfg_reaches_the_module)
{
    mu_graph *graph;
    toy t;
    mu_trace trace;
    mu_trace_names names;
    ck_ok(toy_build("layer", "{type: Sequential, init_cfg: {type: Constant, val: 2}, modules: [{type: Linear, out_features: 2}]}", &t));
    ck_ok(mu_trace_begin(&trace, MU_MODE_TENSOR, false, &inputs, modules, "Test", NULL));
    mu_features x = mu_features_one(mu_trace_input(&trace, "img"));
    mu_layer_apply(t.object, &trace, "net", &x);
    mu_layer_apply(NULL, &trace, "nothing", &x);
    mu_trace_output(&trace, "y", x.v[0]);
    ck_ok(mu_trace_end(&trace, false, &graph, &names));
    ck_assert_ptr_eq(mu_modules_at(modules, 1)->init_cfg, mu_cfg_get(mu_config_root(t.config), "init_cfg"));
    ck_assert_ptr_null(mu_modules_at(modules, 2)->init_cfg);
    ck_assert_int_eq(mu_modules_count(modules), 3);
    mu_graph_release(graph);
    mu_trace_names_release(&names);
    toy_release(&t);
}
END_TEST

/* ---- mistakes ---- */

static const struct {
    const char *yaml;
    int n_in;
    mu_err code;
    const char *message;
} mistakes[] = {
    {"{type: Conv2d, in_channels: 3, out_channels: 2, kernel_size: 1}", 1, MU_ERR_CONFIG,
     "\"net\": Conv2d: in_channels is 3, the input is f32[2,4,9,7]"},
    {"{type: Conv2d, out_channels: 2, kernel_size: 10}", 1, MU_ERR_SHAPE, "\"net\""},
    {"{type: Conv2d, out_channels: 2, kernel_size: [1, 2, 3]}", 1, MU_ERR_CONFIG, "kernel_size"},
    {"{type: Conv2d, kernel_size: 1}", 1, MU_ERR_CONFIG, "out_channels"},
    {"{type: Conv2d, out_channels: 3, kernel_size: 1, groups: 2}", 1, MU_ERR_CONFIG, "2 groups do not divide 4 input and 3 output"},
    {"{type: Linear, in_features: 4, out_features: 2}", 1, MU_ERR_CONFIG, "in_features is 4"},
    {"{type: BatchNorm1d}", 1, MU_ERR_SHAPE, "BatchNorm1d wants floating-point values of 2 to 3 dimensions"},
    {"{type: BatchNorm2d, num_features: 5}", 1, MU_ERR_CONFIG, "num_features is 5"},
    {"{type: GroupNorm, num_groups: 3}", 1, MU_ERR_SHAPE, "\"net\""},
    {"{type: LayerNorm, normalized_shape: [7, 9]}", 1, MU_ERR_CONFIG, "normalized_shape is 7"},
    {"{type: ReLU}", 2, MU_ERR_CONFIG, "ReLU takes one feature, not 2"},
    {"{type: ModuleList, modules: [{type: ReLU}]}", 2, MU_ERR_CONFIG, "ModuleList of 1 modules takes one feature each, not 2"},
    {"{type: Sequential, modules: [{type: Conv2d, out_channels: 2, kernel_size: 8}, {type: Conv2d, out_channels: 2, kernel_size: 3}]}", 1,
     MU_ERR_SHAPE, "\"net.0\""},
    {"{type: Sequential, modules: [{type: ReLu}]}", 1, MU_ERR_CONFIG, "ReLU"},
    {"{type: ModuleDict, modules: {a: {type: Nothing}}}", 1, MU_ERR_CONFIG, "modules.a"},
};

START_TEST(test_mistakes)
{
    mu_graph *graph;
    ck_fails(record(mistakes[_i].yaml, mistakes[_i].n_in, true, &graph), mistakes[_i].code, mistakes[_i].message);
}
END_TEST

static mu_err build_and_release(void)
{
    toy t;
    MU_TRY(toy_build("layer", "{type: Sequential, modules: [{type: Conv2d, out_channels: 3, kernel_size: [3, 3]},"
                              " {type: ModuleDict, modules: {a: {type: ReLU}, b: null}}]}", &t));
    toy_release(&t);
    return MU_OK;
}

START_TEST(test_out_of_memory)
{
    ck_ok(build_and_release());
    ck_survives_oom(build_and_release(), (void)0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layer");
    TCase *tc = tcase_create("layer");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_layers, 0, sizeof layers / sizeof *layers);
    tcase_add_test(tc, test_evaluation);
    tcase_add_test(tc, test_sync_bn);
    tcase_add_test(tc, test_norm_without_gradients);
    tcase_add_test(tc, test_sequential);
    tcase_add_test(tc, test_module_list_and_dict);
    tcase_add_test(tc, test_init_cfg_reaches_the_module);
    tcase_add_loop_test(tc, test_mistakes, 0, sizeof mistakes / sizeof *mistakes);
    tcase_add_test(tc, test_out_of_memory);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

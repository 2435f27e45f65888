/* Traces, the modules that they meet, and the layers as functions: names, shapes, fills, outputs, errors. */
#include "nn/layers.h"
#include "nn/trace_impl.h"
#include "test.h"

typedef void forward_fn(mu_trace *t);

static mu_modules *modules;
static mu_tensors inputs;

static void setup(void)
{
    ck_ok(mu_modules_new(&modules));
    inputs = (mu_tensors){0};
    ck_ok(mu_tensors_put(&inputs, "img", MU_TYPE(MU_F32, 4, 3, 8, 8), NULL));
    ck_ok(mu_tensors_put(&inputs, "gt_label", MU_TYPE(MU_I64, 4), NULL));
}

static void teardown(void)
{
    mu_modules_release(modules);
}

static mu_err record(forward_fn *forward, mu_mode mode, bool training, mu_graph **graph, mu_trace_names *names)
{
    mu_trace t;
    MU_TRY(mu_trace_begin(&t, mode, training, &inputs, modules, "Test", NULL));
    forward(&t);
    MU_TRY(mu_trace_end(&t, training, graph, names));
    return MU_OK;
}

static mu_value network(mu_trace *t)
{
    mu_value x = mu_trace_input(t, "img");
    mu_trace_enter(t, "backbone", "Backbone", NULL);
    mu_trace_enter(t, "layer1", "Stage", NULL);
    x = mu_nn_conv(t, "conv1", x, 6, 3, 1, 1);
    x = mu_nn_norm(t, "bn1", x, NULL);
    mu_trace_leave(t);
    x = mu_nn_conv2d(t, "dw", x, &(mu_conv2d_layer){.out_channels = 6, .kernel = {3, 3}, .groups = 6, .bias = true});
    mu_trace_leave(t);
    x = mu_nn_dropout(t, mu_nn_activation(t, x, MU_ACT_RELU), 0.5);
    return mu_nn_linear(t, "fc", mu_flatten(t->graph, x, 1), 5, true);
}

static void classify(mu_trace *t)
{
    mu_value x = network(t);
    if (t->mode == MU_MODE_LOSS)
        mu_trace_loss(t, "loss", mu_cross_entropy(t->graph, x, mu_trace_input(t, "gt_label"), MU_NO_VALUE, NULL));
    else
        mu_trace_output(t, "score", x);
}

static void check_param(const char *name, const char *leaf, const char *owner, mu_type type, bool trainable)
{
    int i = mu_modules_find_param(modules, name);
    ck_assert_msg(i >= 0, "%s", name);
    const mu_module_param *p = mu_modules_param(modules, i);
    ck_assert_str_eq(p->name, name);
    ck_assert_str_eq(p->leaf, leaf);
    ck_assert_str_eq(mu_modules_at(modules, p->module)->path, owner);
    ck_assert(mu_type_equal(&p->type, &type));
    ck_assert(p->trainable == trainable);
}

START_TEST(test_names_are_those_of_pytorch)
{
    mu_graph *graph;
    mu_trace_names names;
    ck_ok(record(classify, MU_MODE_LOSS, true, &graph, &names));
    ck_assert_int_eq(mu_modules_n_params(modules), 9);
    check_param("backbone.layer1.conv1.weight", "weight", "backbone.layer1.conv1", MU_TYPE(MU_F32, 6, 3, 3, 3), true);
    check_param("backbone.layer1.bn1.weight", "weight", "backbone.layer1.bn1", MU_TYPE(MU_F32, 6), true);
    check_param("backbone.layer1.bn1.bias", "bias", "backbone.layer1.bn1", MU_TYPE(MU_F32, 6), true);
    check_param("backbone.layer1.bn1.running_mean", "running_mean", "backbone.layer1.bn1", MU_TYPE(MU_F32, 6), false);
    check_param("backbone.layer1.bn1.running_var", "running_var", "backbone.layer1.bn1", MU_TYPE(MU_F32, 6), false);
    check_param("backbone.dw.weight", "weight", "backbone.dw", MU_TYPE(MU_F32, 6, 1, 3, 3), true);
    check_param("backbone.dw.bias", "bias", "backbone.dw", MU_TYPE(MU_F32, 6), true);
    check_param("fc.weight", "weight", "fc", MU_TYPE(MU_F32, 5, 216), true);
    check_param("fc.bias", "bias", "fc", MU_TYPE(MU_F32, 5), true);
    ck_assert_int_eq(mu_modules_find_param(modules, "fc"), -1);
    ck_assert_int_eq(mu_graph_n_gradients(graph), 7);
    mu_graph_release(graph);
    mu_trace_names_release(&names);
}
END_TEST

START_TEST(test_modules)
{
    static const char *const expected[][2] = {{"", "Test"}, {"backbone", "Backbone"}, {"backbone.layer1", "Stage"},
        {"backbone.layer1.conv1", "Conv2d"}, {"backbone.layer1.bn1", "BatchNorm2d"}, {"backbone.dw", "Conv2d"}, {"fc", "Linear"}};
    static const int parents[] = {-1, 0, 1, 2, 2, 1, 0}, nodes[] = {0, 3, 2, 1, 1, 1, 1};
    mu_graph *graph;
    mu_trace_names names;
    ck_ok(record(classify, MU_MODE_PREDICT, false, &graph, &names));
    ck_assert_int_eq(mu_modules_count(modules), 7);
    for (int i = 0; i < 7; i++) {
        const mu_module_info *m = mu_modules_at(modules, i);
        ck_assert_str_eq(m->path, expected[i][0]);
        ck_assert_str_eq(m->type, expected[i][1]);
        ck_assert_int_eq(m->parent, parents[i]);
        ck_assert_int_eq(mu_modules_find(modules, expected[i][0]), i);
        ck_assert(m->norm == (i == 4));
        ck_assert(m->depthwise == (i == 5));
        ck_assert_int_eq(m->n_nodes, i ? nodes[i] : mu_graph_n_nodes(graph));
    }
    ck_assert_str_eq(mu_graph_node(graph, mu_modules_at(modules, 5)->first_node)->name, "backbone.dw");
    ck_assert_int_eq(mu_modules_find(modules, "backbone.conv1"), -1);
    ck_assert_int_eq(names.n, 1);
    ck_assert_str_eq(names.name[0], "score");
    mu_graph_release(graph);
    mu_trace_names_release(&names);
}
END_TEST

START_TEST(test_fills_are_those_of_pytorch)
{
    mu_graph *graph;
    mu_trace_names names;
    ck_ok(record(classify, MU_MODE_PREDICT, false, &graph, &names));
    const mu_fill *w = &mu_modules_param(modules, mu_modules_find_param(modules, "backbone.layer1.conv1.weight"))->fill;
    ck_assert_int_eq(w->kind, MU_FILL_UNIFORM);
    ck_assert_double_eq_tol(w->b, 0.19245008972987526, 1e-15); /* 1 / sqrt(27) */
    ck_assert_double_eq(w->a, -w->b);
    const mu_fill *b = &mu_modules_param(modules, mu_modules_find_param(modules, "backbone.dw.bias"))->fill;
    ck_assert_double_eq_tol(b->b, 1. / 3, 1e-15);
    const mu_fill *var = &mu_modules_param(modules, mu_modules_find_param(modules, "backbone.layer1.bn1.running_var"))->fill;
    ck_assert(var->kind == MU_FILL_CONSTANT && var->a == 1);
    mu_graph_release(graph);
    mu_trace_names_release(&names);
}
END_TEST

static void frozen(mu_trace *t)
{
    t->frozen = true;
    mu_value x = mu_flatten(t->graph, mu_trace_input(t, "img"), 1);
    x = mu_nn_linear(t, "a", x, 3, true);
    t->frozen = false;
    mu_trace_loss(t, "loss", mu_nn_linear(t, "b", x, 1, false));
}

START_TEST(test_frozen_parameters_are_states)
{
    mu_graph *graph;
    mu_trace_names names;
    ck_ok(record(frozen, MU_MODE_LOSS, true, &graph, &names));
    check_param("a.weight", "weight", "a", MU_TYPE(MU_F32, 3, 192), false);
    check_param("b.weight", "weight", "b", MU_TYPE(MU_F32, 1, 3), true);
    ck_assert_int_eq(mu_graph_n_gradients(graph), 1);
    mu_graph_release(graph);
    mu_trace_names_release(&names);
}
END_TEST

static void shared(mu_trace *t)
{
    mu_value x = mu_flatten(t->graph, mu_trace_input(t, "img"), 1);
    mu_value a = mu_nn_linear(t, "fc", x, 3, true), b = mu_nn_linear(t, "fc", x, 3, true);
    mu_trace_loss(t, "loss", mu_add(t->graph, a, b));
}

START_TEST(test_a_module_entered_again_shares_its_parameters)
{
    mu_graph *graph;
    mu_trace_names names;
    ck_ok(record(shared, MU_MODE_LOSS, true, &graph, &names));
    ck_assert_int_eq(mu_modules_n_params(modules), 2);
    ck_assert_int_eq(mu_modules_count(modules), 2);
    mu_graph_release(graph);
    mu_trace_names_release(&names);
}
END_TEST

/* ---- parse_losses ---- */

static const char *recorded[8];

static void losses(mu_trace *t)
{
    mu_value x = mu_mean(t->graph, mu_trace_input(t, "img"), 14, false); /* [N] */
    for (int i = 0; recorded[i]; i++)
        mu_trace_loss(t, recorded[i], strcmp(recorded[i], "hits") == 0 ? mu_trace_input(t, "gt_label") : x);
}

static void check_log_vars(const char *const *given, const char *const *expected)
{
    mu_graph *graph;
    mu_trace_names names;
    memset(recorded, 0, sizeof recorded);
    for (int i = 0; given[i]; i++)
        recorded[i] = given[i];
    ck_ok(record(losses, MU_MODE_LOSS, false, &graph, &names));
    int n = 0;
    for (; expected[n]; n++) {
        ck_assert_int_lt(n, names.n);
        ck_assert_str_eq(names.name[n], expected[n]);
    }
    ck_assert_int_eq(names.n, n);
    ck_assert_int_eq(mu_graph_n_outputs(graph), 1);
    mu_type want = MU_TYPE(MU_F32, n);
    ck_assert(mu_type_equal(mu_graph_type(graph, mu_graph_output_value(graph, 0)), &want));
    mu_graph_release(graph);
    mu_trace_names_release(&names);
}

START_TEST(test_log_vars)
{
    check_log_vars((const char *[]){"loss", NULL}, (const char *[]){"loss", NULL});
    check_log_vars((const char *[]){"loss", "hits", NULL}, (const char *[]){"loss", "hits", NULL});
    check_log_vars((const char *[]){"acc", "loss", NULL}, (const char *[]){"loss", "acc", NULL});
    check_log_vars((const char *[]){"loss_cls", "loss_bbox", NULL}, (const char *[]){"loss", "loss_cls", "loss_bbox", NULL});
    check_log_vars((const char *[]){"loss_cls", NULL}, (const char *[]){"loss", "loss_cls", NULL});
    check_log_vars((const char *[]){"aux_loss", "loss", NULL}, (const char *[]){"loss", "aux_loss", "loss_", NULL});
}
END_TEST

START_TEST(test_wrong_losses)
{
    mu_graph *graph;
    mu_trace_names names;
    memset(recorded, 0, sizeof recorded);
    ck_fails(record(losses, MU_MODE_LOSS, false, &graph, &names), MU_ERR_CONFIG, "records no loss");
    recorded[0] = "acc";
    ck_fails(record(losses, MU_MODE_LOSS, false, &graph, &names), MU_ERR_CONFIG, "records no loss");
    recorded[0] = recorded[1] = "loss";
    ck_fails(record(losses, MU_MODE_LOSS, false, &graph, &names), MU_ERR_USAGE, "\"loss\" is recorded twice");
    ck_fails(record(losses, MU_MODE_PREDICT, false, &graph, &names), MU_ERR_USAGE, "in mode \"predict\"");
}
END_TEST

/* ---- errors name the module ---- */

static void too_small(mu_trace *t)
{
    mu_value x = mu_trace_input(t, "img");
    mu_trace_enter(t, "backbone", "Backbone", NULL);
    x = mu_nn_conv(t, "stem", x, 4, 11, 1, 0);
    mu_trace_leave(t);
    mu_trace_output(t, "x", x);
}

static void not_an_image(mu_trace *t)
{
    mu_trace_output(t, "x", mu_nn_conv(t, "stem", mu_flatten(t->graph, mu_trace_input(t, "img"), 1), 4, 3, 1, 0));
}

static void odd_groups(mu_trace *t)
{
    mu_trace_output(t, "x", mu_nn_conv2d(t, "stem", mu_trace_input(t, "img"), &(mu_conv2d_layer){.out_channels = 4, .groups = 2}));
}

static void no_input(mu_trace *t)
{
    mu_trace_output(t, "x", mu_trace_input(t, "image"));
}

static void few_rows(mu_trace *t)
{
    mu_trace_output(t, "x", mu_mean(t->graph, mu_trace_input(t, "img"), 1, false));
}

START_TEST(test_errors_name_the_module)
{
    mu_graph *graph;
    mu_trace_names names;
    ck_fails(record(too_small, MU_MODE_TENSOR, false, &graph, &names), MU_ERR_SHAPE, "\"backbone.stem\"");
    ck_fails(record(not_an_image, MU_MODE_TENSOR, false, &graph, &names), MU_ERR_SHAPE, "\"stem\": Conv2d wants");
    ck_fails(record(odd_groups, MU_MODE_TENSOR, false, &graph, &names), MU_ERR_CONFIG, "2 groups do not divide 3 input");
    ck_fails(record(no_input, MU_MODE_TENSOR, false, &graph, &names), MU_ERR_CONFIG,
             "the batch has no 'image' (it has img f32[4,3,8,8], gt_label i64[4])");
    ck_fails(record(few_rows, MU_MODE_TENSOR, false, &graph, &names), MU_ERR_SHAPE, "a row for each sample");
}
END_TEST

static mu_err record_classifier(void)
{
    mu_graph *graph;
    mu_trace_names names;
    mu_modules *own;
    mu_modules *kept = modules;
    MU_TRY(mu_modules_new(&own));
    modules = own;
    mu_err err = record(classify, MU_MODE_LOSS, true, &graph, &names);
    modules = kept;
    mu_modules_release(own);
    MU_TRY(err);
    mu_graph_release(graph);
    mu_trace_names_release(&names);
    return MU_OK;
}

START_TEST(test_out_of_memory)
{
    ck_survives_oom(record_classifier(), (void)0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trace");
    TCase *tc = tcase_create("trace");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_names_are_those_of_pytorch);
    tcase_add_test(tc, test_modules);
    tcase_add_test(tc, test_fills_are_those_of_pytorch);
    tcase_add_test(tc, test_frozen_parameters_are_states);
    tcase_add_test(tc, test_a_module_entered_again_shares_its_parameters);
    tcase_add_test(tc, test_log_vars);
    tcase_add_test(tc, test_wrong_losses);
    tcase_add_test(tc, test_errors_name_the_module);
    tcase_add_test(tc, test_out_of_memory);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

#include "toys.h"

static mu_graph *g;
static mu_backend *backend;

static void open_graph(void)
{
    ck_ok(mu_graph_new(&g));
    ck_ok(mu_backend_open("cpu:ref", NULL, &backend));
}

static void close_graph(void)
{
    mu_graph_release(g);
    mu_backend_close(backend);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static mu_value param(const char *name, int64_t n)
{
    return mu_graph_param(g, name, MU_TYPE(MU_F64, n));
}

static mu_value total(mu_value x)
{
    return mu_sum(g, x, 0, false);
}

/* Gradient of one parameter after one run. */
static void gradient_of(const char *name, double *out)
{
    mu_params *params;
    mu_plan *plan;
    ck_ok(mu_graph_status(g));
    ck_ok(mu_params_new(backend, &params));
    ck_ok(toy_params(g, params));
    ck_ok(mu_plan_new(g, backend, params, NULL, &plan));
    toy_inputs(g, plan);
    ck_ok(mu_plan_run(plan, NULL));
    ck_ok(mu_params_read_gradient(params, name, out));
    mu_plan_release(plan);
    mu_params_release(params);
}

START_TEST(fan_out_adds_up)
{
    /* loss = sum(a*a + a*b + a): da = 2a + b + 1, db = a */
    mu_value a = param("a", 3), b = param("b", 3);
    mu_value loss = total(mu_add(g, mu_add(g, mu_mul(g, a, a), mu_mul(g, a, b)), a));
    mu_graph_output(g, "loss", loss);
    mu_graph_backward(g, loss, NULL, 0, NULL);
    double da[3], db[3];
    gradient_of("a", da);
    gradient_of("b", db);
    for (int i = 0; i < 3; i++) {
        ck_assert_double_eq_tol(da[i], 2 * toy_number("a", i) + toy_number("b", i) + 1, 1e-14);
        ck_assert_double_eq_tol(db[i], toy_number("a", i), 1e-14);
    }
}
END_TEST

START_TEST(a_parameter_used_twice)
{
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F64, 2, 3));
    mu_value w = mu_graph_param(g, "w", MU_TYPE(MU_F64, 3, 3)), again = mu_graph_param(g, "w", MU_TYPE(MU_F64, 3, 3));
    ck_assert_int_eq(w.id, again.id);
    mu_value y = mu_linear(g, mu_linear(g, x, w, MU_NO_VALUE), again, MU_NO_VALUE);
    mu_value loss = total(y);
    mu_graph_output(g, "loss", loss);
    mu_graph_backward(g, loss, NULL, 0, NULL);
    ck_assert_int_eq(mu_graph_n_gradients(g), 1);
    double dw[9];
    gradient_of("w", dw);
    /* y = x W^T W^T, loss = sum: dW[i][j] = sum_n h[n][j] + sum_n x[n][j] * sum_k W[k][i], h = x W^T */
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double want = 0, column = 0;
            for (int k = 0; k < 3; k++)
                column += toy_number("w", 3 * k + i);
            for (int n = 0; n < 2; n++) {
                double h = 0;
                for (int k = 0; k < 3; k++)
                    h += toy_number("x", 3 * n + k) * toy_number("w", 3 * j + k);
                want += h + toy_number("x", 3 * n + j) * column;
            }
            ck_assert_double_eq_tol(dw[3 * i + j], want, 1e-13);
        }
}
END_TEST

static void collect(void *user, const char *name)
{
    strcat(user, name);
}

START_TEST(unused_parameters)
{
    mu_value a = param("a", 2), b = param("b", 2), c = param("c", 2);
    mu_mul(g, b, c); /* does not reach the loss */
    mu_value loss = total(a);
    mu_graph_backward(g, loss, NULL, 0, NULL);
    ck_ok(mu_graph_status(g));
    char names[16] = "";
    ck_assert_int_eq(mu_graph_unused_params(g, collect, names), 2);
    ck_assert_str_eq(names, "bc");
    ck_assert_int_eq(mu_graph_unused_params(g, NULL, NULL), 2);
    ck_assert_int_ne(mu_graph_gradient_of(g, a).id, 0);
    ck_assert_int_eq(mu_graph_gradient_of(g, b).id, 0);
}
END_TEST

START_TEST(order_is_that_of_production)
{
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F64, 2, 4));
    x = toy_linear(g, "fc1", x, 4);
    x = toy_linear(g, "fc2", x, 4);
    x = toy_linear(g, "fc3", x, 4);
    mu_graph_backward(g, total(x), NULL, 0, NULL);
    ck_ok(mu_graph_status(g));
    ck_assert_int_eq(mu_graph_n_gradients(g), 6);
    int32_t last = 0;
    for (int i = 0; i < 6; i++) {
        const char *name = mu_graph_value(g, mu_graph_gradient_param(g, i))->name;
        char layer[8];
        snprintf(layer, sizeof layer, "fc%d", 3 - i / 2);
        ck_assert_msg(strncmp(name, layer, 3) == 0, "%s is number %d", name, i);
        ck_assert_int_ge(mu_graph_gradient(g, i).id, last);
        last = mu_graph_gradient(g, i).id;
    }
}
END_TEST

START_TEST(backward_nodes_are_marked_and_few)
{
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F64, 2, 4));
    x = toy_linear(g, "fc1", x, 4); /* no gradient towards the input */
    int32_t forward = mu_graph_n_nodes(g) + 1;
    mu_graph_backward(g, total(x), NULL, 0, NULL);
    ck_ok(mu_graph_status(g));
    bool found = false;
    for (int32_t i = 0; i < mu_graph_n_nodes(g); i++) {
        const mu_node *node = mu_graph_node(g, i);
        ck_assert_int_eq(node->backward, i >= forward);
        found |= node->backward && strcmp(node->name, "fc1") == 0;
    }
    ck_assert(found);
}
END_TEST

START_TEST(inputs_as_leaves)
{
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F64, 3)), i = mu_graph_input(g, "i", MU_TYPE(MU_I64, 3)), dx[2];
    mu_value loss = total(mu_mul(g, x, x));
    mu_graph_backward(g, loss, (mu_value[]){x, i}, 2, dx);
    ck_ok(mu_graph_status(g));
    ck_assert_int_ne(dx[0].id, 0);
    ck_assert_int_eq(dx[1].id, 0);
    ck_assert_int_eq(mu_graph_n_gradients(g), 0);
}
END_TEST

START_TEST(integers_stop_gradients)
{
    mu_value a = param("a", 3);
    mu_value loss = total(mu_add(g, mu_cast(g, mu_cast(g, a, MU_I32), MU_F64), a));
    mu_graph_output(g, "loss", loss);
    mu_graph_backward(g, loss, NULL, 0, NULL);
    double da[3];
    gradient_of("a", da);
    ck_assert(da[0] == 1 && da[1] == 1 && da[2] == 1);
}
END_TEST

START_TEST(a_loss_is_one_float)
{
    mu_graph_backward(g, param("a", 2), NULL, 0, NULL);
    ck_fails(mu_graph_status(g), MU_ERR_SHAPE, "must be one float, it is f64[2]");
}
END_TEST

START_TEST(an_integer_is_no_loss)
{
    mu_graph_backward(g, mu_graph_input(g, "i", MU_SCALAR(MU_I32)), NULL, 0, NULL);
    ck_fails(mu_graph_status(g), MU_ERR_SHAPE, "it is i32[]");
}
END_TEST

static mu_err same_type(const mu_call *call, mu_type *out)
{
    out[0] = call->in[0];
    return MU_OK;
}

static const mu_op hard_op = {.name = "hard", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = same_type};

START_TEST(an_operation_without_a_gradient)
{
    mu_value a = param("a", 2), x = mu_graph_input(g, "x", MU_TYPE(MU_F64, 2));
    mu_graph_push(g, "head.round");
    mu_value fixed = mu_graph_apply1(g, &hard_op, NULL, &x, 1);
    mu_graph_pop(g);
    mu_graph_backward(g, total(mu_mul(g, fixed, a)), NULL, 0, NULL); /* nothing flows into it */
    ck_ok(mu_graph_status(g));
    mu_graph_push(g, "head.round");
    mu_value y = mu_graph_apply1(g, &hard_op, NULL, &a, 1);
    mu_graph_pop(g);
    mu_graph_backward(g, total(y), NULL, 0, NULL);
    ck_fails(mu_graph_status(g), MU_ERR_UNSUPPORTED, "hard \"head.round\" has no gradient");
}
END_TEST

START_TEST(a_loss_that_depends_on_nothing)
{
    param("a", 2);
    mu_graph_backward(g, total(mu_graph_input(g, "x", MU_TYPE(MU_F64, 2))), NULL, 0, NULL);
    ck_ok(mu_graph_status(g));
    ck_assert_int_eq(mu_graph_n_gradients(g), 0);
    ck_assert_int_eq(mu_graph_unused_params(g, NULL, NULL), 1);
}
END_TEST

static mu_err trace(mu_graph **out)
{
    mu_graph *t;
    MU_TRY(mu_graph_new(&t));
    mu_value x = mu_graph_input(t, "x", MU_TYPE(MU_F64, 2, 4));
    x = mu_relu(t, toy_linear(t, "fc1", x, 4));
    x = mu_sum(t, mu_mul(t, toy_linear(t, "fc2", x, 4), x), 0, false);
    mu_graph_backward(t, x, NULL, 0, NULL);
    mu_err err = mu_graph_status(t);
    if (err)
        mu_graph_release(t);
    else
        *out = t;
    return err;
}

START_TEST(out_of_memory)
{
    mu_graph *t;
    ck_survives_oom(trace(&t), mu_graph_release(t));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("autodiff");
    TCase *tests = tcase_create("autodiff");
    tcase_add_checked_fixture(tests, open_graph, close_graph);
    tcase_add_test(tests, fan_out_adds_up);
    tcase_add_test(tests, a_parameter_used_twice);
    tcase_add_test(tests, unused_parameters);
    tcase_add_test(tests, order_is_that_of_production);
    tcase_add_test(tests, backward_nodes_are_marked_and_few);
    tcase_add_test(tests, inputs_as_leaves);
    tcase_add_test(tests, integers_stop_gradients);
    tcase_add_test(tests, a_loss_is_one_float);
    tcase_add_test(tests, an_integer_is_no_loss);
    tcase_add_test(tests, an_operation_without_a_gradient);
    tcase_add_test(tests, a_loss_that_depends_on_nothing);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

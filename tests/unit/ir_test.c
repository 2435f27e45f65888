#include "test.h"

#include "ir/graph.h"
#include "ops/ops.h"

static mu_conv2d_attrs same3x3(void)
{
    mu_conv2d_attrs a = mu_conv2d_defaults();
    for (int i = 0; i < 4; i++)
        a.padding[i] = 1;
    return a;
}

/* input [2,3,8,8] -> conv -> relu -> sum */
static mu_err trace(mu_graph **out)
{
    mu_graph *g;
    MU_TRY(mu_graph_new(&g));
    mu_value x = mu_graph_input(g, "inputs", MU_TYPE(MU_F32, 2, 3, 8, 8));
    mu_graph_push(g, "backbone");
    mu_graph_push(g, "layer1.0");
    mu_graph_pop(g);
    mu_graph_push(g, "conv1");
    mu_value w = mu_graph_param(g, "backbone.conv1.weight", MU_TYPE(MU_F32, 4, 3, 3, 3));
    mu_conv2d_attrs a = same3x3();
    mu_value y = mu_conv2d(g, x, w, MU_NO_VALUE, &a);
    mu_graph_pop(g);
    mu_relu(g, x); /* dead */
    y = mu_relu(g, y);
    mu_graph_pop(g);
    mu_graph_output(g, "loss", mu_sum(g, y, 0, false));
    mu_err err = mu_graph_status(g);
    if (err != MU_OK)
        mu_graph_release(g);
    else
        *out = g;
    return err;
}

START_TEST(nodes_carry_names_and_types)
{
    mu_graph *g;
    ck_ok(trace(&g));
    ck_assert_int_eq(mu_graph_n_nodes(g), 4);
    ck_assert_str_eq(mu_graph_node(g, 0)->name, "backbone.conv1");
    ck_assert_str_eq(mu_graph_node(g, 2)->name, "backbone");
    ck_assert_str_eq(mu_graph_node(g, 3)->name, "sum");
    char text[MU_TYPE_TEXT];
    ck_assert_str_eq(mu_type_format(mu_graph_type(g, mu_graph_node(g, 0)->out[0]), text), "f32[2,4,8,8]");
    ck_assert_str_eq(mu_type_format(mu_graph_type(g, mu_graph_output_value(g, 0)), text), "f32[]");
    ck_assert_int_eq(mu_graph_value(g, mu_graph_find(g, "backbone.conv1.weight"))->kind, MU_VALUE_PARAM);
    ck_assert_int_eq(mu_graph_find(g, "nothing").id, 0);

    mu_type types[4];
    mu_call call = mu_graph_call(g, mu_graph_node(g, 0), types);
    ck_assert_int_eq(mu_call_flops(&call), 2 * 2 * 4 * 8 * 8 * 27);
    ck_assert_int_eq(mu_call_bytes(&call), 4 * (2 * 3 * 64 + 4 * 27 + 2 * 4 * 64));
    char attrs[256];
    mu_attrs_format(call.op, call.attrs, attrs, sizeof attrs);
    ck_assert_msg(strstr(attrs, "stride=[1,1] padding=[1,1,1,1] dilation=[1,1] groups=1") == attrs, "%s", attrs);
    mu_graph_release(g);
}
END_TEST

START_TEST(the_first_error_stays)
{
    mu_graph *g;
    ck_ok(mu_graph_new(&g));
    mu_value x = mu_graph_input(g, "inputs", MU_TYPE(MU_F32, 32, 4, 224, 224));
    mu_graph_push(g, "backbone");
    mu_graph_push(g, "stem");
    mu_value w = mu_graph_param(g, "w", MU_TYPE(MU_F32, 64, 3, 7, 7));
    mu_conv2d_attrs a = mu_conv2d_defaults();
    mu_value y = mu_conv2d(g, x, w, MU_NO_VALUE, &a);
    ck_assert_int_eq(y.id, 0);
    mu_graph_pop(g);
    mu_value z = mu_relu(g, y);
    ck_assert_int_eq(z.id, 0);
    mu_graph_output(g, "loss", z);
    ck_fails(mu_graph_status(g), MU_ERR_SHAPE,
             "conv2d \"backbone.stem\": weight f32[64,3,7,7] with 1 groups needs 3 input channels, input is f32[32,4,224,224]");
    ck_fails(mu_graph_status(g), MU_ERR_SHAPE, "hint: make in_channels");
    mu_graph_release(g);
}
END_TEST

START_TEST(leaves_are_shared_or_refused)
{
    mu_graph *g;
    ck_ok(mu_graph_new(&g));
    mu_value a = mu_graph_param(g, "w", MU_TYPE(MU_F32, 2, 3));
    ck_assert_int_eq(mu_graph_param(g, "w", MU_TYPE(MU_F32, 2, 3)).id, a.id);
    ck_assert_int_eq(mu_graph_state(g, "w", MU_TYPE(MU_F32, 2, 3)).id, 0);
    ck_fails(mu_graph_status(g), MU_ERR_SHAPE, "state \"w\" of f32[2,3] was declared before as parameter of f32[2,3]");
    mu_graph_release(g);
}
END_TEST

START_TEST(sizes_that_overflow)
{
    mu_graph *g;
    ck_ok(mu_graph_new(&g));
    int64_t huge = (int64_t)1 << 40;
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F32, huge, huge));
    ck_assert_int_eq(x.id, 0);
    ck_fails(mu_graph_status(g), MU_ERR_OVERFLOW, "input \"x\": ");
    mu_graph_release(g);

    ck_ok(mu_graph_new(&g));
    x = mu_graph_input(g, "x", MU_TYPE(MU_F32, 1, 1 << 20));
    x = mu_broadcast_to(g, x, 4, (int64_t[]){1 << 20, 1 << 20, 1 << 20, 1 << 20});
    ck_assert_int_eq(x.id, 0);
    ck_fails(mu_graph_status(g), MU_ERR_OVERFLOW, "broadcast_to: ");
    mu_graph_release(g);
}
END_TEST

START_TEST(missing_operands)
{
    mu_graph *g;
    ck_ok(mu_graph_new(&g));
    mu_relu(g, MU_NO_VALUE);
    ck_fails(mu_graph_status(g), MU_ERR_USAGE, "relu: operand 0 is missing");
    mu_graph_release(g);
}
END_TEST

START_TEST(out_of_memory)
{
    mu_graph *g = NULL;
    ck_survives_oom(trace(&g), mu_graph_release(g));
}
END_TEST

START_TEST(operations_are_sorted_and_documented)
{
    const mu_op *const *op = mu_op_builtins();
    for (; *op; op++) {
        ck_assert_msg((*op)->doc && strlen((*op)->doc) > 10, "%s has no documentation", (*op)->name);
        ck_assert_ptr_eq(mu_op_find((*op)->name), *op);
        ck_assert_msg(!op[1] || strcmp((*op)->name, op[1]->name) < 0, "%s stands before %s", (*op)->name, op[1]->name);
        ck_assert_int_le((*op)->n_out, MU_OP_MAX_OUT);
        ck_assert_int_le((*op)->n_in_max, MU_OP_VARIADIC);
    }
    ck_assert_ptr_null(mu_op_find("no_such_operation"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ir");
    TCase *tests = tcase_create("ir");
    tcase_add_test(tests, nodes_carry_names_and_types);
    tcase_add_test(tests, the_first_error_stays);
    tcase_add_test(tests, leaves_are_shared_or_refused);
    tcase_add_test(tests, sizes_that_overflow);
    tcase_add_test(tests, missing_operands);
    tcase_add_test(tests, out_of_memory);
    tcase_add_test(tests, operations_are_sorted_and_documented);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

/* What the reference kernels do at the edges, where no other backend can say whether they are right: NaN, ties, indices out of
 * range, windows without elements, empty batches. */
#include "test.h"

#include "backend.h"
#include "ops/ops.h"

#include <math.h>

/* Runs the graph's last node, whose operands are constants, on cpu:ref into out (addresses; NULL where not wanted). */
static mu_err run_last(const mu_graph *g, void *const *out)
{
    mu_type types[MU_OP_VARIADIC + MU_OP_MAX_OUT];
    void *in[MU_OP_VARIADIC] = {NULL};
    mu_backend *backend;
    mu_kernel *kernel = NULL;
    MU_TRY(mu_graph_status(g));
    const mu_node *node = mu_graph_node(g, mu_graph_n_nodes(g) - 1);
    mu_call call = mu_graph_call(g, node, types);
    for (int i = 0; i < node->n_in; i++)
        in[i] = (void *)mu_graph_value(g, node->in[i])->constant;
    MU_TRY(mu_backend_open("cpu:ref", NULL, &backend));
    mu_err err = backend->ops->prepare(backend, &call, NULL, NULL, &kernel);
    if (err == MU_OK)
        err = mu_kernel_bind(kernel, in, out, NULL);
    if (err == MU_OK)
        err = mu_kernel_run(kernel, &(mu_run){0});
    mu_kernel_release(kernel);
    mu_backend_close(backend);
    return err;
}

static mu_graph *graph;

static void setup(void)
{
    ck_ok(mu_graph_new(&graph));
}

static void teardown(void)
{
    mu_graph_release(graph);
}

#define F32(type_, ...) mu_graph_const(graph, type_, (const float[]){__VA_ARGS__})
#define I64(type_, ...) mu_graph_const(graph, type_, (const int64_t[]){__VA_ARGS__})

START_TEST(indices_out_of_range)
{
    float y[8];
    mu_value table = F32(MU_TYPE(MU_F32, 3, 2), 0, 1, 2, 3, 4, 5);
    mu_embedding(graph, table, I64(MU_TYPE(MU_I64, 2), 2, 0));
    ck_ok(run_last(graph, (void *[]){y}));
    ck_assert_float_eq(y[0], 4);
    ck_assert_float_eq(y[3], 1);
    mu_embedding(graph, table, I64(MU_TYPE(MU_I64, 2), 2, 3));
    ck_fails(run_last(graph, (void *[]){y}), MU_ERR_FORMAT, "embedding \"embedding\": index 3 at element 1 is outside of [0, 3)");
    mu_gather(graph, table, I64(MU_TYPE(MU_I64, 1, 2), 0, -1), 0);
    ck_fails(run_last(graph, (void *[]){y}), MU_ERR_FORMAT, "index -1 at element 1 is outside of [0, 3)");
    mu_value in[] = {F32(MU_TYPE(MU_F32, 1, 1, 1, 1), 1), mu_graph_const(graph, MU_TYPE(MU_I32, 1, 1, 1, 1), (int32_t[]){4})};
    mu_graph_apply1(graph, &mu_op_max_pool2d_grad, &(mu_pool2d_attrs){.output = {2, 2}}, in, 2);
    ck_fails(run_last(graph, (void *[]){y}), MU_ERR_FORMAT, "index 4 at element 0");
}
END_TEST

START_TEST(maximum_of_a_window)
{
    float y[4];
    int32_t index[4];
    mu_pool2d_attrs a = mu_pool2d_defaults(2, 2, 0);
    mu_max_pool2d(graph, F32(MU_TYPE(MU_F32, 1, 1, 2, 8), 1, 1, NAN, 2, -INFINITY, -INFINITY, 0, NAN, /* row 1: */ 1, 1, 3, 1,
                             -INFINITY, -INFINITY, 9, 9), &a);
    ck_ok(run_last(graph, (void *[]){y, index}));
    ck_assert_float_eq(y[0], 1); /* the first of equals */
    ck_assert_int_eq(index[0], 0);
    ck_assert_float_nan(y[1]); /* NaN wins */
    ck_assert_int_eq(index[1], 2);
    ck_assert_float_infinite(y[2]);
    ck_assert_int_eq(index[2], 4);
    ck_assert_float_nan(y[3]);
    ck_assert_int_eq(index[3], 7);
    /* Taps at -1 and 1 of one element: the window meets nothing, and its gradient goes nowhere. */
    a = (mu_pool2d_attrs){.kernel = {2, 2}, .stride = {1, 1}, .padding = {1, 1, 1, 1}, .dilation = {2, 2}};
    mu_max_pool2d(graph, F32(MU_TYPE(MU_F32, 1, 1, 1, 1), 5), &a);
    ck_ok(run_last(graph, (void *[]){y, index}));
    ck_assert_float_infinite(y[0]);
    ck_assert_int_eq(index[0], -1);
    mu_value in[] = {F32(MU_TYPE(MU_F32, 1, 1, 1, 1), 1), mu_graph_const(graph, MU_TYPE(MU_I32, 1, 1, 1, 1), index)};
    a.output[0] = a.output[1] = 1;
    mu_graph_apply1(graph, &mu_op_max_pool2d_grad, &a, in, 2);
    ck_ok(run_last(graph, (void *[]){y}));
    ck_assert_float_eq(y[0], 0);
}
END_TEST

START_TEST(order_of_topk_and_argmax)
{
    float values[5];
    int64_t index[5];
    mu_value x = F32(MU_TYPE(MU_F32, 5), 2, NAN, 3, 2, NAN), v, i;
    mu_topk(graph, x, 5, 0, true, &v, &i);
    ck_ok(run_last(graph, (void *[]){values, index}));
    const int64_t down[] = {1, 4, 2, 0, 3}, up[] = {0, 3, 2, 1, 4};
    ck_assert_mem_eq(index, down, sizeof down);
    ck_assert_float_nan(values[0]);
    ck_assert_float_eq(values[2], 3);
    mu_topk(graph, x, 5, 0, false, &v, &i);
    ck_ok(run_last(graph, (void *[]){values, index}));
    ck_assert_mem_eq(index, up, sizeof up);
    mu_argmax(graph, x, 0, false);
    ck_ok(run_last(graph, (void *[]){index}));
    ck_assert_int_eq(index[0], 1);
    mu_argmax(graph, F32(MU_TYPE(MU_F32, 3), 1, 7, 7), 0, false);
    ck_ok(run_last(graph, (void *[]){index}));
    ck_assert_int_eq(index[0], 1);
}
END_TEST

START_TEST(running_statistics)
{
    float y[4], mean[1], rstd[1], new_mean[1], new_var[1];
    void *out[] = {y, mean, rstd, new_mean, new_var};
    mu_type c = MU_TYPE(MU_F32, 1);
    mu_value gamma = F32(c, 2), beta = F32(c, 1), rm = F32(c, 10), rv = F32(c, 20);
    mu_batch_norm(graph, F32(MU_TYPE(MU_F32, 4, 1), 1, 3, 5, 7), gamma, beta, rm, rv, 0, 0.25);
    ck_ok(run_last(graph, out)); /* mean 4, variance 5, unbiased 20/3 */
    ck_assert_float_eq_tol(y[0], 1 - 2 * 3 / sqrtf(5), 1e-6f);
    ck_assert_float_eq(mean[0], 4);
    ck_assert_float_eq_tol(rstd[0], 1 / sqrtf(5), 1e-7f);
    ck_assert_float_eq(new_mean[0], 8.5f);
    ck_assert_float_eq_tol(new_var[0], 15 + 0.25f * 20 / 3, 1e-5f);
    mu_batch_norm(graph, mu_graph_const(graph, MU_TYPE(MU_F32, 0, 1), ""), gamma, beta, rm, rv, 1, 0.25);
    ck_ok(run_last(graph, out)); /* an empty batch teaches nothing */
    ck_assert_float_eq(new_mean[0], 10);
    ck_assert_float_eq(new_var[0], 20);
}
END_TEST

START_TEST(fused_batch_norm)
{
    /* y = relu(bn(x) + residual); the gradient is masked by y > 0, and the masked one is the residual's. */
    float y[2], s[4], dx[2], dgamma[1], dbeta[1], dresidual[2];
    mu_type c = MU_TYPE(MU_F32, 1), t = MU_TYPE(MU_F32, 2, 1);
    mu_value x = F32(t, -1, 1), one = F32(c, 1), zero = F32(c, 0), dy = F32(t, 3, 5), out[5];
    mu_batch_norm_attrs a = {.momentum = 0.1, .relu = true, .residual = true};
    mu_graph_apply(graph, &mu_op_batch_norm, &a, (mu_value[]){x, one, zero, zero, one, F32(t, 0.5f, 2)}, 6, out);
    ck_ok(run_last(graph, (void *[]){y, &s[0], &s[1], &s[2], &s[3]}));
    ck_assert_float_eq(y[0], 0);
    ck_assert_float_eq(y[1], 3);
    mu_value in[] = {dy, x, one, F32(c, s[0]), F32(c, s[1]), F32(t, y[0], y[1])};
    mu_graph_apply(graph, &mu_op_batch_norm_grad, &a, in, 6, out);
    ck_ok(run_last(graph, (void *[]){dx, dgamma, dbeta, dresidual}));
    ck_assert_float_eq(dresidual[0], 0);
    ck_assert_float_eq(dresidual[1], 5);
    ck_assert_float_eq(dbeta[0], 5);
    ck_assert_float_eq(dgamma[0], 5);
    mu_value two[] = {dy, x, one, F32(c, s[0]), F32(c, s[1]), F32(t, y[0], y[1]), F32(t, 1, 0x1p-23f)};
    mu_graph_apply(graph, &mu_op_batch_norm_grad, &a, two, 7, out);
    ck_ok(run_last(graph, (void *[]){dx, dgamma, dbeta, dresidual}));
    ck_assert_float_eq(dresidual[0], 0);
    ck_assert_float_eq(dresidual[1], 5); /* dy + dy2 is rounded */
    ck_assert_float_eq(dbeta[0], 5);
    a.relu = false;
    two[5] = MU_NO_VALUE;
    mu_graph_apply(graph, &mu_op_batch_norm_grad, &a, two, 7, out);
    ck_ok(run_last(graph, (void *[]){dx, dgamma, dbeta, dresidual}));
    ck_assert_float_eq(dresidual[0], 4);
    ck_assert_float_eq(dbeta[0], 9);
}
END_TEST

/* Sums of many equal numbers: a float accumulator would stall. */
START_TEST(long_sums)
{
    enum { N = 1 << 16 };
    float *ones = malloc(N * sizeof *ones), y;
    for (int i = 0; i < N; i++)
        ones[i] = i == 0 ? 0x1p24f : 1;
    mu_value x = mu_graph_const(graph, MU_TYPE(MU_F32, 1, N), ones);
    for (int i = 0; i < N; i++)
        ones[i] = 1;
    mu_value w = mu_graph_const(graph, MU_TYPE(MU_F32, 1, N), ones);
    free(ones);
    mu_linear(graph, x, w, MU_NO_VALUE);
    ck_ok(run_last(graph, (void *[]){&y}));
    ck_assert_float_eq(y, (float)((1 << 24) + N - 1));
    mu_matmul(graph, x, w, false, true);
    ck_ok(run_last(graph, (void *[]){&y}));
    ck_assert_float_eq(y, (float)((1 << 24) + N - 1));
}
END_TEST

START_TEST(half_types)
{
    uint16_t y[4];
    mu_type t = MU_TYPE(MU_BF16, 2, 2);
    mu_value x = mu_graph_const(graph, t, (uint16_t[]){1, 2, 3, 4});
    mu_transpose(graph, x, (int[]){1, 0}); /* moving elements works in any dtype */
    ck_ok(run_last(graph, (void *[]){y}));
    ck_assert_uint_eq(y[1], 3);
    mu_matmul(graph, x, x, false, false);
    ck_fails(run_last(graph, (void *[]){y}), MU_ERR_UNSUPPORTED, "f32 and f64");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("edge");
    TCase *tests = tcase_create("edge");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, indices_out_of_range);
    tcase_add_test(tests, maximum_of_a_window);
    tcase_add_test(tests, order_of_topk_and_argmax);
    tcase_add_test(tests, running_statistics);
    tcase_add_test(tests, fused_batch_norm);
    tcase_add_test(tests, long_sums);
    tcase_add_test(tests, half_types);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

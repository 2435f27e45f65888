/* Linear layers and matrix products of the oneDNN backend against ref in f64: transposed, batched, broadcast, empty, bf16. */
#include "onednn_run.h"

static mu_backend *ref, *dnn;

static void open_all(void)
{
    mu_backend_options options = {.n_threads = 1, .cache_dir = ""};
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    ck_ok(mu_backend_open("cpu:onednn", &options, &dnn));
}

static void close_all(void)
{
    mu_backend_close(ref);
    mu_backend_close(dnn);
}

static void compare(run_case *c, double tolerance)
{
    double *expected[RUN_MAX];
    const char *why;
    char impl[64];
    if (dnn->ops->supports(dnn, &c->call, &why)) {
        run_case_ref(ref, c, expected);
        run_case_on(dnn, c, NULL, NULL, impl);
        double e = run_error(c, 0, expected[0]);
        char a[MU_TYPE_TEXT], b[MU_TYPE_TEXT];
        ck_assert_msg(e <= tolerance, "%s %s by %s: relative error %g above %g", mu_type_format(&c->call.in[0], a),
                      mu_type_format(&c->call.in[1], b), impl, e, tolerance);
        mu_free(expected[0]);
    } else {
        ck_assert_int_ne(c->call.in[0].dtype, MU_F32); /* bf16 on a processor without it */
    }
    run_case_release(c);
}

static void check_matmul(mu_type a, mu_type b, bool trans_a, bool trans_b)
{
    mu_matmul_attrs attrs = {.trans_a = trans_a, .trans_b = trans_b};
    for (int half = 0; half < 2; half++) {
        run_case c;
        a.dtype = b.dtype = half ? MU_BF16 : MU_F32;
        run_case_init(&c, &mu_op_matmul, &attrs, 2, (mu_type[]){a, b}, 11);
        compare(&c, half ? 8e-3 : 2e-6);
    }
}

START_TEST(test_matmul)
{
    check_matmul(MU_TYPE(MU_F32, 5, 7), MU_TYPE(MU_F32, 7, 3), false, false);
    check_matmul(MU_TYPE(MU_F32, 7, 5), MU_TYPE(MU_F32, 7, 3), true, false);
    check_matmul(MU_TYPE(MU_F32, 5, 7), MU_TYPE(MU_F32, 3, 7), false, true);
    check_matmul(MU_TYPE(MU_F32, 7, 5), MU_TYPE(MU_F32, 3, 7), true, true);
    check_matmul(MU_TYPE(MU_F32, 1, 1), MU_TYPE(MU_F32, 1, 1), true, true);
    check_matmul(MU_TYPE(MU_F32, 129, 65), MU_TYPE(MU_F32, 65, 33), false, false);
}
END_TEST

START_TEST(test_matmul_batched)
{
    check_matmul(MU_TYPE(MU_F32, 4, 5, 7), MU_TYPE(MU_F32, 4, 7, 3), false, false);
    check_matmul(MU_TYPE(MU_F32, 4, 5, 7), MU_TYPE(MU_F32, 7, 3), false, false);
    check_matmul(MU_TYPE(MU_F32, 4, 7, 5), MU_TYPE(MU_F32, 7, 3), true, false);
    check_matmul(MU_TYPE(MU_F32, 5, 7), MU_TYPE(MU_F32, 4, 3, 7), false, true);
    check_matmul(MU_TYPE(MU_F32, 2, 3, 5, 7), MU_TYPE(MU_F32, 2, 3, 7, 4), false, false);
    check_matmul(MU_TYPE(MU_F32, 2, 1, 5, 7), MU_TYPE(MU_F32, 3, 7, 4), false, false);
    check_matmul(MU_TYPE(MU_F32, 1, 3, 7, 5), MU_TYPE(MU_F32, 2, 1, 4, 7), true, true);
    check_matmul(MU_TYPE(MU_F32, 2, 1, 3, 1, 5, 7), MU_TYPE(MU_F32, 4, 3, 2, 7, 6), false, false);
    check_matmul(MU_TYPE(MU_F32, 1, 1, 1, 5, 7), MU_TYPE(MU_F32, 6, 1, 2, 7, 3), false, false);
}
END_TEST

START_TEST(test_matmul_empty)
{
    check_matmul(MU_TYPE(MU_F32, 0, 5, 7), MU_TYPE(MU_F32, 0, 7, 3), false, false);
    check_matmul(MU_TYPE(MU_F32, 0, 7), MU_TYPE(MU_F32, 7, 3), false, false);
    mu_matmul_attrs attrs = {.trans_a = true};
    run_case c; /* the weight gradient of an empty batch is zero */
    run_case_init(&c, &mu_op_matmul, &attrs, 2, (mu_type[]){MU_TYPE(MU_F32, 0, 4), MU_TYPE(MU_F32, 0, 3)}, 1);
    compare(&c, 0);
}
END_TEST

START_TEST(test_linear)
{
    mu_linear_attrs attrs = {.activation = _i, .alpha = 0.2};
    for (int half = 0; half < 2; half++) {
        mu_dtype t = half ? MU_BF16 : MU_F32;
        mu_type x = MU_TYPE(t, 3, 5, 17), w = MU_TYPE(t, 9, 17), bias = MU_TYPE(t, 9);
        run_case c;
        run_case_init(&c, &mu_op_linear, &attrs, 3, (mu_type[]){x, w, bias}, 4);
        compare(&c, half ? 1e-2 : 3e-6);
        run_case_init(&c, &mu_op_linear, &attrs, 2, (mu_type[]){MU_TYPE(t, 17), w}, 4);
        compare(&c, half ? 1e-2 : 3e-6);
    }
}
END_TEST

START_TEST(test_linear_empty)
{
    mu_linear_attrs attrs = {0};
    run_case c;
    run_case_init(&c, &mu_op_linear, &attrs, 2, (mu_type[]){MU_TYPE(MU_F32, 0, 17), MU_TYPE(MU_F32, 9, 17)}, 4);
    compare(&c, 0);
    mu_type none_in[] = {MU_TYPE(MU_F32, 4, 0), MU_TYPE(MU_F32, 9, 0), MU_TYPE(MU_F32, 9)};
    run_case_init(&c, &mu_op_linear, &attrs, 3, none_in, 4);
    compare(&c, 0);
}
END_TEST

START_TEST(test_out_of_memory)
{
    mu_linear_attrs attrs = {0};
    mu_type y = MU_TYPE(MU_F32, 4, 9);
    mu_kernel *kernel;
    mu_call call = {.op = &mu_op_linear, .attrs = &attrs, .n_in = 2, .n_out = 1, .out = &y, .name = "fc",
                    .in = (mu_type[]){MU_TYPE(MU_F32, 4, 17), MU_TYPE(MU_F32, 9, 17)}};
    ck_survives_oom(dnn->ops->prepare(dnn, &call, NULL, NULL, &kernel), mu_kernel_release(kernel));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onednn_product");
    TCase *tc = tcase_create("product");
    tcase_set_timeout(tc, 60);
    tcase_add_unchecked_fixture(tc, open_all, close_all);
    tcase_add_test(tc, test_matmul);
    tcase_add_test(tc, test_matmul_batched);
    tcase_add_test(tc, test_matmul_empty);
    tcase_add_loop_test(tc, test_linear, 0, MU_ACT_TANH + 1);
    tcase_add_test(tc, test_linear_empty);
    tcase_add_test(tc, test_out_of_memory);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

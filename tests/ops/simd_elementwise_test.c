#include "simd_case.h"

/* A row of operations: attributes, range of the operands, tolerance. */
typedef struct {
    const mu_op *op;
    int n_in;
    double alpha, beta, low, high, tolerance;
} row;

static const row rows[] = {
    {&mu_op_abs, 1, 0, 0, 0, 0, 0}, {&mu_op_clamp, 1, -1, 1.5, 0, 0, 0}, {&mu_op_exp, 1, 0, 0, -100, 3, 4e-7},
    {&mu_op_gelu, 1, 0, 0, -7, 7, 4e-7}, {&mu_op_gelu, 1, 1, 0, -7, 7, 4e-7}, {&mu_op_hard_sigmoid, 1, 0, 0, -5, 5, 2e-7},
    {&mu_op_hard_swish, 1, 0, 0, -5, 5, 4e-7}, {&mu_op_leaky_relu, 1, 0.1, 0, 0, 0, 2e-7}, {&mu_op_log, 1, 0, 0, 0, 50, 3e-7},
    {&mu_op_neg, 1, 0, 0, 0, 0, 0}, {&mu_op_relu, 1, 0, 0, 0, 0, 0}, {&mu_op_relu6, 1, 0, 0, -3, 9, 0},
    {&mu_op_sigmoid, 1, 0, 0, -20, 20, 4e-7}, {&mu_op_silu, 1, 0, 0, -20, 20, 4e-7}, {&mu_op_sqrt, 1, 0, 0, -0.1, 9, 1e-7},
    {&mu_op_tanh, 1, 0, 0, -9, 9, 4e-7}, {&mu_op_abs_grad, 2, 0, 0, 0, 0, 0}, {&mu_op_clamp_grad, 2, -1, 1.5, 0, 0, 0},
    {&mu_op_gelu_grad, 2, 0, 0, -5, 5, 1e-6}, {&mu_op_gelu_grad, 2, 1, 0, -5, 5, 1e-6},
    {&mu_op_hard_sigmoid_grad, 2, 0, 0, -5, 5, 2e-7}, {&mu_op_hard_swish_grad, 2, 0, 0, -5, 5, 4e-7},
    {&mu_op_leaky_relu_grad, 2, 0.1, 0, 0, 0, 2e-7}, {&mu_op_relu_grad, 2, 0, 0, 0, 0, 0}, {&mu_op_relu6_grad, 2, 0, 0, -3, 9, 0},
    {&mu_op_sigmoid_grad, 2, 0, 0, 0, 1, 4e-7}, {&mu_op_silu_grad, 2, 0, 0, -9, 9, 1e-6}, {&mu_op_tanh_grad, 2, 0, 0, -1, 1, 4e-7},
    {&mu_op_add, 2, 0, 0, 0, 0, 1e-7}, {&mu_op_sub, 2, 0, 0, 0, 0, 1e-7}, {&mu_op_mul, 2, 0, 0, 0, 0, 1e-7},
    {&mu_op_div, 2, 0, 0, 0.5, 4, 2e-7}, {&mu_op_power, 2, 0, 0, 0.1, 3, 4e-7}, {&mu_op_maximum, 2, 0, 0, 0, 0, 0},
    {&mu_op_minimum, 2, 0, 0, 0, 0, 0},
};
enum { N_ROWS = sizeof rows / sizeof *rows };

static void check(const row *r, mu_type a, mu_type b, bool half)
{
    mu_unary_attrs attrs = {r->alpha, r->beta};
    simd_case c = {.op = r->op, .attrs = r->op->attrs_size ? &attrs : NULL, .n_in = r->n_in, .in = {a, b},
                   .low = {r->low, r->low}, .high = {r->high, r->high}, .tolerance = r->tolerance};
    case_check_all(&c, half);
}

START_TEST(test_all)
{
    mu_type x = MU_TYPE(MU_F32, 3, 19, 7, 5);
    check(&rows[_i], x, x, true);
}
END_TEST

START_TEST(test_shapes)
{
    static const mu_type shapes[] = {MU_TYPE(MU_F32, 1), MU_TYPE(MU_F32, 2, 16, 16, 3), MU_TYPE(MU_F32, 0, 3, 2, 2),
                                     MU_TYPE(MU_F32, 40, 1031), MU_SCALAR(MU_F32), MU_TYPE(MU_F32, 5, 3, 67)};
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].op == &mu_op_relu || rows[i].op == &mu_op_exp || rows[i].op == &mu_op_sub)
            check(&rows[i], shapes[_i], shapes[_i], true);
}
END_TEST

/* exp(0) = 1: an operand of one element and padding do not mix. */
START_TEST(test_broadcast)
{
    static const mu_type pairs[][2] = {
        {MU_TYPE(MU_F32, 3, 5, 7, 9), MU_TYPE(MU_F32, 1)},          {MU_TYPE(MU_F32, 3, 5, 7, 9), MU_TYPE(MU_F32, 5, 1, 1)},
        {MU_TYPE(MU_F32, 3, 5, 7, 9), MU_TYPE(MU_F32, 3, 5, 1, 1)}, {MU_TYPE(MU_F32, 3, 1, 7, 1), MU_TYPE(MU_F32, 3, 5, 1, 9)},
        {MU_TYPE(MU_F32, 600, 1), MU_TYPE(MU_F32, 1, 70)},          {MU_TYPE(MU_F32, 9), MU_TYPE(MU_F32, 4, 70, 9)},
        {MU_TYPE(MU_F32, 2, 20, 3, 3), MU_SCALAR(MU_F32)},          {MU_TYPE(MU_F32, 0, 2), MU_TYPE(MU_F32, 2)},
    };
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].op == &mu_op_sub || rows[i].op == &mu_op_div)
            check(&rows[i], pairs[_i][0], pairs[_i][1], true);
}
END_TEST

START_TEST(test_compare)
{
    static const mu_op *const ops[] = {&mu_op_equal, &mu_op_not_equal, &mu_op_less, &mu_op_less_equal, &mu_op_greater,
                                       &mu_op_greater_equal};
    mu_type x = MU_TYPE(MU_F32, 3, 7, 70, 3);
    for (int i = 0; i < 6; i++) {
        case_check_all(&(simd_case){.op = ops[i], .n_in = 2, .in = {x, x}, .low = {0, 0}, .high = {0.1, 0.1}}, false);
        case_check_all(&(simd_case){.op = ops[i], .n_in = 2, .in = {x, MU_SCALAR(MU_F32)}}, true);
    }
}
END_TEST

START_TEST(test_where)
{
    mu_type x = MU_TYPE(MU_F32, 3, 7, 70, 3), b = x, one = MU_TYPE(MU_BOOL, 7, 1, 1);
    b.dtype = MU_BOOL;
    case_check_all(&(simd_case){.op = &mu_op_where, .n_in = 3, .in = {b, x, x}}, true);
    case_check_all(&(simd_case){.op = &mu_op_where, .n_in = 3, .in = {b, x, MU_SCALAR(MU_F32)}}, true);
    case_check_all(&(simd_case){.op = &mu_op_where, .n_in = 3, .in = {one, x, x}}, true);
}
END_TEST

/* Special values go the way of ref: NaN, infinities, zeros of both signs, the smallest and the largest numbers. */
START_TEST(test_special)
{
    static const float special[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-45f, -1e-45f, 1e-38f, 3e38f, -3e38f, 88.8f, -104.0f, 1, -1, 6, -3};
    enum { N = 16 };
    static const char *const isa[] = {"baseline", "x86-64-v3", "x86-64-v4"};
    const row *r = &rows[_i];
    float a[N * N], b[N * N];
    for (int i = 0; i < N * N; i++) {
        a[i] = special[i / N];
        b[i] = special[i % N];
    }
    mu_type t = MU_TYPE(MU_F32, N * N), type[MU_OP_MAX_OUT];
    mu_unary_attrs attrs = {r->alpha, r->beta};
    simd_case c = {.op = r->op, .attrs = r->op->attrs_size ? &attrs : NULL, .n_in = r->n_in, .in = {t, t}, .tolerance = 1e-6};
    for (int k = 0; k < 3; k++) {
        setenv("MU_SIMD_ISA", isa[k], 1);
        void *want[MU_OP_MAX_OUT], *got[MU_OP_MAX_OUT], *in[] = {a, b};
        simd_variant v = {isa[k], 1, MU_LAYOUT_ROW_MAJOR, 0, MU_F32};
        case_run("cpu:ref", &c, &v, c.in, in, type, want);
        case_run("cpu:simd", &c, &v, c.in, in, type, got);
        /* f32 holds neither the slope of silu at -104 nor the square of 3e38. */
        bool bounded = r->op == &mu_op_silu_grad || r->op == &mu_op_tanh_grad;
        for (int i = 0; i < N * N; i++) {
            if (bounded && isfinite(b[i]) && fabsf(b[i]) > 100)
                continue;
            float x = ((float *)got[0])[i], y = ((float *)want[0])[i];
            ck_assert_msg(x == y || (x != x && y != y) || fabsf(x - y) <= 2e-6f * fabsf(y) || fabsf(x - y) <= 3e-45f ||
                              (fabsf(y) < 1e-37f && fabsf(x) < 1e-37f),
                          "%s(%g, %g), %s: %.9g, ref %.9g", r->op->name, a[i], b[i], isa[k], x, y);
        }
        case_free(want[0], sizeof a);
        case_free(got[0], sizeof a);
    }
}
END_TEST

START_TEST(test_cast)
{
    mu_backend *b;
    mu_kernel *kernel;
    uint8_t bytes[1000];
    int64_t wide[1000];
    float out[1000];
    for (int i = 0; i < 1000; i++) {
        bytes[i] = (uint8_t)i;
        wide[i] = i * 7919 - 500000;
    }
    ck_ok(mu_backend_open("cpu:simd", NULL, &b));
    struct {
        int dtype;
    } attrs = {MU_F32};
    for (int k = 0; k < 2; k++) {
        mu_type from = MU_TYPE(k ? MU_I64 : MU_U8, 1000), to = MU_TYPE(MU_F32, 1000);
        mu_call call = {.op = &mu_op_cast, .attrs = &attrs, .n_in = 1, .n_out = 1, .in = &from, .out = &to};
        ck_assert(mu_simd_is_vectorised(&call));
        ck_ok(b->ops->prepare(b, &call, NULL, NULL, &kernel));
        ck_ok(mu_kernel_bind(kernel, (void *[]){k ? (void *)wide : (void *)bytes}, (void *[]){out}, NULL));
        ck_ok(mu_kernel_run(kernel, &(mu_run){0}));
        for (int i = 0; i < 1000; i++)
            ck_assert_float_eq(out[i], k ? (float)wide[i] : (float)bytes[i]);
        mu_kernel_release(kernel);
    }
    mu_backend_close(b);
}
END_TEST

/* relu(2 * a + b) and a > b of one sweep; 2 is an operand of one element. */
START_TEST(test_chain)
{
    static const mu_type shapes[] = {MU_TYPE(MU_F32, 3, 19, 7, 5), MU_TYPE(MU_F32, 5000), MU_TYPE(MU_F32, 0, 3), MU_SCALAR(MU_F32)};
    mu_chain_attrs a = {.n_steps = 4, .n_out = 2,
                        .step = {{&mu_op_mul, 0, 0, {0, 2, -1}}, {&mu_op_add, 0, 0, {3, 1, -1}},
                                 {&mu_op_greater, 0, 0, {0, 1, -1}}, {&mu_op_leaky_relu, 0.1, 0, {4, -1, -1}}},
                        .out = {6, 5}};
    for (int i = 0; i < 4; i++) {
        mu_type x = shapes[i];
        case_check_all(&(simd_case){.op = &mu_op_chain, .attrs = &a, .n_in = 3, .in = {x, x, MU_SCALAR(MU_F32)}, .low = {0, 0, 2},
                                    .high = {0, 0, 2.001}, .tolerance = 1e-6}, true);
    }
    mu_chain_attrs one = {.n_steps = 2, .n_out = 1, .step = {{&mu_op_exp, 0, 0, {0, -1, -1}}, {&mu_op_sub, 0, 0, {1, 0, -1}}}, .out = {2}};
    for (int i = 0; i < 4; i++)
        case_check_all(&(simd_case){.op = &mu_op_chain, .attrs = &one, .n_in = 1, .in = {shapes[i]}, .tolerance = 1e-6}, true);
}
END_TEST

/* The output may take the place of the operand. */
START_TEST(test_in_place)
{
    mu_backend *b;
    mu_kernel *kernel;
    enum { N = 5000 };
    static float x[N];
    mu_type t = MU_TYPE(MU_F32, N);
    mu_call call = {.op = &mu_op_mul, .n_in = 2, .n_out = 1, .in = (mu_type[]){t, t}, .out = &t};
    for (int i = 0; i < N; i++)
        x[i] = (float)(i % 100);
    ck_ok(mu_backend_open("cpu:simd", &(mu_backend_options){.n_threads = 2}, &b));
    ck_ok(b->ops->prepare(b, &call, NULL, NULL, &kernel));
    ck_ok(mu_kernel_bind(kernel, (void *[]){x, x}, (void *[]){x}, NULL));
    ck_ok(mu_kernel_run(kernel, &(mu_run){0}));
    for (int i = 0; i < N; i++)
        ck_assert_float_eq(x[i], (float)(i % 100 * (i % 100)));
    mu_kernel_release(kernel);
    mu_backend_close(b);
}
END_TEST

static mu_err prepare_and_drop(void)
{
    mu_backend *b;
    mu_kernel *kernel = NULL;
    mu_type x = MU_TYPE(MU_F32, 2, 5, 4, 4);
    const mu_layout *layout = NULL;
    MU_TRY(mu_backend_open("cpu:simd", NULL, &b));
    mu_err err = b->ops->layout(b, &x, MU_LAYOUT_CHANNELS_BLOCKED, 16, &layout);
    if (err == MU_OK)
        err = b->ops->prepare(b, &(mu_call){.op = &mu_op_relu, .attrs = &(mu_unary_attrs){0}, .n_in = 1, .n_out = 1, .in = &x, .out = &x},
                              &layout, NULL, &kernel);
    mu_kernel_release(kernel);
    mu_backend_close(b);
    return err;
}

START_TEST(test_out_of_memory)
{
    ck_survives_oom(prepare_and_drop(), (void)0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("simd_elementwise");
    TCase *tc = tcase_create("elementwise");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_all, 0, N_ROWS);
    tcase_add_loop_test(tc, test_special, 0, N_ROWS);
    tcase_add_loop_test(tc, test_shapes, 0, 6);
    tcase_add_loop_test(tc, test_broadcast, 0, 8);
    tcase_add_test(tc, test_compare);
    tcase_add_test(tc, test_where);
    tcase_add_test(tc, test_cast);
    tcase_add_test(tc, test_chain);
    tcase_add_test(tc, test_in_place);
    tcase_add_test(tc, test_out_of_memory);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

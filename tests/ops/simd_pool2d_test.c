#include "simd_case.h"

static const mu_type images[] = {MU_TYPE(MU_F32, 2, 5, 9, 11), MU_TYPE(MU_F32, 2, 35, 8, 12), MU_TYPE(MU_F32, 0, 4, 9, 9),
                                 MU_TYPE(MU_F32, 3, 16, 17, 10)};
static const mu_pool2d_attrs pools[] = {
    {{2, 2}, {2, 2}, {0}, {1, 1}, .count_include_pad = true},
    {{3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, .count_include_pad = true},
    {{3, 2}, {2, 3}, {1, 0, 0, 1}, {1, 1}, .ceil_mode = true},
    {{3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, .ceil_mode = true, .count_include_pad = true},
    {{3, 2}, {1, 2}, {2, 1, 2, 1}, {2, 2}},
};
enum { N_IMAGES = sizeof images / sizeof *images, N_POOLS = sizeof pools / sizeof *pools };

static mu_type output(const mu_op *op, const mu_pool2d_attrs *a, mu_type x)
{
    mu_type y[MU_OP_MAX_OUT] = {{0}};
    ck_ok(op->infer(&(mu_call){.op = op, .attrs = a, .n_in = 1, .n_out = op->n_out, .in = &x, .out = y}, y));
    return y[0];
}

START_TEST(test_windows)
{
    for (int i = 0; i < N_POOLS; i++) {
        mu_pool2d_attrs a = pools[i];
        mu_type x = images[_i], y = output(&mu_op_max_pool2d, &a, x), index = y;
        case_check_all(&(simd_case){.op = &mu_op_max_pool2d, .attrs = &a, .n_in = 1, .in = {x}}, true);
        a.output[0] = x.dim[2];
        a.output[1] = x.dim[3];
        index.dtype = MU_I32;
        double area = (double)(x.dim[2] * x.dim[3]);
        case_check_all(&(simd_case){.op = &mu_op_max_pool2d_grad, .attrs = &a, .n_in = 2, .in = {y, index}, .low = {-3, -1},
                                    .high = {3, area}, .tolerance = 1e-6}, false);
        if (a.dilation[0] > 1)
            continue;
        case_check_all(&(simd_case){.op = &mu_op_avg_pool2d, .attrs = &a, .n_in = 1, .in = {x}, .tolerance = 1e-6}, true);
        case_check_all(&(simd_case){.op = &mu_op_avg_pool2d_grad, .attrs = &a, .n_in = 1, .in = {y}, .tolerance = 1e-6}, true);
    }
}
END_TEST

START_TEST(test_adaptive)
{
    static const int64_t sizes[][2] = {{1, 1}, {3, 4}, {12, 13}, {9, 2}};
    for (int i = 0; i < 4; i++) {
        mu_pool2d_attrs a = {.output = {sizes[i][0], sizes[i][1]}};
        mu_type x = images[_i], y = output(&mu_op_adaptive_avg_pool2d, &a, x);
        case_check_all(&(simd_case){.op = &mu_op_adaptive_avg_pool2d, .attrs = &a, .n_in = 1, .in = {x}, .tolerance = 1e-6}, true);
        case_check_all(&(simd_case){.op = &mu_op_adaptive_max_pool2d, .attrs = &a, .n_in = 1, .in = {x}}, true);
        a.output[0] = x.dim[2];
        a.output[1] = x.dim[3];
        case_check_all(&(simd_case){.op = &mu_op_adaptive_avg_pool2d_grad, .attrs = &a, .n_in = 1, .in = {y}, .tolerance = 1e-6}, true);
    }
}
END_TEST

START_TEST(test_bad_index)
{
    mu_backend *b;
    mu_kernel *kernel;
    mu_type dy = MU_TYPE(MU_F32, 1, 1, 1, 2), index = MU_TYPE(MU_I32, 1, 1, 1, 2), dx = MU_TYPE(MU_F32, 1, 1, 2, 2);
    mu_pool2d_attrs a = {.output = {2, 2}};
    ck_ok(mu_backend_open("cpu:simd", NULL, &b));
    ck_ok(b->ops->prepare(b, &(mu_call){.op = &mu_op_max_pool2d_grad, .attrs = &a, .n_in = 2, .n_out = 1,
                                        .in = (mu_type[]){dy, index}, .out = &dx}, NULL, NULL, &kernel));
    float out[4], in[2] = {1, 2};
    int32_t winners[2] = {-1, 4};
    ck_ok(mu_kernel_bind(kernel, (void *[]){in, winners}, (void *[]){out}, NULL));
    ck_fails(mu_kernel_run(kernel, &(mu_run){0}), MU_ERR_FORMAT, "outside of its plane");
    mu_kernel_release(kernel);
    mu_backend_close(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("simd_pool2d");
    TCase *tc = tcase_create("pool2d");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_windows, 0, N_IMAGES);
    tcase_add_loop_test(tc, test_adaptive, 0, N_IMAGES);
    tcase_add_test(tc, test_bad_index);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

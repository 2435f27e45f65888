#include "simd_case.h"

static const mu_type shapes[] = {MU_TYPE(MU_F32, 5, 3, 7), MU_TYPE(MU_F32, 3, 70, 81), MU_TYPE(MU_F32, 0, 4), MU_TYPE(MU_F32)};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static void check_loss(const mu_op *op, const mu_op *grad, const mu_loss_attrs *a, mu_type x, mu_type w, mu_type pos,
                       double low, double high)
{
    int n = w.dtype || pos.dtype ? 4 : 2;
    mu_type dloss = a->reduction == MU_REDUCE_NONE ? x : MU_TYPE(MU_F32);
    simd_case value = {.op = op, .attrs = a, .n_in = n, .in = {x, x, w, pos}, .low = {-8, low}, .high = {8, high}, .tolerance = 3e-6};
    simd_case slope = {.op = grad, .attrs = a, .n_in = n + 1, .in = {dloss, x, x, w, pos}, .low = {-3, -8, low},
                       .high = {3, 8, high}, .tolerance = 3e-6};
    case_check_all(&value, true);
    case_check_all(&slope, true);
}

START_TEST(test_losses)
{
    mu_type none = {0}, x = shapes[_i];
    for (int reduction = MU_REDUCE_MEAN; reduction <= MU_REDUCE_NONE; reduction++) {
        mu_loss_attrs a = mu_loss_defaults();
        a.reduction = reduction;
        if ((mu_type_count(&x) == 0 && reduction == MU_REDUCE_MEAN) || (mu_type_count(&x) > 1000 && reduction == MU_REDUCE_SUM))
            continue;
        check_loss(&mu_op_mse_loss, &mu_op_mse_loss_grad, &a, x, none, none, -8, 8);
        check_loss(&mu_op_l1_loss, &mu_op_l1_loss_grad, &a, x, none, none, -8, 8);
        check_loss(&mu_op_smooth_l1_loss, &mu_op_smooth_l1_loss_grad, &a, x, none, none, -8, 8);
        check_loss(&mu_op_kl_div, &mu_op_kl_div_grad, &a, x, none, none, 0, 1);
        check_loss(&mu_op_bce_with_logits, &mu_op_bce_with_logits_grad, &a, x, none, none, 0, 1);
        check_loss(&mu_op_focal_loss, &mu_op_focal_loss_grad, &a, x, none, none, 0, 1);
        a.beta = 0;
        a.log_target = true;
        a.gamma = 1.5;
        a.alpha = -1;
        check_loss(&mu_op_smooth_l1_loss, &mu_op_smooth_l1_loss_grad, &a, x, none, none, -8, 8);
        check_loss(&mu_op_kl_div, &mu_op_kl_div_grad, &a, x, none, none, -5, 1);
        check_loss(&mu_op_focal_loss, &mu_op_focal_loss_grad, &a, x, none, none, 0, 1);
    }
}
END_TEST

START_TEST(test_weights)
{
    mu_type none = {0}, x = shapes[_i];
    mu_type all = x, one = MU_TYPE(MU_F32), row = x.ndim ? MU_TYPE(MU_F32, x.dim[x.ndim - 1]) : one;
    const mu_type pairs[][2] = {{all, none}, {none, row}, {all, row}, {row, row}, {one, row}, {row, one}};
    for (size_t i = 0; mu_type_count(&x) > 0 && i < sizeof pairs / sizeof *pairs; i++) {
        mu_loss_attrs a = mu_loss_defaults();
        check_loss(&mu_op_bce_with_logits, &mu_op_bce_with_logits_grad, &a, x, pairs[i][0], pairs[i][1], 0, 1);
    }
}
END_TEST

/* Logits far from 0 keep the digits that a sum of large terms would lose. */
START_TEST(test_far_logits)
{
    static const float logits[] = {-30, -15, 15, 30}, target[] = {0, 0, 1, 1};
    mu_backend *b;
    mu_kernel *kernel;
    mu_type x = MU_TYPE(MU_F32, 4);
    mu_loss_attrs a = mu_loss_defaults();
    a.reduction = MU_REDUCE_NONE;
    ck_ok(mu_backend_open("cpu:simd", NULL, &b));
    ck_ok(b->ops->prepare(b, &(mu_call){.op = &mu_op_bce_with_logits, .attrs = &a, .n_in = 2, .n_out = 1,
                                        .in = (mu_type[]){x, x}, .out = &x}, NULL, NULL, &kernel));
    float y[4];
    double scratch[4];
    ck_ok(mu_kernel_bind(kernel, (void *[]){(void *)logits, (void *)target}, (void *[]){y}, scratch));
    ck_ok(mu_kernel_run(kernel, &(mu_run){0}));
    for (int i = 0; i < 4; i++) {
        double want = log1p(exp(-fabs(logits[i])));
        ck_assert_double_eq_tol(y[i] / want, 1, 1e-6);
    }
    mu_kernel_release(kernel);
    mu_backend_close(b);
}
END_TEST

/* Pairs of lines that run along the last dimension or across it; values repeat, so that ties are met. */
START_TEST(test_best)
{
    static const mu_type types[] = {MU_TYPE(MU_F32, 3, 40, 19), MU_TYPE(MU_F32, 2, 1, 130), MU_TYPE(MU_F32, 1, 90, 1)};
    for (int i = 0; i < 3; i++)
        for (int dim = 0; dim < 3; dim++) {
            mu_type x = types[i];
            mu_dim_attrs a = {.dim = dim, .keepdim = i % 2};
            case_check_all(&(simd_case){.op = &mu_op_argmax, .attrs = &a, .n_in = 1, .in = {x}}, true);
            for (int64_t k = 0; k < 4; k++) {
                int64_t n = x.dim[dim], some = k == 0 ? 1 : k == 1 ? n / 2 : k == 2 ? n : n < 5 ? n : 5;
                mu_topk_attrs t = {.dim = dim, .k = some, .largest = k % 2 == 0, .sorted = true};
                case_check_all(&(simd_case){.op = &mu_op_topk, .attrs = &t, .n_in = 1, .in = {x}}, true);
            }
        }
}
END_TEST

/* NaN is the largest, equals stand in order. */
START_TEST(test_best_of_odd_numbers)
{
    static const float odd[2][19] = {{1, 5, -INFINITY, 5, NAN, 2, NAN, INFINITY, 0, -0.0f, 5, 1, 1, 1, 1, 1, 1, 2, 9},
                                     {-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY,
                                      -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY,
                                      -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY}};
    mu_type x = MU_TYPE(MU_F32, 2, 19), y = MU_TYPE(MU_F32, 2, 19), at = MU_TYPE(MU_I64, 2, 19), best = MU_TYPE(MU_I64, 2);
    int64_t first[2], order[2][2][38];
    float values[2][38];
    char scratch[2][19 * 64];
    static const char *const devices[] = {"cpu:simd", "cpu:ref"};
    for (int largest = 0; largest < 2; largest++) {
        mu_topk_attrs t = {.dim = 1, .k = 19, .largest = largest, .sorted = true};
        for (int d = 0; d < 2; d++) {
            mu_backend *b;
            mu_kernel *kernel;
            ck_ok(mu_backend_open(devices[d], &(mu_backend_options){.n_threads = 1}, &b));
            ck_ok(b->ops->prepare(b, &(mu_call){.op = &mu_op_topk, .attrs = &t, .n_in = 1, .n_out = 2, .in = &x,
                                                .out = (mu_type[]){y, at}}, NULL, NULL, &kernel));
            ck_assert_uint_le(kernel->scratch_bytes, sizeof scratch[d]);
            ck_ok(mu_kernel_bind(kernel, (void *[]){(void *)odd}, (void *[]){values[d], order[largest][d]}, scratch[d]));
            ck_ok(mu_kernel_run(kernel, &(mu_run){0}));
            mu_kernel_release(kernel);
            ck_ok(b->ops->prepare(b, &(mu_call){.op = &mu_op_argmax, .attrs = &(mu_dim_attrs){.dim = 1}, .n_in = 1, .n_out = 1,
                                                .in = &x, .out = &best}, NULL, NULL, &kernel));
            ck_ok(mu_kernel_bind(kernel, (void *[]){(void *)odd}, (void *[]){first}, NULL));
            ck_ok(mu_kernel_run(kernel, &(mu_run){0}));
            ck_assert_int_eq(first[0], 4);
            ck_assert_int_eq(first[1], 0);
            mu_kernel_release(kernel);
            mu_backend_close(b);
        }
        ck_assert_mem_eq(order[largest][0], order[largest][1], sizeof order[0][0]);
        ck_assert_mem_eq(values[0], values[1], sizeof values[0]);
    }
}
END_TEST

/* Dimensions that lie before, between and after the kept ones. */
START_TEST(test_reductions)
{
    static const mu_type types[] = {MU_TYPE(MU_F32, 3, 5, 7, 9), MU_TYPE(MU_F32, 2, 130, 3, 70), MU_TYPE(MU_F32, 4, 1, 67, 1)};
    const mu_op *const ops[] = {&mu_op_max, &mu_op_min, &mu_op_sum, &mu_op_mean};
    static const int64_t masks[] = {1, 2, 4, 6, 8, 12, 14, 3, 0};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 4; k++)
            for (size_t m = 0; m < sizeof masks / sizeof *masks; m++)
                case_check_all(&(simd_case){.op = ops[k], .attrs = &(mu_reduce_attrs){.dims = masks[m], .keepdim = m % 2},
                                            .n_in = 1, .in = {types[i]}, .tolerance = 2e-6}, true);
}
END_TEST

START_TEST(test_nan_is_extreme)
{
    float x[2][40], y[2];
    mu_type type = MU_TYPE(MU_F32, 2, 40), two = MU_TYPE(MU_F32, 2);
    mu_backend *b;
    ck_ok(mu_backend_open("cpu:simd", NULL, &b));
    for (int k = 0; k < 2; k++)
        for (int at = 0; at < 40; at++) {
            mu_kernel *kernel;
            for (int i = 0; i < 40; i++) {
                x[0][i] = (float)i;
                x[1][i] = i == at ? NAN : (float)-i;
            }
            ck_ok(b->ops->prepare(b, &(mu_call){.op = k ? &mu_op_max : &mu_op_min, .attrs = &(mu_reduce_attrs){.dims = 2},
                                                .n_in = 1, .n_out = 1, .in = &type, .out = &two}, NULL, NULL, &kernel));
            ck_ok(mu_kernel_bind(kernel, (void *[]){x}, (void *[]){y}, NULL));
            ck_ok(mu_kernel_run(kernel, &(mu_run){0}));
            ck_assert_float_eq(y[0], k ? 39 : 0);
            ck_assert(isnan(y[1]));
            mu_kernel_release(kernel);
        }
    mu_backend_close(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("simd_loss");
    TCase *tc = tcase_create("loss");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_losses, 0, N_SHAPES);
    tcase_add_loop_test(tc, test_weights, 0, N_SHAPES);
    tcase_add_test(tc, test_far_logits);
    tcase_add_test(tc, test_reductions);
    tcase_add_test(tc, test_nan_is_extreme);
    tcase_add_test(tc, test_best);
    tcase_add_test(tc, test_best_of_odd_numbers);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

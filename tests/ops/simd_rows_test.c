#include "simd_case.h"

START_TEST(test_softmax)
{
    static const mu_op *const ops[] = {&mu_op_softmax, &mu_op_log_softmax, &mu_op_softmax_grad, &mu_op_log_softmax_grad};
    static const mu_type shapes[] = {MU_TYPE(MU_F32, 7, 10), MU_TYPE(MU_F32, 3, 5, 1001), MU_TYPE(MU_F32, 4, 1),
                                     MU_TYPE(MU_F32, 0, 5), MU_TYPE(MU_F32, 33, 64)};
    for (int i = 0; i < 4; i++)
        for (int s = 0; s < 5; s++) {
            mu_type x = shapes[s];
            mu_dim_attrs a = {.dim = x.ndim - 1};
            case_check_all(&(simd_case){.op = ops[i], .attrs = &a, .n_in = i < 2 ? 1 : 2, .in = {x, x}, .low = {-30, -5}, .high = {30, 1},
                                        .tolerance = 2e-6}, i < 2);
        }
}
END_TEST

START_TEST(test_cross_entropy)
{
    mu_type x = MU_TYPE(MU_F32, 37, 11), target = MU_TYPE(_i ? MU_I32 : MU_I64, 37), one = MU_SCALAR(MU_F32);
    for (int v = 0; v < 6; v++) {
        mu_loss_attrs a = mu_loss_defaults();
        a.reduction = v % 3;
        a.label_smoothing = v > 2 ? 0.1 : 0;
        a.ignore_index = 4;
        mu_type dloss = a.reduction == MU_REDUCE_NONE ? MU_TYPE(MU_F32, 37) : one;
        case_check_all(&(simd_case){.op = &mu_op_cross_entropy, .attrs = &a, .n_in = 2, .in = {x, target}, .low = {-9, 0},
                                    .high = {9, 11}, .tolerance = 1e-6}, false);
        case_check_all(&(simd_case){.op = &mu_op_cross_entropy_grad, .attrs = &a, .n_in = 5, .in = {dloss, x, target, {0}, one},
                                    .low = {1, -9, 0, 0, 30}, .high = {2, -0.1, 11, 0, 31}, .tolerance = 1e-6}, false);
    }
}
END_TEST

START_TEST(test_layer_norm)
{
    static const mu_type shapes[] = {MU_TYPE(MU_F32, 7, 10), MU_TYPE(MU_F32, 3, 50, 101), MU_TYPE(MU_F32, 0, 5), MU_TYPE(MU_F32, 2, 3, 4, 16)};
    for (int v = 0; v < 4; v++) {
        mu_type x = shapes[_i], p = MU_TYPE(MU_F32, x.dim[x.ndim - 1]), stat = x, absent = {0};
        mu_norm_attrs a = {.eps = 1e-5, .normalized_ndim = 1};
        stat.ndim--;
        stat.dim[stat.ndim] = 0;
        case_check_all(&(simd_case){.op = &mu_op_layer_norm, .attrs = &a, .n_in = 3, .in = {x, v & 1 ? p : absent, v & 2 ? p : absent},
                                    .low = {1}, .high = {3}, .tolerance = 3e-6, .keep = 6}, true);
        case_check_all(&(simd_case){.op = &mu_op_layer_norm_grad, .attrs = &a, .n_in = 5, .in = {x, x, v & 1 ? p : absent, stat, stat},
                                    .low = {-1, 1, 0, 1.8, 1}, .high = {1, 3, 2, 2.2, 2}, .tolerance = 3e-6, .keep = 0x1c}, true);
    }
}
END_TEST

START_TEST(test_sum)
{
    static const struct {
        mu_type x;
        int64_t dims;
    } cases[] = {{MU_TYPE(MU_F32, 3, 5, 7, 9), 0}, {MU_TYPE(MU_F32, 3, 5, 7, 9), 0xd}, {MU_TYPE(MU_F32, 3, 5, 7, 9), 0xc},
                 {MU_TYPE(MU_F32, 100, 37), 1}, {MU_TYPE(MU_F32, 100, 37), 2}, {MU_TYPE(MU_F32, 0, 3), 1},
                 {MU_TYPE(MU_F32, 20011), 0}, {MU_SCALAR(MU_F32), 0}, {MU_TYPE(MU_F32, 2, 100, 33, 9), 0xd}};
    for (int keepdim = 0; keepdim < 2; keepdim++) {
        mu_reduce_attrs a = {.dims = cases[_i].dims, .keepdim = keepdim};
        case_check_all(&(simd_case){.op = &mu_op_sum, .attrs = &a, .n_in = 1, .in = {cases[_i].x}, .tolerance = 2e-6}, true);
        case_check_all(&(simd_case){.op = &mu_op_mean, .attrs = &a, .n_in = 1, .in = {cases[_i].x}, .tolerance = 1e-6}, true);
    }
}
END_TEST

/* The same elements are dropped, to the bit. */
START_TEST(test_dropout)
{
    static const double p[] = {0, 0.1, 0.5, 0.999, 1};
    static const mu_type shapes[] = {MU_TYPE(MU_F32, 5, 3), MU_TYPE(MU_F32, 3, 1001), MU_TYPE(MU_F32, 0, 2), MU_TYPE(MU_F32, 64, 129)};
    for (int s = 0; s < 4; s++) {
        mu_dropout_attrs a = {.p = p[_i], .key = 77};
        case_check_all(&(simd_case){.op = &mu_op_dropout, .attrs = &a, .n_in = 1, .in = {shapes[s]}, .low = {1}, .high = {1.5},
                                    .tolerance = 1e-6}, true);
        case_check_all(&(simd_case){.op = &mu_op_dropout, .attrs = &a, .n_in = 1, .in = {shapes[s]}, .low = {1}, .high = {1.5},
                                    .stride = 3, .tolerance = 1e-6}, true);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("simd_rows");
    TCase *tc = tcase_create("rows");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_softmax);
    tcase_add_loop_test(tc, test_cross_entropy, 0, 2);
    tcase_add_loop_test(tc, test_layer_norm, 0, 4);
    tcase_add_loop_test(tc, test_sum, 0, 9);
    tcase_add_loop_test(tc, test_dropout, 0, 5);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

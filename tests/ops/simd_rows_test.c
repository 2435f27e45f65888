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

/* Class indices of both types and probabilities; with class weights, smoothed, ignored, reduced. */
START_TEST(test_cross_entropy)
{
    static const mu_type targets[] = {MU_TYPE(MU_I64, 37), MU_TYPE(MU_I32, 37), MU_TYPE(MU_F32, 37, 11)};
    mu_type x = MU_TYPE(MU_F32, 37, 11), target = targets[_i % 3], one = MU_SCALAR(MU_F32), weight = {0};
    bool soft = target.dtype == MU_F32;
    if (_i >= 3)
        weight = MU_TYPE(MU_F32, 11);
    for (int v = 0; v < 6; v++) {
        mu_loss_attrs a = mu_loss_defaults();
        a.reduction = v % 3;
        a.label_smoothing = v > 2 ? 0.1 : 0;
        a.ignore_index = 4;
        mu_type dloss = a.reduction == MU_REDUCE_NONE ? MU_TYPE(MU_F32, 37) : one;
        case_check_all(&(simd_case){.op = &mu_op_cross_entropy, .attrs = &a, .n_in = 3, .in = {x, target, weight},
                                    .low = {-9, 0, 0.5}, .high = {9, soft ? 1 : 11, 2}, .tolerance = 1e-6}, false);
        case_check_all(&(simd_case){.op = &mu_op_cross_entropy_grad, .attrs = &a, .n_in = 5,
                                    .in = {dloss, x, target, weight, one}, .low = {1, -9, 0, 0.5, 30},
                                    .high = {2, -0.1, soft ? 1 : 11, 2, 31}, .tolerance = 1e-6}, false);
    }
}
END_TEST

/* A class of logit -infinity does not spoil the loss of targets that have no share in it. */
START_TEST(test_cross_entropy_of_impossible_classes)
{
    enum { ROWS = 5, CLASSES = 19, MASKED = 17 };
    static const char *const devices[] = {"cpu:ref", "cpu:simd"};
    static const simd_variant variant = {.isa = "x86-64-v4", .threads = 1, .kind = MU_LAYOUT_ROW_MAJOR};
    mu_loss_attrs a = mu_loss_defaults();
    simd_case c = {.op = &mu_op_cross_entropy, .attrs = &a, .n_in = 2, .low = {-4, 0}, .high = {4, _i ? MASKED : 1},
                   .in = {MU_TYPE(MU_F32, ROWS, CLASSES), _i ? MU_TYPE(MU_I64, ROWS) : MU_TYPE(MU_F32, ROWS, CLASSES)}};
    float *x = case_fill(&c, 0), loss[2];
    void *values[] = {x, case_fill(&c, 1)}, *results[MU_OP_MAX_OUT];
    mu_type out[MU_OP_MAX_OUT];
    setenv("MU_SIMD_ISA", variant.isa, 1);
    for (int r = 0; r < ROWS; r++) {
        x[r * CLASSES + MASKED] = -INFINITY;
        if (!_i)
            ((float *)values[1])[r * CLASSES + MASKED] = 0;
    }
    for (int d = 0; d < 2; d++) {
        case_run(devices[d], &c, &variant, c.in, values, out, results);
        loss[d] = *(float *)results[0];
        for (int o = 0; o < c.op->n_out; o++)
            case_free(results[o], mu_type_bytes(&out[o]));
    }
    ck_assert(isfinite(loss[0]));
    ck_assert_float_eq_tol(loss[1], loss[0], 1e-5f);
    for (int i = 0; i < 2; i++)
        case_free(values[i], mu_type_bytes(&c.in[i]));
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
    tcase_add_loop_test(tc, test_cross_entropy, 0, 6);
    tcase_add_loop_test(tc, test_cross_entropy_of_impossible_classes, 0, 2);
    tcase_add_loop_test(tc, test_layer_norm, 0, 4);
    tcase_add_loop_test(tc, test_sum, 0, 9);
    tcase_add_loop_test(tc, test_dropout, 0, 5);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

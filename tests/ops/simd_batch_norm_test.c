#include "simd_case.h"

static const mu_type shapes[] = {MU_TYPE(MU_F32, 3, 5, 7, 9), MU_TYPE(MU_F32, 2, 33, 19, 15), MU_TYPE(MU_F32, 40, 37),
                                 MU_TYPE(MU_F32, 70, 16, 3, 3), MU_TYPE(MU_F32, 1, 2, 70, 71), MU_TYPE(MU_F32, 0, 20, 4, 4),
                                 MU_TYPE(MU_F32, 3, 40, 5), MU_TYPE(MU_F32, 2, 16, 3, 4, 5)};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static mu_type channels(const mu_type *x)
{
    return MU_TYPE(MU_F32, x->dim[1]);
}

START_TEST(test_forward)
{
    mu_type x = shapes[_i], c = channels(&x);
    for (int variant = 0; variant < 4; variant++) {
        mu_batch_norm_attrs a = {.eps = 1e-5, .momentum = 0.1, .relu = variant & 1};
        simd_case of = {.op = &mu_op_batch_norm, .attrs = &a, .n_in = variant & 2 ? 6 : 5, .in = {x, c, c, c, c, x},
                        .low = {1, 0.5, -1, -1, 0.5}, .high = {3, 2, 1, 1, 2}, .tolerance = 2e-6, .keep = 0x1e, .seed = (uint64_t)variant};
        case_check_all(&of, true);
        of.op = &mu_op_sync_batch_norm; /* of one rank */
        case_check_all(&of, true);
    }
}
END_TEST

START_TEST(test_gradient)
{
    mu_type x = shapes[_i], c = channels(&x);
    for (int variant = 0; variant < 3; variant++) {
        mu_batch_norm_attrs a = {.eps = 1e-5, .relu = variant > 0, .residual = variant > 1};
        simd_case of = {.op = &mu_op_batch_norm_grad, .attrs = &a, .n_in = variant > 0 ? 6 : 5, .in = {x, x, c, c, c, x},
                        .low = {-1, 1, 0.5, 1.8, 1}, .high = {1, 3, 2, 2.2, 2}, .tolerance = 3e-6, .keep = 0x1c};
        case_check_all(&of, true);
        of.first_plain = true;
        case_check_all(&of, false);
        of.op = &mu_op_sync_batch_norm_grad;
        case_check_all(&of, true);
    }
}
END_TEST

/* The output gradient in two parts: of whole numbers, so that bf16 holds their sum, too. */
START_TEST(test_gradient_of_two)
{
    mu_type x = shapes[_i], c = channels(&x);
    for (int variant = 0; variant < 4; variant++) {
        mu_batch_norm_attrs a = {.eps = 1e-5, .relu = variant & 1, .residual = variant & 2};
        simd_case of = {.op = &mu_op_batch_norm_grad, .attrs = &a, .n_in = 7, .in = {x, x, c, c, c, variant & 1 ? x : (mu_type){0}, x},
                        .low = {-8, 1, 0.5, 1.8, 1, [6] = -8}, .high = {8, 3, 2, 2.2, 2, [6] = 8}, .tolerance = 3e-6, .keep = 0x1c, .whole = 0x41};
        case_check_all(&of, true);
        of.op = &mu_op_sync_batch_norm_grad;
        case_check_all(&of, true);
    }
}
END_TEST

START_TEST(test_inference)
{
    mu_type x = shapes[_i], c = channels(&x), absent = {0};
    for (int variant = 0; variant < 2; variant++) {
        mu_batch_norm_attrs a = {.eps = 1e-5, .relu = variant};
        simd_case of = {.op = &mu_op_batch_norm_inference, .attrs = &a, .n_in = 5, .in = {x, variant ? c : absent, c, c, c},
                        .low = {[4] = 0.5}, .high = {[4] = 2}, .tolerance = 1e-6, .keep = 0x1e};
        case_check_all(&of, true);
    }
}
END_TEST

/* Two parts give the bits of their sum, in bf16 as well. */
START_TEST(test_sum_is_rounded)
{
    static const mu_layout_kind kinds[] = {MU_LAYOUT_ROW_MAJOR, MU_LAYOUT_CHANNELS_LAST, MU_LAYOUT_CHANNELS_BLOCKED};
    mu_dtype dtype = _i & 1 ? MU_BF16 : MU_F32;
    mu_type x = MU_TYPE(dtype, 5, 20, 7, 9), c = MU_TYPE(MU_F32, 20);
    simd_variant variant = {"", 2, kinds[_i / 2 % 3], 16, dtype};
    mu_batch_norm_attrs a = {.eps = 1e-5, .relu = _i / 6 & 1, .residual = _i / 12};
    mu_type y = a.relu ? x : (mu_type){0};
    simd_case two = {.op = &mu_op_batch_norm_grad, .attrs = &a, .n_in = 7, .in = {x, x, c, c, c, y, x}}, one = two;
    simd_case add = {.op = &mu_op_add, .n_in = 2, .in = {x, x}};
    void *in[7] = {NULL}, *sum[MU_OP_MAX_OUT], *got[2][MU_OP_MAX_OUT];
    mu_type type[MU_OP_MAX_OUT];
    one.n_in = 6;
    for (int i = 0; i < 7; i++)
        in[i] = two.in[i].dtype == MU_NONE ? NULL : case_fill(&two, i);
    case_run("cpu:simd", &two, &variant, two.in, in, type, got[0]);
    case_run("cpu:simd", &add, &variant, add.in, (void *[]){in[0], in[6]}, type, sum);
    case_run("cpu:simd", &one, &variant, one.in, (void *[]){sum[0], in[1], in[2], in[3], in[4], in[5]}, type, got[1]);
    case_free(sum[0], mu_type_bytes(&x));
    for (int o = 0; o < 4; o++) {
        if (type[o].dtype == MU_NONE)
            continue;
        ck_assert_mem_eq(got[0][o], got[1][o], mu_type_bytes(&type[o]));
        for (int k = 0; k < 2; k++)
            case_free(got[k][o], mu_type_bytes(&type[o]));
    }
    for (int i = 0; i < 7; i++)
        if (in[i])
            case_free(in[i], mu_type_bytes(&two.in[i]));
}
END_TEST

/* The bits do not depend on the number of threads. */
START_TEST(test_same_for_any_threads)
{
    mu_type x = MU_TYPE(MU_F32, 9, 20, 31, 17), c = channels(&x);
    mu_batch_norm_attrs a = {.eps = 1e-5, .momentum = 0.1};
    simd_case of = {.op = &mu_op_batch_norm, .attrs = &a, .n_in = 5, .in = {x, c, c, c, c}, .low = {[4] = 1}, .high = {[4] = 2}};
    void *in[5], *out[3][MU_OP_MAX_OUT];
    mu_type type[MU_OP_MAX_OUT];
    for (int i = 0; i < 5; i++)
        in[i] = case_fill(&of, i);
    for (int t = 0; t < 3; t++)
        case_run("cpu:simd", &of, &(simd_variant){"", t + 1, MU_LAYOUT_CHANNELS_BLOCKED, 16, MU_F32}, of.in, in, type, out[t]);
    for (int o = 0; o < 5; o++)
        for (int t = 2; t >= 0; t--) {
            ck_assert_mem_eq(out[t][o], out[0][o], mu_type_bytes(&type[o]));
            case_free(out[t][o], mu_type_bytes(&type[o]));
        }
    for (int i = 0; i < 5; i++)
        case_free(in[i], mu_type_bytes(&of.in[i]));
}
END_TEST

/* A mean of 1000 deviations costs no digit of the variance. */
START_TEST(test_far_mean)
{
    mu_type x = MU_TYPE(MU_F32, 8, 16, 20, 20), c = channels(&x);
    mu_batch_norm_attrs a = {.eps = 1e-5, .momentum = 0.1};
    simd_case of = {.op = &mu_op_batch_norm, .attrs = &a, .n_in = 5, .in = {x, c, c, c, c}, .low = {2000, [4] = 1},
                    .high = {2512, [4] = 2}, .tolerance = 1e-5};
    case_check_all(&of, false);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("simd_batch_norm");
    TCase *tc = tcase_create("batch_norm");
    tcase_set_timeout(tc, 240);
    tcase_add_loop_test(tc, test_forward, 0, N_SHAPES);
    tcase_add_loop_test(tc, test_gradient, 0, N_SHAPES);
    tcase_add_loop_test(tc, test_gradient_of_two, 0, N_SHAPES);
    tcase_add_loop_test(tc, test_sum_is_rounded, 0, 24);
    tcase_add_loop_test(tc, test_inference, 0, N_SHAPES);
    tcase_add_test(tc, test_same_for_any_threads);
    tcase_add_test(tc, test_far_mean);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

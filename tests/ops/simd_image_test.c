#include "simd_case.h"

/* Resizing, group norm and PReLU. */

static const mu_type images[] = {MU_TYPE(MU_F32, 2, 5, 9, 11), MU_TYPE(MU_F32, 2, 36, 8, 12), MU_TYPE(MU_F32, 0, 4, 9, 9),
                                 MU_TYPE(MU_F32, 3, 16, 17, 10)};
enum { N_IMAGES = sizeof images / sizeof *images };

START_TEST(test_resize)
{
    static const int64_t sizes[][2] = {{18, 22}, {5, 7}, {1, 1}, {9, 12}, {31, 3}};
    for (int i = 0; i < 5; i++)
        for (int mode = 0; mode < 3; mode++) {
            mu_type x = images[_i], y = x;
            mu_resize_attrs a = {.size = {sizes[i][0], sizes[i][1]}, .mode = mode > 0 ? MU_RESIZE_BILINEAR : MU_RESIZE_NEAREST,
                                 .align_corners = mode > 1};
            case_check_all(&(simd_case){.op = &mu_op_resize, .attrs = &a, .n_in = 1, .in = {x}, .tolerance = 1e-6}, true);
            y.dim[2] = a.size[0];
            y.dim[3] = a.size[1];
            a.size[0] = x.dim[2];
            a.size[1] = x.dim[3];
            case_check_all(&(simd_case){.op = &mu_op_resize_grad, .attrs = &a, .n_in = 1, .in = {y}, .tolerance = 2e-6}, true);
        }
}
END_TEST

START_TEST(test_prelu)
{
    mu_type x = images[_i], c = MU_TYPE(MU_F32, x.dim[1]);
    const mu_type slopes[] = {c, MU_TYPE(MU_F32, 1), MU_TYPE(MU_F32)};
    for (int i = 0; i < 3; i++) {
        case_check_all(&(simd_case){.op = &mu_op_prelu, .n_in = 2, .in = {x, slopes[i]}, .tolerance = 1e-6}, true);
        case_check_all(&(simd_case){.op = &mu_op_prelu_grad, .n_in = 3, .in = {x, x, slopes[i]}, .tolerance = 1e-6}, true);
    }
    mu_type row = MU_TYPE(MU_F32, 7, x.dim[1]);
    case_check_all(&(simd_case){.op = &mu_op_prelu, .n_in = 2, .in = {row, c}, .tolerance = 1e-6}, true);
    case_check_all(&(simd_case){.op = &mu_op_prelu_grad, .n_in = 3, .in = {row, row, c}, .tolerance = 1e-6}, true);
}
END_TEST

START_TEST(test_prelu_line)
{
    mu_type line = MU_TYPE(MU_F32, 37), scalar = MU_TYPE(MU_F32), one = MU_TYPE(MU_F32, 1);
    case_check_all(&(simd_case){.op = &mu_op_prelu, .n_in = 2, .in = {line, one}, .tolerance = 1e-6}, true);
    case_check_all(&(simd_case){.op = &mu_op_prelu_grad, .n_in = 3, .in = {line, line, one}, .tolerance = 1e-6}, true);
    case_check_all(&(simd_case){.op = &mu_op_prelu_grad, .n_in = 3, .in = {scalar, scalar, one}, .tolerance = 1e-6}, true);
}
END_TEST

START_TEST(test_group_norm)
{
    mu_type x = images[_i], c = MU_TYPE(MU_F32, x.dim[1]), none = {0};
    for (int64_t groups = 1; groups <= x.dim[1]; groups++) {
        if (x.dim[1] % groups != 0)
            continue;
        mu_norm_attrs a = {.eps = 1e-5, .groups = groups};
        mu_type stat = MU_TYPE(MU_F32, x.dim[0], groups);
        case_check_all(&(simd_case){.op = &mu_op_group_norm, .attrs = &a, .n_in = 3, .in = {x, c, c}, .tolerance = 2e-6,
                                    .keep = 6}, true);
        case_check_all(&(simd_case){.op = &mu_op_group_norm, .attrs = &a, .n_in = 1, .in = {x}, .low = {99}, .high = {101},
                                    .tolerance = 1e-5}, false);
        case_check_all(&(simd_case){.op = &mu_op_group_norm_grad, .attrs = &a, .n_in = 5, .in = {x, x, c, stat, stat},
                                    .tolerance = 4e-6, .keep = 28}, true);
        case_check_all(&(simd_case){.op = &mu_op_group_norm_grad, .attrs = &a, .n_in = 5, .in = {x, x, none, stat, stat},
                                    .tolerance = 4e-6, .keep = 24}, true);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("simd_image");
    TCase *tc = tcase_create("image");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_resize, 0, N_IMAGES);
    tcase_add_loop_test(tc, test_prelu, 0, N_IMAGES);
    tcase_add_test(tc, test_prelu_line);
    tcase_add_loop_test(tc, test_group_norm, 0, N_IMAGES);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

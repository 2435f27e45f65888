#include "simd_case.h"

START_TEST(test_shapes)
{
    static const mu_type shapes[] = {MU_TYPE(MU_F32, 3, 5, 7, 9), MU_TYPE(MU_F32, 2, 19, 6, 5), MU_TYPE(MU_F32, 1),
                                     MU_TYPE(MU_F32, 2, 16, 16, 3), MU_TYPE(MU_F32, 0, 3, 2, 2), MU_TYPE(MU_F32, 40, 1031),
                                     MU_SCALAR(MU_F32)};
    const mu_type x = shapes[_i];
    mu_unary_attrs a = {0};
    case_check_all(&(simd_case){.op = &mu_op_relu, .attrs = &a, .n_in = 1, .in = {x}}, true);
    case_check_all(&(simd_case){.op = &mu_op_relu_grad, .attrs = &a, .n_in = 2, .in = {x, x}}, true);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("simd_elementwise");
    TCase *tc = tcase_create("elementwise");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_shapes, 0, 7);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

/* The emulated device finds accesses that nothing orders, in whatever order its threads run, and takes what is right. */
#include "emulate_race.h"
#include "test.h"

#define ck_cuda(expr) ck_assert_msg((expr) == cudaSuccess, "%s: %s", #expr, cudaGetErrorString(cudaPeekAtLastError()))

enum { BYTES = 4096 * sizeof(float) };

START_TEST(right)
{
    const race_case *one = &race_cases[_i];
    float *x;
    ck_cuda(cudaMalloc((void **)&x, BYTES));
    ck_cuda(cudaMemset(x, 0, BYTES));
    for (int i = 0; i < 5; i++) {
        ck_cuda(one->launch(true, x));
        cudaError_t status = cudaDeviceSynchronize();
        ck_assert_msg(status == cudaSuccess, "%s: %s", one->name, cudaGetErrorString(status));
    }
    ck_cuda(cudaFree(x));
}
END_TEST

START_TEST(wrong)
{
    const race_case *one = &race_cases[_i];
    float *x;
    for (int i = 0; i < 20 && one->expected[0] != NULL; i++) {
        ck_cuda(cudaMalloc((void **)&x, BYTES));
        ck_cuda(cudaMemset(x, 0, BYTES));
        ck_cuda(one->launch(false, x));
        cudaError_t status = cudaDeviceSynchronize();
        const char *text = cudaGetErrorString(status);
        ck_assert_msg(status == cudaErrorLaunchFailure, "%s: %s", one->name, text);
        for (int part = 0; part < 3 && one->expected[part] != NULL; part++)
            ck_assert_msg(strstr(text, one->expected[part]) != NULL, "\"%s\" lacks \"%s\"", text, one->expected[part]);
        cudaDeviceReset();
        ck_cuda(cudaFree(x));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emulate_race");
    TCase *tests = tcase_create("emulate_race");
    tcase_add_loop_test(tests, right, 0, n_race_cases);
    tcase_add_loop_test(tests, wrong, 0, n_race_cases);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

#include "simd_case.h"

#include <math.h>

static const int64_t counts[] = {0, 1, 37, 4096, 50003};

/* Runs op on cpu:ref and cpu:simd over `n_arena` arenas of n numbers and the scalars, in place as optimizers do, and compares. */
static void check(const mu_op *op, const mu_update_attrs *attrs, const double scalars[MU_UPDATE_SCALARS], int64_t n, int n_arena, unsigned absent)
{
    static const char *const isa[] = {"baseline", "x86-64-v3", "x86-64-v4"};
    mu_type in[8] = {{0}}, out[MU_OP_MAX_OUT] = {{0}};
    for (int i = 0; i < n_arena; i++)
        in[i] = absent >> i & 1 ? (mu_type){0} : MU_TYPE(MU_F32, n);
    in[n_arena] = MU_TYPE(MU_F64, MU_UPDATE_SCALARS);
    mu_call call = {.op = op, .attrs = attrs, .n_in = n_arena + 1, .n_out = op->n_out, .in = in, .out = out};
    ck_ok(op->infer(&call, out));
    size_t bytes = (size_t)n * sizeof(float);
    for (int k = 0; k < 3; k++) {
        float *arena[2][5];
        setenv("MU_SIMD_ISA", isa[k], 1);
        for (int b = 0; b < 2; b++) {
            mu_backend *backend;
            mu_kernel *kernel;
            void *bound_in[8] = {NULL}, *bound_out[MU_OP_MAX_OUT] = {NULL};
            ck_ok(mu_backend_open(b ? "cpu:simd" : "cpu:ref", &(mu_backend_options){.n_threads = 2}, &backend));
            ck_ok(backend->ops->prepare(backend, &call, NULL, NULL, &kernel));
            for (int i = 0; i < n_arena; i++) {
                arena[b][i] = case_alloc(bytes);
                mu_philox rng = mu_philox_key(5, MU_RNG_TEST, (uint64_t)i, 0);
                for (int64_t e = 0; e < n; e++)
                    arena[b][i][e] = mu_philox_uniform_f32(&rng, (uint64_t)e) - (i < 3 ? 0.5f : 0);
                bound_in[i] = absent >> i & 1 ? NULL : arena[b][i];
            }
            bound_in[n_arena] = (void *)scalars;
            for (int o = 0; o < op->n_out; o++)
                bound_out[o] = out[o].dtype ? bound_in[op->updates[o] - 1] : NULL;
            ck_ok(mu_kernel_bind(kernel, bound_in, bound_out, NULL));
            ck_ok(mu_kernel_run(kernel, &(mu_run){0}));
            mu_kernel_release(kernel);
            mu_backend_close(backend);
        }
        for (int i = 0; i < n_arena; i++) {
            for (int64_t e = 0; e < n; e++)
                ck_assert_msg(fabsf(arena[0][i][e] - arena[1][i][e]) <= 3e-7f * (1 + fabsf(arena[0][i][e])),
                              "%s, %s, arena %d [%lld]: %.9g, ref %.9g", op->name, isa[k], i, (long long)e, arena[1][i][e],
                              arena[0][i][e]);
            case_free(arena[0][i], bytes);
            case_free(arena[1][i], bytes);
        }
    }
}

START_TEST(test_sgd)
{
    double scalars[MU_UPDATE_SCALARS] = {0.1, 0.01, 0.9, 0.1, 0, 0.5};
    for (int v = 0; v < 32; v++) {
        mu_update_attrs a = {.nesterov = v & 1, .maximize = v >> 1 & 1};
        scalars[MU_UPDATE_FIRST] = v >> 2 & 1;
        scalars[MU_UPDATE_MAX_VALUE] = v & 8 ? 0.125 : 0;
        scalars[MU_UPDATE_SKIP] = v >> 4 & 1;
        check(&mu_op_sgd, &a, scalars, counts[_i], 3, 0);
    }
    check(&mu_op_sgd, &(mu_update_attrs){0}, scalars, counts[_i], 3, 4);
}
END_TEST

START_TEST(test_adam)
{
    double scalars[MU_UPDATE_SCALARS] = {0.01, 0.1, 0.9, 0.99, 1e-8, 0.5, 0.19, 0.0199};
    for (int v = 0; v < 16; v++) {
        mu_update_attrs a = {.decoupled = v & 1, .maximize = v >> 1 & 1};
        scalars[MU_UPDATE_MAX_VALUE] = v & 4 ? 0.125 : 0;
        scalars[MU_UPDATE_SKIP] = v >> 3 & 1;
        check(&mu_op_adam, &a, scalars, counts[_i], 5, 0);
        check(&mu_op_adam, &a, scalars, counts[_i], 5, 16);
    }
}
END_TEST

START_TEST(test_square_sum)
{
    simd_case c = {.op = &mu_op_square_sum, .n_in = 1, .in = {MU_TYPE(MU_F32, counts[_i])}, .tolerance = 1e-7};
    case_check_all(&c, false);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("simd_update");
    TCase *tc = tcase_create("update");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_sgd, 0, 5);
    tcase_add_loop_test(tc, test_adam, 0, 5);
    tcase_add_loop_test(tc, test_square_sum, 0, 5);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

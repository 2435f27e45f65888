#include "simd_case.h"

/* The operations that only move elements, and those that add them back. */

static const mu_type images[] = {MU_TYPE(MU_F32, 2, 32, 5, 7), MU_TYPE(MU_F32, 3, 19, 6, 4), MU_TYPE(MU_F32, 1, 16, 9, 66),
                                 MU_TYPE(MU_F32, 2, 0, 3, 3)};
enum { N_IMAGES = sizeof images / sizeof *images };

static mu_type with(mu_type t, int dim, int64_t n)
{
    t.dim[dim] = n;
    return t;
}

START_TEST(test_concat)
{
    for (int dim = 0; dim < 4; dim++)
        for (int k = 0; k < 3; k++) {
            const int64_t sizes[][3] = {{16, 32, 5}, {3, 1, 20}, {16, 0, 16}};
            simd_case c = {.op = &mu_op_concat, .attrs = &(mu_dim_attrs){.dim = dim}, .n_in = 3};
            for (int i = 0; i < 3; i++)
                c.in[i] = with(images[_i], dim, sizes[k][i]);
            case_check_all(&c, true);
        }
}
END_TEST

START_TEST(test_slice)
{
    static const mu_slice_attrs slices[] = {
        {.start = {0, 0, 1, 2}, .size = {1, 16, 2, 1}, .step = {1, 1, 1, 1}},
        {.start = {0, 16, 0, 0}, .size = {1, 3, 3, 2}, .step = {1, 1, 2, 2}},
        {.start = {0, 1, 0, 0}, .size = {1, 7, 3, 3}, .step = {1, 2, 1, 1}},
        {.start = {0, 0, 2, 1}, .size = {0, 1, 1, 1}, .step = {1, 1, 1, 1}},
    };
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) {
        mu_slice_attrs a = slices[i];
        mu_type x = images[_i], y = x;
        a.ndim = 4;
        bool inside = true;
        for (int d = 0; d < 4; d++) {
            inside &= a.start[d] + (a.size[d] - 1) * a.step[d] < x.dim[d];
            y.dim[d] = a.size[d];
            a.full[d] = x.dim[d];
        }
        if (!inside)
            continue;
        case_check_all(&(simd_case){.op = &mu_op_slice, .attrs = &a, .n_in = 1, .in = {x}}, true);
        case_check_all(&(simd_case){.op = &mu_op_slice_grad, .attrs = &a, .n_in = 1, .in = {y}}, true);
    }
}
END_TEST

START_TEST(test_transpose)
{
    static const int64_t orders[][4] = {{3, 2, 1, 0}, {0, 2, 3, 1}, {0, 2, 1, 3}, {1, 0, 2, 3}, {0, 1, 3, 2}, {2, 0, 3, 1}};
    static const mu_dtype dtypes[] = {MU_F32, MU_I64, MU_BOOL};
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 3; k++) {
            mu_shape_attrs a = {.ndim = 4};
            memcpy(a.dim, orders[i], sizeof orders[i]);
            mu_type x = images[_i];
            x.dtype = dtypes[k];
            case_check_all(&(simd_case){.op = &mu_op_transpose, .attrs = &a, .n_in = 1, .in = {x}}, true);
        }
}
END_TEST

START_TEST(test_pad)
{
    static const mu_pad_attrs pads[] = {
        {.before = {0, 0, 1, 2}, .after = {0, 0, 3, 0}}, {.before = {0, 0, 2, 0}, .after = {0, 0, 0, 5}, .value = 1.5},
        {.before = {1, 2, 0, 0}, .after = {0, 3, 1, 0}, .value = -2}, {.ndim = 4},
    };
    for (size_t i = 0; i < sizeof pads / sizeof *pads; i++) {
        mu_pad_attrs a = pads[i];
        mu_type x = images[_i], y = x;
        a.ndim = 4;
        for (int d = 0; d < 4; d++)
            y.dim[d] += a.before[d] + a.after[d];
        case_check_all(&(simd_case){.op = &mu_op_pad, .attrs = &a, .n_in = 1, .in = {x}}, true);
        a.gradient = true;
        case_check_all(&(simd_case){.op = &mu_op_pad, .attrs = &a, .n_in = 1, .in = {y}}, true);
    }
}
END_TEST

START_TEST(test_broadcast_to)
{
    static const mu_type from[] = {MU_TYPE(MU_F32, 19, 1, 1), MU_TYPE(MU_F32, 7), MU_TYPE(MU_F32, 3, 1, 6, 7), MU_TYPE(MU_F32),
                                   MU_TYPE(MU_F32, 3, 19, 6, 7), MU_TYPE(MU_F32, 1, 19, 6, 1)};
    for (size_t i = 0; i < sizeof from / sizeof *from; i++)
        case_check_all(&(simd_case){.op = &mu_op_broadcast_to, .attrs = &(mu_shape_attrs){4, {3, 19, 6, 7}}, .n_in = 1,
                                    .in = {from[i]}}, true);
}
END_TEST

START_TEST(test_gather)
{
    for (int dim = 0; dim < 3; dim++)
        for (int k = 0; k < 2; k++) {
            mu_type x = MU_TYPE(MU_F32, 4, 70, 9), index = with(x, dim, k ? 13 : 2);
            index.dtype = k ? MU_I32 : MU_I64;
            mu_type dy = index;
            dy.dtype = MU_F32;
            mu_gather_attrs a = {.dim = dim, .size = x.dim[dim]};
            double high = (double)x.dim[dim];
            case_check_all(&(simd_case){.op = &mu_op_gather, .attrs = &a, .n_in = 2, .in = {x, index}, .high = {0, high}}, true);
            case_check_all(&(simd_case){.op = &mu_op_gather_grad, .attrs = &a, .n_in = 2, .in = {dy, index}, .high = {0, high},
                                        .tolerance = 1e-6}, true);
        }
}
END_TEST

START_TEST(test_embedding)
{
    static const int64_t widths[] = {1, 31, 100};
    for (int i = 0; i < 3; i++) {
        mu_type table = MU_TYPE(MU_F32, 11, widths[i]), index = MU_TYPE(MU_I64, 4, 25), dy = MU_TYPE(MU_F32, 4, 25, widths[i]);
        mu_gather_attrs a = {.size = 11};
        case_check_all(&(simd_case){.op = &mu_op_embedding, .attrs = &a, .n_in = 2, .in = {table, index}, .high = {0, 11}}, true);
        case_check_all(&(simd_case){.op = &mu_op_embedding_grad, .attrs = &a, .n_in = 2, .in = {dy, index}, .high = {0, 11},
                                    .tolerance = 1e-6}, true);
    }
}
END_TEST

START_TEST(test_bad_index)
{
    static const struct {
        const mu_op *op;
        mu_type x, y;
    } ops[] = {{&mu_op_gather, MU_TYPE(MU_F32, 3, 2), MU_TYPE(MU_F32, 2, 2)},
               {&mu_op_gather_grad, MU_TYPE(MU_F32, 2, 2), MU_TYPE(MU_F32, 3, 2)},
               {&mu_op_embedding, MU_TYPE(MU_F32, 3, 2), MU_TYPE(MU_F32, 2, 2, 2)},
               {&mu_op_embedding_grad, MU_TYPE(MU_F32, 2, 2, 2), MU_TYPE(MU_F32, 3, 2)}};
    static const int32_t bad[][4] = {{0, 3, -1, 0}, {2, 1, 0, -1}};
    static const char *const text[] = {"index 3 at element 1 is outside of [0, 3)", "index -1 at element 3 is outside of [0, 3)"};
    mu_backend *b;
    ck_ok(mu_backend_open("cpu:simd", NULL, &b));
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        for (int k = 0; k < 2; k++) {
            mu_kernel *kernel;
            mu_gather_attrs a = {.size = 3};
            mu_call call = {.op = ops[i].op, .attrs = &a, .n_in = 2, .n_out = 1,
                            .in = (mu_type[]){ops[i].x, MU_TYPE(MU_I32, 2, 2)}, .out = (mu_type *)&ops[i].y};
            float x[8] = {0}, y[8];
            ck_assert(mu_simd_is_vectorised(&call));
            ck_ok(b->ops->prepare(b, &call, NULL, NULL, &kernel));
            ck_ok(mu_kernel_bind(kernel, (void *[]){x, (void *)bad[k]}, (void *[]){y}, NULL));
            ck_fails(mu_kernel_run(kernel, &(mu_run){0}), MU_ERR_FORMAT, text[k]);
            mu_kernel_release(kernel);
        }
    mu_backend_close(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("simd_move");
    TCase *tc = tcase_create("move");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_concat, 0, N_IMAGES);
    tcase_add_loop_test(tc, test_slice, 0, N_IMAGES);
    tcase_add_loop_test(tc, test_transpose, 0, N_IMAGES);
    tcase_add_loop_test(tc, test_pad, 0, N_IMAGES);
    tcase_add_test(tc, test_broadcast_to);
    tcase_add_test(tc, test_gather);
    tcase_add_test(tc, test_embedding);
    tcase_add_test(tc, test_bad_index);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

/* Indices outside of what they pick from: nothing is read or written there, what they pick is NaN, and the others are right. */
#include "ops/suite.h"
#include "test.h"

#include <math.h>

static const mu_dtype dtypes[] = {MU_F32, MU_BF16, MU_F16};
static const int64_t far[] = {3, -1, 0, 5, INT64_MIN, 4, INT64_MAX};

enum { N = sizeof far / sizeof *far, ROWS = 5, WIDTH = 3 };

static void run(const mu_op *op, tensor *in, tensor *out)
{
    const mu_gather_attrs attrs = {.dim = 0, .size = ROWS};
    const mu_type types[] = {in[0].type, in[1].type};
    const mu_call call = {.op = op, .attrs = &attrs, .n_in = 2, .n_out = 1, .in = types, .out = &out->type};
    mu_backend *b;
    char text[512];
    bool applies;
    ck_ok(mu_backend_open("cuda", &(mu_backend_options){.cache_dir = ""}, &b));
    ck_assert_msg(suite_run_call(b, &call, in, out, RUN_PLAIN, &applies, text, sizeof text), "%s", text);
    mu_backend_close(b);
}

static bool is_inside(int64_t i)
{
    return far[i] >= 0 && far[i] < ROWS;
}

START_TEST(rows_and_elements_outside)
{
    mu_dtype dtype = dtypes[_i % 3];
    bool embedding = _i < 3;
    tensor in[2], grad_in[2], y, dx;
    tensor_new(&in[0], MU_TYPE(dtype, ROWS, WIDTH));
    tensor_new(&in[1], embedding ? MU_TYPE(MU_I64, N) : MU_TYPE(MU_I64, N, WIDTH));
    tensor_new(&y, MU_TYPE(dtype, N, WIDTH));
    tensor_new(&dx, in[0].type);
    for (int64_t i = 0; i < ROWS * WIDTH; i++)
        tensor_set(&in[0], i, (double)(i + 1));
    for (int64_t i = 0; i < mu_type_count(&in[1].type); i++)
        ((int64_t *)in[1].data)[i] = far[embedding ? i : i / WIDTH];
    run(embedding ? &mu_op_embedding : &mu_op_gather, in, &y);
    for (int64_t i = 0; i < N * WIDTH; i++) {
        double got = tensor_get(&y, i);
        if (is_inside(i / WIDTH))
            ck_assert_double_eq(got, (double)(far[i / WIDTH] * WIDTH + i % WIDTH + 1));
        else
            ck_assert_msg(isnan(got), "element %lld is %g", (long long)i, got);
        tensor_set(&y, i, 1);
    }
    grad_in[0] = y;
    grad_in[1] = in[1];
    run(embedding ? &mu_op_embedding_grad : &mu_op_gather_grad, grad_in, &dx);
    for (int64_t i = 0; i < ROWS * WIDTH; i++) {
        int64_t row = i / WIDTH;
        ck_assert_double_eq(tensor_get(&dx, i), row == 0 || row == 3 || row == 4 ? 1 : 0);
    }
    tensor_release(&in[0]);
    tensor_release(&in[1]);
    tensor_release(&y);
    tensor_release(&dx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("indices on CUDA devices");
    TCase *t = tcase_create("outside");
    tcase_add_loop_test(t, rows_and_elements_outside, 0, 6);
    suite_add_tcase(s, t);
    return test_run(s);
}

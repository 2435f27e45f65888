/* What a CUDA device does where ref fails or the conformance suite has no case: targets that are no class, batches without samples. */
#include "ops/suite.h"
#include "test.h"

#include <math.h>

static const char *device = "cuda";

/* Runs a call whose outputs are allocated here. */
static void run(const mu_op *op, const void *attrs, int n_in, const tensor *in, mu_type *out_type, tensor *out)
{
    mu_backend *cuda;
    mu_type in_type[MU_OP_VARIADIC];
    char problem[512];
    bool applies;
    for (int i = 0; i < n_in; i++)
        in_type[i] = in[i].type;
    memset(out_type, 0, MU_OP_MAX_OUT * sizeof *out_type);
    mu_call call = {.op = op, .attrs = attrs, .n_in = n_in, .n_out = op->n_out, .in = in_type, .out = out_type};
    ck_ok(op->infer(&call, out_type));
    for (int o = 0; o < op->n_out; o++)
        tensor_new(&out[o], out_type[o]);
    ck_ok(mu_backend_open(device, NULL, &cuda));
    ck_assert_msg(suite_run_call(cuda, &call, in, out, RUN_PLAIN, &applies, problem, sizeof problem), "%s: %s", op->name, problem);
    mu_backend_close(cuda);
}

static void release(tensor *t, int n)
{
    for (int i = 0; i < n; i++)
        tensor_release(&t[i]);
}

/* The loss of a sample whose target is no class is NaN, and so is what is joined from it; the others keep theirs. */
START_TEST(wrong_target)
{
    enum { N = 5, C = 3, WRONG = 2, IGNORED = 3 };
    static const int64_t target[N] = {0, 2, C, -100, 1};
    tensor in[5], out[MU_OP_MAX_OUT], back[5], dx[MU_OP_MAX_OUT];
    mu_type type[MU_OP_MAX_OUT];
    mu_loss_attrs a = mu_loss_defaults();
    memset(back, 0, sizeof back);
    tensor_new(&in[0], MU_TYPE(MU_F32, N, C));
    tensor_new(&in[1], MU_TYPE(MU_I64, N));
    for (int64_t i = 0; i < N * C; i++)
        tensor_set(&in[0], i, 0.25 * (double)i);
    memcpy(in[1].data, target, sizeof target);

    run(&mu_op_cross_entropy, &a, 2, in, type, out);
    ck_assert(isnan(tensor_get(&out[0], 0)) && isnan(tensor_get(&out[2], 0)));
    release(out, 3);

    a.reduction = MU_REDUCE_NONE;
    run(&mu_op_cross_entropy, &a, 2, in, type, out);
    for (int64_t i = 0; i < N; i++)
        ck_assert_msg(i == WRONG ? isnan(tensor_get(&out[0], i)) : isfinite(tensor_get(&out[0], i)), "sample %d: %g", (int)i,
                      tensor_get(&out[0], i));
    ck_assert_double_eq(tensor_get(&out[0], IGNORED), 0);
    for (int64_t i = 0; i < N * C; i++)
        ck_assert(isfinite(tensor_get(&out[1], i)));

    tensor_new(&back[0], MU_TYPE(MU_F32, N));
    for (int64_t i = 0; i < N; i++)
        tensor_set(&back[0], i, 1);
    back[1] = out[1];
    back[2] = in[1];
    back[4] = out[2];
    run(&mu_op_cross_entropy_grad, &a, 5, back, type, dx);
    for (int64_t i = 0; i < N * C; i++)
        ck_assert_msg((i / C == WRONG) == isnan(tensor_get(&dx[0], i)), "gradient %d: %g", (int)i, tensor_get(&dx[0], i));
    release(dx, 1);
    release(back, 1);
    release(out, 3);
    release(in, 2);
}
END_TEST

/* Without samples the statistics are those of nothing, and the running ones stay. */
START_TEST(empty_batch)
{
    enum { C = 40 };
    tensor in[5], out[MU_OP_MAX_OUT];
    mu_type type[MU_OP_MAX_OUT];
    mu_batch_norm_attrs a = {.eps = 0.25, .momentum = 0.5};
    tensor_new(&in[0], MU_TYPE(MU_BF16, 0, C, 3, 3));
    for (int i = 1; i < 5; i++) {
        tensor_new(&in[i], MU_TYPE(MU_F32, C));
        for (int64_t c = 0; c < C; c++)
            tensor_set(&in[i], c, (double)(i + c));
    }
    run(&mu_op_batch_norm, &a, 5, in, type, out);
    for (int64_t c = 0; c < C; c++) {
        ck_assert_double_eq(tensor_get(&out[1], c), 0);
        ck_assert_double_eq(tensor_get(&out[2], c), 2);
        ck_assert_double_eq(tensor_get(&out[3], c), (double)(3 + c));
        ck_assert_double_eq(tensor_get(&out[4], c), (double)(4 + c));
    }
    release(out, 5);
    release(in, 5);
}
END_TEST

/* An output gradient in two parts gives the bits of their sum, in half types as well: whether they are joined decides nothing. */
START_TEST(two_parts)
{
    static const mu_dtype dtypes[] = {MU_F32, MU_BF16, MU_F16};
    enum { C = 24 };
    mu_type type[MU_OP_MAX_OUT], x = MU_TYPE(dtypes[_i / 4], 5, C, 7, 9);
    mu_batch_norm_attrs a = {.relu = _i & 1, .residual = _i & 2};
    tensor in[7] = {0}, sum[MU_OP_MAX_OUT], one[MU_OP_MAX_OUT], two[MU_OP_MAX_OUT];
    for (int i = 0; i < 7; i++) {
        bool like_x = i < 2 || i > 4;
        if (i == 5 && !a.relu)
            continue;
        tensor_new(&in[i], like_x ? x : MU_TYPE(MU_F32, C));
        for (int64_t k = 0; k < mu_type_count(&in[i].type); k++)
            tensor_set(&in[i], k, like_x ? sin((double)(k * (2 * i + 1))) : 0.5 + cos((double)k) / 4);
    }
    run(&mu_op_batch_norm_grad, &a, 7, in, type, two);
    run(&mu_op_add, NULL, 2, (tensor[]){in[0], in[6]}, type, sum);
    run(&mu_op_batch_norm_grad, &a, 6, (tensor[]){sum[0], in[1], in[2], in[3], in[4], in[5]}, type, one);
    for (int o = 0; o < 4; o++)
        if (type[o].dtype != MU_NONE)
            ck_assert_mem_eq(two[o].data, one[o].data, mu_type_bytes(&type[o]));
    release(one, 4);
    release(two, 4);
    release(sum, 1);
    release(in, 7);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("norms");
    TCase *tc = tcase_create("norms");
    mu_backend *b;
    setenv("MU_FALLBACK", "error", 1); /* kernels of the device, or none */
    if (mu_backend_open(device, NULL, &b) != MU_OK) {
        printf("no CUDA device: %s\n", test_error_text());
        return 77;
    }
    mu_backend_close(b);
    tcase_add_test(tc, wrong_target);
    tcase_add_test(tc, empty_batch);
    tcase_add_loop_test(tc, two_parts, 0, 12);
    suite_add_tcase(s, tc);
    return test_run(s);
}

/* Element-wise operations, reductions, orders and updates on a CUDA device against ref in f64, at the sizes at which kernels change their ways: packs and
 * their remainders, lines of a warp, of a block and longer ones, results in parts, walks over several dimensions, long chains. */
#include "core/philox.h"
#include "ops/suite.h"
#include "test.h"

#include <math.h>

static const char *device = "cuda";

typedef struct {
    const mu_op *op;
    const void *attrs;
    int n_in;
    mu_type in[MU_CHAIN_MAX_IN]; /* MU_F32: the dtype under test */
    double low[4], high[4];      /* of the first operands; both 0: -3..3 */
    bool ties;                   /* few different values, and NaN among them */
    double tolerance;            /* in f32, of the largest value or 1 */
} row_case;

static tensor operand(const row_case *c, int i, mu_dtype dtype)
{
    mu_philox rng = mu_philox_key(suite_seed, MU_RNG_TEST, (uint64_t)i, 5);
    mu_type type = c->in[i];
    double low = i < 4 ? c->low[i] : 0, high = i < 4 ? c->high[i] : 0;
    tensor t;
    if (low == 0 && high == 0) {
        low = -3;
        high = 3;
    }
    if (type.dtype == MU_F32)
        type.dtype = dtype;
    tensor_new(&t, type);
    for (int64_t k = 0; k < mu_type_count(&type); k++) {
        double x = low + mu_philox_uniform_f64(&rng, (uint64_t)k) * (high - low);
        if (c->ties)
            x = mu_philox_below(&rng, (uint64_t)k, 97) == 0 ? NAN : floor(x);
        if (type.dtype == MU_BOOL)
            x = x > 0;
        tensor_set(&t, k, type.dtype == MU_F64 || mu_dtype_is_float(type.dtype) ? x : floor(x));
    }
    return t;
}

static void compare(const row_case *c, mu_dtype dtype, int o, const tensor *got, const tensor *want)
{
    mu_dtype kept = got->type.dtype;
    double scale = 1, tolerance = kept == MU_BF16 ? 0x1p-7 : kept == MU_F16 ? 0x1p-10 : c->tolerance;
    int64_t n = mu_type_count(&want->type);
    if (!mu_dtype_is_float(kept))
        tolerance = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(tensor_get(want, i)))
            scale = fmax(scale, fabs(tensor_get(want, i)));
    for (int64_t i = 0; i < n; i++) {
        double x = tensor_get(got, i), y = tensor_get(want, i);
        char text[MU_TYPE_TEXT];
        ck_assert_msg(x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= tolerance * scale, "%s %s of %s, output %d: [%lld] is %.9g, ref %.9g",
                      c->op->name, mu_type_format(&c->in[0], text), mu_dtype_name(dtype), o, (long long)i, x, y);
    }
}

/* An operation on the device and on ref, in one dtype, plainly and in place. */
static void check(const row_case *c, mu_dtype dtype)
{
    mu_backend *cuda, *ref;
    mu_type in_type[MU_CHAIN_MAX_IN], out_type[MU_OP_MAX_OUT] = {{0}};
    tensor in[MU_CHAIN_MAX_IN], got[MU_OP_MAX_OUT], want[MU_OP_MAX_OUT];
    char problem[512];
    const char *why = "";
    ck_ok(mu_backend_open(device, NULL, &cuda));
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    for (int i = 0; i < c->n_in; i++) {
        in[i] = operand(c, i, dtype);
        in_type[i] = in[i].type;
    }
    mu_call call = {.op = c->op, .attrs = c->attrs, .n_in = c->n_in, .n_out = c->op->n_out, .in = in_type, .out = out_type};
    ck_ok(c->op->infer(&call, out_type));
    ck_assert_msg(cuda->ops->supports(cuda, &call, &why), "%s: %s", c->op->name, why);
    for (int o = 0; o < call.n_out; o++) {
        mu_type t = out_type[o];
        tensor_new(&got[o], t);
        t.dtype = mu_dtype_is_float(t.dtype) ? MU_F64 : t.dtype;
        tensor_new(&want[o], t);
    }
    ck_assert_msg(suite_run_ref(ref, &call, in, want, problem, sizeof problem), "%s: %s", c->op->name, problem);
    for (run_how how = RUN_PLAIN; how < RUN_COUNT; how++) {
        bool applies;
        ck_assert_msg(suite_run_call(cuda, &call, in, got, how, &applies, problem, sizeof problem) || !applies, "%s: %s", c->op->name, problem);
        for (int o = 0; o < call.n_out && applies; o++)
            compare(c, dtype, o, &got[o], &want[o]);
    }
    for (int i = 0; i < c->n_in; i++)
        tensor_release(&in[i]);
    for (int o = 0; o < call.n_out; o++) {
        tensor_release(&got[o]);
        tensor_release(&want[o]);
    }
    mu_backend_close(ref);
    mu_backend_close(cuda);
}

static void check_all(const row_case *c)
{
    check(c, MU_F32);
    check(c, MU_BF16);
    check(c, MU_F16);
}

/* Every place of the repeated dimensions, in lines that packs divide and do not. */
START_TEST(test_broadcast)
{
    static const mu_type shapes[][2] = {
        {MU_TYPE(MU_F32, 1021), MU_TYPE(MU_F32, 1021)},           {MU_TYPE(MU_F32, 3, 64, 5, 8), MU_TYPE(MU_F32, 64, 1, 1)},
        {MU_TYPE(MU_F32, 3, 64, 7, 7), MU_TYPE(MU_F32, 64, 1, 1)}, {MU_TYPE(MU_F32, 2, 48, 7, 9), MU_TYPE(MU_F32, 1, 48, 1, 9)},
        {MU_TYPE(MU_F32, 40, 1, 24), MU_TYPE(MU_F32, 33, 1)},     {MU_TYPE(MU_F32, 5, 256), MU_TYPE(MU_F32, 256)},
        {MU_TYPE(MU_F32, 5, 256), MU_TYPE(MU_F32, 5, 1)},         {MU_TYPE(MU_F32, 2, 3, 4, 5, 6, 7), MU_TYPE(MU_F32, 3, 1, 5, 1, 7)},
        {MU_TYPE(MU_F32, 3, 64, 4, 4), MU_SCALAR(MU_F32)},        {MU_TYPE(MU_F32, 6, 1, 1, 16), MU_TYPE(MU_F32, 1, 8, 1, 16)}};
    const mu_type *s = shapes[_i];
    mu_type condition = s[1];
    condition.dtype = MU_BOOL;
    check_all(&(row_case){.op = &mu_op_sub, .n_in = 2, .in = {s[0], s[1]}, .tolerance = 1e-6});
    check_all(&(row_case){.op = &mu_op_sub, .n_in = 2, .in = {s[1], s[0]}, .tolerance = 1e-6});
    check_all(&(row_case){.op = &mu_op_less, .n_in = 2, .in = {s[0], s[1]}, .ties = true});
    check_all(&(row_case){.op = &mu_op_where, .n_in = 3, .in = {condition, s[0], s[1]}});
    check(&(row_case){.op = &mu_op_where, .n_in = 3, .in = {condition, s[0], s[1]}}, MU_F64);
    check(&(row_case){.op = &mu_op_maximum, .n_in = 2, .in = {s[0], s[1]}}, MU_I32);
    mu_shape_attrs a = {.ndim = s[0].ndim};
    memcpy(a.dim, s[0].dim, sizeof s[0].dim);
    mu_type together;
    ck_ok(mu_type_broadcast(&s[0], &s[1], &together));
    if (mu_type_same_shape(&together, &s[0]))
        check_all(&(row_case){.op = &mu_op_broadcast_to, .attrs = &a, .n_in = 1, .in = {s[1]}});
}
END_TEST

/* A program whose values wait for each other in slots: step i adds what came five steps before. */
START_TEST(test_long_chain)
{
    mu_chain_attrs a = {.n_steps = MU_CHAIN_MAX, .n_out = 4};
    row_case c = {.op = &mu_op_chain, .attrs = &a, .n_in = MU_CHAIN_MAX_IN, .tolerance = 2e-5};
    int back = (int[]){1, 2, 5, 12}[_i];
    for (int i = 0; i < MU_CHAIN_MAX_IN; i++)
        c.in[i] = i % 5 == 4 ? MU_SCALAR(MU_F32) : MU_TYPE(MU_F32, 7, 143);
    for (int i = 0; i < MU_CHAIN_MAX; i++) {
        int before = MU_CHAIN_MAX_IN + i - back;
        a.step[i] = (mu_chain_step){.op = i % 3 == 0 ? &mu_op_add : i % 3 == 1 ? &mu_op_maximum : &mu_op_sub,
                                    .arg = {(signed char)(i < back ? i % MU_CHAIN_MAX_IN : before), (signed char)((i * 7) % MU_CHAIN_MAX_IN), -1}};
    }
    for (int o = 0; o < 4; o++)
        a.out[o] = (signed char)(MU_CHAIN_MAX_IN + MU_CHAIN_MAX - 1 - o * back);
    if (back == 12)
        a.n_out = 2;
    check(&c, MU_F32);
}
END_TEST

START_TEST(test_reductions)
{
    static const struct {
        mu_type x;
        int64_t dims;
    } cases[] = {{MU_TYPE(MU_F32, 3, 5, 7, 9), 0xd}, {MU_TYPE(MU_F32, 6, 32, 7, 8), 0xd}, {MU_TYPE(MU_F32, 6, 32, 7, 8), 0xc},
                 {MU_TYPE(MU_F32, 6, 32, 7, 8), 0x6}, {MU_TYPE(MU_F32, 6, 32, 7, 8), 0x9}, {MU_TYPE(MU_F32, 6, 32, 7, 8), 0xa},
                 {MU_TYPE(MU_F32, 40000), 0},          {MU_TYPE(MU_F32, 20011), 0},          {MU_TYPE(MU_F32, 3, 20000), 2},
                 {MU_TYPE(MU_F32, 5000, 24), 1},       {MU_TYPE(MU_F32, 3001, 5), 1},        {MU_TYPE(MU_F32, 24, 2000, 3), 2},
                 {MU_TYPE(MU_F32, 700, 3), 2},         {MU_TYPE(MU_F32, 2, 64, 40, 40), 0xc}, {MU_TYPE(MU_F32, 9, 1, 300, 1), 5}};
    static const mu_op *const ops[] = {&mu_op_sum, &mu_op_mean, &mu_op_max, &mu_op_min};
    mu_type integers = cases[_i].x;
    integers.dtype = MU_I64;
    for (int k = 0; k < 4; k++)
        for (int keepdim = 0; keepdim < 2; keepdim++) {
            mu_reduce_attrs a = {.dims = cases[_i].dims, .keepdim = keepdim};
            check_all(&(row_case){.op = ops[k], .attrs = &a, .n_in = 1, .in = {cases[_i].x}, .tolerance = k < 2 ? 2e-6 : 0});
            if (k >= 2)
                check_all(&(row_case){.op = ops[k], .attrs = &a, .n_in = 1, .in = {cases[_i].x}, .ties = true});
            if (k != 1)
                check(&(row_case){.op = ops[k], .attrs = &a, .n_in = 1, .in = {integers}, .low = {-99}, .high = {99}}, MU_F32);
        }
    check_all(&(row_case){.op = &mu_op_square_sum, .n_in = 1, .in = {cases[_i].x}, .tolerance = 1e-12});
}
END_TEST

static const struct {
    mu_type x;
    int64_t dim;
} lines[] = {{MU_TYPE(MU_F32, 37, 10), 1},    {MU_TYPE(MU_F32, 9, 1000), 1},     {MU_TYPE(MU_F32, 3, 1001), 1}, {MU_TYPE(MU_F32, 3, 4096), 1},
             {MU_TYPE(MU_F32, 2, 8191), 1},   {MU_TYPE(MU_F32, 2, 9000), 1},     {MU_TYPE(MU_F32, 2, 24, 7, 8), 1}, {MU_TYPE(MU_F32, 3, 300, 5), 1},
             {MU_TYPE(MU_F32, 3000, 4), 0}};

START_TEST(test_lines)
{
    static const mu_op *const ops[] = {&mu_op_softmax, &mu_op_log_softmax, &mu_op_softmax_grad, &mu_op_log_softmax_grad};
    mu_type x = lines[_i].x;
    mu_dim_attrs a = {.dim = lines[_i].dim};
    for (int k = 0; k < 4; k++)
        check_all(&(row_case){.op = ops[k], .attrs = &a, .n_in = k < 2 ? 1 : 2, .in = {x, x}, .low = {-6, -0.9}, .high = {9, -0.1}, .tolerance = 4e-6});
    for (int ties = 0; ties < 2; ties++) {
        check_all(&(row_case){.op = &mu_op_argmax, .attrs = &a, .n_in = 1, .in = {x}, .ties = ties});
        for (int largest = 0; largest < 2; largest++) {
            mu_topk_attrs t = {.dim = a.dim, .k = x.dim[a.dim] < 20 ? x.dim[a.dim] : 20, .largest = largest, .sorted = true};
            check_all(&(row_case){.op = &mu_op_topk, .attrs = &t, .n_in = 1, .in = {x}, .ties = ties});
        }
    }
}
END_TEST

START_TEST(test_slopes)
{
    static const mu_type shapes[] = {MU_TYPE(MU_F32, 5, 64), MU_TYPE(MU_F32, 3, 64, 5, 8), MU_TYPE(MU_F32, 3, 17, 7, 7), MU_TYPE(MU_F32, 2, 8, 2000)};
    mu_type x = shapes[_i];
    for (int one = 0; one < 2; one++) {
        mu_type slope = MU_TYPE(MU_F32, one ? 1 : x.dim[1]);
        check_all(&(row_case){.op = &mu_op_prelu, .n_in = 2, .in = {x, slope}, .tolerance = 1e-6});
        check_all(&(row_case){.op = &mu_op_prelu_grad, .n_in = 3, .in = {x, x, slope}, .tolerance = 1e-6});
    }
}
END_TEST

/* The same elements are dropped, wherever they are stored. */
START_TEST(test_dropout)
{
    static const mu_type shapes[] = {MU_TYPE(MU_F32, 4099), MU_TYPE(MU_F32, 7, 333), MU_TYPE(MU_F32, 3, 32, 5, 8), MU_TYPE(MU_F32, 3, 17, 5, 7)};
    static const double p[] = {0.1, 0.5, 1};
    for (int k = 0; k < 3; k++) {
        mu_dropout_attrs a = {.p = p[k], .key = 77};
        check_all(&(row_case){.op = &mu_op_dropout, .attrs = &a, .n_in = 1, .in = {shapes[_i]}, .low = {1}, .high = {1.5}, .tolerance = 1e-6});
    }
}
END_TEST

/* On a device that is soon full a block moves several tiles, of a transposition and of a change of layout. */
START_TEST(test_turns)
{
    static const mu_shape_attrs perms[] = {{.ndim = 4, .dim = {0, 3, 2, 1}}, {.ndim = 4, .dim = {3, 0, 1, 2}}, {.ndim = 4, .dim = {0, 2, 1, 3}}};
    setenv("MUSTER_EMULATE_MULTIPROCESSORS", "1", 1);
    check_all(&(row_case){.op = &mu_op_transpose, .attrs = &perms[_i], .n_in = 1, .in = {MU_TYPE(MU_F32, 3, 70, 9, 35)}});
    unsetenv("MUSTER_EMULATE_MULTIPROCESSORS");
}
END_TEST

START_TEST(test_casts)
{
    static const mu_dtype dtypes[] = {MU_F32, MU_BF16, MU_F16, MU_F64, MU_I64, MU_I32, MU_U8, MU_BOOL};
    mu_type x = MU_TYPE(dtypes[_i % 8], 1003);
    struct {
        int dtype;
    } a = {dtypes[_i / 8]};
    row_case c = {.op = &mu_op_cast, .attrs = &a, .n_in = 1, .in = {x}, .low = {0}, .high = {200}, .tolerance = 1e-7};
    if (x.dtype == MU_BOOL)
        c.low[0] = -1;
    if (dtypes[_i % 8] != dtypes[_i / 8])
        check(&c, MU_F32);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rows");
    TCase *tc = tcase_create("rows");
    mu_backend *b;
    setenv("MU_FALLBACK", "error", 1); /* kernels of the device, or none */
    if (mu_backend_open(device, NULL, &b) != MU_OK) {
        printf("no CUDA device: %s\n", test_error_text());
        return 77;
    }
    mu_backend_close(b);
    tcase_set_timeout(tc, 600);
    tcase_add_loop_test(tc, test_broadcast, 0, 10);
    tcase_add_loop_test(tc, test_long_chain, 0, 4);
    tcase_add_loop_test(tc, test_reductions, 0, 15);
    tcase_add_loop_test(tc, test_lines, 0, 9);
    tcase_add_loop_test(tc, test_slopes, 0, 4);
    tcase_add_loop_test(tc, test_dropout, 0, 4);
    tcase_add_loop_test(tc, test_turns, 0, 3);
    tcase_add_loop_test(tc, test_casts, 0, 64);
    suite_add_tcase(s, tc);
    return test_run(s);
}

/* Convolutions of the oneDNN backend against ref in f64: odd channels, strides, dilations, groups, fused tails, bf16. */
#include "onednn_run.h"

static mu_backend *ref, *dnn, *direct;

static void open_all(void)
{
    mu_backend_options options = {.n_threads = 1, .cache_dir = ""};
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    ck_ok(mu_backend_open("cpu:onednn", &options, &dnn));
    options.direct_convolution = true;
    ck_ok(mu_backend_open("cpu:onednn", &options, &direct));
}

static void close_all(void)
{
    mu_backend_close(ref);
    mu_backend_close(dnn);
    mu_backend_close(direct);
}

typedef struct {
    int n, c, h, w, k, kh, kw, stride, pad[4], dilation, groups;
} shape;

static const shape shapes[] = {
    {2, 16, 8, 8, 16, 3, 3, 1, {1, 1, 1, 1}, 1, 1},   {2, 3, 9, 7, 5, 3, 3, 1, {1, 1, 1, 1}, 1, 1},
    {1, 7, 12, 11, 19, 3, 3, 2, {1, 1, 1, 1}, 1, 1},  {3, 33, 6, 6, 17, 1, 1, 1, {0, 0, 0, 0}, 1, 1},
    {2, 32, 10, 10, 40, 1, 1, 2, {0, 0, 0, 0}, 1, 1}, {2, 8, 13, 13, 8, 3, 3, 1, {2, 2, 2, 2}, 2, 1},
    {2, 12, 9, 9, 18, 3, 3, 1, {1, 1, 1, 1}, 1, 3},   {2, 32, 9, 9, 32, 3, 3, 2, {1, 1, 1, 1}, 1, 32},
    {2, 32, 9, 9, 64, 3, 3, 1, {1, 1, 1, 1}, 1, 2},   {1, 4, 9, 10, 6, 5, 3, 2, {2, 0, 1, 3}, 1, 1},
    {1, 1, 1, 1, 1, 1, 1, 1, {0, 0, 0, 0}, 1, 1},     {2, 3, 20, 20, 16, 7, 7, 2, {3, 3, 3, 3}, 1, 1},
    {2, 64, 14, 14, 64, 3, 3, 1, {1, 1, 1, 1}, 1, 1}, {2, 3, 1, 1, 16, 1, 1, 2, {0, 0, 0, 0}, 1, 1},
    {2, 16, 7, 1, 16, 3, 3, 3, {1, 1, 1, 1}, 1, 1},   {2, 17, 5, 2, 16, 5, 5, 3, {2, 2, 2, 2}, 1, 1},
};

enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static mu_conv2d_attrs attrs_of(const shape *s)
{
    mu_conv2d_attrs a = mu_conv2d_defaults();
    for (int i = 0; i < 2; i++) {
        a.stride[i] = s->stride;
        a.dilation[i] = s->dilation;
    }
    for (int i = 0; i < 4; i++)
        a.padding[i] = s->pad[i];
    a.groups = s->groups;
    return a;
}

static int64_t out_size(const shape *s, int axis)
{
    int64_t in = axis ? s->w : s->h, k = axis ? s->kw : s->kh, pads = s->pad[axis] + s->pad[axis + 2];
    return (in + pads - s->dilation * (k - 1) - 1) / s->stride + 1;
}

static void compare(mu_backend *b, run_case *c, double tolerance, const char *what)
{
    double *expected[RUN_MAX];
    char impl[64];
    run_case_ref(ref, c, expected);
    run_case_on(b, c, NULL, NULL, impl);
    for (int o = 0; o < c->call.n_out; o++) {
        if (!expected[o])
            continue;
        double e = run_error(c, o, expected[o]);
        ck_assert_msg(e <= tolerance, "%s output %d by %s: relative error %g above %g", what, o, impl, e, tolerance);
        mu_free(expected[o]);
    }
    run_case_release(c);
}

static double tolerance_of(mu_dtype dtype, const mu_backend *b)
{
    return dtype == MU_BF16 ? 1.2e-2 : b == direct ? 2e-6 : 2e-5;
}

static void check_products(mu_backend *b, mu_dtype dtype, const shape *s, int seed)
{
    mu_conv2d_attrs a = attrs_of(s);
    mu_type x = MU_TYPE(dtype, s->n, s->c, s->h, s->w), w = MU_TYPE(dtype, s->k, s->c / s->groups, s->kh, s->kw);
    mu_type y = MU_TYPE(dtype, s->n, s->k, out_size(s, 0), out_size(s, 1)), bias = MU_TYPE(dtype, s->k);
    mu_type channels = MU_TYPE(dtype, s->c);
    double tolerance = tolerance_of(dtype, b);
    char what[64];
    snprintf(what, sizeof what, "shape %d of %s", seed, mu_dtype_name(dtype));
    run_case c;

    run_case_init(&c, &mu_op_conv2d, &a, 2, (mu_type[]){x, w}, (uint64_t)seed);
    compare(b, &c, tolerance, what);
    a.activation = MU_ACT_RELU;
    run_case_init(&c, &mu_op_conv2d, &a, 4, (mu_type[]){x, w, bias, y}, (uint64_t)seed);
    compare(b, &c, tolerance, what);
    a.activation = MU_ACT_NONE;

    a.input[0] = s->h;
    a.input[1] = s->w;
    run_case_init(&c, &mu_op_conv2d_grad_input, &a, 2, (mu_type[]){y, w}, (uint64_t)seed);
    compare(b, &c, tolerance, what);
    run_case_init(&c, &mu_op_conv2d_grad_input, &a, 3, (mu_type[]){y, w, channels}, (uint64_t)seed);
    compare(b, &c, tolerance, what);

    a.input[0] = s->kh;
    a.input[1] = s->kw;
    run_case_init(&c, &mu_op_conv2d_grad_weight, &a, 2, (mu_type[]){x, y}, (uint64_t)seed);
    compare(b, &c, tolerance, what);
    a.bias = true;
    run_case_init(&c, &mu_op_conv2d_grad_weight, &a, 2, (mu_type[]){x, y}, (uint64_t)seed);
    compare(b, &c, tolerance, what);
}

START_TEST(test_products_f32)
{
    check_products(dnn, MU_F32, &shapes[_i], _i);
}
END_TEST

START_TEST(test_products_direct)
{
    check_products(direct, MU_F32, &shapes[_i], _i);
}
END_TEST

START_TEST(test_products_bf16)
{
    mu_type x = MU_TYPE(MU_BF16, 1, 1, 1, 1), y = x;
    mu_conv2d_attrs a = mu_conv2d_defaults();
    mu_call call = {.op = &mu_op_conv2d, .attrs = &a, .n_in = 2, .n_out = 1, .in = (mu_type[]){x, x}, .out = &y};
    const char *why;
    if (!dnn->ops->supports(dnn, &call, &why))
        return; /* this processor has no bf16 */
    check_products(dnn, MU_BF16, &shapes[_i], _i);
}
END_TEST

START_TEST(test_activations)
{
    const shape *s = &shapes[1];
    mu_conv2d_attrs a = attrs_of(s);
    a.activation = _i;
    a.alpha = 0.1;
    mu_type x = MU_TYPE(MU_F32, s->n, s->c, s->h, s->w), w = MU_TYPE(MU_F32, s->k, s->c, s->kh, s->kw);
    run_case c;
    run_case_init(&c, &mu_op_conv2d, &a, 3, (mu_type[]){x, w, MU_TYPE(MU_F32, s->k)}, 5);
    compare(dnn, &c, 2e-5, mu_activation_names[_i]);
}
END_TEST

START_TEST(test_empty_batch)
{
    mu_conv2d_attrs a = mu_conv2d_defaults();
    mu_type x = MU_TYPE(MU_F32, 0, 3, 8, 8), w = MU_TYPE(MU_F32, 4, 3, 3, 3), y = MU_TYPE(MU_F32, 0, 4, 6, 6);
    run_case c;
    run_case_init(&c, &mu_op_conv2d, &a, 2, (mu_type[]){x, w}, 1);
    run_case_on(dnn, &c, NULL, NULL, NULL);
    run_case_release(&c);
    a.input[0] = a.input[1] = 8;
    run_case_init(&c, &mu_op_conv2d_grad_input, &a, 2, (mu_type[]){y, w}, 1);
    run_case_on(dnn, &c, NULL, NULL, NULL);
    run_case_release(&c);
    a.input[0] = a.input[1] = 3;
    a.bias = true;
    run_case_init(&c, &mu_op_conv2d_grad_weight, &a, 2, (mu_type[]){x, y}, 1);
    run_case_on(dnn, &c, NULL, NULL, NULL);
    for (int o = 0; o < 2; o++)
        for (int64_t i = 0; i < mu_type_count(&c.call.out[o]); i++)
            ck_assert_float_eq(((float *)c.out[o])[i], 0);
    run_case_release(&c);
}
END_TEST

/* A blocked operand stays blocked, and the weight gradient comes in the layout that is wished for. */
START_TEST(test_layouts_are_kept)
{
    mu_conv2d_attrs a = mu_conv2d_defaults();
    mu_type x = MU_TYPE(MU_F32, 2, 32, 8, 8), w = MU_TYPE(MU_F32, 32, 32, 3, 3), y = MU_TYPE(MU_F32, 2, 32, 6, 6);
    const mu_layout *rows[4] = {NULL}, *weights;
    mu_kernel *kernel;
    mu_call call = {.op = &mu_op_conv2d, .attrs = &a, .n_in = 2, .n_out = 1, .in = (mu_type[]){x, w}, .out = &y};
    ck_ok(direct->ops->prepare(direct, &call, rows, rows, &kernel));
    const mu_layout *blocked = kernel->out_layout[0];
    weights = kernel->in_layout[1];
    mu_kernel_release(kernel);
    if (!blocked || blocked->kind != MU_LAYOUT_CHANNELS_BLOCKED)
        return; /* this processor's convolutions are not blocked */

    const mu_layout *same, *in_layout[2] = {NULL, weights}, *want[2] = {weights};
    ck_ok(direct->ops->layout(direct, &x, blocked->kind, blocked->block, &in_layout[0]));
    ck_ok(direct->ops->layout(direct, &y, blocked->kind, blocked->block, &same));
    ck_assert_ptr_eq(same, blocked);
    ck_ok(direct->ops->prepare(direct, &call, in_layout, rows, &kernel));
    ck_assert_ptr_eq(kernel->in_layout[0], in_layout[0]);
    ck_assert_ptr_eq(kernel->in_layout[1], weights);
    ck_assert_ptr_eq(kernel->out_layout[0], blocked);
    mu_kernel_release(kernel);

    a.input[0] = a.input[1] = 3;
    call = (mu_call){.op = &mu_op_conv2d_grad_weight, .attrs = &a, .n_in = 2, .n_out = 2, .in = (mu_type[]){x, y},
                     .out = (mu_type[]){w, {.dtype = MU_NONE}}};
    ck_ok(direct->ops->prepare(direct, &call, (const mu_layout *[]){in_layout[0], blocked}, want, &kernel));
    ck_assert_ptr_eq(kernel->out_layout[0], weights);
    mu_kernel_release(kernel);
}
END_TEST

/* A kernel whose residual is elsewhere copies it first; one in place does not. */
START_TEST(test_residual_in_place)
{
    static const mu_run run;
    mu_conv2d_attrs a = mu_conv2d_defaults();
    mu_type x = MU_TYPE(MU_F32, 1, 16, 4, 4), w = MU_TYPE(MU_F32, 16, 16, 1, 1), none = {.dtype = MU_NONE};
    run_case c;
    run_case_init(&c, &mu_op_conv2d, &a, 4, (mu_type[]){x, w, none, x}, 3);
    run_case_on(direct, &c, NULL, NULL, NULL);
    const mu_layout *rows[4] = {NULL};
    mu_kernel *kernel;
    ck_ok(direct->ops->prepare(direct, &c.call, rows, rows, &kernel));
    ck_assert_int_eq(kernel->inplace[0], 4);
    void *in[4] = {run_reorder(direct, &x, c.in[0], NULL, kernel->in_layout[0]),
                   run_reorder(direct, &w, c.in[1], NULL, kernel->in_layout[1]), NULL,
                   run_reorder(direct, &x, c.in[3], NULL, kernel->in_layout[3])};
    void *scratch;
    ck_ok(mu_alloc(&scratch, kernel->scratch_bytes + 1));
    ck_ok(mu_kernel_bind(kernel, in, &in[3], scratch));
    ck_ok(mu_kernel_run(kernel, &run));
    void *plain = run_reorder(direct, &x, in[3], kernel->out_layout[0], NULL);
    ck_assert_mem_eq(plain, c.out[0], mu_type_bytes(&x));
    mu_free(plain);
    mu_free(scratch);
    for (int i = 0; i < 4; i++)
        mu_free(in[i]);
    mu_kernel_release(kernel);
    run_case_release(&c);
}
END_TEST

START_TEST(test_out_of_memory)
{
    mu_conv2d_attrs a = mu_conv2d_defaults();
    mu_type x = MU_TYPE(MU_F32, 1, 16, 8, 8), w = MU_TYPE(MU_F32, 16, 16, 3, 3), y = MU_TYPE(MU_F32, 1, 16, 6, 6);
    const mu_layout *rows[4] = {NULL};
    mu_kernel *kernel;
    mu_call call = {.op = &mu_op_conv2d, .attrs = &a, .n_in = 2, .n_out = 1, .in = (mu_type[]){x, w}, .out = &y};
    ck_ok(dnn->ops->prepare(dnn, &call, rows, rows, &kernel)); /* interns the layouts and keeps the choice */
    mu_kernel_release(kernel);
    ck_survives_oom(dnn->ops->prepare(dnn, &call, rows, rows, &kernel), mu_kernel_release(kernel));
    mu_backend *other;
    ck_survives_oom(mu_backend_open("cpu:onednn", &(mu_backend_options){.cache_dir = ""}, &other), mu_backend_close(other));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onednn_conv");
    TCase *tc = tcase_create("conv");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, open_all, close_all);
    tcase_add_loop_test(tc, test_products_f32, 0, N_SHAPES);
    tcase_add_loop_test(tc, test_products_direct, 0, N_SHAPES);
    tcase_add_loop_test(tc, test_products_bf16, 0, N_SHAPES);
    tcase_add_loop_test(tc, test_activations, 0, MU_ACT_TANH + 1);
    tcase_add_test(tc, test_empty_batch);
    tcase_add_test(tc, test_layouts_are_kept);
    tcase_add_test(tc, test_residual_in_place);
    tcase_add_test(tc, test_out_of_memory);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}

#include "test.h"

#include "blocked.h"
#include "graph/params.h"
#include "ops/ops.h"

static mu_backend *backend;

static void open_backend(void)
{
    blocked_backend *b;
    ck_ok(blocked_open(&b));
    backend = &b->base;
}

static void close_backend(void)
{
    mu_backend_close(backend);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static mu_err make(mu_params **out)
{
    mu_params *p;
    mu_err err;
    float w[6] = {1, 2, 3, 4, 5, 6};
    MU_TRY(mu_params_new(backend, &p));
    MU_TRY_GOTO(err, mu_params_declare(p, "mean", MU_TYPE(MU_F32, 3), false), fail);
    MU_TRY_GOTO(err, mu_params_declare(p, "w", MU_TYPE(MU_F32, 2, 3), true), fail);
    MU_TRY_GOTO(err, mu_params_declare(p, "b", MU_TYPE(MU_F32, 2), true), fail);
    MU_TRY_GOTO(err, mu_params_write(p, "w", w), fail);
    MU_TRY_GOTO(err, mu_params_place(p, "b", 0, NULL), fail);
    MU_TRY_GOTO(err, mu_params_freeze(p, true), fail);
    *out = p;
    return MU_OK;
fail:
    mu_params_release(p);
    return err;
}

START_TEST(order_offsets_and_values)
{
    mu_params *p;
    size_t data, gradients, states;
    ck_ok(make(&p));
    ck_assert_int_eq(mu_params_count(p), 3);
    ck_assert_str_eq(mu_params_at(p, 0)->name, "b");
    ck_assert_str_eq(mu_params_at(p, 1)->name, "w");
    ck_assert_str_eq(mu_params_at(p, 2)->name, "mean");
    ck_assert_int_eq(mu_params_find(p, "w"), 1);
    ck_assert_int_eq(mu_params_find(p, "x"), -1);
    ck_assert_uint_eq(mu_params_at(p, 1)->offset, MU_ALIGN);
    ck_assert_uint_eq(mu_params_at(p, 2)->offset, 0);
    char *base = mu_params_data(p, &data);
    ck_assert_ptr_nonnull(mu_params_gradients(p, &gradients));
    ck_assert_ptr_nonnull(mu_params_states(p, &states));
    ck_assert_uint_eq(data, 2 * MU_ALIGN);
    ck_assert_uint_eq(gradients, data);
    ck_assert_uint_eq(states, MU_ALIGN);
    ck_assert(((float *)(base + MU_ALIGN))[5] == 6);
    float w[6], b[2] = {7, 8}, zero[2];
    ck_ok(mu_params_read(p, "w", w));
    ck_assert(w[0] == 1 && w[5] == 6);
    ck_ok(mu_params_read(p, "b", zero));
    ck_assert(zero[0] == 0 && zero[1] == 0);
    ck_ok(mu_params_write(p, "b", b));
    ck_assert(((float *)base)[1] == 8);
    ck_ok(mu_params_read_gradient(p, "b", zero));
    ck_assert(zero[0] == 0);
    mu_params_release(mu_params_retain(p));
    mu_params_release(p);
}
END_TEST

START_TEST(layouts_are_hidden)
{
    mu_params *p;
    mu_kernel *kernel;
    mu_type type = MU_TYPE(MU_F32, 2, 3, 2, 2);
    float w[24], got[24];
    for (int i = 0; i < 24; i++)
        w[i] = (float)i;
    /* The layout that the backend's convolution wants. */
    mu_conv2d_attrs a = mu_conv2d_defaults();
    mu_type types[] = {MU_TYPE(MU_F32, 1, 3, 2, 2), type, MU_TYPE(MU_F32, 1, 2, 1, 1)};
    mu_call call = {.op = &mu_op_conv2d, .attrs = &a, .n_in = 2, .n_out = 1, .in = types, .out = types + 2};
    const mu_layout *none[2] = {NULL};
    ck_ok(backend->ops->prepare(backend, &call, none, none, &kernel));
    const mu_layout *layout = kernel->in_layout[1];
    mu_kernel_release(kernel);
    ck_assert(layout && layout->padded);

    ck_ok(mu_params_new(backend, &p));
    ck_ok(mu_params_declare(p, "w", type, true));
    ck_ok(mu_params_declare(p, "v", MU_TYPE(MU_F32, 5), true));
    ck_fails(mu_params_place(p, "v", 0, layout), MU_ERR_SHAPE, "nChw4c");
    ck_ok(mu_params_place(p, "w", 0, layout));
    ck_ok(mu_params_write(p, "w", w));
    ck_ok(mu_params_freeze(p, false));
    const float *raw = mu_params_data(p, NULL);
    ck_assert(raw[1] == w[4] && raw[3] == 0); /* channel 1 of the first pixel; padding */
    ck_ok(mu_params_read(p, "w", got));
    ck_assert_mem_eq(got, w, sizeof w);
    ck_fails(mu_params_read_gradient(p, "w", got), MU_ERR_USAGE, "without gradients");
    ck_ok(mu_params_freeze(p, true)); /* gradients may come later */
    ck_ok(mu_params_read_gradient(p, "w", got));
    ck_assert(got[5] == 0);
    mu_params_release(p);
}
END_TEST

START_TEST(wrong_use)
{
    mu_params *p;
    float x[6];
    ck_ok(make(&p));
    ck_ok(mu_params_declare(p, "w", MU_TYPE(MU_F32, 2, 3), true));
    ck_fails(mu_params_declare(p, "w", MU_TYPE(MU_F32, 3, 2), true), MU_ERR_SHAPE, "f32[2,3] and is now declared as f32[3,2]");
    ck_fails(mu_params_declare(p, "w", MU_TYPE(MU_F32, 2, 3), false), MU_ERR_SHAPE, "as a parameter and is now");
    ck_fails(mu_params_declare(p, "late", MU_TYPE(MU_F32, 2), true), MU_ERR_USAGE, "before the first plan");
    ck_fails(mu_params_place(p, "w", 0, NULL), MU_ERR_USAGE, "laid out");
    ck_fails(mu_params_read(p, "nothing", x), MU_ERR_NOT_FOUND, "\"nothing\" among the 3");
    ck_fails(mu_params_read_gradient(p, "mean", x), MU_ERR_USAGE, "state");
    mu_params_release(p);
    ck_ok(mu_params_new(backend, &p));
    ck_fails(mu_params_declare(p, "i", MU_TYPE(MU_I32, 2), true), MU_ERR_SHAPE, "only floats");
    ck_ok(mu_params_freeze(p, true)); /* empty */
    mu_params_release(p);
}
END_TEST

START_TEST(many_names)
{
    mu_params *p;
    char name[32];
    ck_ok(mu_params_new(backend, &p));
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "layer%d", i);
        ck_ok(mu_params_declare(p, name, MU_SCALAR(MU_F64), true));
        ck_ok(mu_params_place(p, name, 5000 - i, NULL));
    }
    ck_ok(mu_params_freeze(p, false));
    ck_assert_str_eq(mu_params_at(p, 0)->name, "layer4999");
    ck_assert_int_eq(mu_params_find(p, "layer0"), 4999);
    mu_params_release(p);
}
END_TEST

START_TEST(out_of_memory)
{
    mu_params *p;
    ck_survives_oom(make(&p), mu_params_release(p));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("params");
    TCase *tests = tcase_create("params");
    tcase_add_checked_fixture(tests, open_backend, close_backend);
    tcase_add_test(tests, order_offsets_and_values);
    tcase_add_test(tests, layouts_are_hidden);
    tcase_add_test(tests, wrong_use);
    tcase_add_test(tests, many_names);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

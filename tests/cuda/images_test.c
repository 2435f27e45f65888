/* Images on the device: they come as bytes, and are normalised into the layout and the dtype that the first convolution reads. */
#include "graph/plan.h"
#include "ops/ops.h"
#include "test.h"

#include <math.h>
#include <string.h>

enum { N = 2, C = 3, SIDE = 16, K = 8, IMAGES = N * C * SIDE * SIDE, RESULTS = N * K * SIDE * SIDE };

typedef struct {
    float y[RESULTS], pixel[IMAGES];
    int casts, normalised; /* steps of images */
    int reorders;
} result;

static mu_graph *images(bool read_twice)
{
    mu_graph *g;
    mu_conv2d_attrs conv = mu_conv2d_defaults();
    mu_normalize_attrs attrs = {.dtype = MU_F32, .reverse = true};
    for (int i = 0; i < 4; i++)
        conv.padding[i] = 1;
    ck_ok(mu_graph_new(&g));
    mu_value raw = mu_graph_input(g, "img", MU_TYPE(MU_U8, N, C, SIDE, SIDE));
    mu_value mean = mu_graph_const(g, MU_TYPE(MU_F32, C), (float[]){123.675f, 116.28f, 103.53f});
    mu_value std = mu_graph_const(g, MU_TYPE(MU_F32, C), (float[]){58.395f, 57.12f, 57.375f});
    mu_graph_push(g, "images");
    mu_value x = mu_normalize(g, raw, mean, std, &attrs);
    mu_graph_pop(g);
    mu_graph_output(g, "y", mu_conv2d(g, x, mu_graph_param(g, "w", MU_TYPE(MU_F32, K, C, 3, 3)), MU_NO_VALUE, &conv));
    if (read_twice)
        mu_graph_output(g, "pixel", x);
    return g;
}

static void run(const char *device, mu_dtype autocast, bool read_twice, result *out)
{
    mu_backend *b;
    mu_params *params;
    mu_plan *plan;
    float w[K * C * 9];
    mu_graph *g = images(read_twice);
    *out = (result){0};
    ck_ok(mu_backend_open(device, &(mu_backend_options){.cache_dir = ""}, &b));
    ck_ok(mu_params_new(b, &params));
    ck_ok(mu_plan_new(g, b, params, &(mu_plan_options){.autocast = autocast}, &plan));
    for (int i = 0; i < K * C * 9; i++)
        w[i] = (float)(i * 37 % 101) / 101 - 0.5f;
    ck_ok(mu_params_write(params, "w", w));
    for (int round = 0; round < 3; round++) { /* run, recorded, replayed */
        uint8_t *img = mu_plan_input(plan, "img", NULL);
        for (int i = 0; i < IMAGES; i++)
            img[i] = (uint8_t)(i * 31 + i / 7 + 5 * round);
        ck_ok(mu_plan_run(plan, NULL));
    }
    ck_ok(mu_plan_read(plan, "y", out->y, sizeof out->y));
    if (read_twice)
        ck_ok(mu_plan_read(plan, "pixel", out->pixel, sizeof out->pixel));
    for (int i = 0; i < mu_plan_n_steps(plan); i++) {
        mu_plan_step step = mu_plan_get_step(plan, i);
        bool of_images = strcmp(step.name, "images") == 0;
        out->normalised += of_images && strcmp(step.op, "normalize") == 0;
        out->casts += of_images && strcmp(step.op, "cast") == 0;
        out->reorders += of_images && step.reorder;
    }
    mu_plan_release(plan);
    mu_params_release(params);
    mu_backend_close(b);
    mu_graph_release(g);
}

static result host, cuda;

/* One sweep from bytes to what the convolution reads. */
START_TEST(one_sweep)
{
    static const mu_dtype dtypes[] = {MU_NONE, MU_BF16, MU_F16};
    static const double tolerance[] = {1e-5, 0.02, 0.0025}; /* of the sums, which are below 20 */
    run("cpu:ref", MU_NONE, false, &host);
    run("cuda", dtypes[_i], false, &cuda);
    ck_assert_int_eq(cuda.normalised, 1);
    ck_assert_int_eq(cuda.casts, 0);
    ck_assert_int_eq(cuda.reorders, 0);
    for (int i = 0; i < RESULTS; i++)
        ck_assert_msg(fabs((double)(cuda.y[i] - host.y[i])) <= tolerance[_i] * 10, "%d: %g, not %g", i, cuda.y[i], host.y[i]);
}
END_TEST

/* Who reads them second takes them as they lie. */
START_TEST(read_twice)
{
    run("cpu:ref", MU_NONE, true, &host);
    run("cuda", _i ? MU_BF16 : MU_NONE, true, &cuda);
    ck_assert_int_eq(cuda.normalised, 1 + _i);
    ck_assert_int_eq(memcmp(cuda.pixel, host.pixel, sizeof host.pixel), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("images");
    TCase *tests = tcase_create("images");
    tcase_add_loop_test(tests, one_sweep, 0, 3);
    tcase_add_loop_test(tests, read_twice, 0, 2);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

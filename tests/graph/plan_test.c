#include "toys.h"

#include "core/clock.h"
#include "graph/plan_impl.h"

#include <math.h>

static mu_backend *ref;
static blocked_backend *blocked;

static void open_backends(void)
{
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    ck_ok(blocked_open(&blocked));
}

static void close_backends(void)
{
    mu_backend_close(ref);
    mu_backend_close(&blocked->base);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

/* conv, norm, ReLU, pool, conv with a branch, flatten, linear, sum of squares; two gradients meet. */
static mu_err small_network(bool training, int64_t batch, mu_graph **out)
{
    mu_graph *g;
    MU_TRY(mu_graph_new(&g));
    mu_pool2d_attrs pool = mu_pool2d_defaults(2, 2, 0);
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F32, batch, 3, 8, 8));
    x = toy_conv(g, "conv1", x, 6, 3);
    x = mu_relu(g, training ? toy_norm(g, "bn", x) : x);
    x = mu_max_pool2d(g, x, &pool);
    x = mu_relu(g, mu_add(g, toy_conv(g, "conv2", x, 6, 3), x));
    x = toy_linear(g, "fc", mu_flatten(g, x, 1), 5);
    mu_graph_output(g, "scores", x);
    mu_value loss = mu_sum(g, mu_mul(g, x, x), 0, false);
    mu_graph_output(g, "loss", loss);
    if (training)
        mu_graph_backward(g, loss, NULL, 0, NULL);
    mu_err err = mu_graph_status(g);
    if (err)
        mu_graph_release(g);
    else
        *out = g;
    return err;
}

static void check_equal(const double *a, const double *b, size_t n, double tolerance, const char *what)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs(a[i] - b[i]) <= tolerance * (1 + fabs(b[i])), "%s: number %zu is %.9g, not %.9g", what, i, a[i], b[i]);
}

START_TEST(layouts_and_reuse_change_nothing)
{
    mu_graph *g;
    double *plain, *full;
    size_t n, m;
    ck_ok(small_network(_i, 2, &g));
    ck_ok(toy_run(g, ref, &(mu_plan_options){.no_fusion = true, .keep_all = true}, 2, &plain, &n));
    blocked->poison = true;
    ck_ok(toy_run(g, &blocked->base, &(mu_plan_options){.no_fusion = true}, 2, &full, &m));
    ck_assert_uint_eq(n, m);
    ck_assert_int_gt(blocked->n_reorders, 0);
    check_equal(full, plain, n, 0, "blocked");
    mu_free(full);
    ck_ok(toy_run(g, ref, NULL, 2, &full, &m));
    check_equal(full, plain, n, 1e-5, "fused");
    mu_free(full);
    mu_free(plain);
    mu_graph_release(g);
}
END_TEST

START_TEST(training_plan_settles_the_store)
{
    mu_graph *g;
    mu_params *params;
    mu_plan *plan, *eval;
    ck_ok(small_network(true, 2, &g));
    ck_ok(mu_params_new(&blocked->base, &params));
    ck_ok(mu_plan_new(g, &blocked->base, params, NULL, &plan)); /* declares what is missing */
    mu_graph_release(g);
    ck_assert(mu_params_frozen(params));
    ck_assert_int_eq(mu_params_count(params), 10);
    ck_assert_str_eq(mu_params_at(params, 0)->name + 3, mu_params_at(params, 0)->name[3] == 'w' ? "weight" : "bias");
    ck_assert(strncmp(mu_params_at(params, 0)->name, "fc.", 3) == 0); /* backward begins at the end */
    ck_assert(strncmp(mu_params_at(params, 7)->name, "conv1.", 6) == 0);
    const mu_param_info *w = mu_params_at(params, mu_params_find(params, "conv1.weight"));
    ck_assert(w->layout && strcmp(w->layout->name, "nChw4c") == 0);
    /* Gradients come out in the parameters' layout, in their place: no step moves a parameter or a gradient. */
    for (int i = 0; i < mu_plan_n_steps(plan); i++) {
        mu_plan_step step = mu_plan_get_step(plan, i);
        ck_assert_msg(!step.reorder || !strstr(step.name, "weight"), "%s is moved", step.name);
    }
    mu_plan_stats stats = mu_plan_get_stats(plan);
    size_t bytes;
    mu_params_data(params, &bytes);
    ck_assert_uint_eq(stats.param_bytes, bytes);
    ck_assert_uint_eq(stats.gradient_bytes, bytes);
    ck_assert_int_gt(stats.flops, 2 * 2 * 6 * 64 * 27);
    ck_assert_uint_ge(stats.arena_bytes, stats.lower_bound_bytes);
    ck_assert_uint_ge(stats.lower_bound_bytes, stats.activation_bytes);
    /* A second plan on the same store, of another batch size and direction. */
    ck_ok(small_network(false, 3, &g));
    ck_ok(mu_plan_new(g, &blocked->base, params, NULL, &eval));
    mu_graph_release(g);
    toy_check_memory(eval);
    mu_plan_release(plan);
    ck_ok(mu_plan_run(eval, NULL));
    mu_plan_release(eval);
    mu_params_release(params);
}
END_TEST

START_TEST(inputs_and_outputs)
{
    mu_graph *g;
    mu_params *params;
    mu_plan *plan;
    mu_type type;
    float y[6], x[6];
    ck_ok(mu_graph_new(&g));
    mu_value a = mu_graph_input(g, "a", MU_TYPE(MU_F32, 2, 3)), w = mu_graph_param(g, "w", MU_TYPE(MU_F32, 3));
    mu_graph_input(g, "unread", MU_TYPE(MU_F32, 2));
    mu_graph_output(g, "y", mu_add(g, a, w));
    mu_graph_output(g, "x", a); /* leaves as outputs */
    mu_graph_output(g, "w", w);
    mu_graph_output(g, "flat", mu_reshape(g, a, 1, (int64_t[]){6}));
    ck_ok(mu_params_new(ref, &params));
    ck_ok(toy_params(g, params));
    ck_ok(mu_plan_new(g, ref, params, NULL, &plan));
    mu_graph_release(g);
    float *in = mu_plan_input(plan, "a", &type);
    ck_assert(type.ndim == 2 && type.dim[1] == 3);
    ck_assert_ptr_null(mu_plan_input(plan, "unread", NULL));
    ck_assert_ptr_null(mu_plan_input(plan, "w", NULL));
    for (int i = 0; i < 6; i++)
        in[i] = (float)i;
    ck_ok(mu_plan_run(plan, NULL));
    ck_ok(mu_plan_read(plan, "y", y, sizeof y));
    ck_ok(mu_plan_read(plan, "x", x, sizeof x));
    ck_assert(x[5] == 5 && y[5] == 5 + (float)toy_number("w", 2));
    ck_ok(mu_plan_read(plan, "flat", x, sizeof x));
    ck_assert(x[4] == 4);
    ck_ok(mu_plan_read(plan, "w", x, 3 * sizeof(float)));
    ck_assert(x[1] == (float)toy_number("w", 1));
    ck_assert_int_eq(mu_plan_output_type(plan, "y").ndim, 2);
    ck_assert_int_eq(mu_plan_output_type(plan, "z").dtype, MU_NONE);
    ck_fails(mu_plan_read(plan, "z", y, sizeof y), MU_ERR_NOT_FOUND, "no output \"z\"");
    ck_fails(mu_plan_read(plan, "y", y, 3), MU_ERR_SHAPE, "f32[2,3], 24 bytes; the caller has room for 3");
    ck_ok(mu_params_write(params, "w", (float[]){1, 2, 3}));
    mu_plan_refresh(plan);
    ck_ok(mu_plan_run(plan, NULL));
    ck_ok(mu_plan_read(plan, "y", y, sizeof y));
    ck_assert(y[5] == 8);
    mu_plan_release(plan);
    mu_params_release(params);
}
END_TEST

START_TEST(parameter_work_runs_once_per_refresh)
{
    mu_graph *g;
    mu_params *params;
    mu_plan *plan;
    double y;
    ck_ok(mu_graph_new(&g));
    mu_value w = mu_graph_param(g, "w", MU_TYPE(MU_F64, 4)), x = mu_graph_input(g, "x", MU_TYPE(MU_F64, 4));
    mu_value s = mu_sum(g, mu_mul(g, mu_mul(g, w, w), w), 0, false);
    mu_graph_output(g, "y", mu_sum(g, mu_mul(g, x, s), 0, false));
    ck_ok(mu_params_new(&blocked->base, &params));
    ck_ok(mu_params_declare(params, "w", MU_TYPE(MU_F64, 4), true));
    ck_ok(mu_params_write(params, "w", (double[]){1, 2, 0, 0}));
    ck_ok(mu_plan_new(g, &blocked->base, params, &(mu_plan_options){.no_fusion = true}, &plan));
    mu_graph_release(g);
    toy_check_memory(plan);
    ck_assert_int_eq(mu_plan_n_steps(plan), 5);
    ck_assert(mu_plan_get_step(plan, 2).once && !mu_plan_get_step(plan, 3).once);
    double *in = mu_plan_input(plan, "x", NULL);
    in[0] = 1;
    const int64_t want_runs[] = {5, 7, 12};
    const double want[] = {9, 9, 72};
    for (int i = 0; i < 3; i++) {
        if (i == 2) {
            ck_ok(mu_params_write(params, "w", (double[]){2, 4, 0, 0}));
            mu_plan_refresh(plan);
        }
        ck_ok(mu_plan_run(plan, NULL));
        ck_assert_int_eq(blocked->n_runs, want_runs[i]);
        ck_ok(mu_plan_read(plan, "y", &y, sizeof y));
        ck_assert(y == want[i]);
    }
    mu_plan_release(plan);
    mu_params_release(params);
}
END_TEST

START_TEST(odd_gradients)
{
    /* One value that is the gradient of two parameters, a constant one, one seen through a reshape, one used further. */
    mu_graph *g;
    double *got;
    size_t n;
    ck_ok(mu_graph_new(&g));
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F64, 2, 2));
    mu_value a = mu_graph_param(g, "a", MU_TYPE(MU_F64, 2, 2)), b = mu_graph_param(g, "b", MU_TYPE(MU_F64, 2, 2));
    mu_value c = mu_graph_param(g, "c", MU_SCALAR(MU_F64)), d = mu_graph_param(g, "d", MU_TYPE(MU_F64, 4));
    mu_value y = mu_mul(g, mu_add(g, mu_add(g, a, b), mu_reshape(g, d, 2, (int64_t[]){2, 2})), x);
    mu_value loss = mu_add(g, mu_sum(g, y, 0, false), c);
    mu_graph_output(g, "loss", loss);
    mu_graph_backward(g, loss, NULL, 0, NULL);
    ck_assert_int_eq(mu_graph_gradient_of(g, a).id, mu_graph_gradient_of(g, b).id);
    mu_graph_output(g, "doubled", mu_add(g, mu_graph_gradient_of(g, a), mu_graph_gradient_of(g, a)));
    for (int i = 0; i < 2; i++) {
        ck_ok(toy_run(g, i ? &blocked->base : ref, NULL, 2, &got, &n));
        ck_assert_uint_eq(n, 1 + 4 + 4 + 4 + 1 + 4);
        for (int k = 0; k < 4; k++) {
            double v = toy_number("x", k);
            ck_assert(got[1 + k] == 2 * v && got[5 + k] == v && got[9 + k] == v && got[14 + k] == v);
        }
        ck_assert(got[13] == 1);
        mu_free(got);
    }
    mu_graph_release(g);
}
END_TEST

START_TEST(empty_tensors)
{
    mu_graph *g;
    double *got;
    size_t n;
    ck_ok(small_network(false, 0, &g));
    ck_ok(toy_run(g, &blocked->base, NULL, 1, &got, &n));
    ck_assert_uint_eq(n, 1); /* the loss */
    ck_assert(got[0] == 0);
    mu_free(got);
    mu_graph_release(g);
    /* a plan without a step */
    ck_ok(mu_graph_new(&g));
    mu_graph_output(g, "y", mu_graph_scalar(g, MU_F32, 3));
    ck_ok(toy_run(g, ref, NULL, 1, &got, &n));
    ck_assert(n == 1 && got[0] == 3);
    mu_free(got);
    mu_graph_release(g);
}
END_TEST

START_TEST(a_failing_kernel_is_named)
{
    mu_graph *g;
    double *got;
    size_t n;
    ck_ok(small_network(true, 2, &g));
    blocked->fail_run_of = "max_pool2d_grad";
    ck_fails(toy_run(g, &blocked->base, NULL, 1, &got, &n), MU_ERR_BACKEND, "max_pool2d_grad \"max_pool2d\": planted failure");
    mu_graph_release(g);
}
END_TEST

START_TEST(the_first_nan_is_found)
{
    mu_graph *g;
    mu_params *params;
    mu_plan *plan;
    ck_ok(mu_graph_new(&g));
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F32, 1, 2, 2, 2));
    x = toy_conv(g, "conv", x, 3, 1);
    mu_graph_push(g, "head");
    mu_value y = mu_log(g, x);
    mu_graph_pop(g);
    mu_graph_output(g, "y", mu_sum(g, y, 0, false));
    ck_ok(mu_params_new(&blocked->base, &params));
    ck_ok(toy_params(g, params));
    ck_ok(mu_plan_new(g, &blocked->base, params, NULL, &plan));
    mu_graph_release(g);
    toy_fill("x", &MU_TYPE(MU_F32, 8), mu_plan_input(plan, "x", NULL));
    ck_ok(mu_params_write(params, "conv.bias", (float[]){5, -5, 5}));
    ck_fails(mu_plan_run_checked(plan, NULL), MU_ERR_NUMERIC, "log \"head\" gives NaN or infinity: 4 of the 12 elements");
    ck_assert_msg(strstr(mu_error_last()->hint, "operands: \"conv\" f32[1,3,2,2] in [-"), "%s", mu_error_last()->hint);
    float sum = 0;
    ck_ok(mu_plan_read(plan, "y", &sum, sizeof sum)); /* what comes behind has run, too */
    ck_assert_msg(isnan(sum), "%g", (double)sum);
    ck_ok(mu_plan_run(plan, NULL)); /* unchecked: garbage in, garbage out */
    ck_ok(mu_params_write(params, "conv.bias", (float[]){5, 5, 5}));
    ck_ok(mu_plan_run_checked(plan, NULL));
    mu_plan_release(plan);
    mu_params_release(params);
}
END_TEST

START_TEST(every_value_can_be_kept)
{
    mu_graph *g;
    mu_params *params;
    mu_plan *plan;
    mu_type type;
    float y[2 * 6 * 8 * 8];
    ck_ok(small_network(true, 2, &g));
    ck_ok(mu_params_new(&blocked->base, &params));
    ck_ok(toy_params(g, params));
    ck_ok(mu_plan_new(g, &blocked->base, params, &(mu_plan_options){.keep_all = true, .no_fusion = true}, &plan));
    toy_inputs(g, plan);
    mu_graph_release(g);
    ck_ok(mu_plan_run(plan, NULL));
    int conv = -1, relu = -1;
    for (int i = 0; i < mu_plan_n_steps(plan); i++) {
        mu_plan_step step = mu_plan_get_step(plan, i);
        if (conv < 0 && strcmp(step.op, "conv2d") == 0)
            conv = i;
        if (relu < 0 && strcmp(step.op, "relu") == 0)
            relu = i;
    }
    ck_ok(mu_plan_read_step(plan, conv, 0, &type, NULL, 0));
    ck_assert(type.ndim == 4 && type.dim[1] == 6);
    ck_ok(mu_plan_read_step(plan, conv, 0, NULL, y, sizeof y));
    double want = toy_number("conv1.bias", 0); /* the corner: taps (1..2, 1..2) of the kernel */
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++)
                want += toy_number("x", c * 64 + i * 8 + j) * toy_number("conv1.weight", c * 9 + (i + 1) * 3 + j + 1);
    ck_assert_double_eq_tol(y[0], want, 1e-5);
    ck_ok(mu_plan_read_step(plan, relu, 0, NULL, y, sizeof y));
    for (size_t i = 0; i < sizeof y / sizeof *y; i++)
        ck_assert(y[i] >= 0);
    ck_fails(mu_plan_read_step(plan, conv, 1, NULL, NULL, 0), MU_ERR_NOT_FOUND, "no output 1");
    ck_fails(mu_plan_read_step(plan, 1000, 0, NULL, NULL, 0), MU_ERR_USAGE, "no step 1000");
    ck_fails(mu_plan_read_step(plan, conv, 0, NULL, y, 1), MU_ERR_SHAPE, "room for 1");
    mu_plan_release(plan);
    mu_params_release(params);
}
END_TEST

START_TEST(a_dry_plan_allocates_no_tensor)
{
    mu_graph *g;
    mu_plan *plan;
    mu_params *params;
    ck_ok(small_network(true, 1 << 20, &g)); /* 16 GiB of activations */
    int64_t before = mu_mem_get_counts().live_bytes;
    ck_ok(mu_plan_new(g, &blocked->base, NULL, &(mu_plan_options){.dry = true}, &plan));
    ck_assert_int_lt(mu_mem_get_counts().live_bytes - before, 1 << 20);
    ck_assert_uint_gt(mu_plan_get_stats(plan).arena_bytes, (size_t)1 << 33);
    ck_assert_uint_gt(mu_plan_get_stats(plan).param_bytes, 6 * 27 * 4);
    ck_fails(mu_plan_run(plan, NULL), MU_ERR_USAGE, "dry");
    mu_plan_release(plan);
    ck_fails(mu_plan_new(g, ref, NULL, NULL, &plan), MU_ERR_USAGE, "store");
    /* What does not fit says so, and what takes the room. */
    blocked->alloc_limit = (size_t)1 << 30;
    ck_ok(mu_params_new(&blocked->base, &params));
    ck_fails(mu_plan_new(g, &blocked->base, params, NULL, &plan), MU_ERR_MEMORY, "MiB for activations (largest: ");
    ck_assert_ptr_nonnull(strstr(mu_error_last()->message, "conv1 f32[1048576,6,8,8] 2048.0 MiB"));
    mu_params_release(params);
    mu_graph_release(g);
}
END_TEST

START_TEST(shapes_must_agree_with_the_store)
{
    mu_graph *g;
    mu_params *params;
    mu_plan *plan;
    ck_ok(small_network(true, 2, &g));
    ck_ok(mu_params_new(ref, &params));
    ck_ok(mu_params_declare(params, "fc.weight", MU_TYPE(MU_F32, 5, 95), true));
    ck_fails(mu_plan_new(g, ref, params, NULL, &plan), MU_ERR_SHAPE, "\"fc.weight\" was declared as f32[5,95]");
    mu_params_release(params);
    mu_graph_release(g);
}
END_TEST

static mu_err step_once(void)
{
    mu_graph *g = NULL;
    double *got = NULL;
    size_t n;
    MU_TRY(small_network(true, 2, &g));
    mu_err err = toy_run(g, &blocked->base, &(mu_plan_options){.profile = true}, 1, &got, &n);
    mu_graph_release(g);
    mu_free(got);
    return err;
}

START_TEST(out_of_memory)
{
    ck_ok(step_once()); /* interned layouts stay with the backend */
    ck_survives_oom(step_once(), (void)0);
}
END_TEST

START_TEST(no_allocation_in_the_steady_state)
{
    mu_graph *g;
    mu_params *params;
    mu_plan *plan;
    float loss;
    ck_ok(small_network(true, 2, &g));
    ck_ok(mu_params_new(ref, &params));
    ck_ok(toy_params(g, params));
    ck_ok(mu_plan_new(g, ref, params, &(mu_plan_options){.profile = true}, &plan));
    toy_inputs(g, plan);
    mu_graph_release(g);
    ck_ok(mu_plan_run(plan, NULL));
    int64_t before = mu_mem_get_counts().total_blocks;
    for (int i = 0; i < 100; i++) {
        ck_ok(mu_plan_run(plan, &(mu_run){.step = i}));
        ck_ok(mu_plan_read(plan, "loss", &loss, sizeof loss));
    }
    ck_assert_int_eq(mu_mem_get_counts().total_blocks, before);
    mu_plan_step step = mu_plan_get_step(plan, mu_plan_n_steps(plan) - 1);
    ck_assert_int_eq(step.runs, 101);
    ck_assert(step.seconds > 0 && step.backward);
    mu_plan_release(plan);
    mu_params_release(params);
}
END_TEST

START_TEST(traces_and_listings)
{
    mu_graph *g;
    mu_params *params;
    mu_plan *plan;
    char *text;
    size_t size;
    ck_ok(small_network(true, 2, &g));
    ck_ok(mu_params_new(&blocked->base, &params));
    ck_ok(mu_plan_new(g, &blocked->base, params, &(mu_plan_options){.profile = true, .no_fusion = true}, &plan));
    mu_graph_release(g);
    for (int i = 0; i < 40; i++) /* more than the ring holds */
        ck_ok(mu_plan_run(plan, NULL));
    FILE *file = open_memstream(&text, &size);
    ck_ok(mu_plan_write_trace(plan, file));
    fclose(file);
    int events = 0;
    for (const char *p = text; (p = strstr(p, "\"ph\":\"X\"")); p++)
        events++;
    ck_assert_int_ge(events, 32 * mu_plan_n_steps(plan));
    ck_assert_ptr_nonnull(strstr(text, "\"name\":\"conv1\",\"cat\":\"conv2d_grad_weight\""));
    ck_assert_str_eq(text + size - 3, "]}\n");
    free(text);
    file = open_memstream(&text, &size);
    ck_ok(mu_plan_print(plan, file));
    fclose(file);
    ck_assert_ptr_nonnull(strstr(text, "-> conv2d \"conv1\" [blocked]: f32[2,3,8,8]:nChw4c@"));
    ck_assert_ptr_nonnull(strstr(text, "=in0"));
    free(text);
    mu_plan_release(plan);
    ck_ok(small_network(false, 2, &g));
    ck_ok(mu_plan_new(g, &blocked->base, params, NULL, &plan));
    mu_graph_release(g);
    ck_fails(mu_plan_write_trace(plan, stdout), MU_ERR_USAGE, "profile");
    mu_plan_release(plan);
    mu_params_release(params);
}
END_TEST

START_TEST(ten_thousand_nodes)
{
    mu_graph *g;
    mu_params *params;
    mu_plan *plan;
    char name[32];
    ck_ok(mu_graph_new(&g));
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F32, 4, 4)), kept[64];
    for (int i = 0; i < 64; i++)
        kept[i] = x;
    for (int i = 0; i < 1700; i++) {
        snprintf(name, sizeof name, "w%d", i);
        mu_value w = mu_graph_param(g, name, MU_TYPE(MU_F32, 4, 4));
        x = mu_relu(g, mu_add(g, mu_matmul(g, x, w, false, false), kept[i % 64]));
        kept[i % 64] = x;
    }
    mu_value loss = mu_sum(g, x, 0, false);
    mu_graph_output(g, "loss", loss);
    double begin = mu_clock();
    mu_graph_backward(g, loss, NULL, 0, NULL);
    ck_ok(mu_graph_status(g));
    ck_assert_int_gt(mu_graph_n_nodes(g), 10000);
    ck_ok(mu_params_new(ref, &params));
    ck_ok(mu_plan_new(g, ref, params, NULL, &plan));
    printf("%d nodes: planned in %.3f s\n", mu_graph_n_nodes(g), mu_clock() - begin);
    ck_assert_double_lt(mu_clock() - begin, 10); /* a quadratic step would take minutes */
    mu_graph_release(g);
    ck_ok(mu_plan_run(plan, NULL));
    mu_plan_release(plan);
    mu_params_release(params);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *tests = tcase_create("plan");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, open_backends, close_backends);
    tcase_add_loop_test(tests, layouts_and_reuse_change_nothing, 0, 2);
    tcase_add_test(tests, training_plan_settles_the_store);
    tcase_add_test(tests, inputs_and_outputs);
    tcase_add_test(tests, parameter_work_runs_once_per_refresh);
    tcase_add_test(tests, odd_gradients);
    tcase_add_test(tests, empty_tensors);
    tcase_add_test(tests, a_failing_kernel_is_named);
    tcase_add_test(tests, the_first_nan_is_found);
    tcase_add_test(tests, every_value_can_be_kept);
    tcase_add_test(tests, a_dry_plan_allocates_no_tensor);
    tcase_add_test(tests, shapes_must_agree_with_the_store);
    tcase_add_test(tests, out_of_memory);
    tcase_add_test(tests, no_allocation_in_the_steady_state);
    tcase_add_test(tests, traces_and_listings);
    tcase_add_test(tests, ten_thousand_nodes);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

/* The control block of an optimizer on every device: what becomes of steps whose gradients are not finite, late and at once, and of the loss scale. */
#include "optim/optim.h"

#include "build.h"

#include <math.h>

enum { N = 3, STEPS = 20 };

typedef struct {
    const char *optim;
    mu_loss_scaling scaling;
    double max_norm;
    struct {
        double scale, growth, norm, param[N]; /* after the step; norm 0: not finite */
    } step[STEPS];
} scaler_case;

#include "golden/scaler.inc"

enum { N_CASES = sizeof scaler_cases / sizeof *scaler_cases };

/* Those that are built in and have a device here. */
static const struct {
    const char *name;
    mu_dtype dtype;
} devices[] = {{"cpu:ref", MU_F64}, {"cpu:simd", MU_F32}, {"cpu", MU_F32}, {"cuda", MU_F32}};
enum { N_DEVICES = sizeof devices / sizeof *devices };

typedef struct {
    mu_backend *backend;
    mu_backend_ops ops; /* of the backend, with what is counted */
    mu_dtype dtype;
    mu_config *config;
    mu_optim *optim;
    mu_params *params;
} run;

static const double start[N] = {1, 2, -1};

static void write_values(run *r, void *arena, const double *values)
{
    double bytes[N];
    mu_convert(bytes, r->dtype, values, MU_F64, N);
    ck_ok(mu_params_arena_write(r->params, arena, "w", bytes));
}

static void read_values(run *r, double *values)
{
    double bytes[N];
    ck_ok(mu_params_read(r->params, "w", bytes));
    mu_convert(values, MU_F64, bytes, r->dtype, N);
}

/* False when there is no such device. */
static bool begin(run *r, int device, const char *optim)
{
    void *object;
    *r = (run){.dtype = devices[device].dtype};
    if (mu_backend_open(devices[device].name, &(mu_backend_options){.cache_dir = "", .n_threads = 1}, &r->backend) != MU_OK) {
        mu_error_clear();
        return false;
    }
    r->ops = *r->backend->ops;
    ck_ok(build_yaml("optimizer", optim, &r->config, &object));
    r->optim = object;
    ck_ok(mu_params_new(r->backend, &r->params));
    ck_ok(mu_params_declare(r->params, "w", MU_TYPE(r->dtype, N), true));
    ck_ok(mu_params_declare(r->params, MU_LOSS_SCALE, MU_TYPE(MU_F32, 1), false));
    ck_ok(mu_params_freeze(r->params, true));
    ck_ok(mu_optim_bind(r->optim, r->backend, r->params, NULL, NULL, 0));
    write_values(r, mu_params_data(r->params, NULL), start);
    return true;
}

static void end(run *r)
{
    mu_destroy(r->optim);
    mu_params_release(r->params);
    mu_config_release(r->config);
    mu_backend_close(r->backend);
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

/* As a backward pass would leave them, when the loss is multiplied by what the state says. */
static void set_gradient(run *r, int i, char kind)
{
    double g[N];
    float scale;
    ck_ok(mu_params_read(r->params, MU_LOSS_SCALE, &scale));
    for (int k = 0; k < N; k++)
        g[k] = scaler_gradient[k] / (i + 1) * scale;
    if (kind != 'g')
        g[i % N] = kind == 'i' ? (double)INFINITY : (double)NAN;
    write_values(r, mu_params_gradients(r->params, NULL), g);
}

START_TEST(is_pytorchs_grad_scaler)
{
    const scaler_case *c = &scaler_cases[_i % N_CASES];
    double control[MU_CONTROL_N], values[N];
    mu_optim_step_options options = {.max_norm = c->max_norm};
    int good = 0;
    run r;
    if (!begin(&r, _i / N_CASES, c->optim))
        return;
    const double tolerance = r.dtype == MU_F64 ? 1e-12 : 3e-6;
    ck_ok(mu_optim_set_scaling(r.optim, &c->scaling, MU_LOSS_SCALE));
    for (int i = 0; i < STEPS; i++) {
        const bool finite = scaler_kinds[i] == 'g';
        good += finite;
        set_gradient(&r, i, scaler_kinds[i]);
        ck_ok(mu_optim_step_late(r.optim, &options));
        ck_ok(mu_optim_read_control(r.optim, control));
        read_values(&r, values);
        ck_assert_int_eq(control[MU_CONTROL_STEPS], good);
        ck_assert_int_eq(control[MU_CONTROL_SKIPPED], i + 1 - good);
        ck_assert_int_eq(control[MU_CONTROL_ATTEMPT], i + 1);
        ck_assert_int_eq(control[MU_CONTROL_UPDATED], finite);
        ck_assert_int_eq(control[MU_CONTROL_STOPPED], 0);
        ck_assert_double_eq(control[MU_CONTROL_LOSS_SCALE], c->step[i].scale);
        ck_assert_double_eq(control[MU_CONTROL_GROWTH], c->step[i].growth);
        ck_assert_int_eq(isfinite(control[MU_CONTROL_NORM]) != 0, finite);
        if (finite)
            ck_assert_double_eq_tol(control[MU_CONTROL_NORM], c->step[i].norm, tolerance * c->step[i].norm);
        for (int k = 0; k < N; k++)
            ck_assert_msg(fabs(values[k] - c->step[i].param[k]) <= tolerance * 2, "%s, case %d, step %d: %.17g, not %.17g",
                          devices[_i / N_CASES].name, _i % N_CASES, i, values[k], c->step[i].param[k]);
    }
    end(&r);
}
END_TEST

/* Byte for byte: the parameters, and the momentum too. */
START_TEST(a_skipped_step_touches_nothing)
{
    double before[2][N], after[2][N];
    run r;
    if (!begin(&r, _i, "{type: SGD, lr: 0.5, momentum: 0.5}"))
        return;
    ck_ok(mu_optim_set_scaling(r.optim, &(mu_loss_scaling){.init_scale = 4}, MU_LOSS_SCALE));
    for (int i = 0; i < 6; i++) {
        ck_ok(mu_params_read(r.params, "w", before[0]));
        ck_ok(mu_params_arena_read(r.params, mu_optim_state(r.optim, 0), "w", before[1]));
        set_gradient(&r, i, i % 2 ? 'i' : 'g');
        ck_ok(mu_optim_step_late(r.optim, NULL));
        ck_ok(mu_params_read(r.params, "w", after[0]));
        ck_ok(mu_params_arena_read(r.params, mu_optim_state(r.optim, 0), "w", after[1]));
        for (int k = 0; k < 2; k++)
            ck_assert_int_eq(memcmp(before[k], after[k], N * mu_dtype_size(r.dtype)) == 0, i % 2);
    }
    double control[MU_CONTROL_N];
    ck_ok(mu_optim_read_control(r.optim, control));
    ck_assert_double_eq(control[MU_CONTROL_LOSS_SCALE], 4); /* a fixed one */
    ck_assert_double_eq(control[MU_CONTROL_SKIPPED], 3);
    end(&r);
}
END_TEST

/* Without a loss scale the first gradients that are not finite are the last: nothing later changes anything, the block included. */
START_TEST(late_steps_stop)
{
    double values[N], later[N], control[MU_CONTROL_N], after[MU_CONTROL_N];
    run r;
    if (!begin(&r, _i, "{type: AdamW, lr: 0.5}"))
        return;
    const mu_optim_step_options options = {.check = true};
    for (int i = 0; i < 3; i++) {
        set_gradient(&r, i, i == 2 ? 'n' : 'g');
        ck_ok(mu_optim_step_late(r.optim, &options));
    }
    read_values(&r, values);
    ck_ok(mu_optim_read_control(r.optim, control));
    ck_assert_double_eq(control[MU_CONTROL_STOPPED], 3);
    ck_assert_double_eq(control[MU_CONTROL_ATTEMPT], 3);
    ck_assert_double_eq(control[MU_CONTROL_STEPS], 2);
    ck_assert_double_eq(control[MU_CONTROL_SKIPPED], 0);
    ck_assert_double_eq(control[MU_CONTROL_LOSS_SCALE], 1);
    for (int i = 0; i < 3; i++) {
        set_gradient(&r, i, 'g');
        ck_ok(mu_optim_step_late(r.optim, &options));
    }
    read_values(&r, later);
    ck_ok(mu_optim_read_control(r.optim, after));
    ck_assert_mem_eq(values, later, sizeof values);
    ck_assert_mem_eq(control, after, sizeof control);
    end(&r);
}
END_TEST

/* A step that waits tells of it, and the next one goes on. */
START_TEST(steps_that_wait_fail)
{
    double values[N], control[MU_CONTROL_N], norm;
    run r;
    if (!begin(&r, _i, "{type: SGD, lr: 0.5}"))
        return;
    set_gradient(&r, 0, 'i');
    for (int i = 0; i < 2; i++) {
        ck_fails(mu_optim_step(r.optim, &(mu_optim_step_options){.check = true}, i ? &norm : NULL), MU_ERR_NUMERIC, "is inf in step 1");
        read_values(&r, values);
        ck_assert_mem_eq(values, start, sizeof values);
    }
    ck_assert(isinf(norm));
    set_gradient(&r, 0, 'g');
    ck_ok(mu_optim_step(r.optim, NULL, &norm));
    ck_assert_double_eq_tol(norm, sqrt(0.25 + 0.0625 + 1), 1e-12);
    read_values(&r, values);
    ck_assert_double_eq(values[2], -1.5);
    ck_ok(mu_optim_read_control(r.optim, control));
    ck_assert_double_eq(control[MU_CONTROL_STEPS], 1);
    ck_assert_double_eq(control[MU_CONTROL_ATTEMPT], 1);
    end(&r);
}
END_TEST

/* What is restored: a scale that moves, not one that is fixed; the count of attempts goes on. */
START_TEST(the_block_is_restored)
{
    double control[MU_CONTROL_N] = {[MU_CONTROL_STEPS] = 7, [MU_CONTROL_LOSS_SCALE] = 32, [MU_CONTROL_GROWTH] = 2, [MU_CONTROL_SKIPPED] = 3};
    const mu_loss_scaling moves = {.init_scale = 8, .growth_factor = 2, .backoff_factor = 0.5, .growth_interval = 3}, fixed = {.init_scale = 8};
    const struct {
        const mu_loss_scaling *scaling;
        double now, then;
    } cases[] = {{&moves, 32, 64}, {&fixed, 8, 8}, {NULL, 1, 1}};
    float scale;
    run r;
    if (!begin(&r, _i, "{type: SGD, lr: 0.5}"))
        return;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        double found[MU_CONTROL_N];
        ck_ok(mu_optim_set_scaling(r.optim, cases[k].scaling, MU_LOSS_SCALE));
        ck_ok(mu_params_read(r.params, MU_LOSS_SCALE, &scale));
        ck_assert(scale == (cases[k].scaling ? 8 : 1));
        ck_ok(mu_optim_write_control(r.optim, control));
        ck_ok(mu_params_read(r.params, MU_LOSS_SCALE, &scale));
        ck_assert(scale == (float)cases[k].now);
        set_gradient(&r, 0, 'g');
        ck_ok(mu_optim_step_late(r.optim, NULL));
        ck_ok(mu_optim_read_control(r.optim, found));
        ck_assert_double_eq(found[MU_CONTROL_STEPS], 8);
        ck_assert_double_eq(found[MU_CONTROL_SKIPPED], 3);
        ck_assert_double_eq(found[MU_CONTROL_ATTEMPT], 11);
        ck_assert_double_eq(found[MU_CONTROL_LOSS_SCALE], cases[k].then);
        ck_ok(mu_params_read(r.params, MU_LOSS_SCALE, &scale));
        ck_assert(scale == (float)cases[k].then);
    }
    ck_fails(mu_optim_set_scaling(r.optim, &moves, ".no_scale"), MU_ERR_NOT_FOUND, ".no_scale");
    end(&r);
}
END_TEST

/* ---- what a step of a device costs the host ---- */

static const mu_backend_ops *real;
static int uploads, downloads, waits, replays;

static mu_err count_upload(mu_backend *backend, void *device, const void *host, size_t bytes)
{
    uploads++;
    return real->upload(backend, device, host, bytes);
}

static mu_err count_download(mu_backend *backend, void *host, const void *device, size_t bytes)
{
    downloads++;
    return real->download(backend, host, device, bytes);
}

static mu_err count_wait(mu_backend *backend)
{
    waits++;
    return real->synchronize(backend);
}

static mu_err count_replay(mu_backend *backend, mu_recording *recording)
{
    replays++;
    return real->replay(backend, recording);
}

static mu_err no_recording(mu_backend *backend)
{
    (void)backend;
    return MU_FAIL(MU_ERR_UNSUPPORTED, "nothing is recorded here");
}

/* One replay, from the third on; all by hand where nothing can be recorded. The same comes out. */
START_TEST(a_late_step_is_a_replay)
{
    double values[2][N];
    for (int records = 0; records < 2; records++) {
        run r;
        if (!begin(&r, N_DEVICES - 1, "{type: AdamW, lr: 0.5}"))
            return;
        real = r.backend->ops;
        r.ops.upload = count_upload;
        r.ops.download = count_download;
        r.ops.synchronize = count_wait;
        r.ops.replay = count_replay;
        if (!records)
            r.ops.record_begin = no_recording;
        r.backend->ops = &r.ops;
        ck_ok(mu_optim_bind(r.optim, r.backend, r.params, NULL, NULL, 0));
        set_gradient(&r, 0, 'g');
        for (int i = 0; i < 12; i++) {
            uploads = downloads = waits = replays = 0;
            mu_optim_group_at(r.optim, 0)->lr = 0.5 / (i + 1);
            int64_t blocks = mu_mem_get_counts().total_blocks;
            ck_ok(mu_optim_step_late(r.optim, &(mu_optim_step_options){.max_norm = 1}));
            bool replayed = records && i > 1;
            ck_assert_int_eq(uploads, replayed ? 0 : 1 + (i == 1)); /* before it is recorded: zeros, from which replays count */
            ck_assert_int_eq(downloads + waits, 0);
            ck_assert_int_eq(replays, replayed);
            if (replayed)
                ck_assert_int_eq(mu_mem_get_counts().total_blocks, blocks);
        }
        read_values(&r, values[records]);
        mu_optim_unbind(r.optim);
        r.backend->ops = real;
        end(&r);
    }
    ck_assert_mem_eq(values[0], values[1], sizeof values[0]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("control");
    TCase *tests = tcase_create("control");
    tcase_add_loop_test(tests, is_pytorchs_grad_scaler, 0, N_CASES * N_DEVICES);
    tcase_add_loop_test(tests, a_skipped_step_touches_nothing, 0, N_DEVICES);
    tcase_add_loop_test(tests, late_steps_stop, 0, N_DEVICES);
    tcase_add_loop_test(tests, steps_that_wait_fail, 0, N_DEVICES);
    tcase_add_loop_test(tests, the_block_is_restored, 0, N_DEVICES);
    tcase_add_test(tests, a_late_step_is_a_replay);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

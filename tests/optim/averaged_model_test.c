/* Averages of a store's values: the numbers, what is left alone, swapping. */
#include "optim/averaged_model.h"

#include "build.h"
#include "core/log.h"

#include <math.h>

enum { N = 5, STEPS = 12 };

typedef struct {
    const char *yaml;
    double average[STEPS][N];
} golden_case;

#include "golden/averaged_model.inc"

enum { N_CASES = sizeof golden_cases / sizeof *golden_cases };

static mu_backend *backend;
static char warning[512];

static void keep_warning(void *user, mu_log_level level, const char *room, const char *line)
{
    (void)user, (void)room;
    if (level == MU_LOG_WARNING)
        snprintf(warning, sizeof warning, "%s", line);
}

static void begin(void)
{
    ck_ok(mu_backend_open("cpu", &(mu_backend_options){.n_threads = 2, .cache_dir = ""}, &backend));
    warning[0] = '\0';
    mu_log_set_sink(keep_warning, NULL);
}

static void end(void)
{
    mu_log_set_sink(NULL, NULL);
    mu_backend_close(backend);
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

/* A store of two trained dtypes, with states: one that is averaged if asked for, an integer, and one of training. */
typedef struct {
    mu_config *config;
    mu_params *params;
    mu_averaged_model *average;
} run;

static mu_err make_params(mu_params **out)
{
    mu_params *p;
    mu_err err;
    MU_TRY(mu_params_new(backend, &p));
    MU_TRY_GOTO(err, mu_params_declare(p, "wide", MU_TYPE(MU_F64, N), true), fail);
    MU_TRY_GOTO(err, mu_params_declare(p, "narrow", MU_TYPE(MU_F32, N), true), fail);
    MU_TRY_GOTO(err, mu_params_declare(p, "mean", MU_TYPE(MU_F64, N), false), fail);
    MU_TRY_GOTO(err, mu_params_declare(p, ".scale", MU_TYPE(MU_F64, N), false), fail);
    MU_TRY_GOTO(err, mu_params_declare(p, "count", MU_TYPE(MU_I64, N), false), fail);
    MU_TRY_GOTO(err, mu_params_freeze(p, true), fail);
    *out = p;
    return MU_OK;
fail:
    mu_params_release(p);
    return err;
}

static void run_end(run *r)
{
    mu_destroy(r->average);
    mu_params_release(r->params);
    mu_config_release(r->config);
}

static mu_err run_begin(run *r, const char *yaml)
{
    *r = (run){0};
    MU_TRY(build_yaml("averaged_model", yaml, &r->config, (void **)&r->average));
    mu_err err = make_params(&r->params);
    err = err ? err : mu_averaged_model_bind(r->average, backend, r->params);
    if (err)
        run_end(r);
    return err;
}

static const char *const names[] = {"wide", "narrow", "mean", ".scale", "count"};
enum { WIDE, NARROW, MEAN, SCALE, COUNT, N_NAMES };

static mu_dtype dtype_of(const run *r, int what)
{
    return mu_params_at(r->params, mu_params_find(r->params, names[what]))->type.dtype;
}

/* The model's values of `step`. */
static void set(run *r, int step)
{
    for (int what = 0; what < N_NAMES; what++) {
        double values[N], bytes[N];
        for (int i = 0; i < N; i++)
            values[i] = what == COUNT ? 10 * step + i : sin(1 + 5 * step + i);
        mu_convert(bytes, dtype_of(r, what), values, MU_F64, N);
        ck_ok(mu_params_write(r->params, names[what], bytes));
    }
}

static void get_model(run *r, int what, double *out)
{
    double bytes[N];
    ck_ok(mu_params_read(r->params, names[what], bytes));
    mu_convert(out, MU_F64, bytes, dtype_of(r, what), N);
}

/* What a checkpoint would hold as the average's. */
static void get_average(run *r, int what, double *out)
{
    double bytes[N];
    void *arena = mu_averaged_model_arena(r->average, mu_params_find(r->params, names[what]));
    if (!arena) {
        get_model(r, what, out);
        return;
    }
    ck_ok(mu_params_arena_read(r->params, arena, names[what], bytes));
    mu_convert(out, MU_F64, bytes, dtype_of(r, what), N);
}

static void expect(const double *got, const double *wanted, double tolerance)
{
    for (int i = 0; i < N; i++)
        ck_assert_double_eq_tol(got[i], wanted[i], tolerance);
}

static void expect_same(const double *got, const double *wanted)
{
    ck_assert_mem_eq(got, wanted, N * sizeof *got);
}

static void advance(run *r, int step)
{
    set(r, step);
    ck_ok(mu_averaged_model_update(r->average));
}

/* The average is what the model has now. */
static void expect_model(run *r, int what)
{
    double model[N], got[N];
    get_model(r, what, model);
    get_average(r, what, got);
    expect_same(got, model);
}

/* MMEngine's numbers; f32 takes one rounding an update. */
START_TEST(numbers)
{
    const golden_case *c = &golden_cases[_i];
    run r;
    double got[N];
    ck_ok(run_begin(&r, c->yaml));
    for (int step = 0; step < STEPS; step++) {
        advance(&r, step);
        get_average(&r, WIDE, got);
        expect(got, c->average[step], 1e-15);
        get_average(&r, NARROW, got);
        expect(got, c->average[step], (step + 1) * 1.2e-7);
        for (int what = MEAN; what < N_NAMES; what++) {
            expect_model(&r, what);
        }
    }
    ck_assert_int_eq(mu_averaged_model_steps(r.average), STEPS);
    run_end(&r);
}
END_TEST

/* (x0 + x1) / 2 by hand, for states as well; integers stay as they were copied; what begins with '.' is the model's. */
START_TEST(buffers)
{
    run r;
    double got[N], model[N];
    ck_ok(run_begin(&r, "{type: StochasticWeightAverage, update_buffers: true}"));
    advance(&r, 0);
    advance(&r, 1);
    for (int what = WIDE; what <= MEAN; what++) {
        get_average(&r, what, got);
        for (int i = 0; i < N; i++)
            ck_assert_double_eq_tol(got[i], (sin(1 + i) + sin(6 + i)) / 2, what == NARROW ? 1e-7 : 1e-15);
    }
    get_average(&r, COUNT, got);
    expect_same(got, (const double[]){0, 1, 2, 3, 4});
    get_average(&r, SCALE, got);
    get_model(&r, SCALE, model);
    expect_same(got, model);
    ck_ok(mu_averaged_model_swap(r.average));
    get_model(&r, SCALE, got);
    expect_same(got, model);
    get_model(&r, COUNT, got);
    expect_same(got, (const double[]){0, 1, 2, 3, 4});
    run_end(&r);
}
END_TEST

START_TEST(swapping)
{
    run r;
    double own[N_NAMES][N], average[N_NAMES][N], got[N];
    ck_ok(run_begin(&r, "{type: ExponentialMovingAverage, momentum: 0.25, update_buffers: true}"));
    for (int step = 0; step < 3; step++) {
        advance(&r, step);
    }
    for (int what = 0; what < N_NAMES; what++) {
        get_model(&r, what, own[what]);
        get_average(&r, what, average[what]);
    }
    ck_assert_double_ne(own[WIDE][0], average[WIDE][0]);
    for (int turn = 0; turn < 4; turn++) {
        bool swapped = turn % 2 == 0;
        ck_ok(mu_averaged_model_swap(r.average));
        ck_assert(mu_averaged_model_is_swapped(r.average) == swapped);
        for (int what = 0; what < N_NAMES; what++) {
            get_model(&r, what, got);
            expect_same(got, swapped ? average[what] : own[what]);
            get_average(&r, what, got); /* wherever it lies */
            expect_same(got, average[what]);
        }
        int i = mu_params_find(r.params, "wide");
        ck_assert(!mu_averaged_model_arena(r.average, i) == swapped && !mu_averaged_model_own_arena(r.average, i) != swapped);
    }
    run_end(&r);
}
END_TEST

/* Until the first update the average is the model, whatever that becomes. */
START_TEST(before_the_first_update)
{
    run r;
    double got[N], model[N];
    ck_ok(run_begin(&r, "{type: ExponentialMovingAverage}"));
    set(&r, 1);
    ck_ok(mu_averaged_model_swap(r.average));
    set(&r, 2);
    expect_model(&r, WIDE);
    get_model(&r, WIDE, model);
    ck_ok(mu_averaged_model_swap(r.average));
    get_model(&r, WIDE, got);
    expect_same(got, model);
    run_end(&r);
}
END_TEST

/* Restored from its values and steps it goes on as if nothing had been. */
START_TEST(goes_on)
{
    run a, b;
    double values[N], got[N], wanted[N];
    const char *yaml = "{type: MomentumAnnealingEMA, gamma: 3, momentum: 0.1, interval: 2}";
    ck_ok(run_begin(&a, yaml));
    ck_ok(run_begin(&b, yaml));
    for (int step = 0; step < 7; step++) {
        if (step == 4) {
            get_average(&a, WIDE, values);
            ck_ok(mu_params_write(b.params, "wide", values));
            ck_ok(mu_averaged_model_copy(b.average));
            mu_averaged_model_set_steps(b.average, mu_averaged_model_steps(a.average));
        }
        set(&a, step);
        set(&b, step);
        ck_ok(mu_averaged_model_update(a.average));
        if (step >= 4)
            ck_ok(mu_averaged_model_update(b.average));
    }
    get_average(&a, WIDE, wanted);
    get_average(&b, WIDE, got);
    expect_same(got, wanted);
    run_end(&a);
    run_end(&b);
}
END_TEST

/* More than the room for swapping, and no allocation once it is bound. */
START_TEST(large)
{
    enum { LARGE = 700000 };
    mu_config *config;
    mu_averaged_model *average;
    mu_params *p;
    float *a, *b;
    ck_ok(build_yaml("averaged_model", "{type: StochasticWeightAverage}", &config, (void **)&average));
    ck_ok(mu_params_new(backend, &p));
    ck_ok(mu_params_declare(p, "a", MU_TYPE(MU_F32, LARGE), true));
    ck_ok(mu_params_freeze(p, false));
    ck_ok(mu_averaged_model_bind(average, backend, p));
    a = calloc(LARGE, sizeof *a);
    b = calloc(LARGE, sizeof *b);
    for (int step = 0; step < 3; step++) {
        for (int i = 0; i < LARGE; i++)
            a[i] = (float)(step * i);
        ck_ok(mu_params_write(p, "a", a));
        int64_t made = mu_mem_get_counts().total_blocks;
        ck_ok(mu_averaged_model_update(average));
        ck_assert_int_eq(mu_mem_get_counts().total_blocks, made);
    }
    ck_ok(mu_averaged_model_swap(average));
    ck_ok(mu_params_read(p, "a", b));
    for (int i = 0; i < LARGE; i++)
        ck_assert_float_eq(b[i], (float)i);
    free(a);
    free(b);
    mu_destroy(average);
    mu_params_release(p);
    mu_config_release(config);
}
END_TEST

START_TEST(wrong_options)
{
    mu_config *config;
    void *object;
    refuses_yaml("averaged_model", "{type: ExponentialMovingAverage, momentum: 0}", "momentum");
    refuses_yaml("averaged_model", "{type: ExponentialMovingAverage, momentum: 1}", "between 0 and 1");
    refuses_yaml("averaged_model", "{type: MomentumAnnealingEMA, momentum: 1.0}", "between 0 and 1");
    refuses_yaml("averaged_model", "{type: MomentumAnnealingEMA, gamma: 0}", "gamma");
    refuses_yaml("averaged_model", "{type: ExponentialMovingAverage, gamma: 3}", "gamma");
    refuses_yaml("averaged_model", "{type: StochasticWeightAverage, interval: 0}", "interval");
    ck_assert_str_eq(warning, "");
    ck_ok(build_yaml("averaged_model", "{type: ExponentialMovingAverage, momentum: 0.9}", &config, &object));
    ck_assert_ptr_nonnull(strstr(warning, "momentum 0.9"));
    mu_destroy(object);
    mu_config_release(config);
}
END_TEST

START_TEST(wrong_use)
{
    run r;
    mu_params *p;
    ck_ok(run_begin(&r, "{type: ExponentialMovingAverage}"));
    ck_fails(mu_averaged_model_bind(r.average, backend, r.params), MU_ERR_USAGE, "bound once");
    run_end(&r);
    ck_ok(build_yaml("averaged_model", "{type: ExponentialMovingAverage}", &r.config, (void **)&r.average));
    ck_ok(mu_params_new(backend, &p));
    ck_fails(mu_averaged_model_bind(r.average, backend, p), MU_ERR_USAGE, "laid out");
    mu_destroy(r.average);
    mu_params_release(p);
    mu_config_release(r.config);
}
END_TEST

START_TEST(out_of_memory)
{
    mu_registry *root;
    run r;
    ck_ok(mu_registry_root(&root));
    ck_survives_oom(run_begin(&r, "{type: StochasticWeightAverage, update_buffers: true}"), run_end(&r));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("averaged_model");
    TCase *tests = tcase_create("averaged_model");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, numbers, 0, N_CASES);
    tcase_add_test(tests, buffers);
    tcase_add_test(tests, swapping);
    tcase_add_test(tests, before_the_first_update);
    tcase_add_test(tests, goes_on);
    tcase_add_test(tests, large);
    tcase_add_test(tests, wrong_options);
    tcase_add_test(tests, wrong_use);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

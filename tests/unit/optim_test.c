#include "optim/optim.h"

#include "test.h"

#include <math.h>

enum { N = 13, STEPS = 20, MAX_OPTIONS = 8 };

typedef struct {
    const char *type;
    struct {
        const char *key;
        double value;
        bool flag;
    } option[MAX_OPTIONS];
    double betas[2]; /* {0, 0}: the default */
    mu_optim_step_options step;
    double norm; /* of the last step */
    double f64[N];
    float f32[N];
} golden_case;

#include "golden/optim.inc"

static mu_backend *backend;

static void begin(void)
{
    ck_ok(mu_backend_open("cpu:ref", NULL, &backend));
}

static void end(void)
{
    mu_backend_close(backend);
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static const mu_pos here = {"test.yaml", 1, 1};

static mu_err set_number(mu_cfg *dict, const char *key, double value, bool flag)
{
    mu_cfg *cfg;
    if (flag)
        MU_TRY(mu_cfg_new_bool(value != 0, here, &cfg));
    else
        MU_TRY(mu_cfg_new_float(value, here, &cfg));
    return mu_cfg_set(dict, key, here, cfg);
}

static mu_err set_betas(mu_cfg *dict, const double betas[2])
{
    mu_cfg *list, *cfg;
    mu_err err = MU_OK;
    MU_TRY(mu_cfg_new_list(here, &list));
    for (int i = 0; i < 2 && !err; i++) {
        err = mu_cfg_new_float(betas[i], here, &cfg);
        if (!err)
            err = mu_cfg_append(list, cfg);
    }
    if (err) {
        mu_cfg_release(list);
        return err;
    }
    return mu_cfg_set(dict, "betas", here, list);
}

static mu_err fill_config(mu_cfg *dict, const golden_case *c)
{
    mu_cfg *type;
    MU_TRY(mu_cfg_new_string(c->type, strlen(c->type), here, &type));
    MU_TRY(mu_cfg_set(dict, "type", here, type));
    for (int i = 0; i < MAX_OPTIONS && c->option[i].key; i++)
        MU_TRY(set_number(dict, c->option[i].key, c->option[i].value, c->option[i].flag));
    if (c->betas[0] != 0)
        MU_TRY(set_betas(dict, c->betas));
    return MU_OK;
}

static mu_err build(const golden_case *c, mu_optim **out)
{
    mu_cfg *dict;
    void *object = NULL;
    MU_TRY(mu_cfg_new_dict(here, &dict));
    mu_err err = fill_config(dict, c);
    if (!err)
        err = mu_build("optimizer", dict, NULL, "optimizer", &object);
    mu_cfg_release(dict);
    if (!err)
        *out = object;
    return err;
}

/* Two parameters with a gap between them, a state among them. */
static mu_err make_params(mu_dtype dtype, mu_params **out)
{
    mu_params *p;
    mu_err err;
    MU_TRY(mu_params_new(backend, &p));
    MU_TRY_GOTO(err, mu_params_declare(p, "a", MU_TYPE(dtype, 7), true), fail);
    MU_TRY_GOTO(err, mu_params_declare(p, "mean", MU_TYPE(dtype, 3), false), fail);
    MU_TRY_GOTO(err, mu_params_declare(p, "b", MU_TYPE(dtype, 2, 3), true), fail);
    MU_TRY_GOTO(err, mu_params_freeze(p, true), fail);
    *out = p;
    return MU_OK;
fail:
    mu_params_release(p);
    return err;
}

static void set_all(mu_params *p, void *arena, mu_dtype dtype, const double *values)
{
    char bytes[N * sizeof(double)];
    mu_convert(bytes, dtype, values, MU_F64, N);
    ck_ok(mu_params_arena_write(p, arena, "a", bytes));
    ck_ok(mu_params_arena_write(p, arena, "b", bytes + 7 * mu_dtype_size(dtype)));
}

static void get_all(mu_params *p, void *arena, mu_dtype dtype, double *values)
{
    char bytes[N * sizeof(double)];
    ck_ok(mu_params_arena_read(p, arena, "a", bytes));
    ck_ok(mu_params_arena_read(p, arena, "b", bytes + 7 * mu_dtype_size(dtype)));
    mu_convert(values, MU_F64, bytes, dtype, N);
}

static void step(mu_optim *o, mu_params *p, mu_dtype dtype, const golden_case *c, int i, double *norm)
{
    set_all(p, mu_params_gradients(p, NULL), dtype, golden_gradients[i]);
    ck_ok(mu_optim_step(o, &c->step, norm));
}

static int steps_of(const mu_optim *o)
{
    double control[MU_CONTROL_N];
    ck_ok(mu_optim_read_control(o, control));
    return (int)control[MU_CONTROL_STEPS];
}

static void train(const golden_case *c, mu_dtype dtype, double *values, double *norm)
{
    mu_optim *o;
    mu_params *p;
    ck_ok(build(c, &o));
    ck_ok(make_params(dtype, &p));
    ck_ok(mu_optim_bind(o, backend, p, NULL, NULL, 0));
    set_all(p, mu_params_data(p, NULL), dtype, golden_start);
    for (int i = 0; i < STEPS; i++)
        step(o, p, dtype, c, i, norm);
    ck_assert_int_eq(steps_of(o), STEPS);
    get_all(p, mu_params_data(p, NULL), dtype, values);
    mu_destroy(o);
    mu_params_release(p);
}

static const int n_cases = sizeof golden_cases / sizeof *golden_cases;

START_TEST(equals_pytorch_in_f64)
{
    const golden_case *c = &golden_cases[_i];
    double values[N], norm;
    train(c, MU_F64, values, &norm);
    ck_assert_double_eq_tol(norm, c->norm, 1e-12 * c->norm);
    for (int i = 0; i < N; i++)
        ck_assert_msg(fabs(values[i] - c->f64[i]) <= 1e-12 * fabs(c->f64[i]), "case %d (%s), element %d: %.17g, not %.17g", _i,
                      c->type, i, values[i], c->f64[i]);
}
END_TEST

/* Relative to the largest parameter: a small one is what large steps left over, and f32 rounds those. */
START_TEST(equals_pytorch_in_f32)
{
    const golden_case *c = &golden_cases[_i];
    double values[N], norm, most = 0;
    train(c, MU_F32, values, &norm);
    for (int i = 0; i < N; i++)
        most = fmax(most, fabs(c->f32[i]));
    for (int i = 0; i < N; i++)
        ck_assert_msg(fabs(values[i] - (double)c->f32[i]) <= 1e-6 * most, "case %d (%s), element %d: %.9g, not %.9g", _i, c->type,
                      i, values[i], (double)c->f32[i]);
}
END_TEST

static const golden_case plain_sgd = {.type = "SGD", .option = {{"lr", 0.5, false}}};
static const golden_case heavy_sgd = {.type = "SGD", .option = {{"lr", 0.5, false}, {"momentum", 0.9, false}}};

START_TEST(groups_have_their_own_values)
{
    mu_optim *o;
    mu_params *p;
    double values[N], ones[N], zeros[N] = {0};
    for (int i = 0; i < N; i++)
        ones[i] = 1;
    ck_ok(build(&plain_sgd, &o));
    ck_ok(make_params(MU_F64, &p));
    mu_optim_group groups[2] = {mu_optim_default_group(o), mu_optim_default_group(o)};
    groups[1].lr = 0.25;
    int group_of[3];
    for (int i = 0; i < 3; i++)
        group_of[i] = strcmp(mu_params_at(p, i)->name, "b") == 0;
    ck_ok(mu_optim_bind(o, backend, p, group_of, groups, 2));
    ck_assert_int_eq(mu_optim_n_groups(o), 2);
    ck_assert_int_eq(mu_optim_n_states(o), 0);
    set_all(p, mu_params_data(p, NULL), MU_F64, zeros);
    set_all(p, mu_params_gradients(p, NULL), MU_F64, ones);
    ck_ok(mu_optim_step(o, NULL, NULL));
    mu_optim_group_at(o, 1)->lr = 1; /* as a scheduler does */
    ck_ok(mu_optim_step(o, NULL, NULL));
    get_all(p, mu_params_data(p, NULL), MU_F64, values);
    ck_assert_double_eq(values[0], -1);
    ck_assert_double_eq(values[12], -1.25);

    for (int i = 0; i < 3; i++) /* b is left alone, and its gradient counts for nothing */
        group_of[i] = group_of[i] ? -1 : 0;
    double norm;
    ck_ok(mu_optim_bind(o, backend, p, group_of, groups, 1));
    ck_assert_int_eq(steps_of(o), 0);
    ck_ok(mu_optim_step(o, &(mu_optim_step_options){.gradient_scale = 2}, &norm));
    ck_assert_double_eq_tol(norm, 2 * sqrt(7), 1e-15);
    get_all(p, mu_params_data(p, NULL), MU_F64, values);
    ck_assert_double_eq(values[0], -2);
    ck_assert_double_eq(values[12], -1.25);
    mu_destroy(o);
    mu_params_release(p);
}
END_TEST

START_TEST(a_step_allocates_nothing)
{
    mu_optim *o;
    mu_params *p;
    double norm;
    mu_optim_step_options all = {.gradient_scale = 0.5, .max_norm = 1, .max_value = 1};
    ck_ok(build(&heavy_sgd, &o));
    ck_ok(make_params(MU_F32, &p));
    ck_ok(mu_optim_bind(o, backend, p, NULL, NULL, 0));
    set_all(p, mu_params_gradients(p, NULL), MU_F32, golden_gradients[0]);
    int64_t before = mu_mem_get_counts().total_blocks;
    for (int i = 0; i < 3; i++)
        ck_ok(mu_optim_step(o, &all, &norm));
    ck_assert_int_eq(mu_mem_get_counts().total_blocks, before);
    mu_destroy(o);
    mu_params_release(p);
}
END_TEST

START_TEST(continues_from_restored_states)
{
    const golden_case *c = &golden_cases[_i];
    mu_optim *first, *second;
    mu_params *p;
    double state[N], values[N];
    ck_ok(build(c, &first));
    ck_ok(build(c, &second));
    ck_ok(make_params(MU_F64, &p));
    ck_ok(mu_optim_bind(first, backend, p, NULL, NULL, 0));
    ck_ok(mu_optim_bind(second, backend, p, NULL, NULL, 0));
    set_all(p, mu_params_data(p, NULL), MU_F64, golden_start);
    for (int i = 0; i < STEPS / 2; i++)
        step(first, p, MU_F64, c, i, NULL);
    ck_assert_int_eq(mu_optim_n_states(first), mu_optim_n_states(second));
    for (int i = 0; i < mu_optim_n_states(first); i++) {
        ck_assert_str_eq(mu_optim_state_name(first, i), mu_optim_state_name(second, i));
        get_all(p, mu_optim_state(first, i), MU_F64, state);
        set_all(p, mu_optim_state(second, i), MU_F64, state);
    }
    double control[MU_CONTROL_N];
    ck_ok(mu_optim_read_control(first, control));
    ck_ok(mu_optim_write_control(second, control));
    for (int i = STEPS / 2; i < STEPS; i++)
        step(second, p, MU_F64, c, i, NULL);
    get_all(p, mu_params_data(p, NULL), MU_F64, values);
    for (int i = 0; i < N; i++)
        ck_assert_double_eq_tol(values[i], c->f64[i], 1e-12 * fabs(c->f64[i]));
    mu_destroy(first);
    mu_destroy(second);
    mu_params_release(p);
}
END_TEST

START_TEST(a_norm_that_is_not_finite_updates_nothing)
{
    mu_optim *o;
    mu_params *p;
    double values[N], broken[N] = {0}, norm = 0;
    broken[3] = INFINITY;
    ck_ok(build(&heavy_sgd, &o));
    ck_ok(make_params(MU_F64, &p));
    ck_ok(mu_optim_bind(o, backend, p, NULL, NULL, 0));
    set_all(p, mu_params_data(p, NULL), MU_F64, golden_start);
    set_all(p, mu_params_gradients(p, NULL), MU_F64, broken);
    ck_fails(mu_optim_step(o, &(mu_optim_step_options){.max_norm = 1}, &norm), MU_ERR_NUMERIC, "inf in step 1");
    ck_assert_double_infinite(norm);
    ck_assert_int_eq(steps_of(o), 0);
    get_all(p, mu_params_data(p, NULL), MU_F64, values);
    ck_assert_mem_eq(values, golden_start, sizeof values);
    mu_destroy(o);
    mu_params_release(p);
}
END_TEST

START_TEST(wrong_use)
{
    mu_optim *o;
    mu_params *p;
    ck_ok(build(&plain_sgd, &o));
    ck_fails(mu_optim_step(o, NULL, NULL), MU_ERR_USAGE, "SGD is not bound");
    ck_ok(mu_params_new(backend, &p));
    ck_ok(mu_params_declare(p, "a", MU_TYPE(MU_F32, 7), true));
    ck_fails(mu_optim_bind(o, backend, p, NULL, NULL, 0), MU_ERR_USAGE, "no gradients");
    ck_ok(mu_params_freeze(p, false));
    ck_fails(mu_optim_bind(o, backend, p, NULL, NULL, 0), MU_ERR_USAGE, "no gradients");
    ck_ok(mu_params_freeze(p, true));
    mu_optim_group group = mu_optim_default_group(o);
    ck_fails(mu_optim_bind(o, backend, p, (int[]){1}, &group, 1), MU_ERR_USAGE, "\"a\" is put into group 1 of 1");
    ck_fails(mu_optim_bind(o, backend, p, NULL, &group, 0), MU_ERR_USAGE, "at least one group");
    ck_ok(mu_optim_bind(o, backend, p, NULL, NULL, 0));
    mu_optim_group_at(o, 0)->momentum = 0.5;
    ck_fails(mu_optim_step(o, NULL, NULL), MU_ERR_USAGE, "momentum_buffer");
    mu_destroy(o);
    mu_params_release(p);
}
END_TEST

START_TEST(wrong_options)
{
    mu_optim *o;
    static const struct {
        golden_case c;
        const char *part;
    } wrong[] = {
        {{.type = "SGD", .option = {{"nesterov", 1, true}}}, "nesterov needs momentum above 0"},
        {{.type = "SGD", .option = {{"nesterov", 1, true}, {"momentum", 0.9, false}, {"dampening", 0.1, false}}}, "dampening 0.1"},
        {{.type = "SGD", .option = {{"lr", -1, false}}}, "optimizer.lr"},
        {{.type = "SGD", .option = {{"momentun", 0.9, false}}}, "momentum"},
        {{.type = "SDG"}, "SGD"},
        {{.type = "Adam", .betas = {0.9, 1}}, "betas are below 1"},
        {{.type = "AdamW", .option = {{"eps", 0, false}}}, "optimizer.eps"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_fails(build(&wrong[i].c, &o), MU_ERR_CONFIG, wrong[i].part);
}
END_TEST

static mu_err build_and_bind(mu_params *p, mu_optim **out)
{
    mu_optim *o;
    MU_TRY(build(&heavy_sgd, &o));
    mu_err err = mu_optim_bind(o, backend, p, NULL, NULL, 0);
    if (err)
        mu_destroy(o);
    else
        *out = o;
    return err;
}

START_TEST(out_of_memory)
{
    mu_optim *o = NULL;
    mu_params *p = NULL;
    mu_registry *root;
    ck_ok(mu_registry_root(&root));
    ck_ok(make_params(MU_F32, &p));
    ck_survives_oom(build_and_bind(p, &o), mu_destroy(o));
    mu_params_release(p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("optim");
    TCase *tests = tcase_create("optim");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, equals_pytorch_in_f64, 0, n_cases);
    tcase_add_loop_test(tests, equals_pytorch_in_f32, 0, n_cases);
    tcase_add_loop_test(tests, continues_from_restored_states, 0, n_cases);
    tcase_add_test(tests, groups_have_their_own_values);
    tcase_add_test(tests, a_step_allocates_nothing);
    tcase_add_test(tests, a_norm_that_is_not_finite_updates_nothing);
    tcase_add_test(tests, wrong_use);
    tcase_add_test(tests, wrong_options);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

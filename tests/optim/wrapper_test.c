#include "optim/wrapper.h"

#include "core/log.h"

#include "build.h"
#include "shared.h"
#include "toy.h"

static mu_backend *backend;
static mu_comm *self;

static void begin(void)
{
    ck_ok(mu_backend_open("cpu:ref", NULL, &backend));
    ck_ok(mu_comm_self_new(&self));
}

static void end(void)
{
    mu_comm_release(self);
    mu_backend_close(backend);
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static const mu_param_traits traits[] = {
    {.name = "fc.weight", .ndim = 2},
    {.name = "gain", .ndim = 1},
    {.name = "fc.bias", .ndim = 1, .bias = true},
};

typedef struct {
    mu_config *config;
    mu_cfg *parallel_cfg;
    mu_params *params;
    mu_parallel *parallel;
    mu_optim_wrapper *wrapper;
} run;

static void run_end(run *r)
{
    mu_destroy(r->wrapper);
    mu_destroy(r->parallel);
    mu_params_release(r->params);
    mu_cfg_release(r->parallel ? r->parallel_cfg : NULL);
    mu_config_release(r->config);
}

static mu_err run_begin(run *r, const char *text)
{
    void *object;
    mu_err err;
    *r = (run){0};
    MU_TRY(build_yaml("optim_wrapper", text, &r->config, &object));
    r->wrapper = object;
    MU_TRY_GOTO(err, toy_params(backend, &r->params), fail);
    MU_TRY_GOTO(err, toy_start(r->params), fail);
    MU_TRY_GOTO(err, shared_open(self, "", &r->parallel_cfg, &r->parallel, NULL), fail);
    MU_TRY_GOTO(err, mu_parallel_bind(r->parallel, backend, r->params, mu_optim_wrapper_accumulates(r->wrapper)), fail);
    MU_TRY_GOTO(err, mu_optim_wrapper_bind(r->wrapper, backend, r->params, traits, 3, 1, r->parallel), fail);
    return MU_OK;
fail:
    run_end(r);
    return err;
}

static mu_update_info update(run *r, int from, int n)
{
    mu_update_info info;
    ck_ok(toy_backward(r->params, from, n));
    ck_ok(shared_update(r->parallel, r->wrapper, &info));
    return info;
}

static void read(const run *r, double *values)
{
    ck_ok(toy_move(r->params, mu_params_data(r->params, NULL), values, false));
}

static void same(const run *a, const run *b, double tolerance)
{
    double va[TOY_N], vb[TOY_N];
    read(a, va);
    read(b, vb);
    for (int i = 0; i < TOY_N; i++)
        ck_assert_msg(fabs(va[i] - vb[i]) <= tolerance * fabs(vb[i]), "element %d: %.17g, %.17g", i, va[i], vb[i]);
}

#define SGD "optimizer: {type: SGD, lr: 0.1, momentum: 0.9, weight_decay: 0.01}"

static const char *const accumulating[] = {
    SGD,
    "optimizer: {type: AdamW, lr: 0.01}",
    SGD ", clip_grad: {max_norm: 0.3}",
    SGD ", clip_grad: {type: value, clip_value: 0.1}",
    SGD ", paramwise_cfg: {bias_lr_mult: 2}",
};

/* Batches of 2 samples, 3 of them to an update, 11 in all: three updates of 6 samples and one of 4. */
START_TEST(accumulation_is_one_big_batch)
{
    char text[512];
    run big, small;
    snprintf(text, sizeof text, "{type: OptimWrapper, %s}", accumulating[_i]);
    ck_ok(run_begin(&big, text));
    snprintf(text, sizeof text, "{type: OptimWrapper, %s, accumulative_counts: 3}", accumulating[_i]);
    ck_ok(run_begin(&small, text));
    mu_optim_wrapper_set_progress(small.wrapper, 0, 11);
    for (int batch = 0; batch < 11; batch++) {
        double before[TOY_N], after[TOY_N];
        bool last = batch % 3 == 2 || batch == 10;
        read(&small, before);
        mu_update_info info = update(&small, 2 * batch, 2), whole = {.grad_norm = NAN};
        read(&small, after);
        ck_assert_int_eq(info.updated, last);
        ck_assert_int_eq(memcmp(before, after, sizeof after) == 0, !last);
        if (!last) {
            ck_assert(isnan(info.grad_norm));
            continue;
        }
        whole = batch == 10 ? update(&big, 18, 4) : update(&big, 2 * batch - 4, 6);
        ck_assert(whole.updated);
        ck_assert(isnan(whole.grad_norm) ? isnan(info.grad_norm) : fabs(info.grad_norm / whole.grad_norm - 1) < 1e-6);
        same(&small, &big, 1e-6);
    }
    double control[MU_CONTROL_N];
    ck_ok(mu_optim_read_control(mu_optim_wrapper_optim(small.wrapper), control));
    ck_assert_double_eq(control[MU_CONTROL_STEPS], 4);
    run_end(&big);
    run_end(&small);
}
END_TEST

START_TEST(a_run_of_unknown_length_keeps_its_rest)
{
    run r;
    int64_t count;
    ck_ok(run_begin(&r, "{type: OptimWrapper, " SGD ", accumulative_counts: 3}"));
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(update(&r, i, 1).updated, i % 3 == 2);
    ck_assert_ptr_nonnull(mu_parallel_accumulated(r.parallel, &count));
    ck_assert_int_eq(count, 2);
    ck_assert(update(&r, 8, 1).updated);
    ck_assert_ptr_null(mu_parallel_accumulated(r.parallel, &count));
    ck_assert_int_eq(count, 0);
    run_end(&r);
}
END_TEST

/* Stopped between two updates, with all that a checkpoint holds put into new objects. */
START_TEST(continues_bit_by_bit)
{
    static const char text[] = "{type: OptimWrapper, optimizer: {type: SGD, lr: 0.1}, accumulative_counts: 4}";
    run straight, first, second;
    double values[TOY_N];
    int64_t count;
    ck_ok(run_begin(&straight, text));
    ck_ok(run_begin(&first, text));
    ck_ok(run_begin(&second, text));
    for (int i = 0; i < 10; i++)
        (void)update(&straight, 2 * i, 2);
    for (int i = 0; i < 6; i++)
        (void)update(&first, 2 * i, 2);
    void *sums = mu_parallel_accumulated(first.parallel, &count);
    ck_assert_int_eq(count, 2);
    read(&first, values);
    ck_ok(toy_move(second.params, mu_params_data(second.params, NULL), values, true));
    ck_ok(mu_parallel_set_accumulated(second.parallel, count));
    ck_ok(toy_move(first.params, sums, values, false));
    ck_ok(toy_move(second.params, mu_parallel_accumulated(second.parallel, &count), values, true));
    mu_optim_wrapper_set_progress(second.wrapper, 6, -1);
    for (int i = 6; i < 10; i++)
        ck_assert_int_eq(update(&second, 2 * i, 2).updated, i == 7);
    same(&second, &straight, 0);
    void *left = mu_parallel_accumulated(straight.parallel, &count);
    double wanted[TOY_N];
    ck_ok(toy_move(straight.params, left, wanted, false));
    ck_ok(toy_move(second.params, mu_parallel_accumulated(second.parallel, &count), values, false));
    ck_assert_mem_eq(values, wanted, sizeof values);
    run_end(&straight);
    run_end(&first);
    run_end(&second);
}
END_TEST

/* Gradients that were accumulated under other settings are used up by the next update. */
START_TEST(accumulated_gradients_survive_another_count)
{
    run r, wanted;
    double zeros[TOY_N] = {0};
    int64_t count;
    ck_ok(run_begin(&r, "{type: OptimWrapper, optimizer: {type: SGD, lr: 0.1}}"));
    ck_ok(run_begin(&wanted, "{type: OptimWrapper, optimizer: {type: SGD, lr: 0.05}}"));
    ck_ok(mu_parallel_set_accumulated(r.parallel, 1));
    ck_ok(toy_move(r.params, mu_parallel_accumulated(r.parallel, &count), zeros, true));
    ck_assert(update(&r, 0, 2).updated);
    ck_assert(update(&wanted, 0, 2).updated);
    same(&r, &wanted, 1e-6);
    ck_fails(mu_parallel_set_accumulated(r.parallel, -1), MU_ERR_USAGE, "gradients of -1 batches");
    run_end(&r);
    run_end(&wanted);
}
END_TEST

static double gradient_norm(const run *r)
{
    double g[TOY_N], sum = 0;
    ck_ok(toy_move(r->params, mu_params_gradients(r->params, NULL), g, false));
    for (int i = 0; i < TOY_N; i++)
        sum += g[i] * g[i];
    return sqrt(sum);
}

START_TEST(clips)
{
    static const struct {
        const char *cfg;
        double max_norm, max_value;
    } cases[] = {
        {"{max_norm: 0.25}", 0.25, 0},
        {"{type: norm, max_norm: 1000, norm_type: 2}", 1000, 0},
        {"{type: value, clip_value: 0.125}", 0, 0.125},
        {"null", 0, 0},
    };
    char text[256];
    run r;
    double before[TOY_N], after[TOY_N], g[TOY_N];
    snprintf(text, sizeof text, "{type: OptimWrapper, optimizer: {type: SGD, lr: 1}, clip_grad: %s}", cases[_i].cfg);
    ck_ok(run_begin(&r, text));
    read(&r, before);
    ck_ok(toy_backward(r.params, 0, 3));
    double norm = gradient_norm(&r);
    ck_ok(toy_move(r.params, mu_params_gradients(r.params, NULL), g, false));
    mu_update_info info = update(&r, 0, 3);
    read(&r, after);
    ck_assert(cases[_i].max_norm > 0 ? fabs(info.grad_norm / norm - 1) < 1e-6 : isnan(info.grad_norm));
    for (int i = 0; i < TOY_N; i++) {
        double wanted = g[i];
        if (cases[_i].max_norm > 0)
            wanted *= fmin(1, cases[_i].max_norm / (norm + 1e-6));
        if (cases[_i].max_value > 0)
            wanted = fmax(-cases[_i].max_value, fmin(cases[_i].max_value, wanted));
        ck_assert_double_eq_tol(before[i] - after[i], wanted, 1e-6);
    }
    run_end(&r);
}
END_TEST

START_TEST(makes_groups)
{
    static const mu_param_traits more[] = {
        {.name = "fc.weight", .ndim = 2}, {.name = "bn.mean", .ndim = 1}, {.name = "fc.bias", .ndim = 1, .bias = true}};
    run r;
    mu_update_info info;
    ck_ok(run_begin(&r, "{type: OptimWrapper, optimizer: {type: SGD, lr: 0.5, weight_decay: 0.25}, "
                        "paramwise_cfg: {bias_lr_mult: 2, flat_decay_mult: 0, custom_keys: {fc.weight: {}, gain: {momentum: 0.5}}}}"));
    mu_optim *o = mu_optim_wrapper_optim(r.wrapper);
    ck_assert_int_eq(mu_optim_n_groups(o), 3);
    ck_assert_int_eq(mu_optim_wrapper_group_of(r.wrapper, 0), 0);
    ck_assert_int_eq(mu_optim_wrapper_group_of(r.wrapper, 1), 1);
    ck_assert_int_eq(mu_optim_wrapper_group_of(r.wrapper, 2), 2);
    ck_assert_double_eq(mu_optim_group_at(o, 1)->momentum, 0.5);
    ck_assert_double_eq(mu_optim_group_at(o, 2)->lr, 1);
    ck_assert_double_eq(mu_optim_group_at(o, 2)->weight_decay, 0);
    /* Bound again: scaled, a state among the parameters is skipped, a parameter that is not named stays as it is. */
    ck_ok(mu_optim_wrapper_bind(r.wrapper, backend, r.params, more, 3, 4, r.parallel));
    ck_assert_int_eq(mu_optim_n_groups(o), 2);
    ck_assert_int_eq(mu_optim_wrapper_group_of(r.wrapper, 1), -1);
    ck_assert_double_eq(mu_optim_group_at(o, 0)->lr, 2);
    ck_assert_double_eq(mu_optim_group_at(o, 1)->lr, 4);
    ck_assert_double_eq(mu_optim_initial_group(o, 1).lr, 4);
    double before[TOY_N], after[TOY_N];
    read(&r, before);
    info = update(&r, 0, 3);
    ck_assert(info.updated);
    read(&r, after);
    for (int i = 0; i < TOY_N; i++)
        ck_assert_int_eq(before[i] == after[i], i >= TOY_WEIGHT && i < TOY_WEIGHT + TOY_GAIN);
    run_end(&r);
}
END_TEST

/* Where nothing has the optimizer's own settings, group 0 still has them. */
START_TEST(group_0_is_the_optimizers)
{
    run r;
    ck_ok(run_begin(&r, "{type: OptimWrapper, " SGD ", paramwise_cfg: {custom_keys: {fc: {lr_mult: 2}, gain: {lr_mult: 2}}}}"));
    mu_optim *o = mu_optim_wrapper_optim(r.wrapper);
    ck_assert_int_eq(mu_optim_n_groups(o), 2);
    ck_assert_double_eq(mu_optim_group_at(o, 0)->lr, 0.1);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(mu_optim_wrapper_group_of(r.wrapper, i), 1);
    run_end(&r);
}
END_TEST

static void keep_line(void *user, mu_log_level level, const char *room, const char *line)
{
    (void)level, (void)room;
    strncat(user, line, 1023 - strlen(user));
}

START_TEST(warns)
{
    static const mu_param_traits twice[] = {{.name = "gain", .ndim = 1}, {.name = "fc.weight", .ndim = 2}, {.name = "gain", .ndim = 1}};
    char lines[1024] = "";
    run r;
    mu_log_set_sink(keep_line, lines);
    ck_ok(run_begin(&r, "{type: OptimWrapper, " SGD ", paramwise_cfg: {custom_keys: {neck: {lr_mult: 2}, fc: {}}}}"));
    ck_assert_ptr_nonnull(strstr(lines, "custom_keys: \"neck\" is part of no parameter's name"));
    ck_assert_ptr_null(strstr(lines, "\"fc\""));
    ck_fails(mu_optim_wrapper_bind(r.wrapper, backend, r.params, twice, 3, 1, r.parallel), MU_ERR_USAGE, "\"gain\" is to be updated twice");
    run_end(&r);
    lines[0] = '\0';
    ck_ok(run_begin(&r, "{type: OptimWrapper, " SGD ", paramwise_cfg: {bypass_duplicate: true}}"));
    ck_assert_str_eq(lines, "");
    ck_ok(mu_optim_wrapper_bind(r.wrapper, backend, r.params, twice, 3, 1, r.parallel));
    ck_assert_ptr_nonnull(strstr(lines, "\"gain\" is met again"));
    ck_assert_int_eq(mu_optim_wrapper_group_of(r.wrapper, 2), 0);
    mu_log_set_sink(NULL, NULL);
    run_end(&r);
}
END_TEST

START_TEST(wrong_use)
{
    static const mu_param_traits unknown = {.name = "fc.wieght", .ndim = 2};
    run r;
    mu_update_info info;
    ck_ok(run_begin(&r, "{type: OptimWrapper, " SGD "}"));
    ck_fails(mu_optim_wrapper_bind(r.wrapper, backend, r.params, &unknown, 1, 1, r.parallel), MU_ERR_NOT_FOUND, "\"fc.wieght\"");
    ck_fails(mu_optim_wrapper_update(r.wrapper, 1, &info), MU_ERR_USAGE, "OptimWrapper is not bound");
    mu_parallel_unbind(r.parallel);
    ck_fails(mu_parallel_set_accumulated(r.parallel, 1), MU_ERR_USAGE, "before the parameters are bound");
    ck_fails(mu_optim_wrapper_bind(r.wrapper, backend, r.params, NULL, 0, 1, r.parallel), MU_ERR_CONFIG, "no parameters to train");
    run_end(&r);
}
END_TEST

START_TEST(mixed_precision)
{
    run r;
    ck_ok(run_begin(&r, "{type: OptimWrapper, " SGD "}"));
    ck_assert_int_eq(mu_optim_wrapper_autocast(r.wrapper), MU_NONE);
    run_end(&r);
    ck_ok(run_begin(&r, "{type: AmpOptimWrapper, " SGD "}"));
    ck_assert_int_eq(mu_optim_wrapper_autocast(r.wrapper), MU_BF16);
    ck_assert(update(&r, 0, 2).updated);
    run_end(&r);
    ck_ok(run_begin(&r, "{type: AmpOptimWrapper, dtype: bfloat16, " SGD "}"));
    run_end(&r);
    ck_ok(run_begin(&r, "{type: AmpOptimWrapper, dtype: float16, " SGD "}"));
    ck_assert_int_eq(mu_optim_wrapper_autocast(r.wrapper), MU_F16);
    ck_fails(mu_optim_wrapper_check_device(r.wrapper, backend), MU_ERR_CONFIG, "float16 is not trained in on CPUs");
    ck_ok(mu_optim_wrapper_check_device(r.wrapper, &(mu_backend){.host_memory = false}));
    run_end(&r);
}
END_TEST

/* The scale that a wrapper begins with, moves as it says, and how the last of these steps left it. */
START_TEST(scales_the_loss)
{
    static const struct {
        const char *keys;
        double begins, overflows, ends; /* after one step of infinite gradients, and after two good ones more */
    } cases[] = {
        {"dtype: float16", 65536, 32768, 32768},
        {"dtype: bfloat16", 1, -1, -1},
        {"loss_scale: null", 1, -1, -1},
        {"loss_scale: dynamic", 65536, 32768, 32768},
        {"loss_scale: 512", 512, 512, 512},
        {"loss_scale: 0.5, dtype: float16", 0.5, 0.5, 0.5},
        {"loss_scale: {init_scale: 64, growth_factor: 8, backoff_factor: 0.25, growth_interval: 2}", 64, 16, 128},
        {"loss_scale: {growth_interval: 1}", 65536, 32768, 131072},
    };
    char text[256];
    double control[MU_CONTROL_N], g[TOY_N] = {[2] = INFINITY};
    mu_update_info info;
    bool updated;
    run r;
    snprintf(text, sizeof text, "{type: AmpOptimWrapper, " SGD ", %s}", cases[_i].keys);
    ck_ok(run_begin(&r, text));
    const mu_optim *optim = mu_optim_wrapper_optim(r.wrapper);
    ck_assert_int_eq(mu_optim_wrapper_scales(r.wrapper), cases[_i].overflows > 0);
    ck_ok(mu_optim_read_control(optim, control));
    ck_assert_double_eq(control[MU_CONTROL_LOSS_SCALE], cases[_i].begins);
    if (cases[_i].overflows > 0) {
        ck_ok(toy_move(r.params, mu_params_gradients(r.params, NULL), g, true));
        ck_ok(mu_optim_wrapper_update(r.wrapper, 1, &info));
        ck_assert(info.updated);
        ck_ok(mu_optim_read_control(optim, control));
        ck_assert_double_eq(control[MU_CONTROL_LOSS_SCALE], cases[_i].overflows);
        ck_assert_double_eq(control[MU_CONTROL_SKIPPED], 1);
        g[2] = 1;
        ck_ok(toy_move(r.params, mu_params_gradients(r.params, NULL), g, true));
        for (int i = 0; i < 2; i++) {
            ck_ok(mu_optim_wrapper_update_late(r.wrapper, 1, &updated));
            ck_assert(updated);
        }
        ck_ok(mu_optim_read_control(optim, control));
        ck_assert_double_eq(control[MU_CONTROL_LOSS_SCALE], cases[_i].ends);
        ck_assert_double_eq(control[MU_CONTROL_STEPS], 2);
    }
    run_end(&r);
}
END_TEST

START_TEST(a_norm_that_is_not_finite_updates_nothing)
{
    run r;
    mu_update_info info = {.updated = false, .grad_norm = 7};
    double before[TOY_N], after[TOY_N], g[TOY_N] = {[TOY_N - 1] = NAN};
    ck_ok(run_begin(&r, "{type: OptimWrapper, " SGD ", clip_grad: {max_norm: 1}}"));
    read(&r, before);
    ck_ok(toy_move(r.params, mu_params_gradients(r.params, NULL), g, true));
    ck_fails(shared_update(r.parallel, r.wrapper, &info), MU_ERR_NUMERIC, "norm of the gradients is nan in step 1");
    ck_assert_double_eq(info.grad_norm, 7);
    read(&r, after);
    ck_assert_mem_eq(before, after, sizeof after);
    run_end(&r);
}
END_TEST

START_TEST(updates_allocate_nothing)
{
    run r;
    ck_ok(run_begin(&r, "{type: OptimWrapper, " SGD ", accumulative_counts: 2, clip_grad: {max_norm: 1}}"));
    (void)update(&r, 0, 2);
    (void)update(&r, 2, 2);
    int64_t before = mu_mem_get_counts().total_blocks;
    for (int i = 0; i < 4; i++)
        (void)update(&r, i, 2);
    ck_assert_int_eq(mu_mem_get_counts().total_blocks, before);
    run_end(&r);
}
END_TEST

START_TEST(wrong_options)
{
    static const char *const wrong[][2] = {
        {"{type: OptimWrapper}", "optimizer"},
        {"{type: OptimWrapper, " SGD ", accumulative_counts: 0}", "expected integer >= 1"},
        {"{type: OptimWrapper, " SGD ", acumulative_counts: 2}", "did you mean 'accumulative_counts'"},
        {"{type: OptimWrapper, " SGD ", dtype: bfloat16}", "unknown key 'dtype'"},
        {"{type: OptimWrapper, " SGD ", clip_grad: {}}", "type norm needs max_norm, and that alone"},
        {"{type: OptimWrapper, " SGD ", clip_grad: {max_norm: 1, clip_value: 1}}", "type norm needs max_norm, and that alone"},
        {"{type: OptimWrapper, " SGD ", clip_grad: {type: value, max_norm: 1}}", "type value needs clip_value"},
        {"{type: OptimWrapper, " SGD ", clip_grad: {type: nrom, max_norm: 1}}", "clip_grad.type: expected one of norm, value"},
        {"{type: OptimWrapper, " SGD ", clip_grad: {max_norm: 1, norm_type: 1}}", "norm_type"},
        {"{type: OptimWrapper, " SGD ", clip_grad: {maxnorm: 1}}", "did you mean 'max_norm'"},
        {"{type: OptimWrapper, " SGD ", paramwise_cfg: {norm_decay_mul: 0}}", "did you mean 'norm_decay_mult'"},
        {"{type: OptimWrapper, optimizer: {type: SDG}}", "did you mean 'SGD'"},
        {"{type: AmpOptimWrapper, " SGD ", dtype: float32}", "expected one of bfloat16, float16"},
        {"{type: AmpOptimWrapper, " SGD ", loss_scale: static}", "loss_scale: expected dynamic, a number above 0 or a dictionary, found"},
        {"{type: AmpOptimWrapper, " SGD ", loss_scale: 0}", "loss_scale: expected dynamic"},
        {"{type: AmpOptimWrapper, " SGD ", loss_scale: [1]}", "loss_scale: expected dynamic"},
        {"{type: AmpOptimWrapper, " SGD ", loss_scale: {growth_factor: 1}}", "growth_factor"},
        {"{type: AmpOptimWrapper, " SGD ", loss_scale: {backoff_factor: 1.5}}", "backoff_factor"},
        {"{type: AmpOptimWrapper, " SGD ", loss_scale: {scale: 2}}", "scale"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refuses_yaml("optim_wrapper", wrong[i][0], wrong[i][1]);
}
END_TEST

START_TEST(out_of_memory)
{
    run r;
    mu_registry *root;
    ck_ok(mu_registry_root(&root));
    ck_survives_oom(run_begin(&r, "{type: OptimWrapper, " SGD ", accumulative_counts: 2, clip_grad: {max_norm: 1}, "
                                  "paramwise_cfg: {custom_keys: {fc: {lr_mult: 2}}}}"),
                    run_end(&r));
}
END_TEST

START_TEST(out_of_memory_for_sums)
{
    run r;
    ck_ok(run_begin(&r, "{type: OptimWrapper, " SGD "}"));
    ck_survives_oom(mu_parallel_set_accumulated(r.parallel, 2),
                    ck_ok(mu_parallel_bind(r.parallel, backend, r.params, false)));
    run_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wrapper");
    TCase *tests = tcase_create("wrapper");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, accumulation_is_one_big_batch, 0, sizeof accumulating / sizeof *accumulating);
    tcase_add_test(tests, a_run_of_unknown_length_keeps_its_rest);
    tcase_add_test(tests, continues_bit_by_bit);
    tcase_add_test(tests, accumulated_gradients_survive_another_count);
    tcase_add_loop_test(tests, clips, 0, 4);
    tcase_add_test(tests, makes_groups);
    tcase_add_test(tests, group_0_is_the_optimizers);
    tcase_add_test(tests, warns);
    tcase_add_test(tests, wrong_use);
    tcase_add_test(tests, mixed_precision);
    tcase_add_loop_test(tests, scales_the_loss, 0, 8);
    tcase_add_test(tests, a_norm_that_is_not_finite_updates_nothing);
    tcase_add_test(tests, updates_allocate_nothing);
    tcase_add_test(tests, wrong_options);
    tcase_add_test(tests, out_of_memory);
    tcase_add_test(tests, out_of_memory_for_sums);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

#include "optim/schedule_trace.h"

#include "build.h"

#include <math.h>

enum { MAX_ITERS = 160, MAX_SCHEDULERS = 4 };

typedef struct {
    const char *schedulers; /* JSON */
    int64_t epoch_length, n;
    double lr[MAX_ITERS];
} golden_case;

#include "golden/scheduler.inc"

static const int n_cases = sizeof golden_cases / sizeof *golden_cases;

typedef struct {
    mu_config *config, *optim_config;
    mu_optim *optim;
    mu_scheduler *scheduler[MAX_SCHEDULERS];
    int n;
} chain;

static void end(void)
{
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static void chain_end(chain *c)
{
    for (int i = 0; i < c->n; i++)
        mu_destroy(c->scheduler[i]);
    mu_destroy(c->optim);
    mu_config_release(c->config);
    mu_config_release(c->optim_config);
}

/* list: JSON or YAML. */
static void chain_begin(chain *c, const char *list, const char *optim)
{
    char text[2048];
    void *object;
    *c = (chain){0};
    snprintf(text, sizeof text, "param_scheduler: %s\n", list);
    ck_ok(mu_config_parse(text, strlen(text), "yaml", &c->config));
    const mu_cfg *cfg = mu_cfg_get(mu_config_root(c->config), "param_scheduler");
    ck_assert_uint_le(mu_cfg_size(cfg), MAX_SCHEDULERS);
    for (; c->n < (int)mu_cfg_size(cfg); c->n++) {
        ck_ok(mu_build("param_scheduler", mu_cfg_at(cfg, (size_t)c->n), NULL, "param_scheduler", &object));
        c->scheduler[c->n] = object;
    }
    ck_ok(build_yaml("optimizer", optim, &c->optim_config, &object));
    c->optim = object;
}

START_TEST(equals_mmengine)
{
    const golden_case *g = &golden_cases[_i];
    chain c;
    double lr[MAX_ITERS], momentum[MAX_ITERS];
    chain_begin(&c, g->schedulers, "{type: SGD, lr: 0.1, momentum: 0.9}");
    ck_ok(mu_schedule_trace(c.optim, c.scheduler, c.n, 1, g->epoch_length, g->n, lr, momentum));
    for (int64_t i = 0; i < g->n; i++) {
        ck_assert_msg(fabs(lr[i] - g->lr[i]) <= 1e-12 * fabs(g->lr[i]), "%s: iteration %d: %.17g instead of %.17g",
                      g->schedulers, (int)i, lr[i], g->lr[i]);
        ck_assert_double_eq(momentum[i], 0.9);
    }
    chain_end(&c);
}
END_TEST

START_TEST(traces_scaled_rates_and_adams_momentum)
{
    chain c;
    double lr[6], momentum[6];
    chain_begin(&c, "[{type: MultiStepLR, milestones: [1], gamma: 0.5}]", "{type: Adam, lr: 0.5, betas: [0.75, 0.9]}");
    ck_ok(mu_schedule_trace(c.optim, c.scheduler, c.n, 4, 3, 6, lr, momentum));
    for (int i = 0; i < 6; i++) {
        ck_assert_double_eq(lr[i], i < 3 ? 2 : 1);
        ck_assert_double_eq(momentum[i], 0.75);
    }
    ck_assert_int_eq(mu_optim_n_groups(c.optim), 0);
    ck_ok(mu_schedule_trace(c.optim, c.scheduler, c.n, 1, 3, 6, lr, NULL));
    ck_assert_double_eq(lr[2], 0.5);
    ck_fails(mu_schedule_trace(c.optim, c.scheduler, c.n, 1, 0, 6, lr, NULL), MU_ERR_USAGE, "epochs of 0");
    chain_end(&c);
}
END_TEST

/* Two groups of one parameter each. */
static mu_params *bind_groups(mu_optim *optim, mu_backend *backend)
{
    mu_params *params;
    mu_optim_group groups[2] = {mu_optim_default_group(optim), mu_optim_default_group(optim)};
    groups[1].lr *= 10;
    ck_ok(mu_params_new(backend, &params));
    ck_ok(mu_params_declare(params, "a", MU_TYPE(MU_F32, 2), true));
    ck_ok(mu_params_declare(params, "b", MU_TYPE(MU_F32, 3), true));
    ck_ok(mu_params_freeze(params, true));
    ck_ok(mu_optim_bind(optim, backend, params, (int[]){0, 1}, groups, 2));
    return params;
}

static void tick(chain *c, int64_t at, int64_t epoch_length)
{
    for (int i = 0; i < c->n; i++)
        mu_scheduler_step(c->scheduler[i], false);
    for (int i = 0; i < c->n && (at + 1) % epoch_length == 0; i++)
        mu_scheduler_step(c->scheduler[i], true);
}

/* Every case, stopped after each iteration in turn and continued by new objects, gives the same bits. */
START_TEST(continues_bit_by_bit)
{
    const golden_case *g = &golden_cases[_i];
    mu_backend *backend;
    chain a, b;
    double lr[2][MAX_ITERS];
    ck_ok(mu_backend_open("cpu:ref", NULL, &backend));
    chain_begin(&a, g->schedulers, "{type: SGD, lr: 0.1}");
    mu_params *pa = bind_groups(a.optim, backend);
    for (int i = 0; i < a.n; i++)
        ck_ok(mu_scheduler_bind(a.scheduler[i], a.optim, g->epoch_length));
    for (int64_t at = 0; at < g->n; at++) {
        for (int k = 0; k < 2; k++)
            lr[k][at] = mu_optim_group_at(a.optim, k)->lr;
        tick(&a, at, g->epoch_length);
    }
    for (int64_t stop = 1; stop < g->n; stop += 5) {
        chain_end(&a);
        mu_params_release(pa);
        chain_begin(&a, g->schedulers, "{type: SGD, lr: 0.1}");
        chain_begin(&b, g->schedulers, "{type: SGD, lr: 0.1}");
        pa = bind_groups(a.optim, backend);
        mu_params *pb = bind_groups(b.optim, backend);
        for (int i = 0; i < a.n; i++) {
            ck_ok(mu_scheduler_bind(a.scheduler[i], a.optim, g->epoch_length));
            ck_ok(mu_scheduler_bind(b.scheduler[i], b.optim, g->epoch_length));
        }
        for (int64_t at = 0; at < stop; at++)
            tick(&a, at, g->epoch_length);
        for (int k = 0; k < 2; k++)
            *mu_optim_group_at(b.optim, k) = *mu_optim_group_at(a.optim, k);
        for (int i = 0; i < a.n; i++)
            mu_scheduler_restore(b.scheduler[i], a.scheduler[i]->step, a.scheduler[i]->base);
        for (int64_t at = stop; at < g->n; at++) {
            for (int k = 0; k < 2; k++) {
                double found = mu_optim_group_at(b.optim, k)->lr;
                ck_assert_msg(memcmp(&found, &lr[k][at], sizeof found) == 0, "%s: stopped at %d: group %d in %d: %.17g, %.17g",
                              g->schedulers, (int)stop, k, (int)at, found, lr[k][at]);
            }
            tick(&b, at, g->epoch_length);
        }
        chain_end(&b);
        mu_params_release(pb);
    }
    chain_end(&a);
    mu_params_release(pa);
    mu_backend_close(backend);
}
END_TEST

/* A cosine that goes round again climbs back to where its group began before any scheduler, each group to its own. */
START_TEST(the_base_is_the_optimizers)
{
    mu_backend *backend;
    chain c;
    ck_ok(mu_backend_open("cpu:ref", NULL, &backend));
    chain_begin(&c,
                "[{type: ConstantLR, factor: 0.5, end: 100, by_epoch: false}, "
                "{type: CosineAnnealingLR, T_max: 4, by_epoch: false}]",
                "{type: SGD, lr: 0.1}");
    mu_params *params = bind_groups(c.optim, backend);
    for (int i = 0; i < c.n; i++)
        ck_ok(mu_scheduler_bind(c.scheduler[i], c.optim, 1));
    ck_assert_double_eq(c.scheduler[1]->base[0], 0.1);
    ck_assert_double_eq(c.scheduler[1]->base[1], 1);
    ck_assert_double_eq(mu_optim_group_at(c.optim, 0)->lr, 0.05);
    for (int i = 0; i < 4; i++)
        tick(&c, i, 1);
    ck_assert_double_eq(mu_optim_group_at(c.optim, 1)->lr, 0);
    for (int i = 0; i < 4; i++)
        tick(&c, i, 1);
    ck_assert_double_eq_tol(mu_optim_group_at(c.optim, 0)->lr, 0.1, 1e-15);
    ck_assert_double_eq_tol(mu_optim_group_at(c.optim, 1)->lr, 1, 1e-14);
    chain_end(&c);
    mu_params_release(params);
    mu_backend_close(backend);
}
END_TEST

START_TEST(converts_once)
{
    mu_backend *backend;
    chain c;
    ck_ok(mu_backend_open("cpu:ref", NULL, &backend));
    chain_begin(&c, "[{type: MultiStepLR, milestones: [2], begin: 1, end: 5, convert_to_iter_based: true}]", "{type: SGD}");
    mu_scheduler *s = c.scheduler[0];
    ck_fails(mu_scheduler_bind(s, c.optim, 7), MU_ERR_USAGE, "MultiStepLR: the optimizer is not bound");
    mu_params *params = bind_groups(c.optim, backend);
    ck_assert(mu_scheduler_by_epoch(s));
    ck_fails(mu_scheduler_bind(s, c.optim, 0), MU_ERR_CONFIG, "epochs of 0 iterations");
    ck_fails(mu_scheduler_bind(s, c.optim, INT64_MAX / 2), MU_ERR_OVERFLOW, "");
    for (int i = 0; i < 2; i++) {
        ck_ok(mu_scheduler_bind(s, c.optim, 7));
        ck_assert(!mu_scheduler_by_epoch(s));
        ck_assert_int_eq(s->begin, 7);
        ck_assert_int_eq(s->end, 35);
        ck_assert_int_eq(s->step, 0);
    }
    mu_scheduler_step(s, true);
    ck_assert_int_eq(s->step, 0);
    mu_scheduler_step(s, false);
    ck_assert_int_eq(s->step, 1);
    chain_end(&c);
    mu_params_release(params);
    mu_backend_close(backend);
}
END_TEST

/* Where MMEngine keeps gamma, and so decays epoch_length times too fast. */
START_TEST(exponential_decay_of_an_epoch_stays)
{
    chain c;
    double lr[31];
    chain_begin(&c, "[{type: ExponentialLR, gamma: 0.5, begin: 1, convert_to_iter_based: true}]", "{type: SGD, lr: 8}");
    ck_ok(mu_schedule_trace(c.optim, c.scheduler, c.n, 1, 10, 31, lr, NULL));
    for (int i = 0; i < 31; i++)
        ck_assert_double_eq_tol(lr[i], i < 10 ? 8 : 8 * pow(0.5, (i - 10) / 10.0), 1e-13);
    chain_end(&c);
}
END_TEST

START_TEST(wrong_options)
{
    static const char *const wrong[][2] = {
        {"{type: LinearLR, begin: 3, end: 3}", "end must lie after begin, got begin 3 and end 3"},
        {"{type: LinearLR}", "it has no end"},
        {"{type: PolyLR}", "it has no end"},
        {"{type: LinearLR, end: 3, start_factor: 0}", "start_factor: expected number > 0"},
        {"{type: LinearLR, end: 3, end_factor: 1.5}", "end_factor: expected number from 0 to 1"},
        {"{type: StepLR, step_size: 2, by_epoch: false, convert_to_iter_based: true}", "by_epoch is false"},
        {"{type: StepLR, step_size: 0}", "step_size: expected integer >= 1"},
        {"{type: CosineAnnealingLR}", "expected T_max or end"},
        {"{type: CosineAnnealingLR, T_max: 3, eta_min: 0, eta_min_ratio: 0.1}", "exclude each other"},
        {"{type: MultiStepLR, milestone: [1]}", "milestones"},
        {"{type: MultiStepLR, milestones: [-1]}", "milestones.0"},
        {"{type: ExponentialLR}", "gamma"},
        {"{type: LinaerLR, end: 3}", "LinearLR"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refuses_yaml("param_scheduler", wrong[i][0], wrong[i][1]);
}
END_TEST

START_TEST(out_of_memory)
{
    chain c;
    double lr[4];
    mu_registry *root;
    ck_ok(mu_registry_root(&root));
    chain_begin(&c, "[{type: MultiStepLR, milestones: [2], convert_to_iter_based: true}]", "{type: SGD}");
    mu_scheduler *s = c.scheduler[0];
    ck_survives_oom(mu_schedule_trace(c.optim, &s, 1, 1, 2, 4, lr, NULL), mu_scheduler_destroy(s));
    chain_end(&c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scheduler");
    TCase *tests = tcase_create("scheduler");
    tcase_add_checked_fixture(tests, NULL, end);
    tcase_add_loop_test(tests, equals_mmengine, 0, n_cases);
    tcase_add_loop_test(tests, continues_bit_by_bit, 0, n_cases);
    tcase_add_test(tests, traces_scaled_rates_and_adams_momentum);
    tcase_add_test(tests, the_base_is_the_optimizers);
    tcase_add_test(tests, converts_once);
    tcase_add_test(tests, exponential_decay_of_an_epoch_stays);
    tcase_add_test(tests, wrong_options);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

/* How a store is cut into units, and when a plan tells that their gradients are complete. */
#include "../graph/toys.h"

enum { MAX_UNITS = 64 };

static mu_backend *backend;

static void begin(void)
{
    ck_ok(mu_backend_open("cpu:ref", &(mu_backend_options){.n_threads = 1, .cache_dir = ""}, &backend));
}

static void end(void)
{
    mu_backend_close(backend);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

/* Names and elements, in the order in which backward would give the gradients. */
typedef struct {
    const char *name;
    mu_dtype dtype;
    int64_t count;
} part;

static const part net[] = {
    {"head.bias", MU_F32, 10}, {"head.weight", MU_F32, 640}, {"layer2.1.weight", MU_F32, 400}, {"layer2.0.weight", MU_F32, 400},
    {"layer1.weight", MU_F32, 300}, {"layer10.weight", MU_F32, 16}, {"wide", MU_F64, 64}, {"stem.weight", MU_F32, 30}, {"stem.bias", MU_F32, 4},
};
enum { N_NET = sizeof net / sizeof *net };

static mu_err make(const mu_params_sharing *sharing, mu_params **out)
{
    mu_params *params;
    mu_err err;
    MU_TRY(mu_params_new(backend, &params));
    if (sharing)
        MU_TRY_GOTO(err, mu_params_share(params, sharing), fail);
    MU_TRY_GOTO(err, mu_params_declare(params, "running", MU_TYPE(MU_F32, 5), false), fail);
    for (int i = 0; i < N_NET; i++) {
        MU_TRY_GOTO(err, mu_params_declare(params, net[i].name, MU_TYPE(net[i].dtype, net[i].count), true), fail);
        MU_TRY_GOTO(err, mu_params_place(params, net[i].name, i, NULL), fail);
    }
    MU_TRY_GOTO(err, mu_params_freeze(params, true), fail);
    *out = params;
    return MU_OK;
fail:
    mu_params_release(params);
    return err;
}

/* Units follow each other without gaps, hold their parameters, have one dtype and divide among the ranks. */
static void check_units(const mu_params *params)
{
    const mu_params_sharing *sharing = mu_params_sharing_of(params);
    size_t at = 0, bytes;
    int next = 0;
    (void)mu_params_gradients(params, &bytes);
    for (int u = 0; u < mu_params_n_units(params); u++) {
        const mu_param_unit *unit = mu_params_unit(params, u);
        ck_assert_uint_eq(unit->offset, at);
        ck_assert_int_eq(unit->first, next);
        ck_assert_int_gt(unit->n, 0);
        ck_assert_uint_eq(unit->bytes % ((size_t)sharing->size * MU_ALIGN), 0);
        ck_assert_uint_eq(unit->piece_bytes, unit->bytes / (size_t)sharing->size);
        ck_assert_uint_eq(unit->piece_offset, unit->offset / (size_t)sharing->size);
        for (int i = next; i < next + unit->n; i++) {
            const mu_param_info *info = mu_params_at(params, i);
            ck_assert_int_eq(mu_params_unit_of(params, i), u);
            ck_assert(info->trainable && info->offset >= at && info->offset + info->bytes <= at + unit->bytes);
            ck_assert_int_eq(info->type.dtype, mu_params_at(params, next)->type.dtype);
        }
        at += unit->bytes;
        next += unit->n;
    }
    ck_assert_uint_eq(at, bytes);
    ck_assert_int_eq(next, N_NET);
    ck_assert_int_eq(mu_params_unit_of(params, N_NET), -1);
}

/* "0.2.1" : parameters 0, 1 of net are unit 0, ... */
static void expect_units(const mu_params *params, const char *const *wanted, int n)
{
    char text[512];
    ck_assert_int_eq(mu_params_n_units(params), n);
    for (int u = 0; u < n; u++) {
        const mu_param_unit *unit = mu_params_unit(params, u);
        text[0] = '\0';
        for (int i = 0; i < unit->n; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", mu_params_at(params, unit->first + i)->name);
        ck_assert_str_eq(text, wanted[u]);
    }
}

START_TEST(one_unit_of_a_dtype)
{
    static const char *const wanted[] = {"head.bias head.weight layer2.1.weight layer2.0.weight layer1.weight layer10.weight", "wide",
                                         "stem.weight stem.bias"};
    mu_params *params;
    ck_ok(make(NULL, &params));
    check_units(params);
    expect_units(params, wanted, 3);
    mu_params_release(params);
}
END_TEST

START_TEST(cut_by_size)
{
    static const char *const wanted[] = {"head.bias head.weight", "layer2.1.weight layer2.0.weight", "layer1.weight layer10.weight", "wide",
                                         "stem.weight stem.bias"};
    mu_params *params;
    ck_ok(make(&(mu_params_sharing){.size = 3, .rank = 2, .unit_bytes = 2500}, &params));
    check_units(params);
    expect_units(params, wanted, 5);
    mu_params_release(params);
    for (int size = 1; size <= 4; size++)
        for (size_t bytes = 1; bytes < 100000; bytes = bytes * 3 + 1) {
            ck_ok(make(&(mu_params_sharing){.size = size, .unit_bytes = bytes}, &params));
            check_units(params);
            ck_assert(bytes > 4000 || mu_params_n_units(params) > 3);
            ck_assert(bytes > 1 || mu_params_n_units(params) == N_NET);
            mu_params_release(params);
        }
}
END_TEST

/* "layer1" is not "layer10"; a module stands where its last parameter would. */
START_TEST(cut_by_module)
{
    static const char *const modules[] = {"layer1", "layer2", "stem"};
    static const char *const wanted[] = {"head.bias head.weight", "layer2.1.weight layer2.0.weight", "layer1.weight", "layer10.weight", "wide",
                                         "stem.weight stem.bias"};
    static const char *const spread[] = {"head"}, *const apart[] = {"stem", "layer1"};
    mu_params *params;
    ck_ok(make(&(mu_params_sharing){.size = 2, .modules = modules, .n_modules = 3}, &params));
    check_units(params);
    expect_units(params, wanted, 6);
    mu_params_release(params);
    ck_ok(make(&(mu_params_sharing){.size = 2, .unit_bytes = 1, .modules = spread, .n_modules = 1}, &params));
    check_units(params);
    ck_assert_int_eq(mu_params_n_units(params), N_NET - 1);
    ck_assert_int_eq(mu_params_unit(params, 0)->n, 2);
    mu_params_release(params);
    ck_ok(make(&(mu_params_sharing){.size = 2, .modules = apart, .n_modules = 2}, &params));
    check_units(params);
    mu_params_release(params);
}
END_TEST

START_TEST(wrong_sharing)
{
    mu_params *params;
    ck_ok(mu_params_new(backend, &params));
    ck_fails(mu_params_share(params, &(mu_params_sharing){.size = 2, .rank = 2}), MU_ERR_USAGE, "rank 2 of 2");
    ck_fails(mu_params_share(params, &(mu_params_sharing){.size = 0}), MU_ERR_USAGE, "rank 0 of 0");
    ck_ok(mu_params_freeze(params, false));
    ck_fails(mu_params_share(params, &(mu_params_sharing){.size = 1}), MU_ERR_USAGE, "after the arenas were laid out");
    mu_params_release(params);
}
END_TEST

START_TEST(out_of_memory)
{
    static const char *const modules[] = {"layer1", "layer2"};
    mu_params *params;
    mu_params_sharing sharing = {.size = 2, .unit_bytes = 1000, .modules = modules, .n_modules = 2};
    ck_survives_oom(make(&sharing, &params), mu_params_release(params));
}
END_TEST

/* ---- plans ---- */

typedef struct {
    mu_exchange exchange;
    mu_params *params;
    int n, fail_at; /* calls so far; which fails; -1: none */
    unsigned char *seen; /* the gradients of a unit when it was told, at its place */
} listener;

static void *unit_at(const listener *l, int unit)
{
    return (char *)mu_params_gradients(l->params, NULL) + mu_params_unit(l->params, unit)->offset;
}

static mu_err hear(mu_exchange *exchange, int unit, void *gradients)
{
    listener *l = (listener *)exchange;
    const mu_param_unit *range = mu_params_unit(l->params, unit);
    ck_assert_int_eq(unit, l->n);
    ck_assert_ptr_eq(gradients, unit_at(l, unit));
    if (l->n == l->fail_at)
        return MU_FAIL(MU_ERR_COMM, "nobody listens");
    l->n++;
    memcpy(l->seen + range->offset, gradients, range->bytes);
    return MU_OK;
}

static const mu_exchange_ops hearing = {.start_reduce = hear};

/* What a unit holds when it is told is what it holds at the end; and the first is told before the last is computed. */
START_TEST(gradients_are_complete_when_they_are_told)
{
    mu_graph *graph;
    mu_plan *plan;
    mu_params *params;
    listener l = {.exchange = {.ops = &hearing, .prefetch = 1}, .fail_at = -1};
    size_t bytes;
    ck_ok(toy_net((uint64_t)_i + 1, true, &graph));
    ck_ok(mu_params_new(backend, &params));
    l.params = params;
    ck_ok(mu_params_share(params, &(mu_params_sharing){.size = 2, .unit_bytes = _i % 2 ? 1 : 300, .exchange = &l.exchange}));
    ck_ok(toy_params(graph, params));
    ck_ok(mu_plan_new(graph, backend, params, NULL, &plan));
    toy_inputs(graph, plan);
    unsigned char *gradients = mu_params_gradients(params, &bytes);
    int n = mu_params_n_units(params);
    l.seen = calloc(bytes + 1, 1);
    for (int run = 0; run < 2; run++) {
        l.n = 0;
        memset(l.seen, 0, bytes);
        ck_ok(mu_plan_run(plan, NULL));
        ck_assert_int_eq(l.n, n);
        ck_assert_mem_eq(l.seen, gradients, bytes);
    }
    l.n = -1; /* checked runs tell nothing */
    ck_ok(mu_plan_run_checked(plan, NULL));
    ck_assert_int_eq(l.n, -1);
    free(l.seen);
    mu_plan_release(plan);
    mu_params_release(params);
    mu_graph_release(graph);
}
END_TEST

START_TEST(evaluation_tells_nothing)
{
    mu_graph *graph;
    mu_plan *plan;
    mu_params *params;
    listener l = {.exchange = {.ops = &hearing, .prefetch = 1}, .fail_at = -1, .n = -1};
    ck_ok(toy_net(3, false, &graph));
    ck_ok(mu_params_new(backend, &params));
    l.params = params;
    ck_ok(mu_params_share(params, &(mu_params_sharing){.size = 2, .unit_bytes = 1, .exchange = &l.exchange}));
    ck_ok(toy_params(graph, params));
    ck_ok(mu_plan_new(graph, backend, params, NULL, &plan));
    toy_inputs(graph, plan);
    ck_ok(mu_plan_run(plan, NULL));
    ck_assert_int_eq(l.n, -1);
    mu_plan_release(plan);
    mu_params_release(params);
    mu_graph_release(graph);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("units");
    TCase *tests = tcase_create("units");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, one_unit_of_a_dtype);
    tcase_add_test(tests, cut_by_size);
    tcase_add_test(tests, cut_by_module);
    tcase_add_test(tests, wrong_sharing);
    tcase_add_test(tests, out_of_memory);
    tcase_add_loop_test(tests, gradients_are_complete_when_they_are_told, 0, 24);
    tcase_add_test(tests, evaluation_tells_nothing);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

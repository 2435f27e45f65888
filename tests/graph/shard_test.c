/* Stores of several ranks in one process: pieces, and plans whose parameters and gradients are there only while they are needed. */
#include "toys.h"

#include "graph/plan_impl.h"

#include <math.h>

enum { MAX_RANKS = 3, MAX_UNITS = 256, MAX_LOG = 4096 };

typedef struct world world;

/* Gives and takes what a plan asks for, from the stores of all ranks, and poisons memory that has no meaning. */
typedef struct {
    mu_exchange base;
    world *world;
    int rank;
    void *gather[MAX_UNITS], *reduce[MAX_UNITS], *copy[MAX_UNITS];
    int log[MAX_LOG];
    int n_log, n_gathers, n_alive, most_alive;
    int fail_at; /* entry of the log whose call fails; 0: none */
} fake;

struct world {
    mu_backend *backend;
    int size;
    mu_params *params[MAX_RANKS];
    mu_plan *plan[MAX_RANKS];
    fake exchange[MAX_RANKS];
    double *sum; /* of the ranks' whole gradients */
};

static mu_err note(fake *f, mu_plan_call_kind kind, int unit)
{
    ck_assert_int_lt(f->n_log, MAX_LOG);
    f->log[f->n_log++] = (int)kind * MAX_UNITS + unit;
    if (f->fail_at && f->n_log == f->fail_at)
        return MU_FAIL(MU_ERR_COMM, "the cable is out");
    return MU_OK;
}

static const mu_param_unit *unit_of(const fake *f, int unit)
{
    return mu_params_unit(f->world->params[f->rank], unit);
}

static mu_err start_gather(mu_exchange *exchange, int unit, void *data)
{
    fake *f = (fake *)exchange;
    ck_assert_ptr_null(f->gather[unit]);
    f->gather[unit] = data;
    f->n_gathers++;
    memset(data, 0xff, unit_of(f, unit)->bytes);
    return note(f, MU_CALL_START_GATHER, unit);
}

static mu_err wait_gather(mu_exchange *exchange, int unit)
{
    fake *f = (fake *)exchange;
    const mu_param_unit *u = unit_of(f, unit);
    ck_assert_ptr_nonnull(f->gather[unit]);
    for (int r = 0; r < f->world->size; r++)
        memcpy((char *)f->gather[unit] + (size_t)r * u->piece_bytes,
               (char *)mu_params_data(f->world->params[r], NULL) + u->piece_offset, u->piece_bytes);
    f->gather[unit] = NULL;
    return note(f, MU_CALL_WAIT_GATHER, unit);
}

static mu_err start_reduce(mu_exchange *exchange, int unit, void *gradients)
{
    fake *f = (fake *)exchange;
    ck_assert_ptr_null(f->reduce[unit]);
    f->reduce[unit] = gradients;
    f->copy[unit] = malloc(unit_of(f, unit)->bytes);
    memcpy(f->copy[unit], gradients, unit_of(f, unit)->bytes);
    f->n_alive++;
    f->most_alive = f->n_alive > f->most_alive ? f->n_alive : f->most_alive;
    return note(f, MU_CALL_START_REDUCE, unit);
}

static mu_err wait_reduce(mu_exchange *exchange, int unit)
{
    fake *f = (fake *)exchange;
    const mu_param_unit *u = unit_of(f, unit);
    ck_assert_ptr_nonnull(f->reduce[unit]);
    ck_assert_mem_eq(f->reduce[unit], f->copy[unit], u->bytes); /* nobody wrote there meanwhile */
    for (size_t i = 0; i < u->bytes / sizeof(double); i++)
        f->world->sum[u->offset / sizeof(double) + i] += ((double *)f->copy[unit])[i];
    memset(f->reduce[unit], 0xff, u->bytes);
    f->reduce[unit] = NULL;
    free(f->copy[unit]);
    f->n_alive--;
    return note(f, MU_CALL_WAIT_REDUCE, unit);
}

static const mu_exchange_ops fake_ops = {.start_reduce = start_reduce, .wait_reduce = wait_reduce, .start_gather = start_gather,
                                         .wait_gather = wait_gather};

typedef struct {
    mu_shard_stage stage;
    int size, prefetch;
    size_t unit_bytes;
    const char *const *modules;
    int n_modules;
    const mu_plan_options *plan;
} setting;

static void world_open(world *w, const mu_graph *g, mu_backend *backend, const setting *s)
{
    *w = (world){.backend = backend, .size = s->size};
    for (int r = 0; r < s->size; r++) {
        fake *f = &w->exchange[r];
        *f = (fake){.base = {.ops = &fake_ops, .prefetch = s->prefetch, .forward_prefetch = s->prefetch}, .world = w, .rank = r};
        mu_params_sharing sharing = {.stage = s->stage, .rank = r, .size = s->size, .unit_bytes = s->unit_bytes,
                                     .modules = s->modules, .n_modules = s->n_modules, .exchange = &f->base};
        ck_ok(mu_params_new(backend, &w->params[r]));
        ck_ok(mu_params_share(w->params[r], &sharing));
        ck_ok(toy_params(g, w->params[r]));
        ck_ok(mu_plan_new(g, backend, w->params[r], s->plan, &w->plan[r]));
        ck_assert_int_le(mu_params_n_units(w->params[r]), MAX_UNITS);
        toy_check_memory(w->plan[r]);
    }
    size_t bytes = 1;
    for (int i = 0; i < mu_params_n_units(w->params[0]); i++)
        bytes += mu_params_unit(w->params[0], i)->bytes;
    w->sum = calloc(bytes, 1);
}

static void world_close(world *w)
{
    for (int r = 0; r < w->size; r++) {
        mu_plan_release(w->plan[r]);
        mu_params_release(w->params[r]);
    }
    free(w->sum);
}

/* Other inputs on every rank. */
static void fill_inputs(const mu_graph *g, mu_plan *plan, int rank)
{
    static const char *const names[] = {"x", "y"};
    toy_inputs(g, plan);
    for (int i = 0; i < 2; i++) {
        mu_type type;
        double *host = mu_plan_input(plan, names[i], &type);
        for (int64_t k = 0; host && k < mu_type_count(&type); k++)
            host[k] *= 1 + 0.25 * rank;
    }
}

/* What one rank alone computes: outputs, and gradients in the store's layout. */
static void check_outputs(const mu_graph *g, mu_plan *plan, mu_plan *alone, int seed)
{
    for (int i = 0; i < mu_graph_n_outputs(g); i++) {
        const char *name = mu_graph_output_name(g, i);
        mu_type type = mu_plan_output_type(plan, name);
        double *got = malloc(mu_type_bytes(&type) + 1), *want = malloc(mu_type_bytes(&type) + 1);
        ck_ok(mu_plan_read(plan, name, got, mu_type_bytes(&type)));
        ck_ok(mu_plan_read(alone, name, want, mu_type_bytes(&type)));
        ck_assert_msg(memcmp(got, want, mu_type_bytes(&type)) == 0, "seed %d: output %s differs", seed, name);
        free(got);
        free(want);
    }
}

static void add_gradients(mu_params *alone, double **sum)
{
    size_t bytes;
    const double *gradients = mu_params_gradients(alone, &bytes);
    *sum = *sum ? *sum : calloc(bytes + 1, 1);
    for (size_t i = 0; i < bytes / sizeof(double); i++)
        (*sum)[i] += gradients[i];
}

/* The sharded store's units have other places, padded as they are: by parameters. */
static void check_gradients(const world *w, const mu_params *alone, const double *want, int seed)
{
    for (int i = 0; i < mu_params_count(alone); i++) {
        const mu_param_info *a = mu_params_at(alone, i);
        int at = mu_params_find(w->params[0], a->name);
        const mu_param_info *b = mu_params_at(w->params[0], at);
        if (!a->trainable)
            continue;
        ck_assert_ptr_eq(a->layout, b->layout);
        for (size_t k = 0; k < a->bytes / sizeof(double); k++)
            ck_assert_msg(want[a->offset / sizeof(double) + k] == w->sum[b->offset / sizeof(double) + k],
                          "seed %d: gradient %zu of %s is %.17g, not %.17g", seed, k, a->name,
                          w->sum[b->offset / sizeof(double) + k], want[a->offset / sizeof(double) + k]);
    }
}

static void check_world(const mu_graph *g, mu_backend *backend, const setting *s, int seed)
{
    world w;
    double *want = NULL;
    mu_params *alone;
    mu_plan *plan;
    bool training = mu_graph_n_gradients(g) > 0;
    world_open(&w, g, backend, s);
    for (int r = 0; r < s->size; r++) {
        fill_inputs(g, w.plan[r], r);
        for (int run = 0; run < 2; run++) { /* state: running statistics move */
            fake *f = &w.exchange[r];
            f->n_log = 0;
            ck_ok(mu_plan_run(w.plan[r], NULL));
            for (int u = 0; u < MAX_UNITS; u++)
                ck_assert(!f->gather[u] && !f->reduce[u]);
        }
        ck_assert_int_eq(w.exchange[r].n_log, w.exchange[0].n_log);
        ck_assert_mem_eq(w.exchange[r].log, w.exchange[0].log, (size_t)w.exchange[0].n_log * sizeof(int));
        ck_assert_int_le(w.exchange[r].most_alive, s->prefetch + 1);

        ck_ok(mu_params_new(backend, &alone));
        ck_ok(toy_params(g, alone));
        ck_ok(mu_plan_new(g, backend, alone, s->plan, &plan));
        fill_inputs(g, plan, r);
        for (int run = 0; run < 2; run++) {
            ck_ok(mu_plan_run(plan, NULL));
            if (training)
                add_gradients(alone, &want);
        }
        check_outputs(g, w.plan[r], plan, seed);
        if (r == s->size - 1 && training)
            check_gradients(&w, alone, want, seed);
        mu_plan_release(plan);
        mu_params_release(alone);
    }
    free(want);
    world_close(&w);
}

/* Those of `names` that the graph has parameters of. */
static int modules_of(const mu_graph *g, const char *const *names, int n, const char **out)
{
    int found = 0;
    for (int m = 0; m < n; m++) {
        size_t length = strlen(names[m]);
        for (int32_t v = 1; v <= mu_graph_n_values(g); v++) {
            const char *name = mu_graph_value(g, (mu_value){v})->name;
            if (name && strncmp(name, names[m], length) == 0 && name[length] == '.') {
                out[found++] = names[m];
                break;
            }
        }
    }
    return found;
}

START_TEST(random_networks_in_units)
{
    static const char *const names[] = {"conv1", "fc0", "bn2", "head3"};
    const char *modules[4];
    mu_backend *ref;
    blocked_backend *blocked;
    mu_graph *g;
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    ck_ok(blocked_open(&blocked));
    blocked->poison = true;
    ck_ok(toy_net((uint64_t)_i, _i % 4 != 3, &g));
    setting s = {.stage = _i % 2 ? MU_SHARD_GRADIENTS : MU_SHARD_PARAMETERS, .size = 2 + _i % 2, .prefetch = 1 + _i % 3 / 2,
                 .unit_bytes = 1 + (size_t)(_i % 5) * 700, .modules = modules, .n_modules = _i % 3 ? modules_of(g, names, 4, modules) : 0};
    if (_i % 4 == 3)
        s.stage = MU_SHARD_PARAMETERS;
    check_world(g, ref, &s, _i);
    check_world(g, &blocked->base, &s, _i);
    s.plan = &(mu_plan_options){.no_fusion = true};
    s.unit_bytes = 0;
    check_world(g, &blocked->base, &s, _i);
    mu_graph_release(g);
    mu_backend_close(&blocked->base);
    mu_backend_close(ref);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

/* `depth` layers of 16 to 16 features. */
static mu_err deep_network(int depth, mu_graph **out)
{
    mu_graph *g;
    char name[16];
    MU_TRY(mu_graph_new(&g));
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F64, 2, 16));
    for (int i = 0; i < depth; i++) {
        snprintf(name, sizeof name, "fc%d", i);
        x = mu_tanh(g, toy_linear(g, name, x, 16));
    }
    mu_value loss = mu_sum(g, mu_mul(g, x, x), 0, false);
    mu_graph_output(g, "loss", loss);
    mu_graph_backward(g, loss, NULL, 0, NULL);
    mu_err err = mu_graph_status(g);
    if (err)
        mu_graph_release(g);
    else
        *out = g;
    return err;
}

enum { DEPTH = 16, LAYER = 16 * 17 * sizeof(double) };

static mu_plan_stats stats_of(const mu_graph *g, mu_backend *backend, mu_shard_stage stage, int size)
{
    mu_plan *plan;
    mu_params_sharing sharing = {.stage = stage, .size = size, .unit_bytes = LAYER};
    ck_ok(mu_plan_new(g, backend, NULL, &(mu_plan_options){.dry = true, .sharing = &sharing}, &plan));
    mu_plan_stats stats = mu_plan_get_stats(plan);
    mu_plan_release(plan);
    return stats;
}

START_TEST(memory_falls_with_ranks)
{
    mu_backend *ref;
    mu_graph *g;
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    ck_ok(deep_network(DEPTH, &g));
    mu_plan_stats whole = stats_of(g, ref, MU_SHARD_NOTHING, 1);
    for (int size = 2; size <= 4; size *= 2)
        for (int stage = MU_SHARD_OPTIMIZER; stage <= MU_SHARD_PARAMETERS; stage++) {
            setting s = {.stage = (mu_shard_stage)stage, .size = size > 2 ? 3 : 2, .prefetch = 1, .unit_bytes = LAYER};
            mu_plan_stats part = stats_of(g, ref, s.stage, size);
            size_t padding = (size_t)size * MU_ALIGN * (DEPTH + 1), data = stage >= MU_SHARD_PARAMETERS ? (size_t)size : 1,
                   gradients = stage >= MU_SHARD_GRADIENTS ? (size_t)size : 1, units = (data > 1 ? 3 : 0) + (gradients > 1 ? 3 : 0);
            ck_assert_uint_le(part.param_bytes, (whole.param_bytes + padding) / data);
            ck_assert_uint_le(part.gradient_bytes, (whole.param_bytes + padding) / gradients);
            ck_assert_uint_ge(part.param_bytes * data, whole.param_bytes);
            ck_assert_uint_ge(part.gradient_bytes * gradients, whole.param_bytes);
            ck_assert_uint_le(part.arena_bytes, whole.arena_bytes + units * (LAYER + padding / DEPTH));
            world w; /* what is allocated is what was told */
            world_open(&w, g, ref, &s);
            size_t bytes;
            (void)mu_params_data(w.params[0], &bytes);
            mu_plan_stats real = mu_plan_get_stats(w.plan[0]), told = stats_of(g, ref, s.stage, s.size);
            ck_assert_uint_eq(real.param_bytes, told.param_bytes);
            ck_assert_uint_eq(real.gradient_bytes, told.gradient_bytes);
            ck_assert_uint_eq(real.arena_bytes, told.arena_bytes);
            ck_assert_uint_eq(bytes, told.param_bytes);
            (void)mu_params_gradients(w.params[0], &bytes);
            ck_assert_uint_eq(bytes, told.gradient_bytes);
            world_close(&w);
        }
    mu_graph_release(g);
    mu_backend_close(ref);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

START_TEST(a_failed_run_makes_all_calls)
{
    blocked_backend *blocked;
    mu_graph *g;
    world w;
    int whole[MAX_LOG], n;
    ck_ok(blocked_open(&blocked));
    ck_ok(deep_network(6, &g));
    setting s = {.stage = MU_SHARD_PARAMETERS, .size = 2, .prefetch = 1, .unit_bytes = LAYER,
                 .plan = &(mu_plan_options){.no_fusion = true}};
    world_open(&w, g, &blocked->base, &s);
    fake *f = &w.exchange[0];
    toy_inputs(g, w.plan[0]);
    ck_ok(mu_plan_run(w.plan[0], NULL));
    ck_assert_int_gt(f->n_gathers, mu_params_n_units(w.params[0])); /* some again for backward */
    ck_assert_int_lt(f->n_gathers, 2 * mu_params_n_units(w.params[0]));
    n = f->n_log;
    memcpy(whole, f->log, sizeof whole);
    ck_fails(mu_plan_run_checked(w.plan[0], NULL), MU_ERR_USAGE, "pieces on 2 ranks");
    static const char *const operations[] = {"linear", "tanh", "sum"};
    for (int i = 0; i < 3; i++) {
        f->n_log = 0;
        blocked->fail_run_of = operations[i];
        ck_assert_int_ne(mu_plan_run(w.plan[0], NULL), MU_OK);
        ck_assert_int_eq(f->n_log, n);
        ck_assert_mem_eq(f->log, whole, (size_t)n * sizeof *whole);
    }
    blocked->fail_run_of = NULL;
    for (f->fail_at = 1; f->fail_at <= n; f->fail_at++) {
        f->n_log = 0;
        ck_fails(mu_plan_run(w.plan[0], NULL), MU_ERR_COMM, "cable");
        ck_assert_int_eq(f->n_log, n);
        ck_assert_mem_eq(f->log, whole, (size_t)n * sizeof *whole);
    }
    world_close(&w);
    mu_graph_release(g);
    mu_backend_close(&blocked->base);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

static mu_err shard_params(mu_backend *backend, int rank, mu_params **out)
{
    mu_params *p;
    float a[100], b[7];
    mu_err err;
    for (int i = 0; i < 100; i++)
        a[i] = (float)i;
    for (int i = 0; i < 7; i++)
        b[i] = (float)(1000 + i);
    MU_TRY(mu_params_new(backend, &p));
    mu_params_sharing sharing = {.stage = MU_SHARD_PARAMETERS, .rank = rank, .size = 3};
    MU_TRY_GOTO(err, mu_params_share(p, &sharing), fail);
    MU_TRY_GOTO(err, mu_params_declare(p, "a", MU_TYPE(MU_F32, 100), true), fail);
    MU_TRY_GOTO(err, mu_params_declare(p, "b", MU_TYPE(MU_F32, 7), true), fail);
    MU_TRY_GOTO(err, mu_params_declare(p, "mean", MU_TYPE(MU_F32, 3), false), fail);
    MU_TRY_GOTO(err, mu_params_write(p, "a", a), fail);
    MU_TRY_GOTO(err, mu_params_freeze(p, true), fail);
    MU_TRY_GOTO(err, mu_params_write(p, "b", b), fail);
    *out = p;
    return MU_OK;
fail:
    mu_params_release(p);
    return err;
}

START_TEST(pieces_cut_through_parameters)
{
    mu_backend *ref;
    mu_params *p;
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    for (int rank = 0; rank < 3; rank++) {
        float got[100];
        size_t bytes;
        void *state, *sums;
        ck_ok(shard_params(ref, rank, &p));
        /* a: 400 bytes, padded to 448; b: 28 at 448; the unit 3 * 192 = 576. */
        ck_assert_int_eq(mu_params_n_units(p), 1);
        ck_assert_uint_eq(mu_params_unit(p, 0)->bytes, 576);
        const char *data = mu_params_data(p, &bytes);
        ck_assert_uint_eq(bytes, 192);
        mu_param_piece a = mu_params_piece(p, 0), b = mu_params_piece(p, 1);
        static const size_t a_bytes[] = {192, 192, 16}, b_bytes[] = {0, 0, 28};
        ck_assert_uint_eq(a.bytes, a_bytes[rank]);
        ck_assert_uint_eq(b.bytes, b_bytes[rank]);
        ck_assert_uint_eq(a.first, (size_t)rank * 192);
        ck_assert(((const float *)data)[0] == (float)(48 * rank));
        if (rank == 2)
            ck_assert(((const float *)(data + b.data))[6] == 1006);
        ck_fails(mu_params_read(p, "a", got), MU_ERR_USAGE, "lies in pieces on 3 ranks");
        ck_fails(mu_params_read_gradient(p, "a", got), MU_ERR_USAGE, "mu_params_collect");
        ck_ok(mu_params_read(p, "mean", got));
        ck_ok(mu_params_arena_new(p, "a state", &state));
        ck_ok(mu_params_sums_new(p, "sums", &sums));
        for (int i = 0; i < 100; i++)
            got[i] = (float)-i;
        ck_ok(mu_params_arena_write(p, sums, "a", got));
        ck_ok(mu_params_arena_write(p, state, "a", got));
        ck_assert(((float *)state)[1] == (float)-(48 * rank + 1) && ((float *)sums)[1] == (float)-(48 * rank + 1));
        ck_fails(mu_params_arena_read(p, state, "b", got), MU_ERR_USAGE, "lies in pieces");
        mu_params_arena_release(p, state);
        mu_params_arena_release(p, sums);
        mu_params_release(p);
    }
    ck_survives_oom(shard_params(ref, 1, &p), mu_params_release(p));
    mu_backend_close(ref);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

START_TEST(one_rank_shards_nothing)
{
    mu_backend *ref;
    mu_params *p;
    float got[3];
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    ck_ok(mu_params_new(ref, &p));
    ck_ok(mu_params_share(p, &(mu_params_sharing){.stage = MU_SHARD_PARAMETERS, .size = 1}));
    ck_ok(mu_params_declare(p, "a", MU_TYPE(MU_F32, 3), true));
    ck_ok(mu_params_freeze(p, true));
    ck_ok(mu_params_read(p, "a", got));
    ck_assert_int_eq(mu_params_sharing_of(p)->stage, MU_SHARD_NOTHING);
    mu_params_release(p);
    mu_backend_close(ref);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sharded stores");
    TCase *tests = tcase_create("sharded stores");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, pieces_cut_through_parameters);
    tcase_add_test(tests, one_rank_shards_nothing);
    const char *more = getenv("MUSTER_TEST_SEEDS");
    tcase_add_loop_test(tests, random_networks_in_units, 0, more ? atoi(more) : 24);
    tcase_add_test(tests, memory_falls_with_ranks);
    tcase_add_test(tests, a_failed_run_makes_all_calls);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

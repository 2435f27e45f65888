/* Inputs of plans on the emulated device: those of the next run are filled while the device still works, and nothing waits for it. */
#include "backend/host.h"
#include "graph/plan.h"
#include "ops/ops.h"
#include "test.h"

enum { N = 270000, ROUNDS = 8 }; /* more than what an upload takes without waiting */

/* ---- what waits ---- */

static struct {
    const mu_mark *mark;
    mu_lane lane;
} marked[64];
static int n_marked, n_waits, n_in_waits;

static mu_err watch_mark(mu_backend *b, mu_mark *mark, mu_lane lane)
{
    int i = 0;
    while (i < n_marked && marked[i].mark != mark)
        i++;
    ck_assert_int_lt(i, 64);
    n_marked = i == n_marked ? n_marked + 1 : n_marked;
    marked[i].mark = mark;
    marked[i].lane = lane;
    return mu_backend_cuda.mark(b, mark, lane);
}

static mu_err watch_wait(mu_backend *b, const mu_mark *mark)
{
    mu_lane lane = MU_LANE_IN; /* a mark that was never set: nothing to wait for */
    for (int i = 0; i < n_marked; i++)
        lane = marked[i].mark == mark ? marked[i].lane : lane;
    *(lane == MU_LANE_IN ? &n_in_waits : &n_waits) += 1;
    return mu_backend_cuda.wait(b, mark);
}

static int n_copies[MU_N_LANES];

static mu_err watch_copy(mu_backend *b, mu_lane lane, void *to, const void *from, size_t bytes)
{
    n_copies[lane]++;
    return mu_backend_cuda.copy(b, lane, to, from, bytes);
}

static mu_err watch_synchronize(mu_backend *b)
{
    n_waits++;
    return mu_backend_cuda.synchronize(b);
}

static mu_err watch_download(mu_backend *b, void *host, const void *device, size_t bytes)
{
    n_waits++;
    return mu_backend_cuda.download(b, host, device, bytes);
}

static mu_err watch_upload(mu_backend *b, void *device, const void *host, size_t bytes)
{
    n_waits += bytes > 1 << 20;
    return mu_backend_cuda.upload(b, device, host, bytes);
}

static mu_backend_ops watching;

static mu_backend *opened(void)
{
    mu_backend *b;
    watching = mu_backend_cuda;
    watching.mark = watch_mark;
    watching.wait = watch_wait;
    watching.copy = watch_copy;
    watching.synchronize = watch_synchronize;
    watching.download = watch_download;
    watching.upload = watch_upload;
    ck_ok(mu_backend_open_ops(&watching, &(mu_backend_options){.cache_dir = ""}, &b));
    return b;
}

/* ---- plans ---- */

typedef struct {
    mu_backend *backend;
    mu_params *params;
    mu_plan *plan;
} network;

static int failing; /* of the host operation; > 0: that often */

static mu_err pass_on(void *user, const mu_call *call, const void *const *in, void *const *out)
{
    (void)user;
    if (failing > 0 && failing--)
        return MU_FAIL(MU_ERR_NUMERIC, "as the test wants it");
    memcpy(out[0], in[0], mu_type_bytes(&call->in[0]));
    return MU_OK;
}

static mu_err same_type(void *user, const mu_call *call, mu_type *out)
{
    (void)user;
    out[0] = call->in[0];
    return MU_OK;
}

/* y = sum of -(a + b); host: a passes the host on its way. */
static void network_open(network *n, mu_backend *b, bool host)
{
    mu_graph *g;
    n->backend = b;
    ck_ok(mu_graph_new(&g));
    mu_value x = mu_graph_input(g, "a", MU_TYPE(MU_F32, N)), y = mu_graph_input(g, "b", MU_TYPE(MU_F32, N));
    if (host)
        mu_host(g, &(mu_host_attrs){.run = pass_on, .infer = same_type, .n_out = 1}, &x, 1, &x);
    mu_value sum = mu_neg(g, mu_add(g, x, y));
    mu_graph_output(g, "y", sum);
    ck_ok(mu_graph_status(g));
    ck_ok(mu_params_new(b, &n->params));
    ck_ok(mu_plan_new(g, b, n->params, &(mu_plan_options){.no_fusion = true}, &n->plan));
    mu_graph_release(g);
}

static void network_close(network *n)
{
    mu_plan_release(n->plan);
    mu_params_release(n->params);
}

static void fill(network *n, const char *name, int value)
{
    float *x = mu_plan_input(n->plan, name, NULL);
    for (int i = 0; i < N; i++)
        x[i] = (float)(value + i % 7);
}

static void check(network *n, int a, int b)
{
    static float y[N];
    ck_ok(mu_plan_read(n->plan, "y", y, sizeof y));
    for (int i = 0; i < N; i++)
        ck_assert_msg(y[i] == -(float)(a + b + 2 * (i % 7)), "element %d is %g, not of %d + %d", i, (double)y[i], a, b);
}

/* A mark behind everything so far. */
static bool device_is_done(mu_backend *b)
{
    bool passed;
    mu_mark *mark;
    ck_ok(mu_backend_cuda.mark_new(b, &mark));
    ck_ok(mu_backend_cuda.mark(b, mark, MU_LANE_KERNELS));
    ck_ok(mu_backend_cuda.passed(b, mark, &passed));
    mu_backend_cuda.mark_release(b, mark);
    return passed;
}

START_TEST(nothing_waits)
{
    network n;
    mu_backend *b = opened();
    network_open(&n, b, false);
    ck_ok(b->ops->synchronize(b));
    n_waits = n_in_waits = 0;
    int behind = 0;
    memset(n_copies, 0, sizeof n_copies);
    for (int i = 0; i < ROUNDS; i++) { /* from the second run on it is a recording */
        fill(&n, "a", 10 * i);
        fill(&n, "b", -i);
        ck_ok(mu_plan_run(n.plan, NULL));
        behind += !device_is_done(b);
    }
    ck_assert_int_eq(n_waits, 0);
    ck_assert_int_eq(n_copies[MU_LANE_IN], ROUNDS); /* both inputs at once */
    ck_assert_int_eq(n_copies[MU_LANE_KERNELS], ROUNDS);
    ck_assert_int_le(n_in_waits, ROUNDS);
    ck_assert_int_eq(behind, ROUNDS);
    check(&n, 10 * (ROUNDS - 1), -(ROUNDS - 1));
    network_close(&n);
    mu_backend_close(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

/* The inputs of the next run are in their places before anybody has looked at the last. */
START_TEST(filled_while_the_device_works)
{
    network n;
    mu_backend *b = opened();
    network_open(&n, b, false);
    fill(&n, "a", 0);
    fill(&n, "b", 0);
    for (int i = 0; i < ROUNDS; i++) {
        ck_ok(mu_plan_run(n.plan, NULL));
        ck_assert(!device_is_done(b));
        fill(&n, "a", 100 * (i + 1));
        fill(&n, "b", i + 1);
        check(&n, 100 * i, i);
    }
    network_close(&n);
    mu_backend_close(b);
}
END_TEST

/* ---- inputs that lie where the device copies from ---- */

enum { BYTES = N * sizeof(float) };
_Static_assert(BYTES % MU_ALIGN == 0, "b is behind a without a gap");

static void put(float *x, int value)
{
    for (int i = 0; i < N; i++)
        x[i] = (float)(value + i % 7);
}

/* Inputs of run i in a block: a, then b. */
static void give(network *n, float *block, int a, int b)
{
    put(block, a);
    put(block + N, b);
    mu_plan_input_from(n->plan, mu_plan_find_input(n->plan, "a"), block);
    mu_plan_input_from(n->plan, mu_plan_find_input(n->plan, "b"), block + N);
    mu_plan_input_from(n->plan, -1, block);
}

static float *pinned(mu_backend *b)
{
    void *block;
    ck_ok(b->ops->alloc_host(b, 2 * BYTES, &block));
    return block;
}

/* A run looks at what it was given only until the next one has begun: two blocks go by turns, and nothing waits. */
START_TEST(sent_from_where_they_lie)
{
    network n;
    mu_backend *b = opened();
    float *block[] = {pinned(b), pinned(b)};
    network_open(&n, b, false);
    ck_ok(b->ops->synchronize(b));
    n_waits = n_in_waits = 0;
    memset(n_copies, 0, sizeof n_copies);
    int behind = 0;
    for (int i = 0; i < ROUNDS; i++) {
        give(&n, block[i % 2], 10 * i, -i);
        ck_ok(mu_plan_run(n.plan, NULL));
        behind += !device_is_done(b);
    }
    ck_assert_int_eq(n_waits, 0);
    ck_assert_int_le(n_in_waits, ROUNDS);
    ck_assert_int_eq(behind, ROUNDS);
    ck_assert_int_eq(n_copies[MU_LANE_IN], ROUNDS);
    ck_assert_int_eq(n_copies[MU_LANE_KERNELS], ROUNDS);
    check(&n, 10 * (ROUNDS - 1), -(ROUNDS - 1));
    /* every one of them, and mixed with what is filled or left as it is */
    for (int i = 0; i < ROUNDS; i++) {
        give(&n, block[i % 2], 100 * i, i);
        if (i % 3 == 1)
            fill(&n, "b", 7 * i); /* instead */
        ck_ok(mu_plan_run(n.plan, NULL));
        put(block[(i + 1) % 2], -1000); /* as early as it may be */
        put(block[(i + 1) % 2] + N, -1000);
        check(&n, 100 * i, i % 3 == 1 ? 7 * i : i);
        ck_ok(mu_plan_run(n.plan, NULL)); /* the same again, from the device */
        check(&n, 100 * i, i % 3 == 1 ? 7 * i : i);
    }
    give(&n, block[0], 1, 2);
    ck_ok(mu_plan_run(n.plan, NULL));
    ck_ok(mu_plan_wait_inputs(n.plan));
    give(&n, block[0], 3, 4);
    ck_ok(mu_plan_run(n.plan, NULL));
    check(&n, 3, 4);
    give(&n, block[0], 5, 6);
    ck_ok(mu_plan_run(n.plan, NULL));
    network_close(&n); /* nothing is read any more */
    b->ops->dealloc_host(b, block[0]);
    b->ops->dealloc_host(b, block[1]);
    ck_ok(b->ops->synchronize(b));
    mu_backend_close(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

static bool is_right(network *n, int a, int b)
{
    static float y[N];
    ck_ok(mu_plan_read(n->plan, "y", y, sizeof y));
    return y[0] == -(float)(a + b) && y[N - 1] == -(float)(a + b + 2 * ((N - 1) % 7));
}

/* One block is too few: it is written again while it is being sent. So are two where plans go by turns and nobody waits. */
START_TEST(written_again_too_early)
{
    network n[2];
    mu_backend *b = opened();
    float *block[] = {pinned(b), pinned(b)};
    int wrong = 0;
    network_open(&n[0], b, false);
    network_open(&n[1], b, false);
    for (int i = 0; i < ROUNDS; i++) {
        give(&n[0], block[0], 10 * i, -i);
        ck_ok(mu_plan_run(n[0].plan, NULL));
        put(block[0], -1000);
        wrong += !is_right(&n[0], 10 * i, -i);
    }
    ck_assert_int_gt(wrong, 0);
    for (int waits = 0; waits < 2; waits++) {
        wrong = 0;
        for (int i = 0; i < ROUNDS; i++) {
            give(&n[0], block[0], 10 * i, -i);
            ck_ok(mu_plan_run(n[0].plan, NULL));
            if (waits)
                ck_ok(mu_plan_wait_inputs(n[0].plan));
            give(&n[1], block[1], i, i);
            ck_ok(mu_plan_run(n[1].plan, NULL));
            put(block[0], -1000);
            wrong += !is_right(&n[0], 10 * i, -i);
            check(&n[1], i, i);
        }
        if (waits)
            ck_assert_int_eq(wrong, 0);
        else
            ck_assert_int_gt(wrong, 0);
    }
    network_close(&n[0]);
    network_close(&n[1]);
    b->ops->dealloc_host(b, block[0]);
    b->ops->dealloc_host(b, block[1]);
    mu_backend_close(b);
}
END_TEST

/* What was not asked for is there again, also after a run that has failed, and in a checked one; several plans go by turns. */
START_TEST(kept_inputs)
{
    network n[2];
    mu_backend *b = opened();
    network_open(&n[0], b, false);
    network_open(&n[1], b, true);
    ck_ok(mu_plan_run(n[0].plan, NULL));
    static float y[N];
    ck_ok(mu_plan_read(n[0].plan, "y", y, sizeof y));
    ck_assert(y[0] == 0 && y[N - 1] == 0);
    int last[2] = {0};
    for (int i = 0; i < ROUNDS; i++) {
        int k = i % 2;
        fill(&n[k], "a", i);
        if (i < 2)
            fill(&n[k], "b", 1000 * k);
        failing = k == 1 && i > 4;
        if (failing)
            ck_fails(mu_plan_run(n[k].plan, NULL), MU_ERR_NUMERIC, "as the test wants it");
        ck_ok(mu_plan_run(n[k].plan, NULL));
        last[k] = i;
        check(&n[k], i, 1000 * k);
        if (i > 0)
            check(&n[!k], last[!k], 1000 * !k);
        ck_ok(mu_plan_run_checked(n[k].plan, NULL));
        check(&n[k], i, 1000 * k);
        if (i % 3 == 1) { /* a checked run sends what was filled, and the next one sees it, too */
            fill(&n[k], "a", 50 + i);
            ck_ok(mu_plan_run_checked(n[k].plan, NULL));
            check(&n[k], 50 + i, 1000 * k);
            ck_ok(mu_plan_run(n[k].plan, NULL));
            last[k] = 50 + i;
        }
    }
    for (int k = 0; k < 2; k++)
        check(&n[k], last[k], 1000 * k);
    network_close(&n[0]);
    network_close(&n[1]);
    mu_backend_close(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

/* A plan without inputs. */
START_TEST(no_inputs)
{
    mu_graph *g;
    network n;
    float y[4];
    mu_backend *b = opened();
    n.backend = b;
    ck_ok(mu_graph_new(&g));
    mu_graph_output(g, "y", mu_neg(g, mu_graph_param(g, "w", MU_TYPE(MU_F32, 4))));
    ck_ok(mu_graph_status(g));
    ck_ok(mu_params_new(b, &n.params));
    ck_ok(mu_params_declare(n.params, "w", MU_TYPE(MU_F32, 4), true));
    ck_ok(mu_params_write(n.params, "w", (float[]){1, 2, 3, 4}));
    ck_ok(mu_plan_new(g, b, n.params, NULL, &n.plan));
    mu_graph_release(g);
    for (int i = 0; i < 3; i++) {
        ck_ok(mu_plan_run(n.plan, NULL));
        ck_ok(mu_plan_read(n.plan, "y", y, sizeof y));
        ck_assert(y[0] == -1 && y[3] == -4);
    }
    ck_assert_ptr_null(mu_plan_input(n.plan, "w", NULL));
    network_close(&n);
    mu_backend_close(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cuda inputs");
    TCase *tests = tcase_create("inputs");
    tcase_set_timeout(tests, 60); /* large tensors */
    tcase_add_test(tests, nothing_waits);
    tcase_add_test(tests, filled_while_the_device_works);
    tcase_add_test(tests, sent_from_where_they_lie);
    tcase_add_test(tests, written_again_too_early);
    tcase_add_test(tests, kept_inputs);
    tcase_add_test(tests, no_inputs);
    suite_add_tcase(suite, tests);
    setenv("MU_FALLBACK", "error", 1);
    return test_run(suite);
}

/* Recordings (CUDA graphs) on the emulated device: kernels that are noted and repeated, and plans that do so from their second run on. */
#include "backend/host.h"
#include "graph/plan.h"
#include "ops/ops.h"
#include "test.h"

#include <string.h>

static mu_backend *opened(void)
{
    mu_backend *b;
    ck_ok(mu_backend_open("cuda", &(mu_backend_options){.cache_dir = ""}, &b));
    return b;
}

/* Place of element [n][c][s] in channels last. */
static int64_t last_place(const mu_type *t, int64_t i)
{
    int64_t c = t->dim[1], space = mu_type_count(t) / (t->dim[0] * c);
    return i / (c * space) * c * space + i % space * c + i / space % c;
}

START_TEST(record_and_replay)
{
    mu_type t = MU_TYPE(MU_F32, 1, 16, 4, 4);
    float x[256], y[256], zeros[256] = {0};
    const mu_layout *last;
    mu_kernel *kernel;
    mu_recording *recording;
    void *at[2];
    mu_backend *b = opened();
    ck_ok(b->ops->layout(b, &t, MU_LAYOUT_CHANNELS_LAST, 0, &last));
    for (int i = 0; i < 2; i++)
        ck_ok(b->ops->alloc(b, sizeof x, &at[i]));
    ck_ok(b->ops->upload(b, at[1], zeros, sizeof x));
    ck_ok(b->ops->reorder(b, &t, NULL, last, &kernel));
    ck_ok(mu_kernel_bind(kernel, &at[0], &at[1], NULL));
    ck_ok(b->ops->record_begin(b));
    ck_ok(mu_kernel_run(kernel, &(mu_run){0}));
    ck_ok(b->ops->record_end(b, &recording));
    ck_ok(b->ops->download(b, y, at[1], sizeof x));
    ck_assert_int_eq(memcmp(y, zeros, sizeof y), 0); /* noted, not run */
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 256; i++)
            x[i] = (float)(i + 1000 * round);
        ck_ok(b->ops->upload(b, at[0], x, sizeof x));
        ck_ok(b->ops->replay(b, recording));
        ck_ok(b->ops->download(b, y, at[1], sizeof x));
        for (int i = 0; i < 256; i++)
            ck_assert(y[last_place(&t, i)] == x[i]);
    }
    b->ops->recording_release(b, recording);
    b->ops->recording_release(b, NULL);
    mu_kernel_release(kernel);
    for (int i = 0; i < 2; i++)
        b->ops->dealloc(b, at[i]);
    mu_backend_close(b);
}
END_TEST

/* What cannot be recorded fails, and afterwards the device works as before. */
START_TEST(failed_recording)
{
    char host[64], back[64];
    mu_recording *recording;
    void *at;
    mu_backend *b = opened();
    memset(host, 7, sizeof host);
    ck_ok(b->ops->alloc(b, sizeof host, &at));
    ck_ok(b->ops->record_begin(b));
    ck_assert_int_ne(b->ops->download(b, back, at, sizeof back), MU_OK);
    mu_err err = b->ops->record_end(b, &recording);
    if (err)
        ck_assert_ptr_null(recording);
    b->ops->recording_release(b, recording);
    ck_ok(b->ops->upload(b, at, host, sizeof host));
    ck_ok(b->ops->download(b, back, at, sizeof back));
    ck_assert_int_eq(memcmp(host, back, sizeof host), 0);
    b->ops->dealloc(b, at);
    mu_backend_close(b);
}
END_TEST

/* ---- plans ---- */

static mu_err negate(void *user, const mu_call *call, const void *const *in, void *const *out)
{
    ++*(int *)user;
    for (int64_t i = 0; i < mu_type_count(&call->in[0]); i++)
        ((float *)out[0])[i] = -((const float *)in[0])[i];
    return MU_OK;
}

static mu_err same_type(void *user, const mu_call *call, mu_type *out)
{
    (void)user;
    out[0] = call->in[0];
    return MU_OK;
}

static int n_replays, n_recordings;

static mu_err count_replay(mu_backend *b, mu_recording *recording)
{
    n_replays++;
    return mu_backend_cuda.replay(b, recording);
}

static mu_err count_record(mu_backend *b)
{
    n_recordings++;
    return mu_backend_cuda.record_begin(b);
}

static mu_err refuse_record(mu_backend *b)
{
    (void)b;
    return MU_FAIL(MU_ERR_BACKEND, "no recordings today");
}

/* y = -(transposed x) by a host callback between two transpositions and back, each twice: run four times with other inputs. */
static void run_plan(const mu_backend_ops *ops, bool host, bool profile)
{
    enum { N = 12 };
    static const int perm[] = {1, 0};
    int calls = 0;
    mu_backend *b;
    mu_params *params;
    mu_plan *plan;
    mu_graph *g;
    ck_ok(mu_backend_open_ops(ops, &(mu_backend_options){.cache_dir = ""}, &b));
    ck_ok(mu_graph_new(&g));
    mu_value v = mu_graph_input(g, "x", MU_TYPE(MU_F32, 3, 4));
    v = mu_transpose(g, mu_concat(g, (mu_value[]){v, v}, 2, 0), perm); /* [4,6] */
    if (host)
        mu_host(g, &(mu_host_attrs){.run = negate, .infer = same_type, .user = &calls, .n_out = 1}, &v, 1, &v);
    v = mu_concat(g, (mu_value[]){mu_transpose(g, v, perm), mu_transpose(g, v, perm)}, 2, 1); /* [6,8] */
    mu_graph_output(g, "y", v);
    ck_ok(mu_graph_status(g));
    ck_ok(mu_params_new(b, &params));
    ck_ok(mu_plan_new(g, b, params, &(mu_plan_options){.profile = profile}, &plan));
    float *x, y[48];
    int64_t blocks = 0;
    for (int round = 0; round < 4; round++) {
        x = mu_plan_input(plan, "x", NULL);
        for (int i = 0; i < N; i++)
            x[i] = (float)(i + 100 * round);
        if (round == 2)
            blocks = mu_mem_get_counts().total_blocks;
        ck_ok(mu_plan_run(plan, &(mu_run){.step = round}));
        if (round >= 2)
            ck_assert_int_eq(mu_mem_get_counts().total_blocks, blocks);
        x = mu_plan_input(plan, "x", NULL);
        for (int i = 0; i < N; i++)
            x[i] = -1; /* of the next run, as soon as this one has returned */
        ck_ok(mu_plan_read(plan, "y", y, sizeof y));
        for (int i = 0; i < 48; i++) {
            float want = (float)(i / 8 % 3 * 4 + i % 4 + 100 * round);
            ck_assert_msg(y[i] == (host ? -want : want), "run %d, element %d: %g", round, i, (double)y[i]);
        }
        blocks = mu_mem_get_counts().total_blocks;
    }
    ck_assert_int_eq(calls, host ? 4 : 0);
    mu_plan_release(plan);
    mu_params_release(params);
    mu_graph_release(g);
    mu_backend_close(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

START_TEST(plans_are_recorded)
{
    mu_backend_ops counting = mu_backend_cuda;
    counting.record_begin = count_record;
    counting.replay = count_replay;
    setenv("MU_FALLBACK", "error", 1);
    run_plan(&counting, false, false);
    ck_assert_int_eq(n_recordings, 1);
    ck_assert_int_eq(n_replays, 2); /* of four runs: the second is known, and recorded */
    n_recordings = n_replays = 0;
    run_plan(&counting, true, false); /* the host has a part in it */
    run_plan(&counting, false, true); /* every step is timed */
    setenv("MU_RECORD", "0", 1);
    run_plan(&counting, false, false);
    ck_assert_int_eq(n_recordings + n_replays, 0);
}
END_TEST

/* After recordings, too, the first step whose output is not finite is named; and another run replays as before. */
START_TEST(checked_runs)
{
    static const int perm[] = {1, 0};
    mu_backend *b;
    mu_params *params;
    mu_plan *plan;
    mu_graph *g;
    float y[4];
    setenv("MU_FALLBACK", "error", 1);
    ck_ok(mu_backend_open("cuda", NULL, &b));
    ck_ok(mu_graph_new(&g));
    mu_value v = mu_transpose(g, mu_log(g, mu_graph_input(g, "x", MU_TYPE(MU_F32, 2, 2))), perm);
    mu_graph_output(g, "y", v);
    ck_ok(mu_graph_status(g));
    ck_ok(mu_params_new(b, &params));
    ck_ok(mu_plan_new(g, b, params, &(mu_plan_options){.no_fusion = true}, &plan));
    for (int round = 0; round < 3; round++) {
        float *x = mu_plan_input(plan, "x", NULL);
        for (int i = 0; i < 4; i++)
            x[i] = 1;
        ck_ok(mu_plan_run(plan, NULL));
        ck_ok(mu_plan_run_checked(plan, NULL)); /* the same again */
        x = mu_plan_input(plan, "x", NULL);
        for (int i = 0; i < 4; i++)
            x[i] = i == 2 ? -1 : 1;
        ck_ok(mu_plan_run(plan, NULL));
        ck_ok(mu_plan_read(plan, "y", y, sizeof y));
        ck_assert(y[0] == 0 && y[1] != y[1] && y[2] == 0 && y[3] == 0);
        ck_fails(mu_plan_run_checked(plan, NULL), MU_ERR_NUMERIC, "log \"log\" gives NaN or infinity: 1 of the 4 elements");
    }
    mu_plan_release(plan);
    mu_params_release(params);
    mu_graph_release(g);
    mu_backend_close(b);
}
END_TEST

START_TEST(plans_without_recordings)
{
    mu_backend_ops refusing = mu_backend_cuda;
    refusing.record_begin = refuse_record;
    setenv("MU_FALLBACK", "error", 1);
    run_plan(&refusing, true, false);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cuda recordings");
    TCase *tests = tcase_create("recordings");
    tcase_add_test(tests, record_and_replay);
    tcase_add_test(tests, failed_recording);
    tcase_add_test(tests, plans_are_recorded);
    tcase_add_test(tests, checked_runs);
    tcase_add_test(tests, plans_without_recordings);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
